//! What takes time, or comes in another order than it was sent.
#![allow(clippy::disallowed_methods, reason = "two minutes are looked at now and then")]

use crate::gateway::{Gateway, drops, site_of};
use crate::lab::{self, wait_until};
use crate::wireguard_flow::Stream;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    CUSTOMER_PORT, PORT, SITE, Stage, TENANT, V4, documents, key, socket,
};
use crate::wireguard_wire::{Order, Relay};
use lockgate::status::{DropPlace, SiteState};
use std::thread;
use std::time::Duration;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// The newest stock one, where it is installed.
fn newest() -> Engine {
    let installed = Engine::installed();
    if installed.contains(&Engine::WireguardGo) { Engine::WireguardGo } else { Engine::any() }
}

fn handshakes(gateway: &Gateway<'_>) -> u64 {
    gateway.site(TENANT, SITE).handshakes.0
}

/// Who began the session renews it after 120 s, beside the traffic; each side
/// keeps the old one until nothing in it can still be on its way.
fn renewed(gateway_begins: bool) {
    lab::run(move |lab| {
        let stage = Stage::new(lab);
        let host = V4.router[0];
        let endpoint = format!("endpoint: {{host: {host}, port: {CUSTOMER_PORT}}}");
        let endpoint = if gateway_begins { endpoint } else { String::new() };
        let gateway = stage.start(&documents(key(CUSTOMER).public(), &endpoint, ""));
        let customer = Customer {
            endpoint: (!gateway_begins).then(|| socket(V4.gateway, PORT)),
            listen_port: Some(CUSTOMER_PORT),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", newest(), &customer);
        let first =
            if gateway_begins { ("app", "device", V4.device) } else { ("device", "app", V4.app) };
        stage.wait_traffic(first.0, first.1, first.2);
        let before = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(before.handshakes.0, 1);
        let flows = [
            Stream::start(lab, "app", "device", V4.device, 100, u64::MAX),
            Stream::start(lab, "device", "app", V4.app, 100, u64::MAX),
        ];
        wait_until("the next handshake", Duration::from_secs(130), || {
            thread::sleep(Duration::from_secs(1));
            let seen = handshakes(&gateway);
            if seen == 2 { Ok(()) } else { Err(seen) }
        });
        // What is sent in the new session alone.
        thread::sleep(Duration::from_secs(2));
        for flow in flows {
            flow.assert_unharmed(if gateway_begins { "we renewed" } else { "it renewed" });
        }
        let after = gateway.site(TENANT, SITE);
        assert_eq!(after.handshakes.0, 2);
        assert_eq!(after.handshake_timeouts, before.handshake_timeouts);
    });
}

#[test]
fn a_session_is_renewed_after_two_minutes_and_no_packet_is_lost() {
    thread::scope(|scope| {
        scope.spawn(|| renewed(false));
        scope.spawn(|| renewed(true));
    });
}

/// A path that holds a quarter of the packets back for up to four thousand
/// others. Of 8,128 the window still tells old from new.
#[test]
fn packets_that_were_overtaken_by_thousands_are_not_taken_for_replays() {
    const PACKETS: u64 = 40_000;
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let order = Order::held_back(4_000, 0x2545_f491_4f6c_dd1d);
        let relay = Relay::start(lab, "router", V4.router[0], socket(V4.gateway, PORT), order);
        let customer = Customer {
            endpoint: Some(relay.near),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", newest(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        let flow = Stream::start(lab, "device", "app", V4.app, 10_000, PACKETS);
        let (missing, sent) = flow.finish();
        assert_eq!(sent, PACKETS);
        let passed = relay.packets();
        gateway.wait("all that passed the relay to be counted", |snapshot| {
            let site = site_of(snapshot, TENANT, SITE).unwrap();
            let refused = drops(&snapshot.tenants[0], DropPlace::Datapath, "replayed");
            passed <= site.received_packets.0 + refused
        });
        assert_eq!(gateway.device_drops(TENANT, "replayed"), 0, "of {passed}");
        assert!(missing.is_empty(), "{} of {sent} lost", missing.len());
    });
}
