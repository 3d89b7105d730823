//! Keys that are wrong, change and are kept: preshared ones, the customer's, and
//! the tenant's own.

use crate::gateway::{Gateway, site_of};
use crate::lab::{self, Lab};
use crate::wireguard_flow::{Flow, Stream};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    CUSTOMER_PORT, PORT, SITE, Stage, TENANT, V4, documents, key, psk, socket,
};
use lockgate::status::{SiteReason, SiteState};
use std::time::Duration;

/// The customer's keys, one after the other.
const FIRST: u8 = 7;
const SECOND: u8 = 8;
const THIRD: u8 = 9;

/// The site's reference to its preshared key.
const WITH_PSK: &str = "presharedKeySecretRef: {name: hq-psk, key: psk}";

fn dials_in(gateway: &Gateway<'_>, own: u8) -> Customer {
    Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        keepalive: 1,
        ..Customer::new(key(own), gateway.public_key(TENANT))
    }
}

/// One question of the application's, with a second to be answered.
fn is_answered(lab: &Lab) -> bool {
    let echo = lab.udp_echo("device", socket(V4.device, 0));
    let asks = lab.udp("app", socket("0.0.0.0", 0));
    asks.send_to(b"question", echo.address).unwrap();
    asks.recv(&mut [0; 16]).is_ok()
}

fn put_psk(gateway: &Gateway<'_>, seed: u8) {
    gateway.secret("acme", "hq-psk", "psk", psk(seed).to_base64().as_str());
}

/// W7: with another preshared key there is no session; a key that is changed
/// while the gateway runs ends the session that was made with the old one.
#[test]
fn a_preshared_key_has_to_be_the_same_on_both_sides() {
    Engine::each(|lab, engine| {
        let stage = Stage::new(lab);
        let documents = documents(key(FIRST).public(), WITH_PSK, "");
        let mut gateway = Gateway::new(lab, lab::At::Underlay);
        put_psk(&gateway, 1);
        gateway.write("documents.yaml", &documents);
        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();
        let mut customer = Customer { psk: Some(psk(2)), ..dials_in(&gateway, FIRST) };
        let mut router = Router::start(lab, "router", engine, &customer);
        gateway.wait("an initiation to be answered", |snapshot| {
            92 <= site_of(snapshot, TENANT, SITE).unwrap().sent_bytes.0
        });
        assert!(!is_answered(lab), "{engine:?} with another key");
        assert_eq!(gateway.site(TENANT, SITE).state, SiteState::NeverConnected);

        customer.psk = Some(psk(1));
        router.configure(&customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        stage.wait_traffic("app", "device", V4.device);

        put_psk(&gateway, 3);
        gateway.apply(&documents);
        assert!(!is_answered(lab), "{engine:?} in the session before");
        customer.psk = Some(psk(3));
        router.configure(&customer);
        stage.wait_traffic("app", "device", V4.device);
    });
}

/// The customer's answer to our initiation shows that its preshared key is
/// another one.
#[test]
fn an_answer_made_with_another_preshared_key_is_counted() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let host = V4.router[0];
        let endpoint = format!("{WITH_PSK}, endpoint: {{host: {host}, port: {CUSTOMER_PORT}}}");
        let mut gateway = Gateway::new(lab, lab::At::Underlay);
        put_psk(&gateway, 1);
        gateway.write("documents.yaml", &documents(key(FIRST).public(), &endpoint, ""));
        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();
        let customer = Customer {
            listen_port: Some(CUSTOMER_PORT),
            psk: Some(psk(2)),
            ..Customer::new(key(FIRST), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_device_drops(TENANT, "handshake", 1);
        gateway.wait("the site to say so", |snapshot| {
            let site = site_of(snapshot, TENANT, SITE).unwrap();
            site.state == SiteState::NeverConnected
                && site.reason == SiteReason::HandshakeUnanswered
        });
    });
}

/// The documents name another key, and the customer takes it up: a handshake at
/// once, whichever of the two comes first.
#[test]
fn a_customer_that_changes_its_key_connects_at_once() {
    Engine::each(|lab, engine| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(FIRST).public(), "", ""));
        let mut router = Router::start(lab, "router", engine, &dials_in(&gateway, FIRST));
        stage.wait_traffic("app", "device", V4.device);

        gateway.apply(&documents(key(SECOND).public(), "", ""));
        assert!(!is_answered(lab), "{engine:?} with the key that was replaced");
        router.configure(&dials_in(&gateway, SECOND));
        stage.wait_traffic("device", "app", V4.app);
        assert!(is_answered(lab), "{engine:?} with the new key");
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.public_key, Some(key(SECOND).public()));

        router.configure(&dials_in(&gateway, THIRD));
        gateway.wait_device_drops(TENANT, "unknown_peer", 1);
        gateway.apply(&documents(key(THIRD).public(), "", ""));
        stage.wait_traffic("device", "app", V4.app);
        assert!(is_answered(lab), "{engine:?} with a key the documents had not yet");
    });
}

/// Both keys are good while the customer changes over, forth and back; taking
/// the old one out of the documents then disturbs nothing.
#[test]
fn a_customer_changes_over_to_its_next_key_in_its_own_time() {
    Engine::each(|lab, engine| {
        let stage = Stage::new(lab);
        let next = format!("nextPublicKey: {}", key(SECOND).public());
        let gateway = stage.start(&documents(key(FIRST).public(), &next, ""));
        let mut router = Router::start(lab, "router", engine, &dials_in(&gateway, FIRST));
        for own in [FIRST, SECOND, FIRST, SECOND] {
            router.configure(&dials_in(&gateway, own));
            gateway.wait("the key in use to be shown", |snapshot| {
                let site = site_of(snapshot, TENANT, SITE).unwrap();
                site.state == SiteState::Up && site.public_key == Some(key(own).public())
            });
            stage.wait_traffic("app", "device", V4.device);
        }
        let flows = [
            Stream::start(lab, "app", "device", V4.device, 200, u64::MAX),
            Stream::start(lab, "device", "app", V4.app, 200, u64::MAX),
        ];
        let handshakes = gateway.site(TENANT, SITE).handshakes;
        gateway.apply(&documents(key(SECOND).public(), "", ""));
        assert!(is_answered(lab));
        for flow in flows {
            flow.assert_unharmed(&format!("{engine:?}, as the old key went"));
        }
        assert_eq!(gateway.site(TENANT, SITE).handshakes, handshakes);
    });
}

/// What the customers' routers hold of us stays good.
#[test]
fn a_tenants_key_stays_over_a_restart() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let documents = documents(key(FIRST).public(), "", "");
        let mut gateway = stage.start(&documents);
        let _router = Router::start(lab, "router", Engine::any(), &dials_in(&gateway, FIRST));
        stage.wait_traffic("app", "device", V4.device);
        let public = gateway.public_key(TENANT);
        assert!(gateway.terminate().success());
        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();
        assert_eq!(gateway.public_key(TENANT), public);
        stage.wait_traffic("app", "device", V4.device);
    });
}

/// A tenant's key that is handed in may change; the customer, told of it,
/// connects at once. When it is handed in no more the gateway makes one; it went
/// on with the last one, and made another at its next start.
#[test]
fn a_key_that_was_handed_in_was_taken_for_the_tenants_own() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let own = documents(key(FIRST).public(), "", "");
        let given = own.replace(
            "spec:\n  listenPort",
            "spec:\n  privateKeySecretRef: {name: gw, key: key}\n  listenPort",
        );
        assert_ne!(own, given);
        let mut gateway = Gateway::new(lab, lab::At::Underlay);
        let put = |gateway: &Gateway<'_>, seed| {
            gateway.secret("acme", "gw", "key", key(seed).to_base64().as_str());
        };
        put(&gateway, 21);
        gateway.write("documents.yaml", &given);
        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();
        let mut router = Router::start(lab, "router", Engine::any(), &dials_in(&gateway, FIRST));
        stage.wait_traffic("app", "device", V4.device);
        put(&gateway, 22);
        gateway.apply(&given);
        assert_eq!(gateway.public_key(TENANT), key(22).public());
        router.configure(&dials_in(&gateway, FIRST));
        stage.wait_traffic("device", "app", V4.app);
        let flow = Flow::ask(lab, "app", "device", V4.device);
        gateway.apply(&given);
        flow.assert_unharmed();

        gateway.apply(&own);
        let public = gateway.public_key(TENANT);
        assert!(public != key(21).public() && public != key(22).public());
        gateway.kill();
        gateway.spawn();
        gateway.wait_for("the key after a restart", Duration::from_secs(20), |snapshot| {
            snapshot.tenants.first().is_some_and(|tenant| tenant.public_key == Some(public))
        });
    });
}
