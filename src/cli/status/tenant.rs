//! Everything about one tenant, for a person: what `lockgate show` has of it, in one piece.

use super::{detail, overview};
use crate::cli::output::{self, number, text};
use crate::cli::terminal::Style;
use crate::cli::{show, show_bgp, show_probes};
use crate::net::Timestamp;
use crate::status::TenantSnapshot;
use std::slice;

pub(super) fn draw(tenant: &TenantSnapshot, now: Timestamp, style: Style) -> String {
    let alone = slice::from_ref(tenant);
    let neighbors = show_bgp::neighbors(alone, &[]);
    let probes = show_probes::probes(alone);
    let parts = [
        facts(tenant, style),
        overview::draw_sites(alone, now, style, false),
        detail::conditions(&tenant.conditions, now, style),
        some(&neighbors, |rows| show_bgp::draw_neighbors(rows, now, style)),
        some(&probes, |rows| show_probes::draw(rows, now, style)),
        some(&show::routes(alone), |rows| show::draw_routes(rows, style)),
        drops(tenant, style),
        detail::events(tenant.events.iter(), now, style),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn some<T>(rows: &[T], draw: impl FnOnce(&[T]) -> String) -> String {
    if rows.is_empty() { String::new() } else { draw(rows) }
}

fn facts(tenant: &TenantSnapshot, style: Style) -> String {
    let listed = |values: Vec<String>| match values.as_slice() {
        [] => "—".to_owned(),
        values => values.join(", "),
    };
    let host = tenant.endpoint_host.as_deref().unwrap_or("UDP port");
    let conntrack = tenant.conntrack.map_or_else(
        || "—".to_owned(),
        |table| format!("{} of {} conversations", table.entries, table.maximum),
    );
    let rows = [
        ("tenant", tenant.name.to_string()),
        ("namespace", tenant.netns.clone()),
        ("sites", format!("{}, {} of them up", tenant.sites.len(), tenant.sites_up())),
        ("our endpoint", format!("{host} {}", tenant.listen_port)),
        ("our key", listed(tenant.public_key.iter().map(ToString::to_string).collect())),
        ("backend", format!("{}: {}", tenant.backend, tenant.backend_reason)),
        ("applications", listed(tenant.app_prefixes.iter().map(ToString::to_string).collect())),
        ("tracked", conntrack),
    ];
    let mut table = output::table(style, &[]);
    for (name, value) in rows {
        table.add_row([text(name), text(value)]);
    }
    output::draw(&mut table)
}

fn drops(tenant: &TenantSnapshot, style: Style) -> String {
    let mut table = output::table(style, &["DROPPED", "WHERE", "WHY"]);
    for drop in &tenant.drops {
        table.add_row([number(drop.packets), text(drop.place), text(&drop.reason)]);
    }
    if tenant.drops.is_empty() { String::new() } else { output::draw(&mut table) }
}
