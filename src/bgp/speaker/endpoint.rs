//! Whom a tenant speaks BGP with, as its documents say it.

use super::range::ListenRange;
use crate::bgp::ImportPolicy;
use crate::bgp::rib::{NeighborName, NeighborSettings};
use crate::model::{BgpNeighbor, NeighborAt, Site, Tenant, VpnReflector};
use crate::net::{Asn, Role, SiteName, TcpPassword};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The time without a word that ends a session with the fabric (RFC 4271 §10).
const HOLD_TIME: Duration = Duration::from_secs(90);

/// One neighbor, as both its sockets and its session need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Ours that it is spoken to from; `None` leaves that to the routes.
    pub local: Option<IpAddr>,
    /// Its AS.
    pub remote_asn: Asn,
    /// Hops it may be away with GTSM (RFC 5082).
    pub ttl_security: Option<u8>,
    /// Whether it is on a link of ours.
    pub on_link: bool,
    /// What its segments are signed with (TCP-MD5, RFC 2385); `None` signs nothing.
    pub password: Option<TcpPassword>,
    /// Silence for this long ends the session.
    pub hold_time: Duration,
    /// More networks than this end the session.
    pub maximum_prefixes: u32,
    /// How long it then stays down.
    pub restart_after: Duration,
    /// Whether it is waited for and never dialed.
    pub passive: bool,
    /// Whether it may have VPN routes for us.
    pub has_vpn_routes: bool,
    /// What we are to it (RFC 9234), if that is said.
    pub role: Option<Role>,
    /// Whether it has to say what it is.
    pub strict_role: bool,
    /// How often our own AS may stand in a path that is taken.
    pub allowed_own_as: u8,
    /// How long at most its routes are kept past its restart time (RFC 9494).
    pub long_lived: Duration,
}

/// Every neighbor of a tenant that is known by its address.
pub fn endpoints(tenant: &Tenant) -> BTreeMap<NeighborName, Endpoint> {
    let mut endpoints = BTreeMap::new();
    if tenant.fabric.bgp.is_none() {
        return endpoints;
    }
    for neighbor in fabric_neighbors(tenant) {
        if let (NeighborAt::Address(_), Some(endpoint)) = (neighbor.at, of_fabric(tenant, neighbor))
        {
            endpoints.insert(NeighborName::Fabric(neighbor.name.clone()), endpoint);
        }
    }
    for (name, site) in &tenant.sites {
        if let Some(endpoint) = of_site(site) {
            endpoints.insert(NeighborName::Site(SiteName::clone(name)), endpoint);
        }
    }
    endpoints
}

/// The route reflectors of its class that a tenant hears.
pub(super) fn reflectors(tenant: &Tenant) -> BTreeMap<NeighborName, Endpoint> {
    let of =
        |it: &VpnReflector| (NeighborName::Reflector(it.name.clone()), Endpoint::reflector(it));
    tenant.vpn_reflectors().iter().map(of).collect()
}

/// The ranges that neighbors of a tenant may connect out of, by name.
pub fn ranges(tenant: &Tenant) -> BTreeMap<String, ListenRange> {
    let of = |neighbor: &BgpNeighbor| match neighbor.at {
        NeighborAt::Address(_) => None,
        NeighborAt::Range { prefix, maximum } => {
            let endpoint = of_fabric(tenant, neighbor)?;
            Some((neighbor.name.clone(), ListenRange { prefix, maximum, endpoint }))
        }
    };
    fabric_neighbors(tenant).filter_map(of).collect()
}

fn fabric_neighbors(tenant: &Tenant) -> impl Iterator<Item = &BgpNeighbor> {
    tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors)
}

fn of_fabric(tenant: &Tenant, neighbor: &BgpNeighbor) -> Option<Endpoint> {
    let bgp = tenant.fabric.bgp.as_ref()?;
    let network = neighbor.network();
    let near = tenant.fabric.addresses.iter().find(|own| own.network().covers(network));
    Some(Endpoint {
        address: network.address(),
        local: near.map(|own| own.address()),
        remote_asn: neighbor.remote_asn,
        ttl_security: neighbor.ttl_security,
        on_link: near.is_some(),
        password: neighbor.password.clone(),
        hold_time: HOLD_TIME,
        maximum_prefixes: bgp.import.maximum_prefixes,
        restart_after: bgp.import.restart_after,
        passive: neighbor.address().is_none(),
        has_vpn_routes: !bgp.import.route_targets.is_empty(),
        role: neighbor.role,
        strict_role: neighbor.strict_role,
        allowed_own_as: neighbor.allow_own_asn,
        long_lived: neighbor.long_lived,
    })
}

fn of_site(site: &Site) -> Option<Endpoint> {
    let router = site.bgp.as_ref()?;
    let same = |own: &&crate::net::InterfaceAddress| {
        own.network().contains(router.neighbor) || own.other_end() == Some(router.neighbor)
    };
    let near = site.addresses().iter().find(same)?;
    Some(Endpoint {
        address: router.neighbor,
        local: Some(near.address()),
        remote_asn: router.remote_asn,
        ttl_security: None,
        on_link: true,
        password: router.password.clone(),
        hold_time: router.hold_time,
        maximum_prefixes: router.maximum_prefixes,
        restart_after: router.restart_after,
        passive: false,
        has_vpn_routes: false,
        role: router.role,
        strict_role: router.strict_role,
        allowed_own_as: 0,
        long_lived: Duration::ZERO,
    })
}

impl Endpoint {
    /// Of a route reflector in the underlay.
    pub(in crate::bgp) fn reflector(reflector: &VpnReflector) -> Self {
        Self {
            address: reflector.address,
            local: None,
            remote_asn: reflector.remote_asn,
            ttl_security: reflector.ttl_security,
            on_link: false,
            password: reflector.password.clone(),
            hold_time: HOLD_TIME,
            // Each tenant has its own.
            maximum_prefixes: u32::MAX,
            restart_after: Duration::ZERO,
            passive: false,
            has_vpn_routes: true,
            role: None,
            strict_role: false,
            allowed_own_as: 0,
            long_lived: Duration::ZERO,
        }
    }

    /// What may be taken from it.
    pub(super) fn settings(
        &self,
        tenant: &Tenant,
        name: &NeighborName,
    ) -> Option<NeighborSettings> {
        let bgp = tenant.fabric.bgp.as_ref()?;
        let policy = match name {
            NeighborName::Fabric(name) | NeighborName::Dynamic { range: name, .. } => {
                let neighbor = bgp.neighbors.iter().find(|neighbor| neighbor.name == *name)?;
                ImportPolicy::fabric(tenant, bgp, neighbor)
            }
            NeighborName::Reflector(name) => {
                let mut reflectors = tenant.vpn_reflectors().iter();
                ImportPolicy::reflector(tenant, bgp, reflectors.find(|it| it.name == *name)?)
            }
            NeighborName::Site(name) => {
                let site = tenant.sites.get(name)?;
                ImportPolicy::site(tenant, bgp, site, site.bgp.as_ref()?)
            }
        };
        let (address, maximum_prefixes) = match name {
            NeighborName::Reflector(_) => (self.address, bgp.import.maximum_prefixes),
            NeighborName::Fabric(_) | NeighborName::Dynamic { .. } | NeighborName::Site(_) => {
                (self.address, self.maximum_prefixes)
            }
        };
        Some(NeighborSettings { address, policy, maximum_prefixes })
    }
}
