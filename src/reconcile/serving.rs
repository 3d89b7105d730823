//! Which site has which of a tenant's visible networks.
//!
//! Two sites may name the same network when their priorities differ; the rules
//! and routes follow the one with the higher, for the kernel cannot tell through
//! which tunnel of a tenant a packet came.

use super::prefix_set::canonical;
use super::{Family, PrefixSet};
use crate::model::{Attachment, Site, Tenant, WireGuardPeer};
use crate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};

/// The sites that are reached through the tunnel link, with their peer.
pub(super) fn tunnelled(tenant: &Tenant) -> impl Iterator<Item = (&Site, &WireGuardPeer)> {
    tenant.sites.values().filter_map(|site| match &site.attachment {
        Attachment::WireGuard(peer) => Some((site, peer)),
        Attachment::Vlan { .. } => None,
    })
}

/// The visible networks and the site each is served by. The longest match counts.
pub(super) fn serving(tenant: &Tenant) -> BTreeMap<Prefix, &Site> {
    let mut best: BTreeMap<Prefix, &Site> = BTreeMap::new();
    for (site, _) in tunnelled(tenant) {
        for prefix in site.prefixes.iter().map(|prefix| prefix.visible()) {
            // Sites come by name, so of equals the first stays.
            let held = best.entry(prefix).or_insert(site);
            if held.priority < site.priority {
                *held = site;
            }
        }
    }
    let lengths: BTreeSet<(bool, u8)> =
        best.keys().map(|prefix| (prefix.is_v4(), prefix.length())).collect();
    let is_backup = |prefix: Prefix, site: &Site| {
        lengths
            .iter()
            .filter(|(is_v4, length)| *is_v4 == prefix.is_v4() && *length < prefix.length())
            .filter_map(|(_, length)| Prefix::containing_address(prefix.address(), *length).ok())
            .filter_map(|wider| best.get(&wider))
            .any(|other| site.priority < other.priority)
    };
    let kept = best.iter().filter(|(prefix, site)| !is_backup(**prefix, site));
    kept.map(|(prefix, site)| (*prefix, *site)).collect()
}

/// The served networks as the fewest prefixes that do not overlap.
pub(super) fn parts(tenant: &Tenant) -> BTreeMap<Prefix, &Site> {
    let by_name = serving(tenant).into_iter().map(|(prefix, site)| (prefix, &site.name)).collect();
    let sites = canonical(by_name).into_iter();
    sites.filter_map(|(prefix, name)| Some((prefix, tenant.sites.get(name)?))).collect()
}

/// The customers' ends of the tunnels of `sites`.
pub(super) fn far<'a>(
    sites: impl Iterator<Item = (&'a Site, &'a WireGuardPeer)>,
    family: Family,
) -> PrefixSet {
    let addresses = sites.flat_map(|(_, peer)| peer.far_addresses());
    addresses.filter(|address| Family::of(*address) == family).map(Prefix::host).collect()
}
