//! All tenants and all sites, most urgent first.

use super::filter::Filter;
use super::html::{self, Frame, State, Text, age, age_of, begin_table, end_table, time, traffic};
use super::neighbors;
use crate::status::{
    Ago, ConditionStatus, ReloadOutcome, SiteSnapshot, SiteState, Snapshot, TenantSnapshot,
};
use std::cmp::Reverse;
use std::fmt::{self, Write};

/// Rows of one table. A page of more is of no use to a person, and of megabytes.
const ROWS: usize = 1_000;

/// Events shown.
const EVENTS: usize = 50;

pub(super) fn write(
    out: &mut String,
    snapshot: &Snapshot,
    filter: &Filter,
    is_alive: bool,
) -> fmt::Result {
    let up: usize = snapshot.tenants.iter().map(TenantSnapshot::sites_up).sum();
    let total: usize = snapshot.tenants.iter().map(|tenant| tenant.sites.len()).sum();
    let title = format!("{up}/{total} up");
    let is_wall = filter.is_wall();
    Frame { title: &title, is_wall }.write(out, |out| {
        writeln!(
            out,
            "<h1>Lockgate</h1><p>{up} of {total} sites up, {} tenants. Running since {} ({}), \
             version {}.</p>",
            snapshot.tenants.len(),
            time(snapshot.started),
            Ago::between(snapshot.started, snapshot.taken),
            Text(&snapshot.version),
        )?;
        html::write_moment(out, snapshot, is_alive)?;
        write_counts(out, snapshot)?;
        write_config(out, snapshot)?;
        if is_wall {
            return write_wall(out, snapshot);
        }
        write_search(out, filter)?;
        write_sites(out, snapshot, filter)?;
        write_tenants(out, snapshot, filter)?;
        let with_bgp = snapshot.tenants.iter().filter(|tenant| filter.names(tenant));
        let with_bgp = with_bgp.filter_map(|tenant| Some((&tenant.name, tenant.bgp.as_ref()?)));
        neighbors::write_reflectors(out, &snapshot.reflectors, snapshot.taken)?;
        neighbors::write(out, with_bgp, snapshot.taken, false)?;
        write_events(out, snapshot)
    })
}

/// How many sites are in each state, each a way to those.
fn write_counts(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let states = || snapshot.tenants.iter().flat_map(|tenant| &tenant.sites).map(|site| site.state);
    out.write_str("<ul class=\"counts\" aria-label=\"Sites by state\">")?;
    for state in SiteState::ALL {
        let count = states().filter(|one| *one == state).count();
        // None is nothing that should catch an eye.
        let class = if count == 0 { " class=\"none\"" } else { "" };
        write!(
            out,
            "<li><a{class} href=\"/?state={state}\"><span class=\"count\">{count}</span> {}</a></li>",
            State(state)
        )?;
    }
    out.write_str("</ul>\n")
}

/// What is configured against what is applied.
fn write_config(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let config = &snapshot.config;
    if config.loaded_generation != config.applied_generation {
        writeln!(
            out,
            "<p class=\"note\"><span aria-hidden=\"true\">◐</span> Configuration {} is accepted and \
             not programmed in full; {} was the last that is.</p>",
            config.loaded_generation, config.applied_generation
        )?;
    }
    if let Some(reload) = &config.last_reload
        && reload.outcome == ReloadOutcome::Refused
    {
        write!(
            out,
            "<section class=\"alarm\"><h2><span aria-hidden=\"true\">✖</span> The documents were \
             refused {}</h2><p>The set before stays in force.</p><ul>",
            Ago::between(reload.at, snapshot.taken)
        )?;
        for error in &reload.errors {
            write!(out, "<li><bdi>{}</bdi></li>", Text(error))?;
        }
        out.write_str("</ul></section>\n")?;
    }
    for problem in snapshot.endpoint.iter().flat_map(|endpoint| &endpoint.problems) {
        writeln!(
            out,
            "<p class=\"note\"><span aria-hidden=\"true\">◐</span> <bdi>{}</bdi></p>",
            Text(problem)
        )?;
    }
    if !snapshot.refused.is_empty() {
        out.write_str("<section class=\"note\"><h2>Documents that are not served</h2><ul>")?;
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

/// What somebody across the room is to see: what is wrong, or that nothing is.
fn write_wall(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let mut sites = sites(snapshot, |_, site| site.state != SiteState::Up);
    if sites.is_empty() {
        return out.write_str(
            "<p class=\"well\"><span aria-hidden=\"true\">●</span> All sites are up.</p>\n",
        );
    }
    sites.truncate(ROWS);
    begin_table(out, "sites", "Sites that are not up", &["State", "Site", "Tenant", "Since"])?;
    for (tenant, site) in sites {
        writeln!(
            out,
            "<tr><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            State(site.state),
            Text(&site.name),
            Text(&tenant.name),
            Ago::between(site.since, snapshot.taken),
        )?;
    }
    end_table(out)
}

fn write_search(out: &mut String, filter: &Filter) -> fmt::Result {
    write!(
        out,
        "<form role=\"search\" method=\"get\" action=\"/\"><label for=\"q\">Find a site</label> \
         <input id=\"q\" name=\"q\" type=\"search\" value=\"{}\" autocomplete=\"off\" \
         aria-describedby=\"q-help\"> <label for=\"state\">State</label> \
         <select id=\"state\" name=\"state\"><option value=\"\">any</option>",
        Text(&filter.q)
    )?;
    for state in SiteState::ALL {
        let chosen = if filter.state() == Some(state) { " selected" } else { "" };
        write!(out, "<option{chosen}>{state}</option>")?;
    }
    out.write_str(
        "</select> <button type=\"submit\">Find</button> \
         <small id=\"q-help\">By name, tenant, network, endpoint or key.</small></form>\n",
    )
}

type SiteOf<'a> = (&'a TenantSnapshot, &'a SiteSnapshot);

/// Sites, most urgent first; of one urgency those that came to it last.
fn sites(
    snapshot: &Snapshot,
    is_shown: impl Fn(&TenantSnapshot, &SiteSnapshot) -> bool,
) -> Vec<SiteOf<'_>> {
    let mut sites: Vec<SiteOf<'_>> = snapshot
        .tenants
        .iter()
        .flat_map(|tenant| tenant.sites.iter().map(move |site| (tenant, site)))
        .filter(|(tenant, site)| is_shown(tenant, site))
        .collect();
    sites.sort_by_key(|(_, site)| Reverse((site.state.urgency(), site.since)));
    sites
}

fn write_sites(out: &mut String, snapshot: &Snapshot, filter: &Filter) -> fmt::Result {
    let sites = sites(snapshot, |tenant, site| filter.takes(tenant, site));
    if sites.is_empty() {
        let why = if filter.is_empty() {
            "<p class=\"note\">There are no sites yet: no document names one.</p>\n"
        } else {
            "<p class=\"note\">No site is like that. <a href=\"/\">Show all of them</a></p>\n"
        };
        return out.write_str(why);
    }
    let caption = if filter.is_empty() {
        "Sites, most urgent first".to_owned()
    } else {
        format!("{} sites found, most urgent first", sites.len())
    };
    let columns = ["State", "Site", "Tenant", "Why", "Since", "Last handshake", "Received", "Sent"];
    begin_table(out, "sites", &caption, &columns)?;
    for (tenant, site) in sites.iter().take(ROWS) {
        writeln!(
            out,
            "<tr><td>{}</td><th scope=\"row\"><a href=\"/tenants/{tenant}/sites/{site}\">{site}</a></th>\
             <td><a href=\"/tenants/{tenant}\">{tenant}</a></td><td><bdi>{}</bdi></td><td>{}</td>\
             <td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            State(site.state),
            Text(&site.message),
            age(site.since, snapshot.taken),
            age_of(site.last_handshake_time, snapshot.taken),
            traffic(site.received_bits_per_second, site.received_bytes),
            traffic(site.sent_bits_per_second, site.sent_bytes),
            tenant = Text(&tenant.name),
            site = Text(&site.name),
        )?;
    }
    end_table(out)?;
    write_rest(out, sites.len())
}

/// Says what is not shown.
fn write_rest(out: &mut String, of: usize) -> fmt::Result {
    match of.checked_sub(ROWS) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(
            out,
            "<p class=\"note\">And {more} more, less urgent: find them by name, or see the JSON.</p>"
        ),
    }
}

fn write_tenants(out: &mut String, snapshot: &Snapshot, filter: &Filter) -> fmt::Result {
    let mut tenants: Vec<_> =
        snapshot.tenants.iter().filter(|tenant| filter.names(tenant)).collect();
    tenants.sort_by_key(|tenant| Reverse(tenant.worst().map(SiteState::urgency)));
    if tenants.is_empty() {
        return Ok(());
    }
    let columns = ["Worst", "Tenant", "Sites up", "Conversations", "What does not hold"];
    begin_table(out, "tenants", "Tenants, most urgent first", &columns)?;
    for tenant in tenants.iter().take(ROWS) {
        write!(
            out,
            "<tr><td>{}</td><th scope=\"row\"><a href=\"/tenants/{name}\">{name}</a></th>\
             <td>{}/{}</td><td class=\"number\">{}</td><td>",
            tenant.worst().map_or_else(|| "—".to_owned(), |state| State(state).to_string()),
            tenant.sites_up(),
            tenant.sites.len(),
            tenant.conntrack.map_or_else(
                || "—".to_owned(),
                |table| format!("{}/{}", table.entries, table.maximum)
            ),
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
    end_table(out)?;
    write_rest(out, tenants.len())
}

fn write_events(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let mut events: Vec<_> = snapshot
        .tenants
        .iter()
        .flat_map(|tenant| tenant.events.iter().map(move |event| (&tenant.name, event)))
        .collect();
    events.sort_by_key(|(_, event)| Reverse(event.last));
    out.write_str("<h2 id=\"events\">What happened lately</h2><ul>\n")?;
    for (tenant, event) in events.into_iter().take(EVENTS) {
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
