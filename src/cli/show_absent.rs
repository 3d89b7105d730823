//! What `lockgate show rib NETWORK` says of a tenant of whose neighbors none says that
//! network: who of them could not have said it, and what is counted and not held.

use super::show_bgp::Network;
use crate::net::Prefix;
use crate::status::{BgpSnapshot, NeighborSnapshot, NeighborState, Snapshot};

/// A line for each tenant whose neighbors do not say `prefix`, and behind it what there is
/// to know of those neighbors.
pub(super) fn absent(snapshot: &Snapshot, rows: &[Network], prefix: Prefix) -> String {
    let mut text = String::new();
    for tenant in &snapshot.tenants {
        let Some(bgp) = &tenant.bgp else { continue };
        let name = tenant.name.to_string();
        if rows.iter().any(|row| row.tenant == name) {
            continue;
        }
        text += &format!("{name}: no neighbor says {prefix}\n");
        for line in reasons(bgp) {
            text += &format!("  {line}\n");
        }
    }
    text
}

fn reasons(bgp: &BgpSnapshot) -> impl Iterator<Item = String> {
    let nobody = bgp.neighbors.is_empty().then(|| "none is connected".to_owned());
    bgp.neighbors.iter().filter_map(reason).chain(nobody)
}

fn reason(neighbor: &NeighborSnapshot) -> Option<String> {
    let NeighborSnapshot { name, state, last_error, prefixes, .. } = neighbor;
    if *state != NeighborState::Established {
        let error = last_error.as_deref().map_or(String::new(), |error| format!(": {error}"));
        return Some(format!("{name} is not up, but {state}{error}"));
    }
    (0 < prefixes.not_kept).then(|| {
        let count = prefixes.not_kept;
        format!("{name} said {count} VPN routes for none of the route targets; none is held")
    })
}
