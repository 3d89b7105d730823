//! A tenant of two thousand sites, of which a few are there.

use crate::gateway::{Gateway, site_of};
use crate::lab::{self, At, Lab};
use crate::wireguard_flow::{Flow, Stream};
use crate::wireguard_raw::RawCustomer;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, key, site_document, socket, tenant_document,
};
use lockgate::net::PrivateKey;
use lockgate::status::SiteState;
use serde_json::Value;
use std::collections::BTreeSet;

/// The key of the one with a router and devices.
const CUSTOMER: u8 = 7;

/// All the others.
const OTHERS: u16 = 1_999;

/// Those of them that connect: the first, the last, some between.
const PRESENT: [u16; 5] = [0, 1, 777, 1_500, 1_998];

/// The one that changes meanwhile, and has what the last one has not.
const CHANGED: u16 = 1_234;

fn key_of(other: u16) -> PrivateKey {
    let [high, low] = other.to_be_bytes();
    let mut bytes = [high | 0x40; 32];
    bytes[16] = low;
    PrivateKey::from_random(bytes)
}

fn prefix_of(other: u16) -> String {
    let [high, low] = other.to_be_bytes();
    format!("10.{high}.{low}.0/24")
}

fn device_of(other: u16) -> String {
    prefix_of(other).replace(".0/24", ".10")
}

/// Everybody's documents; `changed` is the second prefix of one of them.
fn documents(changed: &str) -> String {
    let mut text = tenant_document("");
    text += &site_document(SITE, key(CUSTOMER).public(), &PREFIXES, TUNNEL, "");
    for other in 0..OTHERS {
        let own = prefix_of(other);
        let prefixes =
            if other == CHANGED { vec![own.as_str(), changed] } else { vec![own.as_str()] };
        text += &site_document(&format!("s{other}"), key_of(other).public(), &prefixes, "", "");
    }
    text
}

/// The table of peers, as a program reads it.
fn shown_peers(lab: &Lab, gateway: &Gateway<'_>) -> Vec<Value> {
    let runtime = gateway.path("run");
    let words = [
        env!("CARGO_BIN_EXE_lockgate"),
        "--runtime-dir",
        runtime.to_str().unwrap(),
        "show",
        "peers",
        "-o",
        "json",
    ];
    serde_json::from_str(&lab.command_output(At::Underlay, &words)).unwrap()
}

#[test]
fn two_thousand_sites_come_up_and_one_that_changes_disturbs_no_other() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents("10.100.0.0/24"));
        let public = gateway.public_key(TENANT);
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            ..Customer::new(key(CUSTOMER), public)
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        let echo = lab.udp_echo("app", socket(V4.app, 0));
        let present = PRESENT.map(|other| {
            let at = (public, socket(V4.gateway, PORT));
            let customer = RawCustomer::new(lab, "router", V4.router[0], &key_of(other), at);
            customer.connect();
            assert!(customer.asks(&device_of(other), echo.address, b"is it me?"), "site {other}");
            // As a router that heard something and has nothing to say: else it is called every
            // five seconds, and of what waits here by then this end answers eight at most.
            customer.send(&customer.seal(&[]));
            (other, customer)
        });
        let up: BTreeSet<String> =
            PRESENT.iter().map(|other| format!("s{other}")).chain([SITE.to_owned()]).collect();
        // Those that say nothing more are not up for long, and a look takes a while.
        let snapshot = gateway.wait("those that are there to have come up", |snapshot| {
            let sites = &snapshot.tenants[0].sites;
            let found = sites.iter().filter(|site| site.state != SiteState::NeverConnected);
            found.map(|site| site.name.to_string()).collect::<BTreeSet<_>>() == up
        });
        assert_eq!(snapshot.tenants[0].sites.len(), usize::from(OTHERS) + 1);
        let peers = shown_peers(lab, &gateway);
        assert_eq!(peers.len(), usize::from(OTHERS) + 1);

        let flows = [
            Stream::start(lab, "app", "device", V4.device, 200, u64::MAX),
            Stream::start(lab, "device", "app", V4.app, 200, u64::MAX),
        ];
        let questions = Flow::ask(lab, "app", "device", V4.device);
        let before = gateway.snapshot();
        gateway.apply(&documents("10.101.0.0/24"));
        questions.assert_unharmed();
        for flow in flows {
            flow.assert_unharmed("while another site changed");
        }
        for (other, customer) in &present {
            assert!(customer.asks(&device_of(*other), echo.address, b"still me"), "site {other}");
        }
        let after = gateway.snapshot();
        for name in up {
            let [before, after] = [&before, &after].map(|it| site_of(it, TENANT, &name).unwrap());
            assert_eq!(before.endpoint, after.endpoint, "{name}");
        }
        let handshakes = |snapshot| site_of(snapshot, TENANT, SITE).unwrap().handshakes;
        assert_eq!(handshakes(&before), handshakes(&after));
    });
}
