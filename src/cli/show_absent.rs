//! What `lockgate show rib NETWORK` says of a tenant of whose neighbors none says that
//! network: who of them could not have said it, and what is counted and not held.

use super::show_bgp::Network;
use crate::net::Prefix;
use crate::status::{BgpSnapshot, NeighborSnapshot, NeighborState, Snapshot};

/// Tenants of whom it is said; who has more asks for one of them.
const TENANTS: usize = 20;

/// Where no tenant has the network: a line for each, and behind it what there is to know
/// of its neighbors.
pub(super) fn absent(snapshot: &Snapshot, rows: &[Network], prefix: Prefix) -> String {
    let mut text = String::new();
    // Somebody else's having it is how it should be.
    if !rows.is_empty() {
        return text;
    }
    let all = || snapshot.tenants.iter().filter_map(|it| Some((&it.name, it.bgp.as_ref()?)));
    for (name, bgp) in all().take(TENANTS) {
        text += &format!("{name}: no neighbor says {prefix}\n");
        for line in reasons(bgp) {
            text += &format!("  {line}\n");
        }
    }
    match all().count().saturating_sub(TENANTS) {
        0 => {}
        more => text += &format!("and {more} more; name one with --tenant\n"),
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
