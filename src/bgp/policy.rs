//! What may be taken from a neighbor: nothing but what is named (RFC 8212).
//!
//! # What the fabric may say
//! A route is taken when an import prefix names it with its length, and it
//! carries one of the communities asked for. A VPN route also needs one of the
//! tenant's route targets; without a match it is nobody's.
//!
//! Whatever the lists say, the following never is:
//! - a network that is nobody's or that the class forbids, one inside it or one
//!   around it;
//! - a network of our own links, or one inside: it would steal the far end of a
//!   link from it;
//! - a site's declared network, or one inside: the longest match would carry the
//!   customer's traffic to the fabric. A *wider* route is harmless, for the
//!   site's own is longer and always there, as unreachable while nobody says it. A
//!   site that is the default route declares everything; there only the default
//!   route itself is refused, for else no application could be reached;
//! - the default route, unless the class allows sites to have it and a list
//!   names it with length 0.
//!
//! The applications' prefixes are no bound: the way to a next hop may lie
//! elsewhere, and the rules let sites reach applications only.
//!
//! # What a customer may say
//! The site's declared prefixes and those inside them, as far as this site
//! serves them, and never what is the applications', our own links' or forbidden.
//! It speaks of its networks as it has them; they are known here by their alias.
//!
//! # Where it may send
//! Nothing said on one side can send traffic to the other: a customer's next hops
//! are in its own link's networks, the fabric's are not in any site's.

use super::reject::{Reject, Verdict};
use super::{Attributes, Nlri};
use crate::model::{
    BgpNeighbor, FabricBgp, ImportPrefix, Site, SiteBgp, SitePrefix, Tenant, VpnReflector,
};
use crate::net::{
    ALWAYS_FORBIDDEN, Asn, Community, ExtendedCommunity, InterfaceAddress, LargeCommunity, Prefix,
    PrefixMap, Role, SiteName,
};
use crate::reconcile::serving;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// What may be taken from one neighbor.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportPolicy {
    local_asn: Asn,
    router_id: Ipv4Addr,
    remote_asn: Asn,
    /// What we are to the neighbor, if that is said.
    role: Option<Role>,
    /// How often our own AS may stand in a path.
    allowed_own_as: u8,
    martians: PrefixMap<()>,
    forbidden: PrefixMap<()>,
    allow_default_route: bool,
    /// Networks our links stand in.
    networks: PrefixMap<()>,
    own: BTreeSet<IpAddr>,
    side: Side,
}

/// What is asked of the two sides apart.
#[derive(Clone, Debug, PartialEq)]
enum Side {
    Fabric(Box<Fabric>),
    Site(Box<Customer>),
}

#[derive(Clone, Debug, PartialEq)]
struct Fabric {
    /// Lengths accepted inside each network.
    listed: PrefixMap<Vec<(u8, u8)>>,
    communities: BTreeSet<Community>,
    large_communities: BTreeSet<LargeCommunity>,
    route_targets: BTreeSet<ExtendedCommunity>,
    /// Visible networks of sites, the default routes left out.
    sites: PrefixMap<()>,
    /// Whether a site is the default route.
    site_defaults: BTreeSet<Prefix>,
    /// Networks between us and sites.
    site_links: PrefixMap<()>,
}

#[derive(Clone, Debug, PartialEq)]
struct Customer {
    name: SiteName,
    /// By the network as the customer has it.
    declared: PrefixMap<SitePrefix>,
    serving: PrefixMap<SiteName>,
    apps: PrefixMap<()>,
    /// Networks of the site's own link.
    links: PrefixMap<()>,
}

fn networks(prefixes: impl IntoIterator<Item = Prefix>) -> PrefixMap<()> {
    prefixes.into_iter().map(|prefix| (prefix, ())).collect()
}

impl ImportPolicy {
    /// Of a router of the fabric.
    pub fn fabric(tenant: &Tenant, bgp: &FabricBgp, neighbor: &BgpNeighbor) -> Self {
        let policy = Self::of_fabric(tenant, bgp, (neighbor.remote_asn, neighbor.role));
        Self { allowed_own_as: neighbor.allow_own_asn, ..policy }
    }

    /// Of a route reflector that the tenants of a class share. To it we are who the class
    /// says, whoever the tenant is to its own neighbors.
    pub fn reflector(tenant: &Tenant, bgp: &FabricBgp, reflector: &VpnReflector) -> Self {
        let policy = Self::of_fabric(tenant, bgp, (reflector.remote_asn, None));
        let (local_asn, router_id) = (reflector.local_asn, reflector.router_id);
        Self { local_asn, router_id, ..policy }
    }

    fn of_fabric(tenant: &Tenant, bgp: &FabricBgp, whom: (Asn, Option<Role>)) -> Self {
        let mut listed: PrefixMap<Vec<(u8, u8)>> = PrefixMap::default();
        for ImportPrefix { prefix, ge, le } in bgp.import.prefixes.iter().copied() {
            let mut lengths = listed.get(prefix).cloned().unwrap_or_default();
            lengths.push((ge, le));
            listed.insert(prefix, lengths);
        }
        let visible = tenant.sites.values().flat_map(Site::declared);
        let visible = visible.map(|prefix| prefix.visible());
        let (defaults, others): (Vec<_>, Vec<_>) = visible.partition(|it| it.length() == 0);
        let links = tenant.sites.values().flat_map(Site::addresses).map(|own| own.network());
        let side = Side::Fabric(Box::new(Fabric {
            listed,
            communities: bgp.import.communities.iter().copied().collect(),
            large_communities: bgp.import.large_communities.iter().copied().collect(),
            route_targets: bgp.import.route_targets.iter().map(|rt| rt.community()).collect(),
            sites: networks(others),
            site_defaults: defaults.into_iter().collect(),
            site_links: networks(links),
        }));
        Self::new(tenant, bgp, whom, side)
    }

    /// Of the router of `site`, whose neighbor is `router`.
    pub fn site(tenant: &Tenant, bgp: &FabricBgp, site: &Site, router: &SiteBgp) -> Self {
        let served = serving(tenant).into_iter();
        let side = Side::Site(Box::new(Customer {
            name: site.name.clone(),
            declared: site.declared().iter().map(|prefix| (prefix.real, *prefix)).collect(),
            serving: served.map(|(prefix, site)| (prefix, site.name.clone())).collect(),
            apps: networks(tenant.app_prefixes.iter().copied()),
            links: networks(site.addresses().iter().map(|own| own.network())),
        }));
        Self::new(tenant, bgp, (router.remote_asn, router.role), side)
    }

    fn new(
        tenant: &Tenant,
        bgp: &FabricBgp,
        (remote_asn, role): (Asn, Option<Role>),
        side: Side,
    ) -> Self {
        let sites = tenant.sites.values().flat_map(Site::addresses);
        let addresses: Vec<InterfaceAddress> =
            tenant.fabric.addresses.iter().chain(sites).copied().collect();
        let martians = ALWAYS_FORBIDDEN.iter().filter_map(|(text, _)| text.parse().ok());
        Self {
            local_asn: bgp.local_asn,
            router_id: bgp.router_id,
            remote_asn,
            role,
            allowed_own_as: 0,
            martians: networks(martians),
            forbidden: networks(tenant.class.forbidden_prefixes.iter().copied()),
            allow_default_route: tenant.class.allow_default_route,
            networks: networks(addresses.iter().map(|own| own.network())),
            own: addresses.iter().map(|own| own.address()).collect(),
            side,
        }
    }

    /// Whether the neighbor is of another AS.
    pub fn is_external(&self) -> bool {
        self.remote_asn != self.local_asn
    }

    /// The network as the tenant's namespace knows it, when it has another name
    /// there: the alias's part for a customer's network that has one.
    pub fn rename(&self, prefix: Prefix) -> Option<Prefix> {
        let Side::Site(customer) = &self.side else { return None };
        let declared = customer.declared.covering(prefix).last()?;
        prefix.transplanted(declared.real, declared.alias?)
    }

    /// The network as the customer has it, of one that [`Self::rename`] gave.
    pub fn original(&self, renamed: Prefix) -> Option<Prefix> {
        let Side::Site(customer) = &self.side else { return None };
        let declared = customer.declared.values();
        let mut aliased = declared.filter_map(|it| it.alias.map(|alias| (it.real, alias)));
        let (real, alias) = aliased.find(|(_, alias)| alias.covers(renamed))?;
        renamed.transplanted(alias, real)
    }

    /// Judges a route: `nlri` as it was heard.
    pub fn judge(&self, nlri: &Nlri, attributes: &Attributes) -> Verdict {
        let is_vpn = nlri.distinguisher.is_some();
        let reject = self.attributes(attributes, is_vpn).or_else(|| self.prefix(nlri.prefix));
        reject.map_or(Verdict::Accept, Verdict::Reject)
    }

    /// What is wrong with a route of these attributes, whatever its network.
    pub fn attributes(&self, attributes: &Attributes, is_vpn: bool) -> Option<Reject> {
        let checks = [
            self.route_targets(attributes, is_vpn),
            self.path(attributes),
            self.next_hop(attributes.next_hop),
            self.communities(attributes),
        ];
        checks.into_iter().flatten().next()
    }

    fn route_targets(&self, attributes: &Attributes, is_vpn: bool) -> Option<Reject> {
        let matches = match &self.side {
            Side::Fabric(fabric) => attributes
                .extended_communities
                .iter()
                .any(|community| fabric.route_targets.contains(community)),
            Side::Site(_) => false,
        };
        (is_vpn && !matches).then_some(Reject::RouteTarget)
    }

    fn path(&self, attributes: &Attributes) -> Option<Reject> {
        let path = &attributes.as_path;
        // A route server leaves itself out of paths (RFC 7947 §2.2.2.1).
        let is_transparent = self.role == Some(Role::RouteServerClient);
        let is_first = path.first() == Some(self.remote_asn.value());
        if self.is_external() && !is_transparent && !is_first {
            return Some(Reject::FirstAs);
        }
        let own = path.systems().filter(|system| *system == self.local_asn.value());
        if usize::from(self.allowed_own_as) < own.count() {
            return Some(Reject::AsLoop);
        }
        if path.systems().any(|system| system == 0) || attributes.otc == Some(0) {
            return Some(Reject::AsZero);
        }
        if path.has_set() {
            return Some(Reject::AsSet);
        }
        let reflected = attributes.originator_id == Some(self.router_id)
            || attributes.cluster_list.contains(&self.router_id);
        reflected.then_some(Reject::ReflectionLoop)
    }

    fn next_hop(&self, hop: IpAddr) -> Option<Reject> {
        if !is_router(hop) {
            return Some(Reject::NextHopMartian);
        }
        if self.own.contains(&hop) {
            return Some(Reject::NextHopOwn);
        }
        let link_local = matches!(hop, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let host = Prefix::host(hop);
        let is_elsewhere = match &self.side {
            Side::Fabric(fabric) => fabric.sites.meets(host) || fabric.site_links.meets(host),
            Side::Site(customer) => !link_local && !customer.links.meets(host),
        };
        is_elsewhere.then_some(Reject::NextHopElsewhere)
    }

    fn communities(&self, attributes: &Attributes) -> Option<Reject> {
        let Side::Fabric(fabric) = &self.side else { return None };
        let asks = !fabric.communities.is_empty() || !fabric.large_communities.is_empty();
        let mut standard = attributes.communities.iter();
        let mut large = attributes.large_communities.iter();
        let carries = standard.any(|one| fabric.communities.contains(one))
            || large.any(|one| fabric.large_communities.contains(one));
        (asks && !carries).then_some(Reject::Community)
    }

    /// What is wrong with a route to `prefix`, as it was heard, whatever its
    /// attributes. Of several reasons the one that no list could mend.
    pub fn prefix(&self, prefix: Prefix) -> Option<Reject> {
        match &self.side {
            Side::Fabric(fabric) => self.common(prefix).or_else(|| fabric.prefix(prefix)),
            Side::Site(customer) => {
                let declared = customer.declared.covering(prefix).last();
                let Some(declared) = declared else {
                    return self.common(prefix).or(Some(Reject::NotDeclared));
                };
                let visible = self.rename(prefix).unwrap_or(prefix);
                // Behind its alias a customer may have what the platform has too.
                let heard = if declared.alias.is_some() {
                    self.martians.meets(prefix).then_some(Reject::Martian)
                } else {
                    None
                };
                let common = heard.or_else(|| self.common(visible));
                common.or_else(|| customer.prefix(visible))
            }
        }
    }

    fn common(&self, prefix: Prefix) -> Option<Reject> {
        // The default route meets everything, so it has a rule of its own.
        if prefix.length() == 0 {
            return (!self.allow_default_route).then_some(Reject::DefaultRoute);
        }
        if self.martians.meets(prefix) {
            return Some(Reject::Martian);
        }
        if self.forbidden.meets(prefix) {
            return Some(Reject::Forbidden);
        }
        self.networks.covering(prefix).next().map(|()| Reject::OwnNetwork)
    }
}

impl Fabric {
    fn prefix(&self, prefix: Prefix) -> Option<Reject> {
        let is_sites =
            self.site_defaults.contains(&prefix) || self.sites.covering(prefix).next().is_some();
        if is_sites {
            return Some(Reject::SitePrefix);
        }
        let length = prefix.length();
        let mut listed = self.listed.covering(prefix).flatten().peekable();
        if listed.peek().is_none() {
            return Some(Reject::NotListed);
        }
        let fits = listed.any(|(ge, le)| (*ge..=*le).contains(&length));
        (!fits).then_some(Reject::Length)
    }
}

impl Customer {
    fn prefix(&self, visible: Prefix) -> Option<Reject> {
        if self.apps.covering(visible).next().is_some() {
            return Some(Reject::AppPrefix);
        }
        let serves = self.serving.covering(visible).last() == Some(&self.name);
        (!serves).then_some(Reject::OtherSite)
    }
}

/// Whether a packet can be handed to such an address.
fn is_router(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some();
            !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || mapped)
        }
    }
}
