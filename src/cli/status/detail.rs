//! Everything about one site, for a person.

use super::Place;
use super::overview::age;
use crate::cli::output::{self, text};
use crate::cli::show_probes;
use crate::cli::terminal::Style;
use crate::net::Timestamp;
use crate::status::{
    Ago, AttachmentKind, BitRate, Bytes, Conditions, Count, Event, KeyRole, SiteSnapshot,
    TenantSnapshot,
};

pub(super) fn draw(place: Place<'_>, now: Timestamp, style: Style) -> String {
    let mut out = facts(place, now, style);
    out.push('\n');
    out += &prefixes(place, style);
    out.push('\n');
    if !place.site.probes.is_empty() {
        out += &show_probes::draw_site(&place.site.probes, now, style);
        out.push('\n');
    }
    out += &conditions(&place.site.conditions, now, style);
    let of_site = |event: &&Event| event.site.as_ref() == Some(&place.site.name);
    let events = events(place.tenant.events.iter().filter(of_site), now, style);
    if !events.is_empty() {
        out.push('\n');
        out += &events;
    }
    out
}

fn facts(Place { tenant, site }: Place<'_>, now: Timestamp, style: Style) -> String {
    let with_time = |at: Option<Timestamp>| match at {
        Some(at) => format!("{} ({at})", age(Some(at), now)),
        None => "never".to_owned(),
    };
    let key = |key: Option<crate::net::PublicKey>| {
        key.map_or_else(|| "—".to_owned(), |key| key.to_string())
    };
    let traffic = |bytes: u64, packets: Option<Count>, at: Option<Timestamp>| {
        let packets = packets.map(|count| format!(" in {count} packets")).unwrap_or_default();
        format!("{}{packets}, last {}", Bytes(bytes), age(at, now))
    };
    let backend = match site.kind {
        AttachmentKind::WireGuard => format!("{}: {}", tenant.backend, tenant.backend_reason),
        AttachmentKind::Vlan => "—".to_owned(),
    };
    let ours = match &tenant.endpoint_host {
        Some(host) => format!("{host}:{}", tenant.listen_port),
        None => format!("UDP port {}", tenant.listen_port),
    };
    let rows = [
        ("site", format!("{}/{}", tenant.name.namespace(), site.name)),
        ("tenant", tenant.name.to_string()),
        ("type", site.kind.to_string()),
        ("why", format!("{}: {}", site.reason, site.message)),
        ("since", with_time(Some(site.since))),
        ("endpoint", site.endpoint.map_or_else(|| "—".to_owned(), |at| at.to_string())),
        ("their key", key(site.public_key)),
        ("our key", key(tenant.public_key)),
        ("our endpoint", ours),
        ("backend", backend),
        ("handshake", with_time(site.last_handshake_time)),
        ("handshakes", format!("{}, unanswered {}", site.handshakes, site.handshake_timeouts)),
        (
            "received",
            traffic(site.received_bytes.0, site.received_packets, site.last_received_time),
        ),
        ("sent", traffic(site.sent_bytes.0, site.sent_packets, site.last_sent_time)),
        (
            "now",
            format!(
                "{} in, {} out",
                BitRate(site.received_bits_per_second),
                BitRate(site.sent_bits_per_second)
            ),
        ),
    ];
    let keys = place_keys(tenant, site, now);
    let mut table = output::table(style, &[]);
    table.add_row([text("state"), output::state(site.state)]);
    for (name, value) in rows.into_iter().chain(keys) {
        table.add_row([text(name), text(value)]);
    }
    output::draw(&mut table)
}

/// The keys of both ends and their ages; and how far a change of them is.
fn place_keys(
    tenant: &TenantSnapshot,
    site: &SiteSnapshot,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let is_tunnel = site.kind == AttachmentKind::WireGuard;
    let ours = tenant.keys.iter().filter(|_| is_tunnel);
    let mut rows: Vec<(&str, String)> = ours
        .chain(&site.keys)
        .map(|key| {
            let name = match key.role {
                KeyRole::Gateway => "our key since",
                KeyRole::GatewayNext => "our next key",
                KeyRole::Customer => "their key since",
                KeyRole::CustomerNext => "their next key",
            };
            let (is_used, others) = match key.role {
                KeyRole::Gateway | KeyRole::GatewayNext => {
                    (site.gateway_public_key == Some(key.public_key), tenant.keys.len())
                }
                KeyRole::Customer | KeyRole::CustomerNext => (key.is_used, site.keys.len()),
            };
            let mut value = age(Some(key.since), now);
            if key.role.is_next() {
                value = format!("{}, since {value}", key.public_key);
            }
            // Of one alone nobody asks.
            if 1 < others {
                value += if is_used { ", in use" } else { ", not in use" };
            }
            (name, value)
        })
        .collect();
    rows.extend(site.uses_next_preshared_key.map(|is_next| {
        ("preshared key", if is_next { "the next one" } else { "the old one" }.to_owned())
    }));
    rows
}

fn prefixes(place: Place<'_>, style: Style) -> String {
    let mut table = output::table(style, &["PREFIX", "SEEN AS", "INSTALLED"]);
    for prefix in &place.site.prefixes {
        table.add_row([
            text(prefix.cidr),
            text(prefix.alias.unwrap_or(prefix.cidr)),
            text(if prefix.installed { "yes" } else { "no" }),
        ]);
    }
    output::draw(&mut table)
}

pub(super) fn conditions(conditions: &Conditions, now: Timestamp, style: Style) -> String {
    let mut table = output::table(style, &["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for condition in conditions.iter() {
        table.add_row([
            text(condition.kind),
            text(condition.status),
            text(condition.reason),
            text(Ago::between(condition.last_transition_time, now)),
            text(&condition.message),
        ]);
    }
    output::draw(&mut table)
}

/// What happened; nothing where that is nothing.
pub(super) fn events<'a>(
    events: impl Iterator<Item = &'a Event>,
    now: Timestamp,
    style: Style,
) -> String {
    let mut table = output::table(style, &["WHEN", "EVENT", "TIMES", "MESSAGE"]);
    let mut is_empty = true;
    for event in events {
        is_empty = false;
        table.add_row([
            text(Ago::between(event.last, now)),
            text(event.reason),
            output::number(event.count),
            text(&event.message),
        ]);
    }
    if is_empty { String::new() } else { output::draw(&mut table) }
}
