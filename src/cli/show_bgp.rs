//! `lockgate show neighbors` and `lockgate show rib`.

use super::client;
use super::output::{self, number, text};
use super::terminal::Style;
use super::verdict::Failure;
use crate::net::{Prefix, TenantName, Timestamp};
use crate::status::{
    Ago, BfdSnapshot, BfdState, NeighborSnapshot, NeighborState, RangeSnapshot, ReflectorSnapshot,
    RibNetwork, Snapshot, TenantSnapshot,
};
use comfy_table::{Cell, Color};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A neighbor, or a range that neighbors connect out of, and whose it is.
#[derive(Serialize)]
pub(super) struct Neighbor<'a> {
    /// None of a route reflector that tenants share.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(flatten)]
    row: Row<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Neighbor(&'a NeighborSnapshot),
    Range(&'a RangeSnapshot),
    Reflector(&'a ReflectorSnapshot),
}

/// The route reflectors that tenants share, every neighbor of `tenants`, and every range.
pub(super) fn neighbors<'a>(
    tenants: &'a [TenantSnapshot],
    reflectors: &'a [ReflectorSnapshot],
) -> Vec<Neighbor<'a>> {
    let shared = reflectors.iter();
    let shared = shared.map(|it| Neighbor { tenant: None, row: Row::Reflector(it) });
    let mut rows: Vec<Neighbor<'_>> = shared.collect();
    for tenant in tenants {
        let Some(bgp) = &tenant.bgp else { continue };
        let ranges = bgp.ranges.iter().map(Row::Range);
        for row in ranges.chain(bgp.neighbors.iter().map(Row::Neighbor)) {
            rows.push(Neighbor { tenant: Some(tenant.name.to_string()), row });
        }
    }
    rows
}

/// Columns of neighbors to do without on a narrow terminal, the first one first:
/// sent, taken, heard, AS, type, BFD.
const DISPENSABLE_OF_NEIGHBORS: [usize; 6] = [10, 9, 8, 4, 3, 7];

pub(super) fn draw_neighbors(rows: &[Neighbor<'_>], now: Timestamp, style: Style) -> String {
    let header = [
        "TENANT", "NEIGHBOR", "ADDRESS", "TYPE", "AS", "STATE", "SINCE", "BFD", "HEARD", "TAKEN",
        "TOLD", "INFO",
    ];
    let mut table = output::table(style, &header);
    for Neighbor { tenant, row } in rows {
        let tenant = tenant.as_deref().unwrap_or_default();
        let neighbor = match row {
            Row::Neighbor(neighbor) => neighbor,
            Row::Range(range) => {
                table.add_row(of_range(tenant, range));
                continue;
            }
            Row::Reflector(reflector) => {
                table.add_row(of_reflector(reflector, now));
                continue;
            }
        };
        let counts = neighbor.prefixes;
        table.add_row([
            text(tenant),
            text(&neighbor.name),
            text(neighbor.address),
            text(neighbor.kind),
            number(neighbor.remote_asn),
            state(neighbor.state),
            text(Ago::between(neighbor.since, now)),
            bfd(neighbor.bfd.as_ref()),
            number(counts.received),
            number(counts.accepted),
            number(counts.advertised),
            text(info(neighbor)),
        ]);
    }
    output::fit(&mut table, style, &DISPENSABLE_OF_NEIGHBORS);
    output::draw(&mut table)
}

/// A range: how many of its neighbors there are, and may be.
fn of_range(tenant: &str, range: &RangeSnapshot) -> [Cell; 12] {
    let nothing = || text("—");
    let refused = match range.refused.0 {
        0 => String::new(),
        refused => format!("{refused} refused, for it was full"),
    };
    [
        text(tenant),
        text(&range.name),
        text(range.range),
        text("range"),
        number(range.remote_asn),
        text(format!("{} of {}", range.neighbors, range.maximum)),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        text(refused),
    ]
}

/// A route reflector that tenants share: how many hear it, and what nobody wants.
fn of_reflector(reflector: &ReflectorSnapshot, now: Timestamp) -> [Cell; 12] {
    let nothing = || text("—");
    let info = match (reflector.state, &reflector.last_error) {
        (NeighborState::Established, _) | (_, None) => format!(
            "heard by {}; {} routes for nobody",
            counted(reflector.tenants, "tenant"),
            reflector.not_kept
        ),
        (_, Some(error)) => error.clone(),
    };
    [
        text(format!("class {}", reflector.class)),
        text(&reflector.name),
        text(reflector.address),
        text("shared"),
        number(reflector.remote_asn),
        state(reflector.state),
        text(Ago::between(reflector.since, now)),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        text(info),
    ]
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn state(state: NeighborState) -> Cell {
    let cell = text(state);
    match state {
        NeighborState::Established => cell.fg(Color::Green),
        NeighborState::Idle => cell.fg(Color::Red),
        NeighborState::Connect
        | NeighborState::Active
        | NeighborState::OpenSent
        | NeighborState::OpenConfirm => cell.fg(Color::Yellow),
    }
}

/// Where the session that watches it stands; nobody is asked to in most cases.
fn bfd(session: Option<&BfdSnapshot>) -> Cell {
    let Some(session) = session else { return text("—") };
    let cell = text(session.state);
    match session.state {
        BfdState::Up => cell.fg(Color::Green),
        BfdState::AdminDown | BfdState::Down | BfdState::Init => cell.fg(Color::Yellow),
    }
}

/// What there is to know beside: of one that is not up, why.
fn info(neighbor: &NeighborSnapshot) -> String {
    let stale = neighbor.prefixes.stale;
    match neighbor.state {
        NeighborState::Established => {
            let stale = (0 < stale).then(|| format!("{stale} of an earlier session"));
            [roles(neighbor), stale].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        NeighborState::Idle
        | NeighborState::Connect
        | NeighborState::Active
        | NeighborState::OpenSent
        | NeighborState::OpenConfirm => neighbor.last_error.clone().unwrap_or_default(),
    }
}

/// What both ends are to each other (RFC 9234), where a document says what we are.
fn roles(neighbor: &NeighborSnapshot) -> Option<String> {
    let ours = neighbor.role.as_ref()?;
    Some(match &neighbor.remote_role {
        Some(theirs) => format!("we are {ours}, it is {theirs}"),
        None => format!("we are {ours}"),
    })
}

/// The nearest network around one that was asked for, by tenant.
pub(super) type Around = BTreeMap<TenantName, String>;

/// A network and whose it is.
#[derive(Serialize)]
pub(super) struct Network {
    tenant: String,
    #[serde(flatten)]
    network: RibNetwork,
}

/// What the neighbors of the tenants in a snapshot said, as the gateway tells; and of one
/// network the nearest around it of which each tenant's said something.
pub(super) fn rib(
    snapshot: &Snapshot,
    socket: &Path,
    prefix: Option<Prefix>,
) -> Result<(Vec<Network>, Around), Failure> {
    let (mut rows, mut nearest) = (Vec::new(), Around::new());
    for tenant in snapshot.tenants.iter().filter(|tenant| tenant.bgp.is_some()) {
        let page = client::ask_rib(socket, &tenant.name, prefix)?.unwrap_or_default();
        let name = tenant.name.to_string();
        nearest.extend(page.around.into_iter().next().map(|it| (tenant.name.clone(), it)));
        let networks = page.networks.into_iter();
        rows.extend(networks.map(|network| Network { tenant: name.clone(), network }));
    }
    Ok((rows, nearest))
}

/// Columns of the RIB to do without on a narrow terminal: communities, MED, local
/// preference, path.
const DISPENSABLE_OF_RIB: [usize; 4] = [7, 6, 5, 4];

pub(super) fn draw_rib(rows: &[Network], style: Style) -> String {
    let header =
        ["TENANT", "NETWORK", "NEIGHBOR", "VIA", "PATH", "PREF", "MED", "COMMUNITIES", "BECAME"];
    let mut table = output::table(style, &header);
    for Network { tenant, network } in rows {
        for path in &network.paths {
            let optional =
                |value: Option<u32>| value.map_or_else(|| "—".to_owned(), |it| it.to_string());
            let communities = path.communities.join(" ");
            table.add_row([
                text(tenant),
                text(heard(network.prefix, path.heard)),
                text(&path.neighbor),
                text(path.next_hop),
                text(if path.as_path.is_empty() { "—" } else { &path.as_path }),
                number(optional(path.local_pref)),
                number(optional(path.med)),
                text(if communities.is_empty() { "—" } else { &communities }),
                text(match (path.is_long_lived, path.is_stale) {
                    (true, _) => format!("{}, long-lived stale", path.state),
                    (false, true) => format!("{}, stale", path.state),
                    (false, false) => path.state.clone(),
                }),
            ]);
        }
        for withdrawn in &network.treated_as_withdrawn {
            let nothing = || text("—");
            table.add_row([
                text(tenant),
                text(heard(network.prefix, withdrawn.heard)),
                text(&withdrawn.neighbor),
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                text(format!("treated as withdrawn: {}", withdrawn.reason)),
            ]);
        }
    }
    output::fit(&mut table, style, &DISPENSABLE_OF_RIB);
    output::draw(&mut table)
}

/// The network as it is known here, and as it was heard where that is another.
fn heard(prefix: Prefix, heard: Prefix) -> String {
    if heard == prefix { prefix.to_string() } else { format!("{prefix} ({heard})") }
}
