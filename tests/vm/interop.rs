//! The kernel's WireGuard and ours at the two ends of one tunnel, either of them
//! the gateway's: the customer moves, and the session is renewed when its time
//! has come, and nothing stops for it.

use crate::kernel_wireguard::{CUSTOMER, customer, in_kernel, peer};
use crate::lab::{Lab, PATIENCE, wait_until};
use crate::links::{self, Peer};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, PORT, SITE, Stage, TENANT, V4, V6, documents, key, socket,
};
use lockgate::status::{Backend, SiteState};
use std::fmt::Debug;
use std::time::Duration;

/// Longer than who began a session waits before it begins the next: 120 s
/// (WireGuard paper §6.1).
const RENEWED: Duration = Duration::from_secs(150);

/// Waits until the customer is heard from `address`.
fn is_at(stage: &Stage<'_>, endpoint: &impl Fn() -> String, address: &str) {
    wait_until(&format!("the customer to be heard from {address}"), PATIENCE, || {
        let (is_answered, endpoint) = (stage.asks("device", "app", V4.app), endpoint());
        let is_there = endpoint.contains(address);
        if is_answered && is_there { Ok(()) } else { Err((is_answered, endpoint)) }
    });
    assert!(stage.asks("app", "device", V4.device), "at {address}");
}

/// Gives the customer's router the second of its addresses in the place of the
/// first, and the first back.
fn moves(stage: &Stage<'_>, outer: Addresses, endpoint: impl Fn() -> String) {
    let length = if outer.gateway.contains(':') { 64 } else { 24 };
    let [first, second] = outer.router;
    is_at(stage, &endpoint, first);
    for (old, new) in [(first, second), (second, first)] {
        stage.lab.ip("router", &format!("address delete {old}/{length} dev uplink"));
        stage.lab.address("router", "uplink", &format!("{new}/{length}"));
        is_at(stage, &endpoint, new);
    }
}

/// Waits until `sessions` is another than it is now, everything being answered
/// meanwhile.
fn is_renewed<T: PartialEq + Debug>(stage: &Stage<'_>, sessions: impl Fn() -> T) {
    let before = sessions();
    wait_until("another session", RENEWED, || {
        for (from, to, address) in [("device", "app", V6.app), ("app", "device", V6.device)] {
            assert!(stage.asks(from, to, address), "{from} is not answered");
        }
        let now = sessions();
        if now == before { Err(now) } else { Ok(()) }
    });
}

fn kernel_gateway_and_our_customer(lab: &Lab) {
    let stage = Stage::new(lab);
    let gateway = stage.start(&in_kernel(&documents(key(CUSTOMER).public(), "", "")));
    assert_eq!(gateway.tenant(TENANT).backend, Backend::Kernel);
    let endpoint = Some(socket(V6.gateway, PORT));
    let customer = Customer { keepalive: 1, endpoint, ..customer(&gateway) };
    let mut router = Router::start(lab, "router", Engine::Lockgate, &customer);
    gateway.wait_state(TENANT, SITE, SiteState::Up);
    let shown = || peer(lab, key(CUSTOMER).public());
    let handshake = shown().handshake;
    moves(&stage, V6, || shown().endpoint);
    // Its document says that the gateway is elsewhere, in the middle of a conversation:
    // what was on its way from where it had been took it back there.
    let _talk = lab.spawn("app", &["ping", "-i", "0.002", "-q", V6.device]);
    for there in [V4, V6] {
        let endpoint = Some(socket(there.gateway, PORT));
        router.redirect(&Customer { endpoint, ..customer.clone() });
        is_at(&stage, &|| shown().endpoint, there.router[0]);
    }
    assert_eq!(shown().handshake, handshake, "it is the same session");
    is_renewed(&stage, || shown().handshake);
}

fn our_gateway_and_the_kernels_customer(lab: &Lab) {
    let stage = Stage::new(lab);
    let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
    assert_eq!(gateway.tenant(TENANT).backend, Backend::Userspace);
    let public = gateway.public_key(TENANT);
    let ours = Peer {
        key: public,
        endpoint: Some(socket(V4.gateway, PORT)),
        allowed_ips: "10.136.40.0/24,2001:db8:40::/64",
    };
    lab.wireguard("router", "wg0", &key(CUSTOMER), 0, &[ours]);
    let public = public.to_string();
    let keepalive = ["wg", "set", "wg0", "peer", &public, "persistent-keepalive", "1"];
    lab.command_output("router", &keepalive);
    gateway.wait_state(TENANT, SITE, SiteState::Up);
    let site = || gateway.site(TENANT, SITE);
    let handshakes = site().handshakes;
    moves(&stage, V4, || site().endpoint.map(|it| it.to_string()).unwrap_or_default());
    assert_eq!(site().handshakes, handshakes, "it is the same session");
    is_renewed(&stage, || site().handshakes);
}

#[test]
fn the_kernels_end_and_ours_follow_a_customer_and_renew_the_session() {
    std::thread::scope(|scope| {
        for test in [kernel_gateway_and_our_customer, our_gateway_and_the_kernels_customer] {
            scope.spawn(move || links::run(test));
        }
    });
}
