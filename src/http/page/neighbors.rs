//! BGP neighbors, of all tenants or of one.

use super::html::{Text, age, begin_table, end_table};
use crate::net::{TenantName, Timestamp};
use crate::status::{BgpSnapshot, NeighborSnapshot, NeighborState, ReflectorSnapshot};
use std::fmt::{self, Write};

/// The neighbors of `of`, those that are not there first; nothing where there are none.
/// Where they are all `of_one` tenant, each can be linked to.
pub(super) fn write<'a>(
    out: &mut String,
    of: impl Iterator<Item = (&'a TenantName, &'a BgpSnapshot)>,
    now: Timestamp,
    of_one: bool,
) -> fmt::Result {
    let mut neighbors: Vec<(&TenantName, &NeighborSnapshot)> = of
        .flat_map(|(tenant, bgp)| bgp.neighbors.iter().map(move |neighbor| (tenant, neighbor)))
        .collect();
    if neighbors.is_empty() {
        return Ok(());
    }
    neighbors.sort_by_key(|(_, neighbor)| neighbor.state);
    let columns = [
        "State",
        "Neighbor",
        "Tenant",
        "Address",
        "Type",
        "BFD",
        "Role",
        "Since",
        "Heard",
        "Taken",
        "Told",
        "Flaps",
        "Last error",
    ];
    begin_table(out, "neighbors", "BGP neighbors", &columns)?;
    for (tenant, neighbor) in neighbors {
        let counts = neighbor.prefixes;
        let (class, icon) = sign(neighbor.state);
        let bfd = neighbor.bfd.as_ref().map_or("—", |bfd| bfd.state.name());
        let role = neighbor.role.as_deref().unwrap_or("—");
        let (name, anchor) = (Text(&neighbor.name), Text(neighbor_id(&neighbor.name)));
        let target = if of_one { format!(" id=\"{anchor}\"") } else { String::new() };
        writeln!(
            out,
            "<tr{target}><td class=\"state {class}\"><span aria-hidden=\"true\">{icon}</span> {}</td>\
             <th scope=\"row\"><a href=\"/tenants/{tenant}#{anchor}\">{name}</a></th><td>{tenant}</td>\
             <td>{}</td><td>{}, AS {}</td><td>{bfd}</td><td>{}</td><td>{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td><bdi>{}</bdi></td></tr>",
            neighbor.state,
            neighbor.address,
            neighbor.kind,
            neighbor.remote_asn,
            Text(role),
            age(neighbor.since, now),
            counts.received,
            counts.accepted,
            counts.advertised,
            neighbor.flaps,
            Text(neighbor.last_error.as_deref().unwrap_or_default()),
            tenant = Text(tenant),
        )?;
    }
    end_table(out)
}

/// The sessions with route reflectors that tenants share; nothing where there are none.
pub(super) fn write_reflectors(
    out: &mut String,
    reflectors: &[ReflectorSnapshot],
    now: Timestamp,
) -> fmt::Result {
    if reflectors.is_empty() {
        return Ok(());
    }
    let columns = [
        "State",
        "Reflector",
        "Class",
        "Address",
        "AS",
        "Since",
        "Tenants",
        "For nobody",
        "Flaps",
        "Last error",
    ];
    begin_table(out, "reflectors", "Route reflectors that tenants share", &columns)?;
    for reflector in reflectors {
        let (class, icon) = sign(reflector.state);
        writeln!(
            out,
            "<tr><td class=\"state {class}\"><span aria-hidden=\"true\">{icon}</span> {}</td>\
             <th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td><bdi>{}</bdi></td></tr>",
            reflector.state,
            Text(&reflector.name),
            Text(&reflector.class),
            reflector.address,
            reflector.remote_asn,
            age(reflector.since, now),
            reflector.tenants,
            reflector.not_kept,
            reflector.flaps,
            Text(reflector.last_error.as_deref().unwrap_or_default()),
        )?;
    }
    end_table(out)
}

/// The class and the icon of a state.
const fn sign(state: NeighborState) -> (&'static str, char) {
    match state {
        NeighborState::Established => ("Up", '●'),
        NeighborState::Idle => ("Down", '✖'),
        NeighborState::Connect
        | NeighborState::Active
        | NeighborState::OpenSent
        | NeighborState::OpenConfirm => ("Stale", '◐'),
    }
}

/// Where on its tenant's page a neighbor is.
fn neighbor_id(name: &str) -> String {
    format!("neighbor-{name}")
}
