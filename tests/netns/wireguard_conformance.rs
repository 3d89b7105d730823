//! What the kernel's own selftest asks of a WireGuard, asked of the gateway
//! with every stock implementation at the customer's end.

use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, CUSTOMER_PORT, FAMILIES, PORT, SITE, Stage, TENANT, V4, V6, documents, key, socket,
};
use lockgate::status::SiteState;

/// The customer's key.
const CUSTOMER: u8 = 7;

fn customer_dials_in(outer: Addresses) {
    Engine::each(move |lab, engine| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let customer = Customer {
            endpoint: Some(socket(outer.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", engine, &customer);
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        let endpoint = site.endpoint.expect("it was heard from somewhere");
        assert_eq!(endpoint.ip().to_string(), outer.router[0]);
        for inner in FAMILIES {
            stage.assert_traffic(inner);
            // A gateway as router forwards only between its own prefixes.
            let asks = if engine == Engine::Lockgate { "router" } else { "device" };
            assert!(lab.ping(asks, inner.tunnel[0]), "{engine:?}: {asks} pings {inner:?}");
        }
    });
}

#[test]
fn a_customer_dials_in_over_ipv4() {
    customer_dials_in(V4);
}

#[test]
fn a_customer_dials_in_over_ipv6() {
    customer_dials_in(V6);
}

fn gateway_dials(outer: Addresses) {
    Engine::each(move |lab, engine| {
        let stage = Stage::new(lab);
        let host = outer.router[0];
        let endpoint = format!("endpoint: {{host: '{host}', port: {CUSTOMER_PORT}}}");
        let gateway = stage.start(&documents(key(CUSTOMER).public(), &endpoint, ""));
        let customer = Customer {
            listen_port: Some(CUSTOMER_PORT),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", engine, &customer);
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.endpoint, Some(socket(host, CUSTOMER_PORT)));
        for inner in FAMILIES {
            stage.assert_traffic(inner);
        }
    });
}

#[test]
fn the_gateway_dials_over_ipv4() {
    gateway_dials(V4);
}

#[test]
fn the_gateway_dials_over_ipv6() {
    gateway_dials(V6);
}
