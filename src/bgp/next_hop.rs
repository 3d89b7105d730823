//! Where a next hop is: the link that leads there and the router on it.
//!
//! A next hop is looked for among what the namespace has on the neighbor's side
//! without BGP: a network of a link, a route of ours, or a link on which every
//! address is taken to be (the pod's own, whose node answers for all). The
//! longest match counts. Where that gives nothing, a route learned from the
//! fabric may lead on, whose own next hop was found before it: so there are
//! levels, at most [`limits::NEXT_HOP_DEPTH`], and no path can stand on itself.
//!
//! Where there are IPIP tunnels, a next hop that is a node is reached as above, and what
//! is for it goes into the tunnel: `192.168.72.64/26 via 10.1.0.8 dev lg-ipip onlink`.

use crate::model::{Attachment, Site, Tenant};
use crate::net::{ManagedName, Prefix, PrefixMap};
use crate::reconcile::{
    Device, Family, Hop, LinkKind, Namespace, RouteKey, RouteTarget, vlan_link,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

#[allow(unused_imports, reason = "named by the documentation")]
use crate::model::limits;

/// What a side of a tenant's namespace reaches without BGP.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    connected: PrefixMap<(Device, u8)>,
    /// Routes of ours; `None` drops.
    routes: PrefixMap<(u8, u32, Option<BTreeSet<Hop>>)>,
    /// Where every address is taken to be.
    onlink: Option<Device>,
    /// The one link of the side, for link-local next hops.
    only: Option<Device>,
    /// Which routers are nodes: what is for one goes into a tunnel to it.
    nodes: PrefixMap<()>,
    /// The tunnels' link, when it is there.
    ipip: Option<Device>,
    /// Links without neighbours on them: a router there has no address to ask for.
    bare: BTreeSet<Device>,
    /// Our own address by link and family, on links to sites.
    sources: BTreeMap<(Device, Family), IpAddr>,
}

/// Where a next hop is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The ways there, one or more.
    pub hops: BTreeSet<Hop>,
    /// What it costs, as the steps of best path compare it: 0 on a link of ours,
    /// the metric of a route of ours, and one more for each learned route.
    pub cost: u32,
    /// How many learned routes lead there.
    pub level: u8,
    /// What our own packets that way have as source.
    pub source: Option<IpAddr>,
}

/// Why a path cannot be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unresolved {
    /// Nothing leads to its next hop.
    Unreachable,
    /// A route of ours drops what is for its next hop.
    Dropped,
    /// An IPv6 route whose next hop is an IPv4 address, which the kernel has no
    /// route for.
    Family,
    /// Its next hop is a node, and the link of the tunnels to nodes is not there.
    NoTunnel,
}

impl Unresolved {
    /// It as a person reads it, after “not installed: ”.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Unreachable => "nothing leads to its next hop",
            Self::Dropped => "a route drops what is for its next hop",
            Self::Family => "an IPv6 route cannot have an IPv4 next hop",
            Self::NoTunnel => "its next hop is a node, and the IPIP link is not there",
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Surroundings {
    /// The applications' side of `namespace`, as it was observed: everything
    /// that is no link to a site.
    pub fn fabric(tenant: &Tenant, namespace: &Namespace) -> Self {
        let vlans: BTreeSet<Device> = tenant.sites.values().filter_map(vlan_link).collect();
        let tunnels = Device::Managed(ManagedName::wireguard());
        let ipip = Device::Managed(ManagedName::ipip());
        let mut here = Self::of(namespace, |device| {
            *device != tunnels && *device != ipip && !vlans.contains(device)
        });
        let nodes = tenant.fabric.ipip.iter().flat_map(|ipip| &ipip.nodes);
        here.nodes = nodes.map(|nodes| (*nodes, ())).collect();
        here.ipip = namespace.links.get(&ipip).filter(|link| link.up).map(|_| ipip);
        here
    }

    /// The side of one site.
    pub fn site(site: &Site, namespace: &Namespace) -> Self {
        let own = vlan_link(site).unwrap_or_else(|| Device::Managed(ManagedName::wireguard()));
        let mut here = Self::of(namespace, |device| *device == own);
        let addresses = match &site.attachment {
            Attachment::WireGuard(peer) => &peer.tunnel_addresses,
            Attachment::Vlan(vlan) => &vlan.addresses,
        };
        for address in addresses.iter().map(|own| own.address()) {
            here.sources.entry((own.clone(), Family::of(address))).or_insert(address);
        }
        here
    }

    fn of(namespace: &Namespace, is_here: impl Fn(&Device) -> bool) -> Self {
        let mut here = Self::default();
        let mut links = Vec::new();
        for (device, link) in namespace.links.iter().filter(|(it, link)| is_here(it) && link.up) {
            links.push(device);
            for network in link.addresses.iter().map(|own| own.network()) {
                here.connected.insert(network, (device.clone(), network.length()));
            }
            match link.kind {
                LinkKind::Tun | LinkKind::WireGuard => {
                    here.bare.insert(device.clone());
                }
                LinkKind::Foreign if !link.addresses.is_empty() => {
                    here.onlink = Some(device.clone());
                }
                LinkKind::Foreign
                | LinkKind::Veth { .. }
                | LinkKind::Vlan(_)
                | LinkKind::Ipip { .. }
                | LinkKind::Moved
                | LinkKind::Unrecognized => {}
            }
        }
        if let [only] = links[..] {
            here.only = Some(only.clone());
        }
        for (key, route) in &namespace.routes {
            // Learned ones stand on what is asked here; the last one is for
            // everything that nothing leads to.
            if key.metric == RouteKey::LEARNED_METRIC || key.metric == RouteKey::LAST_METRIC {
                continue;
            }
            let ways = match &route.target {
                RouteTarget::Link { .. } | RouteTarget::Multipath(_) => {
                    if !route.hops().all(|(device, _)| is_here(device)) {
                        continue;
                    }
                    let hop = |(device, via): (&Device, _)| Hop { device: device.clone(), via };
                    Some(route.hops().map(hop).collect())
                }
                RouteTarget::Blackhole | RouteTarget::Unreachable => None,
                RouteTarget::Unrecognized => continue,
            };
            // Of one network the lowest metric serves, and keys come in that order.
            if here.routes.get(key.prefix).is_none() {
                here.routes.insert(key.prefix, (key.prefix.length(), key.metric, ways));
            }
        }
        here
    }

    /// Finds a next hop without learned routes.
    ///
    /// # Errors
    /// [`Unresolved::Unreachable`], which learned routes may mend,
    /// [`Unresolved::Dropped`] and [`Unresolved::NoTunnel`].
    pub fn resolve(&self, hop: IpAddr) -> Result<Resolved, Unresolved> {
        if matches!(hop, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            let device = self.only.as_ref().ok_or(Unresolved::Unreachable)?;
            return Ok(self.on(device, hop));
        }
        let connected = self.connected.longest_match(hop);
        let route = self.routes.longest_match(hop);
        let mut found = match (connected, route) {
            (Some((device, length)), route) if route.is_none_or(|(other, ..)| other <= length) => {
                self.on(device, hop)
            }
            (_, Some((_, metric, ways))) => {
                let ways = ways.as_ref().ok_or(Unresolved::Dropped)?;
                let way = |way: &Hop| Hop {
                    device: way.device.clone(),
                    via: way.via.or_else(|| (!self.bare.contains(&way.device)).then_some(hop)),
                };
                let hops = ways.iter().map(way).collect();
                Resolved { hops, cost: *metric, level: 0, source: None }
            }
            (_, None) => {
                let device = self.onlink.as_ref().ok_or(Unresolved::Unreachable)?;
                self.on(device, hop)
            }
        };
        if self.nodes.longest_match(hop).is_some() {
            let device = self.ipip.as_ref().ok_or(Unresolved::NoTunnel)?;
            found.hops = [Hop { device: device.clone(), via: Some(hop) }].into();
        }
        Ok(found)
    }

    fn on(&self, device: &Device, hop: IpAddr) -> Resolved {
        let via = (!self.bare.contains(device)).then_some(hop);
        let source = self.sources.get(&(device.clone(), Family::of(hop))).copied();
        Resolved { hops: [Hop { device: device.clone(), via }].into(), cost: 0, level: 0, source }
    }
}

/// Whether the kernel has routes to such a network by such a next hop.
pub(super) fn is_possible(prefix: Prefix, hop: IpAddr) -> bool {
    prefix.is_v4() || hop.is_ipv6()
}
