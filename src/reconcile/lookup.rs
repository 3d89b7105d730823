//! Where a tenant's addresses are: which link leads there, whose site they are,
//! and what they are called on the customer's side.
//!
//! Made once for a namespace and asked for each packet: a leak walk asks tens of
//! thousands of times, of a few dozen addresses, and a tenant may have a hundred thousand
//! routes. So of those no map is made; which one an address has is found once.

use super::serving::{serving, tunnelled, vlans};
use super::trace::TraceStep;
use super::{Device, Namespace, Route, RouteKey};
use crate::model::Tenant;
use crate::net::{Prefix, PrefixMap, SiteName};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a packet goes, as the routing tables say.
pub(super) enum Way {
    Local,
    Out(Device),
    Nowhere,
}

/// A network as the customer has it, and as the tenant does.
type Alias = (Prefix, Prefix);

/// The addresses of one tenant.
pub(super) struct Lookup<'a> {
    own: BTreeMap<IpAddr, &'a Device>,
    connected: PrefixMap<(&'a Device, Prefix)>,
    routes: &'a BTreeMap<RouteKey, Route>,
    /// The lengths of their networks, the longest first.
    lengths: Vec<u8>,
    /// Those that were asked for.
    found: RefCell<BTreeMap<IpAddr, Option<(RouteKey, &'a Route)>>>,
    serving: PrefixMap<&'a SiteName>,
    far: BTreeMap<IpAddr, &'a SiteName>,
    vlans: PrefixMap<&'a SiteName>,
    visible: PrefixMap<()>,
    by_real: PrefixMap<Alias>,
    by_alias: PrefixMap<Alias>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(namespace: &'a Namespace, tenant: &'a Tenant) -> Self {
        let mut lookup = Self {
            own: BTreeMap::new(),
            connected: PrefixMap::default(),
            routes: &namespace.routes,
            lengths: lengths(namespace),
            found: RefCell::default(),
            serving: serving(tenant).into_iter().map(|(net, site)| (net, &site.name)).collect(),
            far: BTreeMap::new(),
            vlans: PrefixMap::default(),
            visible: PrefixMap::default(),
            by_real: PrefixMap::default(),
            by_alias: PrefixMap::default(),
        };
        for (device, link) in &namespace.links {
            for own in &link.addresses {
                lookup.own.entry(own.address()).or_insert(device);
                if link.up {
                    first(&mut lookup.connected, own.network(), (device, own.network()));
                }
            }
        }
        for (site, peer) in tunnelled(tenant) {
            for far in peer.far_addresses() {
                lookup.far.entry(far).or_insert(&site.name);
            }
        }
        for (site, vlan) in vlans(tenant) {
            for network in vlan.networks() {
                first(&mut lookup.vlans, network, &site.name);
            }
        }
        for prefix in tenant.sites.values().flat_map(|site| &site.prefixes) {
            lookup.visible.insert(prefix.visible(), ());
            if let Some(alias) = prefix.alias {
                first(&mut lookup.by_real, prefix.real, (prefix.real, alias));
                first(&mut lookup.by_alias, alias, (prefix.real, alias));
            }
        }
        lookup
    }

    /// The longest prefix serves; of the same, connected routes come first, for
    /// they have a lower metric than ours.
    pub(super) fn way(&self, address: IpAddr) -> (Way, Option<TraceStep>) {
        if let Some(&device) = self.own.get(&address) {
            return (Way::Local, Some(TraceStep::Local(device.clone())));
        }
        let connected = self.connected.longest_match(address);
        let route = self.route(address);
        match (connected, route) {
            (Some((device, network)), route)
                if route.is_none_or(|(key, _)| key.prefix.length() <= network.length()) =>
            {
                let device: Device = (*device).clone();
                (Way::Out(device.clone()), Some(TraceStep::Connected(device, *network)))
            }
            (_, Some((key, route))) => {
                // Of several ways the first stands for all: which one a packet
                // takes is the kernel's to choose, and all are on one side.
                let way = route.hops().next();
                let way = way.map_or(Way::Nowhere, |(device, _)| Way::Out(device.clone()));
                (way, Some(TraceStep::Route(key, route.clone())))
            }
            (_, None) => (Way::Nowhere, None),
        }
    }

    /// The route with the longest network that has the address; of one network the lowest
    /// metric serves, and keys come in that order.
    fn route(&self, address: IpAddr) -> Option<(RouteKey, &'a Route)> {
        let find = || {
            let lengths = self.lengths.iter().copied();
            let networks =
                lengths.filter_map(|length| Prefix::containing_address(address, length).ok());
            let mut lists = networks.map(|prefix| {
                let first = RouteKey { prefix, metric: 0 };
                let last = RouteKey { prefix, metric: u32::MAX };
                self.routes.range(first..=last).next()
            });
            lists.find_map(|found| found.map(|(key, route)| (*key, route)))
        };
        *self.found.borrow_mut().entry(address).or_insert_with(find)
    }

    /// The site an address is of, for the reader; the rules decide by their own sets.
    pub(super) fn site(&self, address: IpAddr) -> Option<&'a SiteName> {
        let serving = self.serving.longest_match(address).or_else(|| self.far.get(&address));
        serving.or_else(|| self.vlans.longest_match(address)).copied()
    }

    /// The tenant's own address for one that only the customer's side has.
    pub(super) fn to_visible(&self, address: IpAddr) -> Option<IpAddr> {
        if self.visible.longest_match(address).is_some() {
            return None;
        }
        let (real, alias) = self.by_real.longest_match(address)?;
        Some(transplant(address, *real, *alias))
    }

    /// The customer's own address for one of an alias.
    pub(super) fn to_real(&self, address: IpAddr) -> Option<IpAddr> {
        let (real, alias) = self.by_alias.longest_match(address)?;
        Some(transplant(address, *alias, *real))
    }
}

/// The lengths of the networks that there are routes to, the longest first.
fn lengths(namespace: &Namespace) -> Vec<u8> {
    let mut is_there = [false; 129];
    for key in namespace.routes.keys() {
        if let Some(is_there) = is_there.get_mut(usize::from(key.prefix.length())) {
            *is_there = true;
        }
    }
    let lengths = (0..=128).rev().zip(is_there.into_iter().rev());
    lengths.filter_map(|(length, is_there)| is_there.then_some(length)).collect()
}

/// Puts a value at `prefix` unless there is one.
fn first<T>(map: &mut PrefixMap<T>, prefix: Prefix, value: T) {
    if map.get(prefix).is_none() {
        map.insert(prefix, value);
    }
}

/// The same host in another network of the same length.
fn transplant(address: IpAddr, from: Prefix, to: Prefix) -> IpAddr {
    match (address, from.address(), to.address()) {
        (IpAddr::V4(address), IpAddr::V4(from), IpAddr::V4(to)) => {
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() ^ from.to_bits() ^ to.to_bits()))
        }
        (IpAddr::V6(address), IpAddr::V6(from), IpAddr::V6(to)) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() ^ from.to_bits() ^ to.to_bits()))
        }
        (address, ..) => address,
    }
}
