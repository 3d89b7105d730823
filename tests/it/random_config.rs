//! Configs by lot, from pools so small that two draws often meet: tenants have
//! the very same networks, sites overlap with other priorities, families mix.

use lockgate::model::{
    Allow, Attachment, Backend, BackendChoice, Class, Config, Direction, Fabric, FabricLink, Ipip,
    Placement, Ports, Protocol, Site, SitePrefix, Tenant, Vlan, VlanAttachment, VlanLink,
    VlanProtocol, WireGuardPeer,
};
use lockgate::net::{Mtu, PublicKey, TenantName, VlanId};
use std::net::IpAddr;
use std::sync::Arc;

/// A row of numbers that follows from its seed.
pub(crate) struct Lot(pub(crate) u64);

impl Lot {
    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Some of `from`, in order.
    pub(crate) fn some<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.one_in(2)).cloned().collect()
    }
}

/// A tenant with a veth fabric and nothing else.
pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant {
        name: TenantName::new(name, "gw").unwrap(),
        class: Arc::new(Class {
            name: "default".to_owned(),
            advertised_host: None,
            forbidden_prefixes: Vec::new(),
            allow_default_route: true,
            maximum_prefixes: 1_000,
            vpn_reflectors: Vec::new(),
        }),
        private_key: None,
        next_private_key: None,
        test_page: false,
        listen_port: 51_820,
        tunnel_mtu: Mtu::new(1420).unwrap(),
        backend: BackendChoice::default(),
        bounds_arp: true,
        app_prefixes: Vec::new(),
        nmaas_domain: None,
        fabric: Fabric {
            link: FabricLink::Veth { peer: format!("{name}-app").parse().unwrap() },
            addresses: Vec::new(),
            next_hops: Vec::new(),
            mtu: None,
            ipip: None,
            bgp: None,
        },
        sites: std::collections::BTreeMap::new(),
    }
}

/// A WireGuard site without `allow`.
pub(crate) fn site(name: &str, tunnel: &[&str], prefixes: &[&str]) -> Site {
    Site {
        name: name.parse().unwrap(),
        priority: 100,
        attachment: Attachment::WireGuard(WireGuardPeer {
            public_key: PublicKey::from_bytes([9; 32]).unwrap(),
            next_public_key: None,
            next_preshared_key: None,
            preshared_key: None,
            endpoint: None,
            keepalive: None,
            tunnel_addresses: tunnel.iter().map(|text| text.parse().unwrap()).collect(),
        }),
        prefixes: prefixes
            .iter()
            .map(|text| match text.split_once('=') {
                Some((real, alias)) => {
                    SitePrefix { real: real.parse().unwrap(), alias: Some(alias.parse().unwrap()) }
                }
                None => SitePrefix { real: text.parse().unwrap(), alias: None },
            })
            .collect(),
        bounds: None,
        allow: None,
        probes: Vec::new(),
        bgp: None,
    }
}

/// Makes of a site one on the VLAN `id` of `eth2`, with addresses of ours and
/// the customer's routers.
pub(crate) fn on_vlan(site: &mut Site, id: u32, addresses: &[&str], next_hops: &[&str]) {
    let vlan = Vlan {
        parent: "eth2".parse().unwrap(),
        id: VlanId::new(id).unwrap(),
        protocol: VlanProtocol::Dot1q,
        inner_id: None,
    };
    site.attachment = Attachment::Vlan(VlanAttachment {
        link: VlanLink::Tagged(vlan),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        next_hops: next_hops.iter().map(|text| text.parse().unwrap()).collect(),
        mtu: Mtu::new(1500).ok(),
    });
    for prefix in &mut site.prefixes {
        prefix.alias = None;
    }
}

/// A config of up to three tenants.
pub(crate) fn random_config(lot: &mut Lot, placement: Placement) -> Config {
    let mut config = Config::default();
    let names: &[&str] = match placement {
        Placement::PerTenant => &["acme", "bolt", "corp"],
        Placement::Current => &["acme"],
    };
    for (index, name) in names.iter().enumerate() {
        if !lot.one_in(5) {
            let tenant = random_tenant(lot, name, index, placement);
            config.tenants.insert(tenant.name.clone(), tenant.into());
        }
    }
    config
}

fn random_tenant(lot: &mut Lot, name: &str, index: usize, placement: Placement) -> Tenant {
    let mut tenant = tenant(name);
    let with_v6 = lot.one_in(2);
    let usable = |text: &&str| with_v6 || !text.contains("::");
    tenant.tunnel_mtu = Mtu::new(lot.pick(&[1280, 1420])).unwrap();
    tenant.test_page = lot.one_in(2);
    tenant.backend.backend = lot.pick(&[Backend::Userspace, Backend::Kernel]);
    let apps = ["10.136.40.0/24", "10.137.0.0/16", "172.16.130.0/24", "2001:db8:40::/64"];
    tenant.app_prefixes =
        lot.some(&apps).iter().filter(|t| usable(t)).map(|t| t.parse().unwrap()).collect();
    tenant.fabric.link = match (lot.below(4), placement) {
        (0, _) => FabricLink::Interface(format!("ens{index}").parse().unwrap()),
        (1, Placement::Current) => FabricLink::Pod("eth0".parse().unwrap()),
        _ => FabricLink::Veth { peer: lot.pick(&["app-a", "app-b"]).parse().unwrap() },
    };
    if let FabricLink::Veth { peer } = &mut tenant.fabric.link {
        *peer = format!("{peer}-{index}").parse().unwrap();
    }
    let pod = matches!(tenant.fabric.link, FabricLink::Pod(_));
    let addresses = ["172.16.130.2/24", "172.16.131.2/30", "2001:db8:f::2/64"];
    if !pod {
        tenant.fabric.addresses =
            lot.some(&addresses).iter().filter(|t| usable(t)).map(|t| t.parse().unwrap()).collect();
    }
    let hops = lot.some(&["172.16.130.1", "2001:db8:f::1"]);
    tenant.fabric.next_hops =
        hops.iter().filter(|t| usable(t)).map(|t| t.parse().unwrap()).collect();
    let own = tenant.fabric.addresses.iter().map(|own| own.address());
    let own = own.filter_map(|own| if let IpAddr::V4(own) = own { Some(own) } else { None }).next();
    if let Some(local) = own.filter(|_| lot.one_in(3)) {
        let nodes = lot.some(&["172.16.130.0/24", "172.29.0.0/24", "172.30.1.0/24"]);
        let nodes = nodes.iter().map(|text| text.parse().unwrap()).collect();
        tenant.fabric.ipip = Some(Ipip { local, nodes });
    }
    if lot.one_in(3) && !pod {
        tenant.fabric.mtu = Some(Mtu::new(9000).unwrap());
    }
    for (number, name) in ["hq", "lab", "plant"].into_iter().enumerate() {
        if lot.one_in(4) {
            continue;
        }
        let tunnels = [
            format!("10.255.{number}.0/31"),
            format!("10.255.{number}.0/30"),
            format!("fd00:{number}::/127"),
        ];
        let tunnels = lot.some(&tunnels);
        let tunnels: Vec<&str> = tunnels.iter().map(String::as_str).filter(usable).collect();
        let pool = [
            "192.168.1.0/24",
            "192.168.1.128/25",
            "192.168.0.0/16",
            "10.9.0.0/24=10.200.1.0/24",
            "2001:db8:aa::/48",
            "2001:db8:aa:1::/64",
        ];
        let prefixes: Vec<&str> = lot.some(&pool).into_iter().filter(usable).collect();
        let mut site = site(name, &tunnels, &prefixes);
        site.priority = 100 + number as u32;
        if lot.one_in(3) {
            let address = [format!("10.1.{number}.7/24"), format!("2001:db8:1:{number}::7/64")];
            let hop = [format!("10.1.{number}.1"), format!("2001:db8:1:{number}::1")];
            let families = if with_v6 { 2 } else { 1 };
            let words = |texts: &'_ [String]| -> Vec<String> { texts[..families].to_vec() };
            let (addresses, hops) = (words(&address), words(&hop));
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let hops: Vec<&str> = hops.iter().map(String::as_str).collect();
            on_vlan(&mut site, 10 * (index as u32 + 1) + number as u32, &addresses, &hops);
        }
        if lot.one_in(2) {
            site.allow = Some((0..lot.below(4)).map(|_| random_allow(lot)).collect());
        }
        tenant.sites.insert(site.name.clone(), site);
    }
    tenant
}

fn random_allow(lot: &mut Lot) -> Allow {
    let protocol =
        lot.pick(&[Protocol::Any, Protocol::Icmp, Protocol::Sctp, Protocol::Tcp, Protocol::Udp]);
    let ranges = [(22, 22), (161, 162), (5000, 5999)];
    let ports = match protocol {
        Protocol::Any | Protocol::Icmp => Vec::new(),
        Protocol::Sctp | Protocol::Tcp | Protocol::Udp => {
            lot.some(&ranges).into_iter().map(|(first, last)| Ports { first, last }).collect()
        }
    };
    Allow { direction: lot.pick(&[Direction::FromSite, Direction::ToSite]), protocol, ports }
}
