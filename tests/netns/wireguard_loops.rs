//! Documents and routes by which a tunnel would lead into itself: every packet
//! the gateway seals would come back to be sealed again, until a core does
//! nothing else. It has to drop them, say so, and serve everybody else.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab};
use crate::wireguard_raw::RawCustomer;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, CUSTOMER_PORT, PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, V6, key,
    site_document, socket, tenant_document_on,
};
use lockgate::status::SiteState;

/// The customer's key, and a second one's.
const CUSTOMER: u8 = 7;
const OTHER: u8 = 8;

/// A network of the second site, and a device in it.
const OTHER_PREFIX: &str = "192.168.77.0/24";
const OTHER_DEVICE: &str = "192.168.77.10";

/// Packets that are sent into a loop.
const PACKETS: u64 = 20;

/// A gateway with two customers, one with a router and one played by the test.
struct Scene<'lab> {
    lab: &'lab Lab,
    stage: Stage<'lab>,
    gateway: Gateway<'lab>,
    other: RawCustomer,
    _router: Router<'lab>,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, netns: &str, outer: Addresses) -> Self {
        let stage = Stage::new(lab);
        lab.address("router", "uplink", &format!("{}/24", V4.router[1]));
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.argument(&["--netns", netns]);
        stage.link_app();
        gateway.write("documents.yaml", &documents(outer, &[], &[]));
        gateway.spawn();
        gateway.wait_programmed();
        let public = gateway.public_key(TENANT);
        let customer = Customer {
            endpoint: Some(socket(outer.gateway, PORT)),
            listen_port: Some(CUSTOMER_PORT),
            ..Customer::new(key(CUSTOMER), public)
        };
        let router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        let at = (public, socket(V4.gateway, PORT));
        let other = RawCustomer::new(lab, "router", V4.router[1], &key(OTHER), at);
        other.connect();
        let scene = Self { lab, stage, gateway, other, _router: router };
        scene.assert_served();
        scene.stage.wait_traffic("app", "device", outer.device);
        scene
    }

    /// The second customer is.
    fn assert_served(&self) {
        let echo = self.lab.udp_echo("app", socket(V4.app, 0));
        assert!(self.other.asks(OTHER_DEVICE, echo.address, b"somebody else"));
    }

    /// Packets sealed for any site.
    fn sealed(&self) -> u64 {
        let tenant = self.gateway.tenant(TENANT);
        tenant.sites.iter().map(|site| site.sent_packets.unwrap().0).sum()
    }

    /// Sends packets from the app, the first of them a large one, and waits
    /// until each was dropped for `reason`. None of them was sealed over again.
    fn send(&self, to: &str, port: u16, reason: &str) {
        let (sealed, dropped) = (self.sealed(), self.gateway.device_drops(TENANT, reason));
        let from = self.lab.udp("app", socket(if to.contains(':') { "::" } else { "0.0.0.0" }, 0));
        for number in 0..PACKETS {
            let payload = vec![7; if number == 0 { 1_300 } else { 100 }];
            from.send_to(&payload, socket(to, port)).unwrap();
        }
        self.gateway.wait_device_drops(TENANT, reason, dropped + PACKETS);
        let sealed = self.sealed() - sealed;
        assert!(sealed <= PACKETS, "{sealed} packets were sent for {PACKETS}");
    }
}

/// The documents of both sites, each with more prefixes than its own, and an
/// endpoint for the first.
fn documents(outer: Addresses, more: &[&str], others: &[&str]) -> String {
    let host = outer.router[0];
    let wireguard = format!("{TUNNEL}, endpoint: {{host: '{host}', port: {CUSTOMER_PORT}}}");
    let prefixes = [&PREFIXES, more].concat();
    let others = [&[OTHER_PREFIX], others].concat();
    let tunnel = "tunnelAddresses: [10.255.31.0/31]";
    tenant_document_on("interface: {name: fabric0", "")
        + &site_document(SITE, key(CUSTOMER).public(), &prefixes, &wireguard, "")
        + &site_document("other", key(OTHER).public(), &others, tunnel, "")
}

fn host(address: &str) -> String {
    format!("{address}/{}", if address.contains(':') { 128 } else { 32 })
}

/// In one namespace with its underlay, the route to a site's prefix is also the
/// way to its endpoint, when that is inside: such documents are not taken.
#[test]
fn an_endpoint_inside_its_own_prefix_is_refused() {
    lab::run(|lab| {
        let scene = Scene::new(lab, "current", V4);
        for outer in [V4, V6] {
            let errors =
                scene.gateway.apply_refused(&documents(outer, &[&host(outer.router[0])], &[]));
            assert!(
                errors.iter().all(|error| error.contains("its own packets would go back")),
                "{errors:?}"
            );
            assert_eq!(errors.len(), 1, "{errors:?}");
        }
        scene.stage.wait_traffic("app", "device", V4.device);
        scene.assert_served();
    });
}

/// Each site's endpoint is inside the other's prefixes, which no document says
/// that is read by itself.
fn inside_one_another(outer: Addresses) {
    lab::run(move |lab| {
        let scene = Scene::new(lab, "current", outer);
        let hq = host(outer.router[0]);
        let other = host(V4.router[1]);
        scene.gateway.apply(&documents(outer, &[&other], &[&hq]));
        scene.send(outer.device, 9, "send_refused");
        scene.send(OTHER_DEVICE, 9, "send_refused");
        scene.gateway.apply(&documents(outer, &[], &[]));
        scene.stage.wait_traffic("app", "device", outer.device);
        scene.assert_served();
    });
}

#[test]
fn tunnels_inside_one_another_took_a_core() {
    inside_one_another(V4);
}

#[test]
fn an_ipv6_tunnel_inside_another_took_a_core() {
    inside_one_another(V6);
}

/// The customer's router may be had at its outer address through the tunnel;
/// only its WireGuard is not.
fn inside_to_the_endpoint(outer: Addresses) {
    lab::run(move |lab| {
        let scene = Scene::new(lab, "per-tenant", outer);
        scene.gateway.apply(&documents(outer, &[&host(outer.router[0])], &[]));
        assert!(lab.ping("app", outer.router[0]));
        assert!(scene.stage.asks("app", "router", outer.router[0]));
        scene.send(outer.router[0], CUSTOMER_PORT, "routing_loop");
        scene.assert_served();
        scene.stage.wait_traffic("app", "device", outer.device);
    });
}

#[test]
fn what_is_at_an_endpoints_address_is_reached_and_its_tunnel_is_not() {
    inside_to_the_endpoint(V4);
}

#[test]
fn what_is_at_an_ipv6_endpoints_address_is_reached_and_its_tunnel_is_not() {
    inside_to_the_endpoint(V6);
}
