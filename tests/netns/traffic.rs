//! What a tenant's traffic meets on its way: addresses that stay as they are,
//! and a namespace in which nothing listens.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    FAMILIES, PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, V6, documents, key, site_document,
    socket,
};
use lockgate::status::SiteState;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The customer's key.
const CUSTOMER: u8 = 7;

/// The tenant's namespace.
const NETNS: &str = "lockgate.acme.gw";

/// The port of syslog.
const SYSLOG: u16 = 514;

fn customer(gateway: &Gateway<'_>) -> Customer {
    Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        keepalive: 1,
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    }
}

/// Messages are filed by their source address, so no address may be another's.
#[test]
fn messages_of_sixteen_devices_keep_their_source_addresses() {
    const DEVICES: usize = 16;
    const MESSAGES: usize = 25;
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let _router = Router::start(lab, "router", Engine::any(), &customer(&gateway));
        for family in FAMILIES {
            stage.wait_traffic("device", "app", family.app);
        }
        for (family, network, length) in [(V4, "192.168.1.1", 24), (V6, "2001:db8:aa::1", 64)] {
            let app = lab.udp("app", socket(family.app, SYSLOG));
            let devices: Vec<IpAddr> = (0..DEVICES)
                .map(|number| {
                    let address = format!("{network}{number:02}");
                    lab.address("device", "lan", &format!("{address}/{length}"));
                    address.parse().unwrap()
                })
                .collect();
            let sockets: Vec<_> = devices
                .iter()
                .map(|address| lab.udp("device", SocketAddr::new(*address, SYSLOG)))
                .collect();
            let mut filed: BTreeMap<SocketAddr, usize> = BTreeMap::new();
            let mut room = [0; 256];
            for _ in 0..MESSAGES {
                for (socket, address) in sockets.iter().zip(&devices) {
                    let message = format!("<165>1 - {address} ifd - - - link down");
                    socket.send_to(message.as_bytes(), (family.app, SYSLOG)).unwrap();
                }
                for _ in &devices {
                    let (len, from) = app.recv_from(&mut room).expect("every message arrives");
                    let text = String::from_utf8_lossy(&room[..len]);
                    assert!(text.contains(&format!(" {} ", from.ip())), "from {from}: {text}");
                    *filed.entry(from).or_default() += 1;
                }
            }
            let all = devices.iter().map(|it| (SocketAddr::new(*it, SYSLOG), MESSAGES));
            assert_eq!(filed, all.collect());
        }
    });
}

/// The sockets at `at`, of every protocol that belongs to a namespace.
fn sockets<'a>(lab: &Lab, at: impl Into<At<'a>>) -> Vec<String> {
    let protocols = ["tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "icmp", "icmp6"];
    lab.within(at, || {
        let mut found = Vec::new();
        for protocol in protocols {
            let file = format!("/proc/thread-self/net/{protocol}");
            // Not every kernel has every one.
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let rows = text.lines().skip(1);
            found.extend(rows.map(|row| format!("{protocol} {}", row.trim())));
        }
        found
    })
}

#[test]
fn nothing_listens_in_the_tenants_namespace() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let before = sockets(lab, At::Underlay).len();
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let _router = Router::start(lab, "router", Engine::any(), &customer(&gateway));
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        for family in FAMILIES {
            stage.assert_traffic(family);
        }
        assert_eq!(sockets(lab, NETNS), Vec::<String>::new());
        // The port the customer dials is in the underlay, and is all there is.
        let outside = sockets(lab, At::Underlay);
        assert_eq!(outside.len(), before + 1, "{outside:#?}");
        let port = format!(":{PORT:04X} ");
        assert!(outside.iter().any(|row| row.starts_with("udp") && row.contains(&port)));
        // From inside the tenant's namespace the underlay is nowhere.
        for family in FAMILIES {
            for address in [family.gateway, family.router[0]] {
                let ping = ["ping", "-c1", "-W1", address];
                assert!(!lab.output(NETNS, &ping).status.success(), "{address} answers");
            }
        }
    });
}

/// In a pod: one tenant, no other user's rights and no capability but one.
#[test]
fn with_net_admin_alone_a_tenant_is_served_in_the_current_namespace() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        lab.veth((At::Underlay, "eth0"), (At::Netns("app"), "apps"));
        for (family, length) in [(V4, 24), (V6, 64)] {
            lab.address(At::Underlay, "eth0", &format!("{}/{length}", family.fabric));
            lab.address("app", "apps", &format!("{}/{length}", family.app));
        }
        lab.route("app", "default", V4.fabric);
        lab.ip("app", &format!("-6 route add default via {}", V6.fabric));
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.argument(&["--netns", "current"]);
        gateway.write(
            "documents.yaml",
            &format!(
                "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  listenPort: {PORT}
  appPrefixes: [10.136.40.0/24, '2001:db8:40::/64']
{}",
                site_document(SITE, key(CUSTOMER).public(), &PREFIXES, TUNNEL, "")
            ),
        );
        gateway.spawn_with_net_admin_alone();
        gateway.wait_programmed();
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}: {status}")).split_whitespace().next().unwrap()
        };
        // CAP_NET_ADMIN is the capability of number 12.
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000001000", "{set}");
        }
        assert_ne!(field("Uid:"), "0");
        let _router = Router::start(lab, "router", Engine::any(), &customer(&gateway));
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        for family in FAMILIES {
            stage.assert_traffic(family);
        }
        assert!(gateway.terminate().success(), "{}", gateway.log());
        wait_until("the tunnel's link to go", PATIENCE, || {
            let links = lab.ip(At::Underlay, "-br link");
            if links.contains("lg-wg") { Err(links) } else { Ok(()) }
        });
    });
}
