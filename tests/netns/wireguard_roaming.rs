//! Customers that move, and gateways whose addresses come and go.

use crate::lab::{At, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, PORT, SITE, Stage, TENANT, V4, V6, documents, key, socket,
};
use crate::wireguard_wire::{Order, Relay, Seen};
use lockgate::status::SiteState;
use std::net::IpAddr;
use std::time::Duration;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// Less than a silence is.
const SOON: Duration = Duration::from_secs(8);

/// UDP.
const UDP: u8 = 17;

/// To another address of the same network, to one of the other family and back:
/// the tunnel goes on after the first packet of the customer's.
#[test]
fn a_customer_that_moves_is_followed() {
    Engine::each(|lab, engine| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let mut customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let mut router = Router::start(lab, "router", engine, &customer);
        let is_at = |address: &str| {
            // What is asked first may still leave from where it was.
            wait_until(&format!("{engine:?} to be heard from {address}"), PATIENCE, || {
                let is_answered = stage.asks("device", "app", V4.app);
                let endpoint = gateway.site(TENANT, SITE).endpoint;
                let moved = endpoint.is_some_and(|it| it.ip().to_string() == address);
                if is_answered && moved { Ok(()) } else { Err((is_answered, endpoint)) }
            });
            assert!(stage.asks("app", "device", V4.device), "{engine:?} at {address}");
        };
        is_at(V4.router[0]);
        let handshakes = gateway.wait_state(TENANT, SITE, SiteState::Up).handshakes;
        let mut own = V4.router[0];
        // The others go on sending from an address that is gone.
        if matches!(engine, Engine::WireguardGo | Engine::Lockgate) {
            own = V4.router[1];
            lab.ip("router", &format!("address delete {}/24 dev uplink", V4.router[0]));
            lab.address("router", "uplink", &format!("{own}/24"));
            is_at(own);
        }
        for (outer, own) in [(V6, V6.router[0]), (V4, own)] {
            customer.endpoint = Some(socket(outer.gateway, PORT));
            router.redirect(&customer);
            is_at(own);
        }
        if router.keeps_session() {
            // Two moves at least, and none took a handshake. Both ends may have begun
            // one at the start, of which the second was not counted then.
            let since = gateway.site(TENANT, SITE).handshakes.0 - handshakes.0;
            assert!(since <= 1, "{engine:?}: {since} handshakes");
        }
    });
}

/// W23: a NAT that gives the customer another port again and again.
#[test]
fn a_nat_that_changes_ports_is_followed() {
    Engine::each(|lab, engine| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let to = socket(V4.gateway, PORT);
        let relay = Relay::start(lab, "router", V4.router[0], to, Order::Kept);
        let customer = Customer {
            endpoint: Some(relay.near),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", engine, &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        stage.wait_traffic("device", "app", V4.app);
        // The first packet through the new port is enough, whichever it is.
        let echo =
            [lab.udp_echo("app", socket(V4.app, 0)), lab.udp_echo("device", socket(V4.device, 0))];
        let asks = ["device", "app"].map(|at| lab.udp(at, socket("0.0.0.0", 0)));
        let answered = |who: usize| {
            let mut answer = [0; 8];
            asks[who].send_to(b"question", echo[who].address).unwrap();
            asks[who].recv(&mut answer).is_ok()
        };
        for turn in 0..10 {
            relay.churn();
            assert!(answered(0), "{engine:?}, turn {turn}: what the customer asked");
            assert!(answered(1), "{engine:?}, turn {turn}: what the application asked");
        }
        // And a keepalive is one.
        let port = relay.churn();
        gateway.wait("the endpoint to follow a keepalive", |snapshot| {
            crate::gateway::site_of(snapshot, TENANT, SITE).unwrap().endpoint == Some(port)
        });
        assert!(answered(1), "{engine:?}: after a keepalive");
    });
}

/// Of several addresses of the gateway, answers come from the one that was
/// asked; when that one is gone, from another.
fn answers_from_where_it_was_asked(outer: Addresses, second: &'static str) {
    Engine::each(move |lab, engine| {
        let stage = Stage::new(lab);
        let length = if second.contains(':') { 64 } else { 24 };
        lab.address(At::Underlay, "up0", &format!("{second}/{length}"));
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let customer = Customer {
            endpoint: Some(socket(second, PORT)),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let capture = lab.capture("router", "uplink");
        let _router = Router::start(lab, "router", engine, &customer);
        stage.wait_traffic("device", "app", V4.app);
        assert!(stage.asks("app", "device", V4.device));
        let sources = || {
            let seen = capture.frames().into_iter().filter_map(|frame| Seen::of(&frame));
            let ours = seen.filter(|seen| seen.protocol == UDP && seen.source_port() == PORT);
            ours.map(|seen| seen.from).collect::<Vec<IpAddr>>()
        };
        let asked: IpAddr = second.parse().unwrap();
        let seen = sources();
        assert!(!seen.is_empty() && seen.iter().all(|from| *from == asked), "{seen:?}");

        lab.ip(At::Underlay, &format!("address delete {second}/{length} dev up0"));
        // Long before the silence of 15 s, after which it would be given up anyway.
        wait_until("an answer from the address that is left", SOON, || {
            if stage.asks("app", "device", V4.device) { Ok(()) } else { Err(sources()) }
        });
        let left: IpAddr = outer.gateway.parse().unwrap();
        assert!(sources().contains(&left));
    });
}

#[test]
fn the_gateway_answers_from_the_address_that_was_asked() {
    answers_from_where_it_was_asked(V4, "198.51.100.9");
    answers_from_where_it_was_asked(V6, "2001:db8:f::9");
}
