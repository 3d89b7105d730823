//! The page of one tenant.

use super::html::{
    self, Frame, State, Text, age, age_of, begin_table, end_table, fact, time, traffic,
    write_conditions,
};
use super::neighbors;
use crate::status::{
    Backend, BgpSnapshot, ConntrackSnapshot, Event, RouteSource, SiteSnapshot, Snapshot,
    TenantSnapshot,
};
use std::cmp::Reverse;
use std::fmt::{self, Write};

pub(super) fn write(
    out: &mut String,
    snapshot: &Snapshot,
    tenant: &TenantSnapshot,
    is_alive: bool,
) -> fmt::Result {
    let title = format!("{} {}/{} up", tenant.name, tenant.sites_up(), tenant.sites.len());
    let now = snapshot.taken;
    Frame { title: &title, is_wall: false }.write(out, |out| {
        writeln!(
            out,
            "<nav aria-label=\"Where this is\"><a href=\"/\">All tenants</a></nav>\
             <h1>{} {}</h1>",
            Text(&tenant.name),
            tenant.worst().map(|state| State(state).to_string()).unwrap_or_default(),
        )?;
        html::write_moment(out, snapshot, is_alive)?;
        writeln!(out, "<p>{} of {} sites up.</p>", tenant.sites_up(), tenant.sites.len())?;
        write_sites(out, snapshot, tenant)?;
        neighbors::write(out, tenant.bgp.iter().map(|bgp| (&tenant.name, bgp)), now, true)?;
        if let Some(bgp) = &tenant.bgp {
            write_bgp(out, bgp)?;
        }
        write_conditions(out, &tenant.conditions, now)?;
        write_drops(out, tenant)?;
        write_routes(out, tenant)?;
        write_facts(out, snapshot, tenant)?;
        write_events(out, tenant.events.iter())?;
        writeln!(
            out,
            "<p><a href=\"/api/v1/tenants/{}\">The same as JSON</a></p>",
            Text(&tenant.name)
        )
    })
}

fn write_sites(out: &mut String, snapshot: &Snapshot, tenant: &TenantSnapshot) -> fmt::Result {
    let mut sites: Vec<&SiteSnapshot> = tenant.sites.iter().collect();
    sites.sort_by_key(|site| Reverse(site.state.urgency()));
    let columns =
        ["State", "Site", "Why", "Since", "Last handshake", "Networks", "Received", "Sent"];
    begin_table(out, "sites", "Sites, most urgent first", &columns)?;
    for site in sites {
        write!(
            out,
            "<tr><td>{}</td><th scope=\"row\"><a href=\"/tenants/{tenant}/sites/{site}\">{site}</a></th>\
             <td><bdi>{}</bdi></td><td>{}</td><td>{}</td><td>",
            State(site.state),
            Text(&site.message),
            age(site.since, snapshot.taken),
            age_of(site.last_handshake_time, snapshot.taken),
            tenant = Text(&tenant.name),
            site = Text(&site.name),
        )?;
        for (place, prefix) in site.prefixes.iter().enumerate() {
            if place != 0 {
                out.write_str("<br>")?;
            }
            write!(out, "{}", prefix.cidr)?;
            if let Some(alias) = prefix.alias {
                write!(out, " as {alias}")?;
            }
            if !prefix.installed {
                out.write_str(" (not routed)")?;
            }
        }
        writeln!(
            out,
            "</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            traffic(site.received_bits_per_second, site.received_bytes),
            traffic(site.sent_bits_per_second, site.sent_bytes),
        )?;
    }
    end_table(out)
}

/// What of a tenant's BGP is not a neighbor's.
fn write_bgp(out: &mut String, bgp: &BgpSnapshot) -> fmt::Result {
    if !bgp.ranges.is_empty() {
        let columns =
            ["Range", "Network", "AS", "Neighbors", "At most", "Not taken for want of room"];
        begin_table(out, "ranges", "Ranges that neighbors connect out of", &columns)?;
        for range in &bgp.ranges {
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                Text(&range.name),
                range.range,
                range.remote_asn,
                range.neighbors,
                range.maximum,
                range.refused,
            )?;
        }
        end_table(out)?;
    }
    writeln!(
        out,
        "<p>AS {}, router {}; {} learned routes are to be in the kernel.{}</p>",
        bgp.local_asn,
        bgp.router_id,
        bgp.learned_routes,
        if bgp.awaits_neighbors {
            " Routes of before a restart are kept until all neighbors have said everything."
        } else {
            ""
        },
    )
}

fn write_drops(out: &mut String, tenant: &TenantSnapshot) -> fmt::Result {
    let dropped = || tenant.drops.iter().filter(|drop| drop.packets.0 != 0);
    if dropped().next().is_none() {
        return out.write_str("<h2 id=\"drops\">Dropped packets</h2><p>None.</p>\n");
    }
    begin_table(out, "drops", "Dropped packets", &["Where", "Why", "Packets"])?;
    for drop in dropped() {
        writeln!(
            out,
            "<tr><td>{}</td><th scope=\"row\"><code>{}</code></th><td class=\"number\">{}</td></tr>",
            drop.place,
            Text(&drop.reason),
            drop.packets,
        )?;
    }
    end_table(out)
}

fn write_routes(out: &mut String, tenant: &TenantSnapshot) -> fmt::Result {
    let mut routes: Vec<_> = tenant.routes.iter().collect();
    routes.sort_by_key(|route| (route.installed, route.source));
    let counts: Vec<_> = RouteSource::ALL
        .into_iter()
        .map(|source| (source, routes.iter().filter(|route| route.source == source).count()))
        .filter(|(_, count)| *count != 0)
        .map(|(source, count)| format!("{count} {source}"))
        .collect();
    let caption = format!("Routes: {}", counts.join(", "));
    begin_table(out, "routes", &caption, &["Network", "From", "Site", "By", "Over", "Installed"])?;
    for route in routes {
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            route.prefix,
            route.source,
            route.site.as_ref().map_or_else(|| "—".to_owned(), |site| Text(site).to_string()),
            route.via.map_or_else(|| "—".to_owned(), |via| via.to_string()),
            Text(&route.link),
            if route.installed { "yes" } else { "no" },
        )?;
    }
    end_table(out)
}

fn write_facts(out: &mut String, snapshot: &Snapshot, tenant: &TenantSnapshot) -> fmt::Result {
    out.write_str("<h2>The gateway</h2><dl>\n")?;
    let apps: Vec<_> = tenant.app_prefixes.iter().map(ToString::to_string).collect();
    fact(out, "Applications' networks", apps.join(", "))?;
    fact(out, "Network namespace", format_args!("<code>{}</code>", Text(&tenant.netns)))?;
    if let Some(device) = &tenant.device {
        fact(out, "Tunnels come out of", format_args!("<code>{}</code>", Text(device)))?;
        let carrier = match tenant.backend {
            Backend::Userspace => "this process",
            Backend::Kernel => "the kernel's WireGuard",
        };
        fact(out, "Carried by", format_args!("{carrier}: {}", Text(&tenant.backend_reason)))?;
        let host = tenant.endpoint_host.as_deref().unwrap_or("any address of this machine");
        fact(
            out,
            "Customers send to",
            format_args!("{}, UDP port {}", Text(host), tenant.listen_port),
        )?;
    }
    if let Some(key) = tenant.public_key {
        fact(out, "Public key", format_args!("<code>{}</code>", Text(key)))?;
    }
    super::keys::write_tenant(out, tenant, snapshot.taken)?;
    if let Some(ConntrackSnapshot { entries, maximum, evicted }) = tenant.conntrack {
        fact(
            out,
            "Tracked conversations",
            format_args!("{entries} of at most {maximum}; {evicted} forgotten to make room"),
        )?;
    }
    let config = &snapshot.config;
    fact(
        out,
        "Configuration",
        format_args!(
            "generation {} accepted, generation {} programmed",
            config.loaded_generation, config.applied_generation
        ),
    )?;
    out.write_str("</dl>\n")
}

/// What happened, latest first.
pub(super) fn write_events<'a>(
    out: &mut String,
    events: impl DoubleEndedIterator<Item = &'a Event>,
) -> fmt::Result {
    out.write_str("<h2 id=\"events\">What happened lately</h2><ul>\n")?;
    for event in events.rev() {
        write!(out, "<li>{} ", time(event.last))?;
        if let Some(site) = &event.site {
            write!(out, "{}: ", Text(site))?;
        }
        write!(out, "{} <bdi>{}</bdi>", event.reason, Text(&event.message))?;
        if event.count.0 > 1 {
            write!(out, " ({} times)", event.count)?;
        }
        out.write_str("</li>\n")?;
    }
    out.write_str("</ul>\n")
}
