//! Which site has which of a tenant's visible networks.
//!
//! Two sites may name the same network when their priorities differ; the rules
//! and routes follow the one with the higher, for the kernel cannot tell through
//! which tunnel of a tenant a packet came.

use super::PrefixSet;
use super::prefix_set::canonical;
use crate::model::{Attachment, Site, Tenant, VlanAttachment, WireGuardPeer};
use crate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};

/// The sites that are reached through the tunnel link, with their peer.
pub(super) fn tunnelled(tenant: &Tenant) -> impl Iterator<Item = (&Site, &WireGuardPeer)> {
    tenant.sites.values().filter_map(|site| match &site.attachment {
        Attachment::WireGuard(peer) => Some((site, peer)),
        Attachment::Vlan(_) => None,
    })
}

/// The sites that each have a VLAN of their own.
pub(super) fn vlans(tenant: &Tenant) -> impl Iterator<Item = (&Site, &VlanAttachment)> {
    tenant.sites.values().filter_map(|site| match &site.attachment {
        Attachment::WireGuard(_) => None,
        Attachment::Vlan(vlan) => Some((site, vlan)),
    })
}

/// The visible networks and the site each is served by. The longest match counts.
pub fn serving(tenant: &Tenant) -> BTreeMap<Prefix, &Site> {
    let mut best: BTreeMap<Prefix, &Site> = BTreeMap::new();
    for site in tenant.sites.values() {
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
pub(super) fn far<'a>(sites: impl Iterator<Item = (&'a Site, &'a WireGuardPeer)>) -> PrefixSet {
    sites.flat_map(|(_, peer)| peer.far_addresses()).map(Prefix::host).collect()
}
