//! A kernel of the kind the planner believes in: it refuses what Linux refuses
//! and drops along what Linux drops along.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test names what it is about")]

use lockgate::model::Placement;
use lockgate::net::{InterfaceAddress, TenantName};
use lockgate::reconcile::{
    Device, Family, KernelState, Link, LinkKind, LinkSetting, Namespace, Plan, RouteTarget, Scope,
    Step, Sysctl,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone)]
pub(crate) struct SimKernel {
    pub(crate) state: KernelState,
    pub(crate) placement: Placement,
    /// Links of the underlay, by name.
    pub(crate) underlay: BTreeSet<String>,
}

impl SimKernel {
    /// A box, or a pod, with links somebody else made.
    pub(crate) fn new(placement: Placement) -> Self {
        let mut kernel = Self {
            state: KernelState::default(),
            placement,
            underlay: ["ens0", "ens1", "ens2", "eth0", "eth2"].map(str::to_owned).into(),
        };
        if placement == Placement::Current {
            let mut pod = fresh();
            pod.loopback_up = true;
            for name in std::mem::take(&mut kernel.underlay) {
                let device: Device = name.parse().unwrap();
                insert_link(&mut pod, &device, LinkKind::Foreign);
                pod.links.get_mut(&device).unwrap().up = true;
            }
            let address = "10.42.0.7/32".parse().unwrap();
            pod.links.get_mut(&"eth0".parse().unwrap()).unwrap().addresses.insert(address);
            kernel.state.tenants.insert(TenantName::new("acme", "gw").unwrap(), pod);
        }
        kernel
    }

    pub(crate) fn apply(&mut self, plan: &Plan) {
        for (tenant, steps) in &plan.tenants {
            for step in steps {
                self.step(tenant, step);
            }
        }
    }

    pub(crate) fn step(&mut self, tenant: &TenantName, step: &Step) {
        match step {
            Step::CreateNetns => {
                assert_eq!(self.placement, Placement::PerTenant);
                assert!(self.state.tenants.insert(tenant.clone(), fresh()).is_none());
                return;
            }
            Step::DeleteNetns => {
                assert_eq!(self.placement, Placement::PerTenant);
                let gone = self.state.tenants.remove(tenant).expect("a namespace to delete");
                for device in gone.links.keys() {
                    assert!(matches!(device, Device::Managed(_)), "{device} was destroyed");
                }
                return;
            }
            _ => {}
        }
        let namespace = self.state.tenants.get_mut(tenant).expect("a namespace first");
        match step {
            Step::CreateNetns | Step::DeleteNetns => unreachable!("above"),
            Step::ReplaceRuleset(ruleset) => namespace.ruleset = Some((**ruleset).clone()),
            Step::DeleteRuleset => namespace.ruleset = None,
            Step::SetLoopbackUp => namespace.loopback_up = true,
            Step::CreateLink(name, kind) => {
                if let LinkKind::Veth { peer } = kind {
                    assert!(self.underlay.insert(peer.to_string()), "{peer} exists");
                }
                let device = Device::Managed(name.clone());
                assert!(!namespace.links.contains_key(&device), "{device} exists");
                insert_link(namespace, &device, kind.clone());
            }
            Step::DeleteLink(name) => {
                let link = remove_link(namespace, &Device::Managed(name.clone()));
                if let LinkKind::Veth { peer } = link.kind {
                    assert!(self.underlay.remove(peer.as_str()));
                }
            }
            Step::TakeLink(name) => {
                let device = Device::Foreign(name.clone());
                if let Some(link) = namespace.links.get_mut(&device) {
                    link.kind = LinkKind::Moved;
                } else {
                    assert!(self.underlay.remove(name.as_str()), "no {name} in the underlay");
                    insert_link(namespace, &device, LinkKind::Moved);
                }
            }
            Step::ReturnLink(name) => {
                let device = Device::Foreign(name.clone());
                match self.placement {
                    Placement::PerTenant => {
                        remove_link(namespace, &device);
                        assert!(self.underlay.insert(name.to_string()));
                    }
                    Placement::Current => {
                        let link = namespace.links.get_mut(&device).expect("a link to return");
                        link.kind = LinkKind::Foreign;
                    }
                }
            }
            Step::SetSysctl(sysctl, value) => write(namespace, sysctl, *value),
            Step::SetMtu(device, mtu) => link(namespace, device).mtu = Some(*mtu),
            Step::SetUp(device) => link(namespace, device).up = true,
            Step::AddAddress(device, address) => add_address(namespace, device, *address),
            Step::RemoveAddress(device, address) => remove_address(namespace, device, *address),
            Step::ReplaceRoute(key, route) => {
                for (device, _) in route.hops() {
                    let link = namespace.links.get(device).expect("a route's link");
                    assert!(link.up, "a route out of a link that is down");
                }
                if let RouteTarget::Multipath(hops) = &route.target {
                    assert!(1 < hops.len(), "one way is not several");
                }
                if let RouteTarget::Link { device, source, .. } = &route.target {
                    let link = &namespace.links[device];
                    let has = |link: &Link| {
                        link.addresses.iter().any(|address| Some(address.address()) == *source)
                    };
                    assert!(source.is_none() || has(link), "a route from an address not there");
                }
                namespace.routes.insert(*key, route.clone());
            }
            Step::RemoveRoute(key) => {
                // Repeatable: what is gone is gone.
                namespace.routes.remove(key);
            }
        }
    }
}

/// What a new namespace begins with.
fn fresh() -> Namespace {
    let mut namespace = Namespace::default();
    for scope in [Scope::All, Scope::Default] {
        namespace
            .sysctls
            .extend(Sysctl::of(&scope).map(|sysctl| (sysctl.clone(), initial(&sysctl))));
    }
    namespace
}

/// The kernel's own choice.
fn initial(sysctl: &Sysctl) -> i32 {
    match sysctl.setting {
        LinkSetting::AcceptRa
        | LinkSetting::AcceptRedirects
        | LinkSetting::SecureRedirects
        | LinkSetting::SendRedirects => 1,
        _ => 0,
    }
}

fn insert_link(namespace: &mut Namespace, device: &Device, kind: LinkKind) {
    let mtu = lockgate::net::Mtu::new(1500).ok();
    let link = Link { kind, mtu, up: false, addresses: BTreeSet::new() };
    namespace.links.insert(device.clone(), link);
    for sysctl in Sysctl::of(&Scope::Link(device.clone())) {
        let from = Sysctl { scope: Scope::Default, ..sysctl.clone() };
        let value = namespace.sysctls.get(&from).copied().unwrap_or_default();
        namespace.sysctls.insert(sysctl, value);
    }
}

fn remove_link(namespace: &mut Namespace, device: &Device) -> Link {
    // Of several ways, all go with one.
    namespace.routes.retain(|_, route| route.hops().all(|(out, _)| out != device));
    namespace.sysctls.retain(|sysctl, _| sysctl.scope != Scope::Link(device.clone()));
    namespace.links.remove(device).expect("a link to remove")
}

fn link<'a>(namespace: &'a mut Namespace, device: &Device) -> &'a mut Link {
    namespace.links.get_mut(device).expect("a link")
}

pub(crate) fn write(namespace: &mut Namespace, sysctl: &Sysctl, value: i32) {
    let slot = namespace.sysctls.get_mut(sysctl).expect("a setting is its link's");
    let changes = std::mem::replace(slot, value) != value;
    let spreads = matches!(sysctl.setting, LinkSetting::DisableIpv6 | LinkSetting::Forwarding)
        && sysctl.family == Family::V6
        && sysctl.scope == Scope::All
        && changes;
    if spreads {
        for (other, slot) in &mut namespace.sysctls {
            if other.setting == sysctl.setting && other.family == Family::V6 {
                *slot = value;
            }
        }
    }
    if sysctl.setting == LinkSetting::DisableIpv6 && value == 1 {
        let devices: Vec<Device> = match &sysctl.scope {
            Scope::Link(device) => vec![device.clone()],
            Scope::All => namespace.links.keys().cloned().collect(),
            Scope::Default => Vec::new(),
        };
        for device in devices {
            link(namespace, &device).addresses.retain(|address| address.address().is_ipv4());
            namespace.routes.retain(|key, route| {
                key.prefix.is_v4() || route.hops().all(|(out, _)| *out != device)
            });
        }
    }
}

fn add_address(namespace: &mut Namespace, device: &Device, address: InterfaceAddress) {
    if !address.address().is_ipv4() {
        let setting = LinkSetting::DisableIpv6;
        let off = Sysctl { family: Family::V6, scope: Scope::Link(device.clone()), setting };
        assert_eq!(namespace.sysctls.get(&off), Some(&0), "v6 is off on {device}");
        let twice = link(namespace, device)
            .addresses
            .iter()
            .any(|old| old.address() == address.address() && old.length() != address.length());
        assert!(!twice, "{address} is there with another length");
    }
    link(namespace, device).addresses.insert(address);
}

fn remove_address(namespace: &mut Namespace, device: &Device, address: InterfaceAddress) {
    link(namespace, device).addresses.remove(&address);
    let left: Vec<InterfaceAddress> = link(namespace, device).addresses.iter().copied().collect();
    let is_v4 = address.address().is_ipv4();
    let none_left = is_v4 && !left.iter().any(|left| left.address().is_ipv4());
    let still = left.iter().any(|left| left.address() == address.address());
    namespace.routes.retain(|key, route| {
        let source = match &route.target {
            RouteTarget::Link { source, .. } => *source,
            _ => None,
        };
        let lost_source = !still && source == Some(address.address());
        let lost = route.hops().filter(|(out, _)| *out == device).any(|(_, via)| {
            let flushed = is_v4 && none_left && key.prefix.is_v4();
            // Harsher than Linux, which keeps most of these.
            flushed || via.is_some_and(|via| address.network().contains(via))
        });
        !(lost_source || lost)
    });
}

/// What somebody does behind our back.
pub(crate) fn vandalize(kernel: &mut SimKernel, lot: &mut crate::random_config::Lot) {
    let tenants: Vec<TenantName> = kernel.state.tenants.keys().cloned().collect();
    if tenants.is_empty() {
        return;
    }
    let tenant = lot.pick(&tenants);
    let namespace = kernel.state.tenants.get_mut(&tenant).unwrap();
    let links: Vec<Device> = namespace.links.keys().cloned().collect();
    let routes: Vec<_> = namespace.routes.keys().copied().collect();
    match lot.below(9) {
        0 => namespace.ruleset = None,
        1 => {
            if let Some(ruleset) = &mut namespace.ruleset {
                for chain in ruleset.chains.values_mut() {
                    if lot.one_in(2) {
                        chain.rules.pop();
                    }
                }
            }
        }
        2 if !links.is_empty() => {
            let device = lot.pick(&links);
            if let Device::Managed(name) = device {
                kernel.step(&tenant, &Step::DeleteLink(name));
            }
        }
        3 if !routes.is_empty() => {
            namespace.routes.remove(&lot.pick(&routes));
        }
        4 if !routes.is_empty() => {
            let key = lot.pick(&routes);
            let route = namespace.routes[&key].clone();
            let other = lockgate::reconcile::RouteKey { metric: 7, ..key };
            namespace.routes.insert(other, route);
        }
        5 if !links.is_empty() => {
            let device = lot.pick(&links);
            let link = namespace.links.get_mut(&device).unwrap();
            if link.kind != LinkKind::Foreign {
                let extra = ["10.255.0.1/24", "172.16.130.2/25", "198.51.100.1/32"];
                link.addresses.insert(lot.pick(&extra).parse().unwrap());
            }
        }
        6 if !links.is_empty() => {
            let device = lot.pick(&links);
            if namespace.links[&device].kind != LinkKind::Foreign {
                // Down: the routes go with it.
                namespace.routes.retain(|_, route| route.hops().all(|(out, _)| *out != device));
                link(namespace, &device).up = false;
            }
        }
        7 => {
            let sysctls: Vec<Sysctl> = namespace.sysctls.keys().cloned().collect();
            let sysctl = lot.pick(&sysctls);
            write(namespace, &sysctl, 1);
        }
        8 if !links.is_empty() => {
            let device = lot.pick(&links);
            if let (Device::Managed(_), link) = (&device, link(namespace, &device)) {
                link.kind = LinkKind::Unrecognized;
                // Its peer, if any, is nobody's any more.
                kernel.underlay.retain(|name| !name.starts_with("app-"));
                let peers: Vec<String> = (kernel.state.tenants.values())
                    .flat_map(|namespace| namespace.links.values())
                    .filter_map(|link| match &link.kind {
                        LinkKind::Veth { peer } => Some(peer.to_string()),
                        _ => None,
                    })
                    .collect();
                kernel.underlay.extend(peers);
            }
        }
        _ => {}
    }
}

/// Everything foreign, to see that it outlives us.
pub(crate) fn foreign(kernel: &SimKernel) -> BTreeMap<String, BTreeSet<InterfaceAddress>> {
    let inside = kernel.state.tenants.values().flat_map(|namespace| &namespace.links);
    let inside = inside.filter(|(device, _)| matches!(device, Device::Foreign(_)));
    let none = |name: &String| (name.clone(), BTreeSet::new());
    let mut all: BTreeMap<_, _> =
        kernel.underlay.iter().filter(|name| !name.starts_with("app-")).map(none).collect();
    all.extend(inside.map(|(device, link)| {
        let own = link.kind == LinkKind::Foreign && device.as_str() == "eth0";
        (device.to_string(), if own { link.addresses.clone() } else { BTreeSet::new() })
    }));
    all
}
