//! The page for people: every site, most urgent first, without JavaScript.

use super::Views;
use crate::net::Timestamp;
use crate::status::{
    Ago, ConditionStatus, ReloadOutcome, SiteSnapshot, Snapshot, TenantSnapshot, Visible,
};
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use std::cmp::Reverse;
use std::fmt::{self, Display, Write};

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css")).into_response()
}

pub(super) async fn page(State(views): State<Views>) -> Html<String> {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut html, &views.snapshot(), views.pulse.is_felt());
    Html(html)
}

/// Anything as text between tags or in a quoted attribute.
struct Text<T>(T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Visible(&self.0.to_string()).to_string().chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            _ => f.write_char(c),
        })
    }
}

fn write_page(out: &mut String, snapshot: &Snapshot, is_alive: bool) -> fmt::Result {
    let sites = || snapshot.tenants.iter().flat_map(|tenant| &tenant.sites);
    let up: usize = snapshot.tenants.iter().map(TenantSnapshot::sites_up).sum();
    let total = sites().count();
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"10\">\
         <title>{up}/{total} up · Lockgate</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head>\n<body><header><h1>Lockgate</h1>\
         <p>{up} of {total} sites up, {} tenants. As of {}. Running since {} ({}), version {}.</p>\
         </header>\n<main>",
        snapshot.tenants.len(),
        time(snapshot.taken),
        time(snapshot.started),
        Ago::between(snapshot.started, snapshot.taken),
        Text(&snapshot.version),
    )?;
    if !is_alive {
        out.write_str(
            "<p class=\"alarm\" role=\"alert\">✖ The control loop hangs: what you see is old, \
             and changes are not followed.</p>\n",
        )?;
    }
    write_config(out, snapshot)?;
    write_sites(out, snapshot)?;
    write_tenants(out, snapshot)?;
    write_neighbors(out, snapshot)?;
    write_events(out, snapshot)?;
    out.write_str(
        "</main>\n<footer><p><a href=\"/api/v1/status\">JSON</a> · <a href=\"/metrics\">Metrics</a> \
         · <a href=\"/readyz?verbose\">Readiness</a></p></footer></body></html>\n",
    )
}

fn write_config(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    if let Some(reload) = &snapshot.config.last_reload
        && reload.outcome == ReloadOutcome::Refused
    {
        write!(
            out,
            "<section class=\"alarm\"><h2>✖ The documents were refused {}</h2>\
             <p>The set before stays in force.</p><ul>",
            Ago::between(reload.at, snapshot.taken)
        )?;
        for error in &reload.errors {
            write!(out, "<li><bdi>{}</bdi></li>", Text(error))?;
        }
        out.write_str("</ul></section>\n")?;
    }
    if !snapshot.refused.is_empty() {
        out.write_str("<section><h2>Documents that are not served</h2><ul>")?;
        for refused in &snapshot.refused {
            write!(out, "<li><code>{}</code>", Text(&refused.document))?;
            if let Some(path) = &refused.path {
                write!(out, " <code>{}</code>", Text(path))?;
            }
            write!(out, ": <bdi>{}</bdi></li>", Text(&refused.message))?;
        }
        out.write_str("</ul></section>\n")?;
    }
    Ok(())
}

fn write_sites(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let mut sites: Vec<(&TenantSnapshot, &SiteSnapshot)> = snapshot
        .tenants
        .iter()
        .flat_map(|tenant| tenant.sites.iter().map(move |site| (tenant, site)))
        .collect();
    sites.sort_by_key(|(_, site)| Reverse(site.state.urgency()));
    out.write_str(
        "<table><caption>Sites, most urgent first</caption><thead><tr>\
         <th scope=\"col\">State</th><th scope=\"col\">Site</th><th scope=\"col\">Tenant</th>\
         <th scope=\"col\">Why</th><th scope=\"col\">Since</th><th scope=\"col\">Last handshake</th>\
         <th scope=\"col\">Received</th><th scope=\"col\">Sent</th></tr></thead><tbody>\n",
    )?;
    for (tenant, site) in sites {
        let link = format!("/api/v1/tenants/{}/sites/{}", tenant.name, site.name);
        writeln!(
            out,
            "<tr><td class=\"state {state}\"><span aria-hidden=\"true\">{icon}</span> {state}</td>\
             <th scope=\"row\"><a href=\"{link}\">{site}</a></th><td>{tenant}</td>\
             <td><bdi>{why}</bdi></td><td>{since}</td><td>{handshake}</td>\
             <td class=\"number\">{received} B</td><td class=\"number\">{sent} B</td></tr>",
            state = site.state,
            icon = site.state.icon(),
            link = Text(link),
            site = Text(&site.name),
            tenant = Text(&tenant.name),
            why = Text(&site.message),
            since = age(site.since, snapshot.taken),
            handshake = site
                .last_handshake_time
                .map_or_else(|| "—".to_owned(), |at| age(at, snapshot.taken)),
            received = site.received_bytes,
            sent = site.sent_bytes,
        )?;
    }
    out.write_str("</tbody></table>\n")
}

fn write_tenants(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    out.write_str(
        "<table><caption>Tenants</caption><thead><tr><th scope=\"col\">Tenant</th>\
         <th scope=\"col\">Sites up</th><th scope=\"col\">UDP port</th>\
         <th scope=\"col\">Conversations</th>\
         <th scope=\"col\">Public key</th><th scope=\"col\">What does not hold</th></tr></thead><tbody>\n",
    )?;
    for tenant in &snapshot.tenants {
        write!(
            out,
            "<tr><th scope=\"row\"><a href=\"/api/v1/tenants/{name}\">{name}</a></th>\
             <td>{}/{}</td><td>{}</td><td class=\"number\">{}</td><td><code>{}</code></td><td>",
            tenant.sites_up(),
            tenant.sites.len(),
            tenant.listen_port,
            tenant.conntrack.map_or_else(
                || "—".to_owned(),
                |table| format!("{}/{}", table.entries, table.maximum)
            ),
            tenant.public_key.map_or_else(String::new, |key| Text(key).to_string()),
            name = Text(&tenant.name),
        )?;
        for condition in tenant.conditions.iter() {
            if condition.status != ConditionStatus::True {
                write!(
                    out,
                    "{} {}: {} <bdi>{}</bdi><br>",
                    condition.kind,
                    condition.status,
                    condition.reason,
                    Text(&condition.message)
                )?;
            }
        }
        out.write_str("</td></tr>\n")?;
    }
    out.write_str("</tbody></table>\n")
}

/// The BGP neighbors, those that are not there first; nothing where there are none.
fn write_neighbors(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let mut neighbors: Vec<_> = snapshot
        .tenants
        .iter()
        .flat_map(|tenant| {
            let neighbors = tenant.bgp.iter().flat_map(|bgp| &bgp.neighbors);
            neighbors.map(move |neighbor| (&tenant.name, neighbor))
        })
        .collect();
    if neighbors.is_empty() {
        return Ok(());
    }
    neighbors.sort_by_key(|(_, neighbor)| neighbor.state);
    out.write_str(
        "<table><caption>BGP neighbors</caption><thead><tr><th scope=\"col\">State</th>\
         <th scope=\"col\">Neighbor</th><th scope=\"col\">Tenant</th><th scope=\"col\">Address</th>\
         <th scope=\"col\">Type</th><th scope=\"col\">Since</th><th scope=\"col\">Heard</th>\
         <th scope=\"col\">Taken</th><th scope=\"col\">Told</th><th scope=\"col\">Last error</th>\
         </tr></thead><tbody>\n",
    )?;
    for (tenant, neighbor) in neighbors {
        let counts = neighbor.prefixes;
        writeln!(
            out,
            "<tr><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td><bdi>{}</bdi></td></tr>",
            neighbor.state,
            Text(&neighbor.name),
            Text(tenant),
            neighbor.address,
            neighbor.kind,
            age(neighbor.since, snapshot.taken),
            counts.received,
            counts.accepted,
            counts.advertised,
            Text(neighbor.last_error.as_deref().unwrap_or_default()),
        )?;
    }
    out.write_str("</tbody></table>\n")
}

/// How many events the page shows.
const SHOWN_EVENTS: usize = 50;

fn write_events(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let mut events: Vec<_> = snapshot
        .tenants
        .iter()
        .flat_map(|tenant| tenant.events.iter().map(move |event| (&tenant.name, event)))
        .collect();
    events.sort_by_key(|(_, event)| Reverse(event.last));
    out.write_str("<h2>What happened lately</h2><ul>\n")?;
    for (tenant, event) in events.into_iter().take(SHOWN_EVENTS) {
        write!(out, "<li>{} {}", time(event.last), Text(tenant))?;
        if let Some(site) = &event.site {
            write!(out, " {}", Text(site))?;
        }
        write!(out, ": {} <bdi>{}</bdi>", event.reason, Text(&event.message))?;
        if event.count.0 > 1 {
            write!(out, " ({} times)", event.count)?;
        }
        out.write_str("</li>\n")?;
    }
    out.write_str("</ul>\n")
}

fn time(at: Timestamp) -> String {
    format!("<time datetime=\"{at}\">{at}</time>")
}

/// How long ago, with the moment itself beside it.
fn age(at: Timestamp, now: Timestamp) -> String {
    format!("{} <small>{}</small>", Ago::between(at, now), time(at))
}
