//! What changes by time alone: sessions grow old, and so do answers from DNS.
//! These tests take minutes and do next to nothing in them; they stand first, so
//! that the others run beside them.
#![allow(clippy::disallowed_methods, reason = "two minutes are looked at now and then")]

use crate::gateway::{Gateway, site_of};
use crate::lab::{self, At, Lab, wait_until};
use crate::wireguard_flow::Stream;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    CUSTOMER_PORT, PORT, SITE, Stage, TENANT, V4, documents, key, socket,
};
use lockgate::status::{SiteReason, SiteState};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The customer's key.
const CUSTOMER: u8 = 7;

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
        let _router = Router::start(lab, "router", Engine::newest(), &customer);
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

/// Where the customer says it is.
const NAME: &str = "branch.example.net";

/// An answer is believed for 60 s, and none for 10 s.
const ASKED_AGAIN: Duration = Duration::from_secs(75);

/// A name server that knows one name, for the lab alone; ends on drop.
struct NameServer {
    address: Arc<Mutex<Option<Ipv4Addr>>>,
    stop: Arc<AtomicBool>,
}

impl NameServer {
    /// Has all programs of the lab ask it. It knows no address yet.
    fn start(lab: &Lab) -> Self {
        std::fs::write("/run/resolv.conf", "nameserver 127.0.0.1\n").unwrap();
        rustix::mount::mount_bind("/run/resolv.conf", "/etc/resolv.conf").unwrap();
        let socket = lab.udp(At::Underlay, socket("127.0.0.1", 53));
        let server = Self { address: Arc::default(), stop: Arc::default() };
        let (address, stop) = (Arc::clone(&server.address), Arc::clone(&server.stop));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                answer(&socket, &address);
            }
        });
        server
    }

    fn set(&self, address: &str) {
        *self.address.lock().unwrap() = Some(address.parse().unwrap());
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Answers one question (RFC 1035 §4.1), if there is one.
fn answer(socket: &UdpSocket, address: &Mutex<Option<Ipv4Addr>>) {
    let mut query = [0; 512];
    let Ok((len, from)) = socket.recv_from(&mut query) else { return };
    // The name, then type and class; what follows is EDNS, which we do not speak.
    let name_len = query[12..len].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[12..12 + name_len + 4];
    let wants_v4 = question[name_len..name_len + 2] == [0, 1];
    let labels: String =
        NAME.split('.').map(|it| format!("{}{it}", char::from(it.len() as u8))).collect();
    let is_ours = question[..name_len - 1] == *labels.as_bytes();
    let found = address.lock().unwrap().filter(|_| is_ours);
    let mut reply = query[..2].to_vec();
    // A response, recursion available; no such name, when there is no address.
    reply.extend([0x81, if found.is_some() { 0x80 } else { 0x83 }]);
    let found = found.filter(|_| wants_v4);
    reply.extend([0, 1, 0, u8::from(found.is_some()), 0, 0, 0, 0]);
    reply.extend(question);
    if let Some(found) = found {
        // The name of the question; an address of the Internet, for no time at all.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(found.octets());
    }
    socket.send_to(&reply, from).unwrap();
}

/// The customer never speaks first: what the gateway knows of where it is, it
/// knows from its name.
#[test]
fn a_customer_that_moves_behind_its_name_is_found_again() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let server = NameServer::start(lab);
        let endpoint = format!("endpoint: {{host: {NAME}, port: {CUSTOMER_PORT}}}");
        let gateway = stage.start(&documents(key(CUSTOMER).public(), &endpoint, ""));
        gateway.wait("the name to have no address", |snapshot| {
            site_of(snapshot, TENANT, SITE).unwrap().reason == SiteReason::EndpointUnresolved
        });
        let customer = Customer {
            listen_port: Some(CUSTOMER_PORT),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let router = Router::start(lab, "router", Engine::any(), &customer);
        server.set(V4.router[0]);
        let site = gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(site.endpoint, Some(socket(V4.router[0], CUSTOMER_PORT)));
        stage.wait_traffic("app", "device", V4.device);

        // It starts again at its next address, and knows nothing of ours.
        drop(router);
        lab.ip("router", &format!("address delete {}/24 dev uplink", V4.router[0]));
        lab.address("router", "uplink", &format!("{}/24", V4.router[1]));
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        server.set(V4.router[1]);
        wait_until("the customer to be found again", ASKED_AGAIN, || {
            if stage.asks("app", "device", V4.device) { Ok(()) } else { Err("no answer") }
        });
        gateway.wait("the endpoint to be shown", |snapshot| {
            let site = site_of(snapshot, TENANT, SITE).unwrap();
            site.endpoint == Some(socket(V4.router[1], CUSTOMER_PORT))
        });
    });
}
