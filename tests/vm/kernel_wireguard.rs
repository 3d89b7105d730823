//! Tunnels that the kernel carries: the same gateway, the same customers, with
//! the device in the kernel.

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    CUSTOMER_PORT, FAMILIES, PORT, SITE, Stage, TENANT, V4, V6, documents, key, psk, site_document,
    socket, tenant_document,
};
use lockgate::net::PublicKey;
use lockgate::status::{Backend, ConditionReason, ConditionType, SiteState};
use std::collections::BTreeMap;
use std::time::Duration;

/// The customer's key.
pub(crate) const CUSTOMER: u8 = 7;

/// The tenant's namespace.
pub(crate) const NETNS: &str = "lockgate.acme.gw";

/// Documents whose tenants' tunnels are the kernel's.
pub(crate) fn in_kernel(documents: &str) -> String {
    documents.replace("backend: Userspace", "backend: Kernel")
}

/// One that has chosen by itself.
fn by_choice(documents: &str) -> String {
    documents.replace("backend: Userspace", "backend: Auto")
}

/// The usual customer, who dials in.
pub(crate) fn customer(gateway: &Gateway<'_>) -> Customer {
    Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    }
}

/// A peer as `wg show dump` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) endpoint: String,
    pub(crate) allowed_ips: Vec<String>,
    pub(crate) handshake: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) keepalive: String,
}

/// The peers of the tenant's device, as the kernel's own tool shows them.
pub(crate) fn shown(lab: &Lab) -> BTreeMap<String, Shown> {
    let dump = lab.command_output(NETNS, &["wg", "show", "lg-wg", "dump"]);
    let peers = dump.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split('\t').collect();
        let [key, _, endpoint, allowed, handshake, received, sent, keepalive] = words[..] else {
            panic!("{line}")
        };
        let mut allowed_ips: Vec<String> = allowed.split(',').map(str::to_owned).collect();
        allowed_ips.sort();
        let peer = Shown {
            endpoint: endpoint.to_owned(),
            allowed_ips,
            handshake: handshake.parse().unwrap(),
            received: received.parse().unwrap(),
            sent: sent.parse().unwrap(),
            keepalive: keepalive.to_owned(),
        };
        (key.to_owned(), peer)
    });
    peers.collect()
}

pub(crate) fn peer(lab: &Lab, key: PublicKey) -> Shown {
    shown(lab).remove(&key.to_string()).expect("the device has the peer")
}

/// A customer with a stock WireGuard, and one with ours: with a preshared key,
/// both families inside, one or the other outside.
#[test]
fn a_kernel_device_serves_customers_as_ours_does() {
    for (engine, outer) in [(Engine::any(), V4), (Engine::Lockgate, V6)] {
        links::run(move |lab| {
            let stage = Stage::new(lab);
            let secret = "presharedKeySecretRef: {name: psk, key: psk}";
            let text = by_choice(&documents(key(CUSTOMER).public(), secret, ""));
            let mut gateway = Gateway::new(lab, At::Underlay);
            gateway.secret("acme", "psk", "psk", psk(1).to_base64().as_str());
            gateway.write("documents.yaml", &text);
            gateway.spawn();
            gateway.wait_programmed();
            stage.attach_app();
            let tenant = gateway.tenant(TENANT);
            assert_eq!(tenant.backend, Backend::Kernel);
            assert_eq!(tenant.backend_reason, "the kernel has WireGuard");
            let customer = Customer {
                endpoint: Some(socket(outer.gateway, PORT)),
                psk: Some(psk(1)),
                ..customer(&gateway)
            };
            let _router = Router::start(lab, "router", engine, &customer);
            stage.wait_traffic("device", "app", V4.app);
            for family in FAMILIES {
                stage.assert_traffic(family);
            }
            let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
            assert_eq!(site.endpoint.unwrap().ip().to_string(), outer.router[0], "{engine:?}");
            // And the datagrams leave by the underlay: the tenant's namespace has
            // no socket.
            assert_eq!(lab.command_output(NETNS, &["ss", "-Hulpn"]), "");
        });
    }
}

/// What `wg` shows is what the status shows, and both follow a customer.
#[test]
fn a_customer_that_moves_is_followed_and_the_status_agrees_with_wg() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let keepalive = "persistentKeepaliveSeconds: 25";
        let gateway = stage.start(&in_kernel(&documents(key(CUSTOMER).public(), keepalive, "")));
        let mut customer = customer(&gateway);
        let mut router = Router::start(lab, "router", Engine::any(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        let handshake = peer(lab, key(CUSTOMER).public()).handshake;
        customer.endpoint = Some(socket(V6.gateway, PORT));
        router.redirect(&customer);
        wait_until("the customer to be heard from its other address", PATIENCE, || {
            let is_answered = stage.asks("device", "app", V4.app);
            let endpoint = gateway.site(TENANT, SITE).endpoint;
            let moved = endpoint.is_some_and(|it| it.ip().to_string() == V6.router[0]);
            if is_answered && moved { Ok(()) } else { Err((is_answered, endpoint)) }
        });
        assert!(stage.asks("app", "device", V4.device));
        wait_until("the status to agree with `wg`", PATIENCE, || {
            let (peer, site) = (peer(lab, key(CUSTOMER).public()), gateway.site(TENANT, SITE));
            let agree = site.endpoint.map(|it| it.to_string()) == Some(peer.endpoint.clone())
                && site.last_handshake_time.map(|at| at.seconds()) == Some(peer.handshake)
                && site.received_bytes.0 == peer.received
                && site.sent_bytes.0 == peer.sent;
            if agree { Ok(()) } else { Err((peer, Box::new(site))) }
        });
        let peer = peer(lab, key(CUSTOMER).public());
        assert_eq!(peer.handshake, handshake, "it is the same session");
        assert_eq!(peer.keepalive, "25");
        let expected =
            ["10.255.30.1/32", "192.168.1.0/24", "2001:db8:aa::/64", "fd00:255:30::1/128"];
        assert_eq!(peer.allowed_ips, expected);
        let site = gateway.site(TENANT, SITE);
        assert_eq!((site.received_packets, site.handshakes.0), (None, 1));
    });
}

/// A site that is called, by a kernel's device that was set up for it alone; and
/// in the namespace the gateway is in, as in a pod.
#[test]
fn a_customer_is_called_from_a_single_namespace() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        stage.link_app();
        let endpoint = format!("endpoint: {{host: {}, port: {CUSTOMER_PORT}}}", V4.router[0]);
        let text = in_kernel(&documents(key(CUSTOMER).public(), &endpoint, ""))
            .replace("veth: {peer: apps", "interface: {name: fabric0");
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.argument(&["--netns", "current"]);
        gateway.write("documents.yaml", &text);
        gateway.spawn();
        gateway.wait_programmed();
        let customer =
            Customer { endpoint: None, listen_port: Some(CUSTOMER_PORT), ..customer(&gateway) };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.endpoint, Some(socket(V4.router[0], CUSTOMER_PORT)));
        stage.wait_traffic("app", "device", V4.device);
        assert!(gateway.terminate().success());
        assert!(!lab.ip(At::Underlay, "link").contains("lg-wg"));
        assert!(lab.ip(At::Underlay, "link").contains("fabric0"));
    });
}

/// From one backend to the other and back; and an alias, for which the choice
/// falls on ours.
#[test]
fn a_tenant_changes_over_to_the_other_backend() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let text = documents(key(CUSTOMER).public(), "", "");
        let gateway = stage.start(&text);
        let customer = Customer { keepalive: 1, ..customer(&gateway) };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        for (text, kind, reason) in [
            (by_choice(&text), "wireguard", "the kernel has WireGuard"),
            (text.clone(), "tun", "asked for"),
            (in_kernel(&text), "wireguard", "asked for"),
            (
                by_choice(&text).replace(
                    "{cidr: '192.168.1.0/24'}",
                    "{cidr: 192.168.1.0/24, alias: 10.200.1.0/24}",
                ),
                "tun",
                "site hq has an alias",
            ),
        ] {
            gateway.apply(&text);
            stage.wait_traffic("device", "app", V6.app);
            assert_eq!(gateway.tenant(TENANT).backend_reason, reason);
            let link = lab.ip(NETNS, "-d link show lg-wg");
            assert!(link.contains(kind), "{link}");
            gateway.wait_state(TENANT, SITE, SiteState::Up);
        }
    });
}

/// A preshared key that differs keeps a customer out, and one that is changed
/// ends the session it was not needed for.
#[test]
fn another_preshared_key_is_needed_at_once() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&in_kernel(&documents(key(CUSTOMER).public(), "", "")));
        let customer = customer(&gateway);
        let mut router = Router::start(lab, "router", Engine::any(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        gateway.secret("acme", "psk", "psk", psk(1).to_base64().as_str());
        let secret = "presharedKeySecretRef: {name: psk, key: psk}";
        gateway.apply(&in_kernel(&documents(key(CUSTOMER).public(), secret, "")));
        assert!(!stage.asks("app", "device", V4.device));
        router.configure(&Customer { psk: Some(psk(1)), ..customer });
        stage.wait_traffic("device", "app", V4.app);
    });
}

/// Sites with so many networks that they are told in more messages than one and
/// read back in more, one of them in the middle of its list.
#[test]
fn many_networks_are_told_and_read_back() {
    links::run(|lab| {
        let _stage = Stage::new(lab);
        let of = |number: u8| if number == 30 { 700_u16 } else { 8 };
        let sites = (0..60_u8).map(|number| {
            let network =
                |one: u16| format!("10.{}.{}.{}/30", 100 + number, one / 64, one % 64 * 4);
            let prefixes: Vec<String> = (0..of(number)).map(network).collect();
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let tunnel = format!("tunnelAddresses: [10.255.{number}.0/31]");
            let public = key(100 + number).public();
            site_document(&format!("s{number}"), public, &prefixes, &tunnel, "")
        });
        let text = in_kernel(&(tenant_document("") + &sites.collect::<String>()));
        let mut gateway = Gateway::start(lab, At::Underlay, &text);
        let kernel = shown(lab);
        for number in 0..60 {
            let allowed = &kernel[&key(100 + number).public().to_string()].allowed_ips;
            assert_eq!(allowed.len(), usize::from(of(number)) + 1, "{number}");
        }
        assert_eq!(kernel.len(), 60);
        // Read back as they were told: nothing is put right afterwards.
        gateway.kill();
        gateway.spawn();
        gateway.wait_programmed();
        assert_eq!(shown(lab), kernel);
        let begun = gateway.snapshot().taken;
        gateway
            .wait("some samples", |snapshot| Duration::from_secs(4) <= snapshot.taken.since(begun));
        assert!(!gateway.log().contains("another hand"), "{}", gateway.log());
    });
}

/// Another program has the port: the tenant's condition says so, and once the
/// port is free it is served.
#[test]
fn a_port_that_is_taken_is_told_and_waited_for() {
    links::run(|lab| {
        let stage = Stage::new(lab);
        let taken = lab.udp(At::Underlay, socket("0.0.0.0", PORT));
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &in_kernel(&documents(key(CUSTOMER).public(), "", "")));
        gateway.spawn();
        gateway.wait("the taken port to be told", |snapshot| {
            let tenant = snapshot.tenants.first();
            let programmed = tenant.and_then(|it| it.conditions.find(ConditionType::Programmed));
            programmed.is_some_and(|it| {
                it.reason == ConditionReason::DeviceFailed
                    && it.message.contains(&format!("UDP port {PORT} is taken"))
            })
        });
        drop(taken);
        gateway.wait_programmed();
        stage.attach_app();
        let _router = Router::start(lab, "router", Engine::any(), &customer(&gateway));
        stage.wait_traffic("device", "app", V4.app);
    });
}
