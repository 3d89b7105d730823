//! Packets that are too long for some part of the way: whoever sent them is
//! told, from an address it has business with, and TCP does not even have to be.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::path_mtu::{check, segment_sizes};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, FAMILIES, PORT, Stage, TENANT, V4, documents, key, socket,
};
use std::collections::BTreeSet;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// The MTU inside the tunnel, when the documents name none.
const TUNNEL_MTU: u16 = 1_420;

/// A tenant with its customer's router, which has dialled in.
fn connect<'lab>(lab: &'lab Lab, documents: &str) -> (Stage<'lab>, Gateway<'lab>, Router<'lab>) {
    let stage = Stage::new(lab);
    let gateway = stage.start(documents);
    let customer = Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    };
    let router = Router::start(lab, "router", Engine::any(), &customer);
    stage.wait_traffic("device", "app", V4.app);
    (stage, gateway, router)
}

fn usual() -> String {
    documents(key(CUSTOMER).public(), "", "")
}

/// Both ends have links of 1,500 and do not know of the tunnel between them.
#[test]
fn tcp_is_told_by_its_own_handshake_what_fits() {
    lab::run(|lab| {
        let (stage, _gateway, _router) = connect(lab, &usual());
        for family in FAMILIES {
            let headers = if family.app.contains(':') { 60 } else { 40 };
            let fits = TUNNEL_MTU - headers;
            for (from, to, address) in
                [("app", "device", family.device), ("device", "app", family.app)]
            {
                let captures = [("app", "apps"), ("device", "lan")];
                let captures = captures.map(|(at, link)| (at, lab.capture(at, link)));
                stage.tcp(from, to, address, 400_000);
                for (at, capture) in captures {
                    // Its own, which leaves as it is, and the other one's.
                    let sizes = segment_sizes(&capture);
                    let expected = BTreeSet::from([fits, 1_500 - headers]);
                    assert_eq!(sizes, expected, "{from} to {to}, at {at}");
                }
            }
        }
    });
}

fn for_each_family(check: impl Fn(Addresses)) {
    FAMILIES.into_iter().for_each(check);
}

/// V21: too long for the tunnel; the tenant's side of the gateway says so.
#[test]
fn an_application_is_told_what_fits_the_tunnel() {
    lab::run(|lab| {
        let (_stage, _gateway, _router) = connect(lab, &usual());
        for_each_family(|family| {
            let way = ("app", "device", family.device);
            check(lab, way, "apps", 1_500, family.fabric, TUNNEL_MTU);
        });
    });
}

/// Too long for the fabric's link: the gateway's end of the tunnel says so.
#[test]
fn a_device_is_told_what_fits_the_fabric() {
    lab::run(|lab| {
        let narrow = usual().replace("mtu: 1500", "mtu: 1300");
        assert_ne!(narrow, usual());
        let (_stage, _gateway, _router) = connect(lab, &narrow);
        lab.ip("app", "link set apps mtu 1300");
        for_each_family(|family| {
            let way = ("device", "app", family.app);
            check(lab, way, "lan", TUNNEL_MTU, family.tunnel[0], 1_300);
        });
    });
}

/// Too long for a link behind the customer's router: its end of the tunnel says
/// so, and the gateway lets that through.
#[test]
fn an_application_is_told_what_fits_behind_the_customers_router() {
    lab::run(|lab| {
        let (_stage, _gateway, _router) = connect(lab, &usual());
        lab.ip("router", "link set eth0 mtu 1300");
        lab.ip("device", "link set lan mtu 1300");
        for_each_family(|family| {
            let way = ("app", "device", family.device);
            check(lab, way, "apps", TUNNEL_MTU, family.tunnel[1], 1_300);
        });
    });
}

/// As the tunnel's MTU is set, so it is told.
#[test]
fn a_tunnels_mtu_is_what_the_documents_say() {
    lab::run(|lab| {
        let narrow = usual().replace("listenPort:", "tunnelMTU: 1280\n  listenPort:");
        assert_ne!(narrow, usual());
        let (stage, _gateway, _router) = connect(lab, &narrow);
        for_each_family(|family| {
            let way = ("app", "device", family.device);
            check(lab, way, "apps", 1_500, family.fabric, 1_280);
            stage.tcp("app", "device", family.device, 200_000);
        });
    });
}

/// The uplink becomes a DSL line with PPPoE while the gateway runs.
#[test]
fn a_tunnel_follows_the_mtu_of_the_uplink() {
    lab::run(|lab| {
        let (stage, _gateway, _router) = connect(lab, &usual());
        let is = |mtu: u16| {
            wait_until(&format!("a tunnel of {mtu}"), PATIENCE, || {
                let link = lab.ip("lockgate.acme.gw", "link show lg-wg");
                if link.contains(&format!("mtu {mtu} ")) { Ok(()) } else { Err(link) }
            });
        };
        is(TUNNEL_MTU);
        lab.ip(At::Underlay, "route add default via 198.51.100.2");
        lab.ip(At::Underlay, "link set up0 mtu 1492");
        is(TUNNEL_MTU - 8);
        stage.wait_traffic("app", "device", V4.device);
        lab.ip(At::Underlay, "link set up0 mtu 1500");
        is(TUNNEL_MTU);
    });
}
