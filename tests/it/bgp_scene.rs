//! A tenant in the cluster that was reported: nodes 10.1.0.6–10.1.0.10, the
//! global peer 10.1.0.113, and what its neighbors say.

use crate::random_config;
use lockgate::bgp::{
    Announcement, AsPath, AsSegment, Attributes, ImportPolicy, Multipath, NeighborName,
    NeighborSettings, Nlri, Origin, Rib, Surroundings, Update,
};
use lockgate::model::{
    Attachment, BgpExport, BgpImport, BgpNeighbor, Class, FabricBgp, FabricLink, ImportPrefix,
    NeighborAt, Site, SiteBgp, SitePrefix, Tenant, VlanAttachment, VlanLink, WireGuardPeer,
};
use lockgate::net::{Asn, PublicKey};
use lockgate::reconcile::{KernelState, Namespace};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// The cluster's own AS, as Calico has it by default.
pub(crate) const CLUSTER: u32 = 64_512;

/// The blocks of the reported cluster and the nodes that have them. The first is
/// a blackhole on its own node, which announces it all the same.
pub(crate) const BLOCKS: [(&str, &str); 5] = [
    ("192.168.18.128/26", "10.1.0.6"),
    ("192.168.72.64/26", "10.1.0.8"),
    ("192.168.127.192/26", "10.1.0.7"),
    ("192.168.165.128/26", "10.1.0.9"),
    ("192.168.229.192/26", "10.1.0.10"),
];

pub(crate) fn import(prefix: &str, ge: u8, le: u8) -> ImportPrefix {
    ImportPrefix { prefix: prefix.parse().unwrap(), ge, le }
}

pub(crate) fn fabric_neighbor(name: &str, address: &str, asn: u32) -> BgpNeighbor {
    BgpNeighbor {
        name: name.to_owned(),
        at: NeighborAt::Address(address.parse().unwrap()),
        remote_asn: Asn::new(asn).unwrap(),
        bfd: false,
        ttl_security: None,
        role: None,
        strict_role: false,
        allow_own_asn: 0,
        long_lived: Duration::ZERO,
        password: None,
    }
}

/// A tenant beside the nodes, with two sites: `hq` in a tunnel, whose network has
/// an alias, and `lab` on a VLAN.
pub(crate) fn tenant() -> Tenant {
    let mut tenant = random_config::tenant("acme");
    tenant.class = Arc::new(Class {
        name: "default".to_owned(),
        advertised_host: None,
        forbidden_prefixes: vec!["10.96.0.0/12".parse().unwrap()],
        allow_default_route: false,
        maximum_prefixes: 1_000,
        vpn_reflectors: Vec::new(),
    });
    tenant.app_prefixes = vec!["192.168.0.0/16".parse().unwrap()];
    tenant.fabric.link = FabricLink::Interface("ens1".parse().unwrap());
    tenant.fabric.addresses = vec!["10.1.0.20/24".parse().unwrap()];
    tenant.fabric.bgp = Some(FabricBgp {
        local_asn: Asn::new(CLUSTER).unwrap(),
        router_id: Ipv4Addr::new(10, 1, 0, 20),
        neighbors: vec![
            fabric_neighbor("peer", "10.1.0.113", CLUSTER),
            fabric_neighbor("second", "10.1.0.114", CLUSTER),
            fabric_neighbor("tor", "10.1.0.1", 65_001),
        ],
        import: BgpImport {
            prefixes: vec![import("192.168.0.0/16", 26, 32), import("10.8.0.0/16", 24, 32)],
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: vec!["64512:40".parse().unwrap()],
            maximum_prefixes: 1_000,
            restart_after: Duration::from_secs(300),
        },
        export: BgpExport { med: Some(50), ..BgpExport::default() },
    });
    let peer = WireGuardPeer {
        public_key: PublicKey::from_bytes([9; 32]).unwrap(),
        next_public_key: None,
        next_preshared_key: None,
        preshared_key: None,
        endpoint: None,
        keepalive: None,
        tunnel_addresses: vec!["10.255.30.0/31".parse().unwrap()],
    };
    let prefix = |real: &str, alias: Option<&str>| SitePrefix {
        real: real.parse().unwrap(),
        alias: alias.map(|alias| alias.parse().unwrap()),
    };
    let site = |name: &str, attachment, prefixes, neighbor: &str| Site {
        name: name.parse().unwrap(),
        priority: 100,
        attachment,
        prefixes,
        bounds: None,
        allow: None,
        probes: Vec::new(),
        bgp: Some(SiteBgp {
            remote_asn: Asn::new(65_010).unwrap(),
            neighbor: neighbor.parse().unwrap(),
            password: None,
            maximum_prefixes: 50,
            restart_after: Duration::from_secs(300),
            hold_time: Duration::from_secs(90),
            role: None,
            strict_role: false,
        }),
    };
    let hq = site(
        "hq",
        Attachment::WireGuard(peer),
        vec![prefix("192.168.1.0/24", Some("10.200.1.0/24")), prefix("172.20.0.0/16", None)],
        "10.255.30.1",
    );
    let vlan = VlanAttachment {
        link: VlanLink::Interface("ens2".parse().unwrap()),
        addresses: vec!["172.30.0.1/24".parse().unwrap()],
        next_hops: vec!["172.30.0.2".parse().unwrap()],
        mtu: None,
    };
    let lab = site("lab", Attachment::Vlan(vlan), vec![prefix("10.64.0.0/16", None)], "172.30.0.2");
    tenant.sites = [hq, lab].into_iter().map(|site| (site.name.clone(), site)).collect();
    tenant
}

/// What the tenant's namespace holds while everything is there.
pub(crate) fn namespace(more: &str) -> Namespace {
    let text = format!(
        "netns acme/gw
           link ens1 moved mtu 1500 up 10.1.0.20/24
           link ens2 moved mtu 1500 up 172.30.0.1/24
           link lg-wg tun mtu 1420 up 10.255.30.0/31
           route 0.0.0.0/0 metric 4294967295 unreachable
           {more}"
    );
    let mut state: KernelState = text.parse().unwrap();
    state.tenants.pop_first().unwrap().1
}

pub(crate) fn name(name: &str) -> NeighborName {
    match name.split_once('/') {
        Some(("reflector", name)) => NeighborName::Reflector(name.to_owned()),
        Some(("site", site)) => NeighborName::Site(site.parse().unwrap()),
        Some((range, address)) => {
            NeighborName::Dynamic { range: range.to_owned(), address: address.parse().unwrap() }
        }
        None => NeighborName::Fabric(name.to_owned()),
    }
}

pub(crate) fn policy(tenant: &Tenant, neighbor: &str) -> ImportPolicy {
    let bgp = tenant.fabric.bgp.as_ref().unwrap();
    match name(neighbor) {
        NeighborName::Fabric(name) | NeighborName::Dynamic { range: name, .. } => {
            let neighbor = bgp.neighbors.iter().find(|it| it.name == name).unwrap();
            ImportPolicy::fabric(tenant, bgp, neighbor)
        }
        NeighborName::Reflector(name) => {
            let reflector = tenant.class.vpn_reflectors.iter().find(|it| it.name == name).unwrap();
            ImportPolicy::reflector(tenant, bgp, reflector)
        }
        NeighborName::Site(site) => {
            let site = &tenant.sites[&site];
            ImportPolicy::site(tenant, bgp, site, site.bgp.as_ref().unwrap())
        }
    }
}

pub(crate) fn settings(tenant: &Tenant, neighbor: &str) -> NeighborSettings {
    let bgp = tenant.fabric.bgp.as_ref().unwrap();
    let (address, maximum_prefixes) = match name(neighbor) {
        NeighborName::Fabric(name) | NeighborName::Dynamic { range: name, .. } => {
            let neighbor = bgp.neighbors.iter().find(|it| it.name == name).unwrap();
            (neighbor.network().address(), bgp.import.maximum_prefixes)
        }
        NeighborName::Reflector(name) => {
            let reflector = tenant.class.vpn_reflectors.iter().find(|it| it.name == name).unwrap();
            (reflector.address, bgp.import.maximum_prefixes)
        }
        NeighborName::Site(site) => {
            let router = tenant.sites[&site].bgp.as_ref().unwrap();
            (router.neighbor, router.maximum_prefixes)
        }
    };
    NeighborSettings { address, policy: policy(tenant, neighbor), maximum_prefixes }
}

pub(crate) fn router_id(neighbor: &str) -> Ipv4Addr {
    Ipv4Addr::new(1, 1, 1, neighbor.bytes().fold(0, u8::wrapping_add))
}

/// Every neighbor of `tenant`, up, and a namespace in which everything is there.
pub(crate) fn rib_of(tenant: &Tenant, multipath: Multipath, more: &str) -> Rib {
    let mut rib = Rib::new(multipath);
    surround(&mut rib, tenant, &namespace(more));
    for neighbor in ["peer", "second", "tor", "site/hq", "site/lab"] {
        rib.set_neighbor(name(neighbor), settings(tenant, neighbor));
        rib.neighbor_up(&name(neighbor), router_id(neighbor), &BTreeSet::new());
    }
    rib
}

pub(crate) fn rib() -> Rib {
    rib_of(&tenant(), Multipath::default(), "")
}

pub(crate) fn surround(rib: &mut Rib, tenant: &Tenant, namespace: &Namespace) {
    let sites = tenant.sites.values();
    let sites: BTreeMap<_, _> =
        sites.map(|site| (site.name.clone(), Surroundings::site(site, namespace))).collect();
    rib.set_surroundings(Surroundings::fabric(tenant, namespace), sites);
}

/// What a node of the cluster says of its own: no AS before it.
pub(crate) fn attributes(next_hop: &str, path: &[u32]) -> Attributes {
    let segment = AsSegment::Sequence(path.to_vec());
    Attributes {
        origin: Origin::Igp,
        as_path: AsPath(if path.is_empty() { Vec::new() } else { vec![segment] }),
        next_hop: next_hop.parse::<IpAddr>().unwrap(),
        link_local: None,
        med: None,
        local_pref: None,
        originator_id: None,
        cluster_list: Vec::new(),
        communities: Vec::new(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        otc: None,
    }
}

pub(crate) fn nlri(prefix: &str) -> Nlri {
    Nlri { prefix: prefix.parse().unwrap(), distinguisher: None, path_id: 0 }
}

pub(crate) fn announce(attributes: Attributes, nlri: Vec<Nlri>) -> Update {
    let announced = vec![Announcement { attributes: Arc::new(attributes), nlri }];
    Update { withdrawn: Vec::new(), announced }
}

pub(crate) fn withdraw(prefix: &str) -> Update {
    Update { withdrawn: vec![nlri(prefix)], announced: Vec::new() }
}

/// `prefix` of the neighbor, said by next hop and path alone.
pub(crate) fn say(rib: &mut Rib, neighbor: &str, prefix: &str, next_hop: &str, path: &[u32]) {
    let update = announce(attributes(next_hop, path), vec![nlri(prefix)]);
    assert_eq!(rib.update(&name(neighbor), &update), None);
}

/// Routes as the kernel is to hold them, a line each.
pub(crate) fn shown(rib: &mut Rib) -> String {
    rib.routes().iter().map(|(key, route)| format!("{key} {route}\n")).collect()
}

/// The states of every path to `prefix`, a line each.
pub(crate) fn explained(rib: &mut Rib, prefix: &str) -> Vec<String> {
    rib.settle();
    let explained = rib.explain(prefix.parse().unwrap());
    explained.iter().flat_map(|it| &it.paths).map(ToString::to_string).collect()
}
