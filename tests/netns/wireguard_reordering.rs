//! Packets that come in another order than they were sent.

use crate::gateway::{drops, site_of};
use crate::lab;
use crate::wireguard_flow::Stream;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, documents, key, socket};
use crate::wireguard_wire::{Order, Relay};
use lockgate::status::DropPlace;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// A path that holds a quarter of the packets back for up to four thousand
/// others. Among 8,128 the window still tells old from new.
#[test]
fn packets_that_were_overtaken_by_thousands_are_not_taken_for_replays() {
    const PACKETS: u64 = 40_000;
    /// Packets that were none of these.
    const BESIDES: u64 = 10;
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let order = Order::held_back(4_000, 0x2545_f491_4f6c_dd1d);
        let relay = Relay::start(lab, "router", V4.router[0], socket(V4.gateway, PORT), order);
        let customer = Customer {
            endpoint: Some(relay.near),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::newest(), &customer);
        stage.wait_traffic("device", "app", V4.app);
        let flow = Stream::start(lab, "device", "app", V4.app, 10_000, PACKETS);
        let (missing, sent) = flow.finish();
        let passed = relay.packets();
        gateway.wait("all that passed the relay to be counted", |snapshot| {
            let site = site_of(snapshot, TENANT, SITE).unwrap();
            let refused = drops(&snapshot.tenants[0], DropPlace::Datapath, "replayed");
            passed <= site.received_packets.unwrap().0 + refused
        });
        assert_eq!(gateway.device_drops(TENANT, "replayed"), 0, "of {passed}");
        // Some may not have come as far as the relay.
        assert!(PACKETS / 2 < passed, "{passed} of {sent} passed the relay");
        let came = sent - missing.len() as u64;
        assert!(passed <= came + BESIDES, "{came} of {passed} came to the application");
    });
}
