//! What the kernel should hold for what was asked.
//!
//! Never looks at what it does hold. What is asked for and cannot be held yet
//! is left out here and named by [`unprogrammable`].

use super::said::is_on_link;
use super::serving::{serving, tunnelled, vlans};
use super::{
    Device, Family, KernelState, Link, LinkKind, LinkSetting, Namespace, Route, RouteKey,
    RouteTarget, Scope, Sysctl, desired_rules,
};
use crate::model::{
    Attachment, Backend, BgpNeighbor, Config, FabricLink, Ipip, Placement, Site, Tenant,
    VlanAttachment, VlanLink,
};
use crate::net::{InterfaceAddress, ManagedName, Mtu, Prefix, PrefixMap, SiteName, TenantName};
use std::collections::{BTreeMap, BTreeSet};

/// What the kernel should hold for `config`.
pub fn desired(config: &Config, placement: Placement) -> KernelState {
    let tenants = config.tenants.values().take(match placement {
        Placement::PerTenant => usize::MAX,
        Placement::Current => 1,
    });
    let namespaces = tenants.map(|tenant| (tenant.name.clone(), desired_tenant(tenant, placement)));
    KernelState { tenants: namespaces.collect() }
}

/// What the kernel should hold for one tenant.
pub fn desired_tenant(tenant: &Tenant, placement: Placement) -> Namespace {
    let legs = Legs::of(tenant, placement);
    Namespace {
        loopback_up: true,
        links: links(tenant, &legs),
        routes: routes(tenant, &legs),
        sysctls: sysctls(&legs, placement, speaks_v6(tenant)),
        ruleset: Some(desired_rules::ruleset(tenant, &legs, placement)),
    }
}

/// The links between which a tenant's packets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Legs<'a> {
    /// To its sites: the tunnels in one, and each VLAN.
    pub(super) sites: Vec<SiteLeg<'a>>,
    /// To the applications, when it can be had.
    pub(super) fabric: Option<(Device, LinkKind)>,
    /// To their nodes, through the former.
    pub(super) ipip: Option<(Device, LinkKind)>,
}

/// A link to sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SiteLeg<'a> {
    pub(super) device: Device,
    pub(super) kind: LinkKind,
    /// The one site on it and its VLAN; `None` for the tunnels of all others.
    pub(super) vlan: Option<(&'a Site, &'a VlanAttachment)>,
}

impl<'a> Legs<'a> {
    pub(super) fn of(tenant: &'a Tenant, placement: Placement) -> Self {
        let fabric = match (&tenant.fabric.link, placement) {
            (FabricLink::Interface(name), _) => {
                Some((Device::Foreign(name.clone()), LinkKind::Moved))
            }
            (FabricLink::Pod(name), Placement::Current) => {
                Some((Device::Foreign(name.clone()), LinkKind::Foreign))
            }
            (FabricLink::Veth { peer }, _) => Some((
                Device::Managed(ManagedName::fabric()),
                LinkKind::Veth { peer: peer.clone() },
            )),
            (FabricLink::Vlan(vlan), _) => {
                Some((Device::Managed(vlan.link_name()), LinkKind::Vlan(vlan.clone())))
            }
            (FabricLink::Pod(_), Placement::PerTenant) => None,
        };
        let vlans = vlans(tenant).map(|(site, vlan)| {
            let kind = match &vlan.link {
                VlanLink::Tagged(tags) => LinkKind::Vlan(tags.clone()),
                VlanLink::Interface(_) => LinkKind::Moved,
            };
            SiteLeg { device: vlan_device(&vlan.link), kind, vlan: Some((site, vlan)) }
        });
        let mut sites: Vec<SiteLeg<'a>> = vlans.collect();
        if tunnelled(tenant).next().is_some() || sites.is_empty() {
            let device = Device::Managed(ManagedName::wireguard());
            let kind = match tenant.backend.backend {
                Backend::Userspace => LinkKind::Tun,
                Backend::Kernel => LinkKind::WireGuard,
            };
            sites.insert(0, SiteLeg { device, kind, vlan: None });
        }
        let ipip = tenant.fabric.ipip.as_ref().filter(|_| fabric.is_some()).map(|ipip| {
            let kind = LinkKind::Ipip { local: ipip.local };
            (Device::Managed(ManagedName::ipip()), kind)
        });
        Self { sites, fabric, ipip }
    }

    /// The link to `site`.
    pub(super) fn to_site(&self, site: &Site) -> Option<&SiteLeg<'a>> {
        let is_vlan = matches!(site.attachment, Attachment::Vlan(_));
        self.sites.iter().find(|leg| match leg.vlan {
            Some((own, _)) => own.name == site.name,
            None => !is_vlan,
        })
    }

    /// The fabric link, when there is one.
    pub(super) fn fabric(&self) -> Option<&Device> {
        self.fabric.as_ref().map(|(device, _)| device)
    }

    /// The links by which applications' packets come and go: the fabric's, and the
    /// tunnels through it.
    pub(super) fn fabrics(&self) -> impl Iterator<Item = &Device> + Clone {
        self.fabric.iter().chain(&self.ipip).map(|(device, _)| device)
    }

    /// Every one of them.
    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.sites.iter().map(|leg| &leg.device).chain(self.fabrics())
    }

    /// Whether there are sites on more than one link.
    pub(super) const fn are_several(&self) -> bool {
        1 < self.sites.len()
    }

    /// Whether the fabric link is the pod's own, with addresses we do not know
    /// and traffic of its own.
    pub(super) fn is_pod(&self) -> bool {
        self.fabric.as_ref().is_some_and(|(_, kind)| *kind == LinkKind::Foreign)
    }
}

impl SiteLeg<'_> {
    /// What tells its sets and chains from another's; `None` for the tunnels.
    pub(super) fn tag(&self) -> Option<Device> {
        self.vlan.is_some().then(|| self.device.clone())
    }

    /// Our addresses on it.
    pub(super) fn own<'t>(
        &'t self,
        tenant: &'t Tenant,
    ) -> Box<dyn Iterator<Item = InterfaceAddress> + 't> {
        match self.vlan {
            Some((_, vlan)) => Box::new(vlan.addresses.iter().copied()),
            None => {
                let peers = tunnelled(tenant).flat_map(|(_, peer)| &peer.tunnel_addresses);
                Box::new(peers.copied())
            }
        }
    }
}

/// The link that is this site's alone: its VLAN's.
pub fn vlan_link(site: &Site) -> Option<Device> {
    match &site.attachment {
        Attachment::WireGuard(_) => None,
        Attachment::Vlan(vlan) => Some(vlan_device(&vlan.link)),
    }
}

fn vlan_device(link: &VlanLink) -> Device {
    match link {
        VlanLink::Tagged(vlan) => Device::Managed(vlan.link_name()),
        VlanLink::Interface(name) => Device::Foreign(name.clone()),
    }
}

/// A part of a tenant that the kernel is not made to hold, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unprogrammable {
    /// The site, or `None` for the tenant's fabric or the whole tenant.
    pub site: Option<SiteName>,
    /// Why.
    pub reason: UnprogrammableReason,
}

/// Why a part of a tenant cannot be programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnprogrammableReason {
    /// The fabric is the pod's own link, and tenants have namespaces of their own.
    PodLinkNotHere,
    /// There is one namespace, and another tenant has it.
    NamespaceTaken,
}

impl UnprogrammableReason {
    /// The name as logs, metrics and status have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PodLinkNotHere => "pod_link_not_here",
            Self::NamespaceTaken => "namespace_taken",
        }
    }

    /// It as a person reads it, of the site or of the fabric.
    pub const fn message(self) -> &'static str {
        match self {
            Self::PodLinkNotHere => "the pod's own link is in no tenant's namespace",
            Self::NamespaceTaken => "there is one namespace, and another tenant has it",
        }
    }
}

/// What of `config` [`desired`] leaves out. A tenant with nothing left out is absent.
pub fn unprogrammable(
    config: &Config,
    placement: Placement,
) -> BTreeMap<TenantName, Vec<Unprogrammable>> {
    let mut all = BTreeMap::new();
    for (index, tenant) in config.tenants.values().enumerate() {
        let mut parts = Vec::new();
        let whole = |reason| Unprogrammable { site: None, reason };
        if placement == Placement::Current && 0 < index {
            parts.push(whole(UnprogrammableReason::NamespaceTaken));
        } else {
            match (&tenant.fabric.link, placement) {
                (FabricLink::Pod(_), Placement::PerTenant) => {
                    parts.push(whole(UnprogrammableReason::PodLinkNotHere));
                }
                (FabricLink::Pod(_), Placement::Current)
                | (FabricLink::Interface(_) | FabricLink::Veth { .. } | FabricLink::Vlan(_), _) => {
                }
            }
        }
        if !parts.is_empty() {
            all.insert(tenant.name.clone(), parts);
        }
    }
    all
}

/// Whether anything of the tenant's is v6. If not, v6 is switched off.
pub(super) fn speaks_v6(tenant: &Tenant) -> bool {
    let fabric = tenant.fabric.addresses.iter().map(|address| address.address());
    let tunnels = tunnelled(tenant).flat_map(|(_, peer)| &peer.tunnel_addresses);
    let vlans = vlans(tenant).flat_map(|(_, vlan)| &vlan.addresses);
    let sites = tenant.sites.values().flat_map(Site::declared);
    let networks = tenant.app_prefixes.iter().copied().chain(sites.map(|prefix| prefix.visible()));
    // What may be learned needs a table to stand in.
    let imports = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.import.prefixes);
    let routers = tenant.sites.values().filter_map(|site| site.bgp.as_ref());
    let networks = networks.chain(imports.map(|import| import.prefix));
    fabric
        .chain(near(tenant).map(Prefix::address))
        .chain(routers.map(|router| router.neighbor))
        .chain(tunnels.chain(vlans).map(|address| address.address()))
        .chain(networks.map(|prefix| prefix.address()))
        .any(|address| Family::of(address) == Family::V6)
}

/// The networks that are somewhere out of the fabric link: routers, BGP neighbors,
/// nodes.
fn out_of_fabric(tenant: &Tenant) -> impl Iterator<Item = Prefix> {
    let nodes = tenant.fabric.ipip.iter().flat_map(|ipip| &ipip.nodes);
    near(tenant).chain(nodes.copied())
}

/// Where the routers and BGP neighbors on the fabric link are.
pub(super) fn near(tenant: &Tenant) -> impl Iterator<Item = Prefix> {
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let next_hops = tenant.fabric.next_hops.iter().copied().map(Prefix::host);
    next_hops.chain(neighbors.map(BgpNeighbor::network))
}

fn links(tenant: &Tenant, legs: &Legs<'_>) -> BTreeMap<Device, Link> {
    let sites = legs.sites.iter().map(|leg| {
        let mtu = match leg.vlan {
            Some((_, vlan)) => vlan.mtu.or_else(|| default_mtu(&leg.kind)),
            None => Some(tenant.tunnel_mtu),
        };
        let addresses = leg.own(tenant).collect();
        (leg.device.clone(), Link { kind: leg.kind.clone(), mtu, up: true, addresses })
    });
    let fabric = legs.fabric.iter().map(|(device, kind)| {
        let ours = *kind != LinkKind::Foreign;
        let link = Link {
            kind: kind.clone(),
            mtu: if ours { tenant.fabric.mtu.or_else(|| default_mtu(kind)) } else { None },
            up: true,
            addresses: tenant.fabric.addresses.iter().copied().filter(|_| ours).collect(),
        };
        (device.clone(), link)
    });
    let ipip = legs.ipip.iter().map(|(device, kind)| {
        let below = legs.fabric.as_ref().and_then(|(_, kind)| default_mtu(kind));
        let below = tenant.fabric.mtu.or(below);
        let inner = below.map(|mtu| mtu.bytes().saturating_sub(Ipip::OVERHEAD));
        let mtu = inner.and_then(|bytes| Mtu::new(u32::from(bytes)).ok());
        let addresses = BTreeSet::new();
        (device.clone(), Link { kind: kind.clone(), mtu, up: true, addresses })
    });
    sites.chain(fabric).chain(ipip).collect()
}

/// What a link of ours has when nothing is asked; somebody else's keeps its own.
fn default_mtu(kind: &LinkKind) -> Option<Mtu> {
    match kind {
        LinkKind::Veth { .. } | LinkKind::Vlan(_) => Mtu::new(1500).ok(),
        LinkKind::Tun
        | LinkKind::WireGuard
        | LinkKind::Ipip { .. }
        | LinkKind::Moved
        | LinkKind::Foreign
        | LinkKind::Unrecognized => None,
    }
}

fn routes(tenant: &Tenant, legs: &Legs<'_>) -> BTreeMap<RouteKey, Route> {
    let mut routes = BTreeMap::new();
    // Nothing ever falls through to somebody else's default route. Without v6
    // there is no v6 table to fall through.
    let v6 = speaks_v6(tenant);
    for family in Family::BOTH.into_iter().filter(|family| *family == Family::V4 || v6) {
        routes.insert(RouteKey::last(family), Route { target: RouteTarget::Unreachable });
    }
    let mut link = |prefix, device: &Device, via, source| {
        let target = RouteTarget::Link { device: device.clone(), via, source };
        routes.insert(RouteKey::new(prefix), Route { target });
    };
    if let Some(fabric) = legs.fabric() {
        let connected =
            |prefix: Prefix| tenant.fabric.addresses.iter().any(|own| own.network().covers(prefix));
        for prefix in tenant.app_prefixes.iter().copied() {
            let family = Family::of_prefix(prefix);
            let next_hop = tenant.fabric.next_hops.iter().find(|hop| Family::of(**hop) == family);
            // The pod's own routes lead to what has no next hop here.
            if !connected(prefix) && (next_hop.is_some() || !legs.is_pod()) {
                link(prefix, fabric, next_hop.copied(), None);
            }
        }
        // A router that is on the link and in none of its networks: without a
        // route back its ICMP errors would be taken for forged (`rp_filter`).
        // A BGP neighbor or a node may be hops away, behind the router of its family.
        for router in out_of_fabric(tenant).filter(|_| !legs.is_pod()) {
            let family = Family::of_prefix(router);
            let mut hops = tenant.fabric.next_hops.iter().copied();
            let via = match hops.clone().any(|hop| Prefix::host(hop) == router) {
                true => None,
                false => hops.find(|hop| Family::of(*hop) == family),
            };
            if !connected(router) {
                link(router, fabric, via, None);
            }
        }
    }
    let serving = serving(tenant);
    // What routers say themselves is learned.
    let given = serving.iter().filter(|(_, site)| site.bounds.is_none());
    for (prefix, site) in given.map(|(prefix, site)| (*prefix, *site)) {
        let Some(leg) = legs.to_site(site) else { continue };
        let own: &[InterfaceAddress] = match &site.attachment {
            Attachment::WireGuard(peer) => &peer.tunnel_addresses,
            Attachment::Vlan(vlan) => &vlan.addresses,
        };
        let family = Family::of_prefix(prefix);
        let mut own = own.iter().map(|own| own.address());
        let source = own.find(|own| Family::of(*own) == family);
        match leg.vlan {
            None => link(prefix, &leg.device, None, source),
            // What the link has an address in needs no route of ours.
            Some((_, vlan)) if vlan.networks().any(|network| network.covers(prefix)) => {}
            Some((_, vlan)) => {
                link(prefix, &leg.device, vlan.next_hop_for(prefix.address()), source);
            }
        }
    }
    // What they do not say, and is in nothing else that a site serves, goes nowhere: a
    // wider route of the fabric would have it.
    let served: PrefixMap<(Prefix, &Site)> =
        serving.into_iter().map(|(prefix, site)| (prefix, (prefix, site))).collect();
    for site in tenant.sites.values() {
        let bounds = site.bounds.iter().flatten().map(|prefix| prefix.visible());
        let is_nobodys = |prefix: &Prefix| {
            let is_itself = |(other, by): &(Prefix, &Site)| other == prefix && by.name == site.name;
            !is_on_link(site, *prefix) && served.covering(*prefix).all(is_itself)
        };
        for prefix in bounds.filter(is_nobodys) {
            let unreachable = Route { target: RouteTarget::Unreachable };
            routes.entry(RouteKey::new(prefix)).or_insert(unreachable);
        }
    }
    routes
}

/// What a tenant's links and namespace are set to, and why where it is not plain
/// from the setting's name.
fn sysctls(legs: &Legs<'_>, placement: Placement, v6: bool) -> BTreeMap<Sysctl, i32> {
    use LinkSetting as S;
    let mut all = BTreeMap::new();
    let mut set = |family, scope: &Scope, settings: &[(S, i32)]| {
        for (setting, value) in settings {
            all.insert(Sysctl { family, scope: scope.clone(), setting: *setting }, *value);
        }
    };
    let hygiene4: &[(S, i32)] = &[
        (S::AcceptRedirects, 0),
        (S::AcceptSourceRoute, 0),
        (S::ProxyArp, 0),
        (S::RouteLocalnet, 0),
        (S::SecureRedirects, 0),
        (S::SendRedirects, 0),
    ];
    let hygiene6: &[(S, i32)] = &[
        (S::AcceptRa, 0),
        (S::AcceptRedirects, 0),
        (S::AcceptSourceRoute, 0),
        (S::DisableIpv6, 0),
        (S::ProxyNdp, 0),
    ];
    let off6: &[(S, i32)] = &[(S::DisableIpv6, 1)];
    let (clean6, forward6) = if v6 { (hygiene6, 1) } else { (off6, 0) };

    // `all` and `default` are the whole namespace's, so only where that is ours.
    if placement == Placement::PerTenant {
        for scope in [Scope::All, Scope::Default] {
            set(Family::V4, &scope, hygiene4);
            // `all` is the least a link can have; each has its own below.
            set(Family::V4, &scope, &[(S::RpFilter, 0)]);
            set(Family::V6, &scope, clean6);
        }
    }
    // v4 forwarding is asked of the link a packet came by, v6 of the namespace.
    if placement == Placement::PerTenant || v6 {
        set(Family::V6, &Scope::All, &[(S::Forwarding, forward6)]);
    }

    // A link with neighbours on it.
    let wire4: &[(S, i32)] = &[
        (S::ArpAnnounce, 2),
        (S::ArpIgnore, 1),
        (S::ArpNotify, 1),
        (S::DropGratuitousArp, 1),
        (S::PromoteSecondaries, 1),
    ];
    let wire6: &[(S, i32)] = &[(S::DropUnsolicitedNa, 1), (S::NdiscNotify, 1)];

    for leg in &legs.sites {
        let scope = Scope::Link(leg.device.clone());
        set(Family::V4, &scope, hygiene4);
        // Everything that may come from its sites also goes back there.
        set(
            Family::V4,
            &scope,
            &[(S::Forwarding, 1), (S::PromoteSecondaries, 1), (S::RpFilter, 1)],
        );
        set(Family::V6, &scope, clean6);
        if v6 {
            set(Family::V6, &scope, &[(S::Forwarding, 1)]);
        }
        if leg.vlan.is_some() {
            set(Family::V4, &scope, wire4);
        }
        match leg.vlan {
            Some(_) if v6 => set(Family::V6, &scope, wire6),
            // No neighbours on a TUN, so no link-local address either.
            None if v6 => set(Family::V6, &scope, &[(S::AddrGenMode, 1)]),
            Some(_) | None => {}
        }
    }

    if let Some(device) = legs.fabric() {
        let fabric = Scope::Link(device.clone());
        set(Family::V4, &fabric, &[(S::Forwarding, 1)]);
        if v6 {
            set(Family::V6, &fabric, &[(S::Forwarding, 1)]);
        }
        if !legs.is_pod() {
            set(Family::V4, &fabric, hygiene4);
            set(Family::V6, &fabric, clean6);
            if v6 {
                set(Family::V6, &fabric, wire6);
            }
            set(Family::V4, &fabric, wire4);
            // Loose: answers may take another of two routers, and the rules
            // check sources exactly.
            set(Family::V4, &fabric, &[(S::RpFilter, 2)]);
        }
    }
    if let Some((device, _)) = &legs.ipip {
        let ipip = Scope::Link(device.clone());
        set(Family::V4, &ipip, hygiene4);
        // Loose: an answer may come without a tunnel.
        set(Family::V4, &ipip, &[(S::Forwarding, 1), (S::RpFilter, 2)]);
        // Nothing but IPv4 goes through.
        set(Family::V6, &ipip, off6);
    }
    all
}
