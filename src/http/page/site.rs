//! The page of one site.

use super::Ticket;
use super::html::{
    self, Amount, Frame, State, Text, age, age_of, begin_table, end_table, fact, write_conditions,
};
use super::probes;
use super::tenant::write_events;
use crate::status::{
    BitRate, PrefixSource, SitePrefixStatus, SiteSnapshot, Snapshot, TenantSnapshot,
};
use std::fmt::{self, Write};

pub(super) fn write(
    out: &mut String,
    snapshot: &Snapshot,
    tenant: &TenantSnapshot,
    site: &SiteSnapshot,
    is_alive: bool,
) -> fmt::Result {
    let title = format!("{} {}: {}", site.state.icon(), site.name, site.state);
    let now = snapshot.taken;
    Frame { title: &title, is_wall: false }.write(out, |out| {
        writeln!(
            out,
            "<nav aria-label=\"Where this is\"><a href=\"/\">All tenants</a> › \
             <a href=\"/tenants/{tenant}\">{tenant}</a></nav><h1>{} {}</h1>",
            Text(&site.name),
            State(site.state),
            tenant = Text(&tenant.name),
        )?;
        html::write_moment(out, snapshot, is_alive)?;
        writeln!(out, "<p><bdi>{}</bdi></p>", Text(&site.message))?;
        write_facts(out, snapshot, tenant, site)?;
        probes::write(out, &site.probes, now)?;
        write_prefixes(out, &site.prefixes)?;
        write_conditions(out, &site.conditions, now)?;
        let events = tenant.events.iter().filter(|event| event.site.as_ref() == Some(&site.name));
        write_events(out, events)?;
        write_ticket(out, &Ticket { snapshot, tenant, site })
    })
}

fn write_ticket(out: &mut String, ticket: &Ticket<'_>) -> fmt::Result {
    out.write_str(
        "<h2 id=\"ticket-title\">For a ticket</h2><textarea id=\"ticket\" readonly rows=\"14\" \
         aria-labelledby=\"ticket-title\">\n",
    )?;
    // Line by line: within a line, what would end it is not shown as it is.
    for line in ticket.to_string().lines() {
        writeln!(out, "{}", Text(line))?;
    }
    writeln!(
        out,
        "</textarea><p><button type=\"button\" data-copy=\"ticket\" hidden>Copy</button> \
         <a href=\"/api/v1/tenants/{}/sites/{}\">The same as JSON</a></p>",
        Text(&ticket.tenant.name),
        Text(&ticket.site.name),
    )
}

fn write_facts(
    out: &mut String,
    snapshot: &Snapshot,
    tenant: &TenantSnapshot,
    site: &SiteSnapshot,
) -> fmt::Result {
    let now = snapshot.taken;
    out.write_str("<dl>\n")?;
    fact(out, "Attached by", site.kind)?;
    fact(out, "In this state since", age(site.since, now))?;
    fact(out, "Reason", format_args!("<code>{}</code>", site.reason))?;
    if let Some(link) = &site.link {
        fact(out, "Link", format_args!("<code>{}</code>", Text(link)))?;
    }
    if let Some(key) = site.public_key {
        fact(out, "Last handshake", age_of(site.last_handshake_time, now))?;
        let endpoint = site.endpoint.map_or_else(|| "not known".to_owned(), |at| at.to_string());
        fact(out, "Its endpoint", endpoint)?;
        fact(out, "Its public key", format_args!("<code>{}</code>", Text(key)))?;
        super::keys::write_site(out, tenant, site, now)?;
        fact(
            out,
            "Handshakes",
            format_args!("{}, and {} of ours unanswered", site.handshakes, site.handshake_timeouts),
        )?;
    }
    fact(out, "Last heard", age_of(site.last_received_time, now))?;
    if site.last_sent_time.is_some() {
        fact(out, "Last sent to", age_of(site.last_sent_time, now))?;
    }
    let packets = |count: Option<crate::status::Count>| {
        count.map(|count| format!(", {count} packets")).unwrap_or_default()
    };
    fact(
        out,
        "Received",
        format_args!(
            "{}{}, now {}",
            Amount(site.received_bytes),
            packets(site.received_packets),
            BitRate(site.received_bits_per_second)
        ),
    )?;
    fact(
        out,
        "Sent",
        format_args!(
            "{}{}, now {}",
            Amount(site.sent_bytes),
            packets(site.sent_packets),
            BitRate(site.sent_bits_per_second)
        ),
    )?;
    fact(out, "Counted since", age(snapshot.started, now))?;
    let apps: Vec<_> = tenant.app_prefixes.iter().map(ToString::to_string).collect();
    fact(out, "Applications it reaches", apps.join(", "))?;
    out.write_str("</dl>\n")
}

fn write_prefixes(out: &mut String, prefixes: &[SitePrefixStatus]) -> fmt::Result {
    let columns = ["As the customer has it", "As the applications see it", "From", "Routed"];
    begin_table(out, "prefixes", "Its networks", &columns)?;
    for prefix in prefixes {
        let source = match prefix.source {
            PrefixSource::Static => "its document",
            PrefixSource::Bgp => "its router, by BGP",
        };
        let alias = prefix.alias.unwrap_or(prefix.cidr);
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{alias}</td><td>{source}</td><td>{}</td></tr>",
            prefix.cidr,
            if prefix.installed { "yes" } else { "no" },
        )?;
    }
    end_table(out)
}
