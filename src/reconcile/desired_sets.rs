//! The addresses a tenant's rules speak of, as named sets.

use super::desired::{Legs, SiteLeg, near};
use super::serving::{far, tunnelled};
use super::{Device, Family, List, PrefixSet, SetName};
use crate::model::limits::{APPS_MET, DEVICES_MET, HOSTS_MET};
use crate::model::{BgpNeighbor, Site, Tenant};
use crate::net::{InterfaceAddress, Prefix};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The sets of `tenant`, of which `parts` says which site has which network.
pub(super) fn sets(
    tenant: &Tenant,
    legs: &Legs<'_>,
    parts: &BTreeMap<Prefix, &Site>,
) -> BTreeMap<SetName, PrefixSet> {
    let hosts = |addresses: &mut dyn Iterator<Item = InterfaceAddress>| -> PrefixSet {
        addresses.map(|address| Prefix::host(address.address())).collect()
    };
    let mut sets = BTreeMap::new();
    let mut put = |list, leg: &Option<Device>, set: PrefixSet| {
        for family in Family::BOTH {
            let name = SetName { list, family, leg: leg.clone() };
            sets.insert(name, set.of_family(family));
        }
    };
    let own_fabric = hosts(&mut tenant.fabric.addresses.iter().copied());
    let own_sites = hosts(&mut legs.sites.iter().flat_map(|leg| leg.own(tenant)));
    let martians = martians();
    let nobodys: PrefixSet =
        martians.iter().chain(own_fabric.iter()).chain(own_sites.iter()).collect();
    let others = |prefixes: PrefixSet| prefixes.without(&nobodys);
    put(List::Apps, &None, others(tenant.app_prefixes.iter().copied().collect()));
    put(List::Near, &None, near(tenant).collect());
    if let Some(ipip) = &tenant.fabric.ipip {
        put(List::Nodes, &None, ipip.nodes.iter().copied().collect());
    }
    let neighbors: PrefixSet = fabric_neighbors(tenant).collect();
    if !neighbors.is_empty() {
        put(List::Neighbors, &None, neighbors);
    }
    let watched: PrefixSet = watched_neighbors(tenant).collect();
    if !watched.is_empty() {
        put(List::BfdNeighbors, &None, watched);
    }
    let direct = direct_apps(tenant, legs);
    if !direct.is_empty() {
        put(List::DirectApps, &None, direct);
    }
    put(List::OwnFabric, &None, own_fabric);
    put(List::Martians, &None, martians);
    if legs.are_several() {
        put(List::OwnSites, &None, own_sites);
    }
    let mut all_sources = Vec::new();
    for leg in &legs.sites {
        let here = |site: &Site| legs.to_site(site).is_some_and(|it| it.device == leg.device);
        let served = || parts.iter().filter(|(_, site)| here(site));
        let open = served().filter(|(_, site)| site.allow.is_none());
        let ends = |all: bool| -> PrefixSet {
            match leg.vlan {
                Some((site, vlan)) if all || site.allow.is_none() => vlan.networks().collect(),
                Some(_) => PrefixSet::default(),
                None => far(tunnelled(tenant).filter(|(site, _)| all || site.allow.is_none())),
            }
        };
        let tag = leg.tag();
        let sources = served().map(|(prefix, _)| *prefix).chain(ends(true).iter()).collect();
        all_sources.extend(served().map(|(prefix, _)| *prefix).chain(ends(true).iter()));
        put(List::Sources, &tag, sources);
        put(List::Open, &tag, others(open.map(|(prefix, _)| *prefix).collect()));
        put(List::Far, &tag, ends(false));
        let direct = direct_sites(legs, leg, parts);
        if !direct.is_empty() {
            put(List::DirectSites, &tag, direct);
        }
        put(List::Own, &tag, hosts(&mut leg.own(tenant)));
        if let Some((_, vlan)) = leg.vlan {
            put(List::OnLink, &tag, vlan.networks().collect());
        }
        let neighbors: PrefixSet = site_neighbors(tenant, legs, leg).map(Prefix::host).collect();
        if !neighbors.is_empty() {
            put(List::SiteNeighbors, &tag, neighbors);
        }
    }
    if legs.are_several() {
        put(List::AllSources, &None, all_sources.into_iter().collect());
    }
    sets
}

/// The sets that the kernel fills with who is sent to without a router.
pub(super) fn met(
    tenant: &Tenant,
    legs: &Legs<'_>,
    parts: &BTreeMap<Prefix, &Site>,
) -> BTreeMap<SetName, u32> {
    let apps = direct_apps(tenant, legs);
    let mut met = BTreeMap::new();
    let mut put = |list, direct: &PrefixSet, leg: Option<Device>, size| {
        let families = Family::BOTH.into_iter().filter(|it| !direct.of_family(*it).is_empty());
        met.extend(families.map(|family| (SetName { list, family, leg: leg.clone() }, size)));
    };
    for leg in &legs.sites {
        let networks = leg.vlan.iter().flat_map(|(_, vlan)| vlan.networks()).collect();
        put(List::MetOnLink, &networks, leg.tag(), HOSTS_MET);
    }
    for leg in legs.sites.iter().filter(|_| legs.fabric().is_some()) {
        put(List::MetApps, &apps, leg.tag(), APPS_MET);
        put(List::MetSites, &direct_sites(legs, leg, parts), leg.tag(), DEVICES_MET);
    }
    met
}

/// The applications' networks that are reached without a router. Those of a pod are
/// reached by its own routes.
pub(super) fn direct_apps(tenant: &Tenant, legs: &Legs<'_>) -> PrefixSet {
    if legs.is_pod() {
        return PrefixSet::default();
    }
    let own: Vec<Prefix> = tenant.fabric.addresses.iter().map(|own| own.network()).collect();
    let has_router = |prefix: Prefix| {
        let family = Family::of_prefix(prefix);
        tenant.fabric.next_hops.iter().any(|hop| Family::of(*hop) == family)
    };
    direct(&own, tenant.app_prefixes.iter().copied(), has_router)
}

/// The same of the sites on a link; a tunnel's are reached through it.
pub(super) fn direct_sites(
    legs: &Legs<'_>,
    leg: &SiteLeg<'_>,
    parts: &BTreeMap<Prefix, &Site>,
) -> PrefixSet {
    let Some((_, vlan)) = leg.vlan else { return PrefixSet::default() };
    let own: Vec<Prefix> = vlan.networks().collect();
    let here = |site: &Site| legs.to_site(site).is_some_and(|it| it.device == leg.device);
    let served = parts.iter().filter(|(_, site)| here(site)).map(|(prefix, _)| *prefix);
    direct(&own, served, |prefix| vlan.next_hop_for(prefix.address()).is_some())
}

/// What of `prefixes` is on a link with addresses in the networks `own`, where routers
/// lead to the rest of those for which there is one.
fn direct(
    own: &[Prefix],
    prefixes: impl Iterator<Item = Prefix>,
    has_router: impl Fn(Prefix) -> bool,
) -> PrefixSet {
    let of_prefix = |prefix: Prefix| {
        let all = !has_router(prefix) || own.iter().any(|own| own.covers(prefix));
        let inside = own.iter().copied().filter(|own| prefix.covers(*own)).collect();
        if all { vec![prefix] } else { inside }
    };
    prefixes.flat_map(of_prefix).collect()
}

/// Where the BGP neighbors of the fabric are.
pub(super) fn fabric_neighbors(tenant: &Tenant) -> impl Iterator<Item = Prefix> {
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    neighbors.map(BgpNeighbor::network)
}

/// Where those of them are that BFD watches.
pub(super) fn watched_neighbors(tenant: &Tenant) -> impl Iterator<Item = Prefix> {
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    neighbors.filter(|neighbor| neighbor.bfd).map(BgpNeighbor::network)
}

/// The customers' BGP routers on a link to sites.
pub(super) fn site_neighbors<'a>(
    tenant: &'a Tenant,
    legs: &'a Legs<'_>,
    leg: &'a SiteLeg<'_>,
) -> impl Iterator<Item = IpAddr> {
    let here = |site: &&Site| legs.to_site(site).is_some_and(|it| it.device == leg.device);
    let sites = tenant.sites.values().filter(|_| tenant.fabric.bgp.is_some()).filter(here);
    sites.filter_map(|site| site.bgp.as_ref()).map(|router| router.neighbor)
}

/// What has no business on a wire between two organisations (RFC 6890).
fn martians() -> PrefixSet {
    let v4 =
        |a, b, length| Prefix::containing_address(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), length);
    let v6 = |word, length| {
        Prefix::containing_address(IpAddr::V6(Ipv6Addr::new(word, 0, 0, 0, 0, 0, 0, 0)), length)
    };
    let all = [
        v4(0, 0, 8),
        v4(127, 0, 8),
        v4(169, 254, 16),
        v4(224, 0, 4),
        v4(240, 0, 4),
        v6(0, 127),
        v6(0xfe80, 10),
        v6(0xff00, 8),
    ];
    all.into_iter().flatten().collect()
}
