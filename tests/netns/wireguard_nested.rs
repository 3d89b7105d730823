//! Whose an address is when sites of one tenant have networks inside one
//! another: what comes from it passes from one site alone, and what goes to it
//! goes to that one.
//!
//! | site | its network | as the application knows it |
//! |---|---|---|
//! | `internet` | 0.0.0.0/0 | the same |
//! | `branch` | 192.168.77.0/24 | the same |
//! | `spare` | 192.168.77.0/24, after `branch` | the same |
//! | `campus` | 192.168.0.0/16 | 10.200.0.0/16 |
//!
//! The kernel's WireGuard renames no networks, and without a name of its own a
//! network may be inside 0.0.0.0/0 alone: there `campus` is 192.168.78.0/24.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_raw::{RawCustomer, udp};
use crate::wireguard_stage::{
    PORT, Stage, TENANT, V4, backend, key, refused_sources, site_document, socket, tenant_document,
};
use lockgate::status::Backend;
use std::net::{Ipv4Addr, SocketAddr};

const SITES: [&str; 4] = ["internet", "branch", "spare", "campus"];

/// A host of the Internet, and one of the branch's.
const HOST: &str = "203.0.113.80";
const BRANCH: &str = "192.168.77.10";

/// One of the campus, by its own address and by the application's name for it:
/// the same address as the branch's, where the campus has another name.
fn campus() -> [&'static str; 2] {
    match backend() {
        Backend::Userspace => [BRANCH, "10.200.77.10"],
        Backend::Kernel => ["192.168.78.10"; 2],
    }
}

fn documents() -> String {
    let tenant = tenant_document("").replace(
        "{advertisedHost: vpn.example.net,",
        "{advertisedHost: vpn.example.net, allowDefaultRoute: true,",
    );
    let site = |index: usize, prefix: &str, more: &str| {
        let tunnel = format!("tunnelAddresses: [10.255.{index}.0/31]");
        let key = key(10 + index as u8).public();
        site_document(SITES[index], key, &[prefix], &tunnel, more)
    };
    let campus = match backend() {
        Backend::Userspace => site(3, "192.168.0.0/16", "")
            .replace("'192.168.0.0/16'", "'192.168.0.0/16', alias: '10.200.0.0/16'"),
        Backend::Kernel => site(3, "192.168.78.0/24", ""),
    };
    tenant
        + &site(0, "0.0.0.0/0", "")
        + &site(1, "192.168.77.0/24", "")
        + &site(2, "192.168.77.0/24", "priority: 50")
        + &campus
}

struct Scene<'lab> {
    gateway: Gateway<'lab>,
    /// In the order of [`SITES`].
    customers: Vec<RawCustomer>,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents());
        let at = (gateway.public_key(TENANT), socket(V4.gateway, PORT));
        let customers = (0..SITES.len()).map(|index| {
            let key = key(10 + index as u8);
            let customer = RawCustomer::new(lab, "router", V4.router[0], &key, at);
            customer.connect();
            // The session is the gateway's to use once it was used.
            customer.send(&customer.seal(&[]));
            customer
        });
        let customers = customers.collect();
        Self { gateway, customers }
    }
}

/// What each site may send: an address of its own, as the application sees it,
/// and those that are others'.
#[test]
fn a_source_is_let_in_from_the_site_it_is_of_and_from_no_other() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let app = lab.udp(At::Netns("app"), socket(V4.app, 0));
        let port = app.local_addr().unwrap().port();
        let sent = |site: usize, source: &str| {
            let customer = &scene.customers[site];
            customer.send(&customer.seal(&udp(source, 9_000, V4.app, port, b"from whom?")));
        };
        let [own, known] = campus();
        for (site, source, seen) in [(0, HOST, HOST), (1, BRANCH, BRANCH), (3, own, known)] {
            sent(site, source);
            let (_, from) = app.recv_from(&mut [0; 64]).expect(SITES[site]);
            assert_eq!(from, SocketAddr::new(seen.parse().unwrap(), 9_000), "{}", SITES[site]);
        }
        let others = [
            // The wider network is not the narrower one inside it.
            (0, BRANCH),
            (0, known),
            // Nor the narrower the wider.
            (1, HOST),
            (1, "192.168.78.10"),
            (1, known),
            // A backup while the first one serves.
            (2, BRANCH),
            (2, HOST),
            // A name is the application's, never the customer's own.
            (3, if own == known { BRANCH } else { known }),
            (3, HOST),
        ];
        let refused = || refused_sources(&scene.gateway, lab);
        let before = refused();
        for (site, source) in others {
            sent(site, source);
        }
        let count = before + others.len() as u64;
        wait_until("all of them to be refused", PATIENCE, || {
            let refused = refused();
            if refused == count { Ok(()) } else { Err(refused) }
        });
        app.set_nonblocking(true).unwrap();
        assert!(app.recv_from(&mut [0; 64]).is_err(), "one of them came");
    });
}

#[test]
fn a_packet_goes_to_the_site_its_destination_is_of_and_to_no_other() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let app = lab.udp(At::Netns("app"), socket(V4.app, 0));
        let [own, known] = campus();
        for (site, to, arrives) in [(0, HOST, HOST), (1, BRANCH, BRANCH), (3, known, own)] {
            app.send_to(b"to whom?", socket(to, 9_000)).unwrap();
            let packet = scene.customers[site].receive().expect(SITES[site]);
            let arrives: Ipv4Addr = arrives.parse().unwrap();
            assert!(packet.ends_with(b"to whom?"));
            assert_eq!(packet[16..20], arrives.octets(), "{}", SITES[site]);
            scene.customers.iter().for_each(RawCustomer::assert_silence);
        }
    });
}
