//! What `lockgate show rib NETWORK` says of a tenant of whose neighbors none says that
//! network: who of them could not have said it, what is counted and not held, and what is
//! said of a network around it.

use super::show_bgp::{Around, Network};
use crate::net::Prefix;
use crate::status::{BgpSnapshot, NeighborSnapshot, NeighborState, ReflectorSnapshot, Snapshot};

/// Tenants of whom it is said; who has more asks for one of them.
const TENANTS: usize = 20;

/// Where no tenant has the network: a line for each, and behind it what there is to know
/// of its neighbors. Where no tenant speaks BGP, that.
pub(super) fn absent(
    snapshot: &Snapshot,
    rows: &[Network],
    prefix: Option<Prefix>,
    around: &Around,
) -> String {
    let all = || snapshot.tenants.iter().filter_map(|it| Some((&it.name, it.bgp.as_ref()?)));
    if all().next().is_none() {
        let names = snapshot.tenants.iter().take(TENANTS).map(|it| &it.name);
        return names.map(|name| format!("{name} speaks no BGP\n")).collect();
    }
    let mut text = String::new();
    // Somebody else's having it is how it should be.
    let Some(prefix) = prefix.filter(|_| rows.is_empty()) else { return text };
    for (name, bgp) in all().take(TENANTS) {
        text += &format!("{name}: no neighbor says {prefix}\n");
        if let Some(network) = around.get(name) {
            text += &format!("  it lies in {network}, of which something was said\n");
        }
        for line in reasons(bgp, prefix) {
            text += &format!("  {line}\n");
        }
    }
    for reflector in snapshot.reflectors.iter().filter(|it| 0 < it.not_kept.0) {
        let ReflectorSnapshot { name, class, not_kept, .. } = reflector;
        text += &format!(
            "{name}, which tenants of class {class} share, said {not_kept} VPN routes for none of \
             their route targets; none is held\n"
        );
    }
    match all().count().saturating_sub(TENANTS) {
        0 => {}
        more => text += &format!("and {more} more; name one with --tenant\n"),
    }
    text
}

fn reasons(bgp: &BgpSnapshot, prefix: Prefix) -> impl Iterator<Item = String> {
    let nobody = bgp.neighbors.is_empty().then(|| "none is connected".to_owned());
    bgp.neighbors.iter().filter_map(move |it| reason(it, prefix)).chain(nobody)
}

fn reason(neighbor: &NeighborSnapshot, prefix: Prefix) -> Option<String> {
    let NeighborSnapshot { name, state, last_error, prefixes, families, .. } = neighbor;
    if *state != NeighborState::Established {
        let error = last_error.as_deref().map_or(String::new(), |error| format!(": {error}"));
        return Some(format!("{name} is not up, but {state}{error}"));
    }
    let asked = if prefix.is_v4() { ["IPv4", "VPNv4"] } else { ["IPv6", "VPNv6"] };
    if !families.iter().any(|it| asked.contains(&it.as_str())) {
        let carried = families.join(" and ");
        return Some(format!("{name} is up and could not say it: its session carries {carried}"));
    }
    (0 < prefixes.not_kept).then(|| {
        let count = prefixes.not_kept;
        format!("{name} said {count} VPN routes for none of the route targets; none is held")
    })
}
