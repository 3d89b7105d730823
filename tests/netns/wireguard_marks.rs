//! What the outer header takes from the inner one and gives back: congestion
//! marks, and nothing else of its traffic class (RFC 6040).

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, FAMILIES, PORT, Stage, TENANT, V4, V6, documents, key, socket,
};
use crate::wireguard_wire::Seen;
use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass};
use std::net::UdpSocket;

/// The customer's key.
const CUSTOMER: u8 = 7;

const UDP: u8 = 17;

/// The two congestion bits (RFC 3168 §5).
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// Expedited forwarding (RFC 3246), in the upper six bits.
const EXPEDITED: u8 = 46 << 2;

/// A tenant whose customer is connected over this family.
struct Scene<'lab> {
    lab: &'lab Lab,
    gateway: Gateway<'lab>,
    _router: Router<'lab>,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, engine: Engine, outer: Addresses) -> Self {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(CUSTOMER).public(), "", ""));
        let customer = Customer {
            endpoint: Some(socket(outer.gateway, PORT)),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let router = Router::start(lab, "router", engine, &customer);
        for inner in FAMILIES {
            stage.wait_traffic("device", "app", inner.app);
        }
        Self { lab, gateway, _router: router }
    }

    /// Sends a datagram of this traffic class; gives the traffic class it comes
    /// with at `to`, and the one it went with between gateway and router.
    fn send(&self, from: &str, to: &str, address: &str, class: u8) -> (Option<u8>, Option<u8>) {
        let link = if to == "app" { "apps" } else { "lan" };
        let (inside, outside) = (self.lab.capture(to, link), self.lab.capture(At::Underlay, "up0"));
        let receiver = self.lab.udp(to, socket(address, 0));
        let sender: UdpSocket =
            self.lab.udp(from, socket(if address.contains(':') { "::" } else { "0.0.0.0" }, 0));
        if address.contains(':') {
            set_ipv6_tclass(&sender, u32::from(class)).unwrap();
        } else {
            set_ip_tos(&sender, class).unwrap();
        }
        // Of a length that nothing else here has.
        let payload = [7; 777];
        sender.send_to(&payload, receiver.local_addr().unwrap()).unwrap();
        let _ = receiver.recv_from(&mut [0; 1_024]);
        let class_of = |frames: Vec<Vec<u8>>, is: &dyn Fn(&Seen) -> bool| {
            let seen = frames.iter().filter_map(|frame| Seen::of(frame));
            seen.filter(|seen| seen.protocol == UDP && is(seen)).map(|seen| seen.class).next()
        };
        let inside = class_of(inside.frames(), &|seen| seen.payload.ends_with(&payload));
        let outside = class_of(outside.frames(), &|seen| 777 + 32 < seen.payload.len());
        (inside, outside)
    }
}

/// Marks what leaves `at` for the tunnel's other end as a congested router does.
fn congest(lab: &Lab, at: At<'_>, ports: &str) {
    let text = format!(
        "table inet congested {{
            chain output {{
                type filter hook output priority 0
                {ports} ip ecn set ce
                {ports} ip6 ecn set ce
            }}
        }}"
    );
    lab.nft(at, &text);
}

fn marks_go_out(outer: Addresses) {
    lab::run(move |lab| {
        let scene = Scene::new(lab, Engine::any(), outer);
        for inner in FAMILIES {
            for mark in [NOT_ECT, ECT_1, ECT_0, CE] {
                let class = EXPEDITED | mark;
                let (inside, outside) = scene.send("app", "device", inner.device, class);
                assert_eq!(inside, Some(class), "the inner one is as it was sent");
                assert_eq!(outside, Some(mark), "the outer one has its mark alone");
            }
        }
    });
}

#[test]
fn the_outer_packet_shows_the_inner_ones_congestion_mark_and_nothing_else() {
    marks_go_out(V4);
}

#[test]
fn the_outer_ipv6_packet_shows_the_inner_ones_congestion_mark_and_nothing_else() {
    marks_go_out(V6);
}

/// A mark that was made on the way is put onto the inner packet, by whichever
/// gateway receives it; who does not know marks has to lose the packet.
fn marks_come_in(way: (&'static str, &'static str), engine: Engine, outer: Addresses) {
    lab::run(move |lab| {
        let scene = Scene::new(lab, engine, outer);
        let (from, to) = way;
        if from == "app" {
            congest(lab, At::Underlay, &format!("udp sport {PORT}"));
        } else {
            congest(lab, At::Netns("router"), &format!("udp dport {PORT}"));
        }
        for inner in FAMILIES {
            let address = if to == "app" { inner.app } else { inner.device };
            for mark in [ECT_1, ECT_0, CE] {
                let (inside, outside) = scene.send(from, to, address, EXPEDITED | mark);
                assert_eq!(outside, Some(CE));
                assert_eq!(inside, Some(EXPEDITED | CE), "{from} sent {mark}");
            }
            assert_eq!(scene.send(from, to, address, NOT_ECT), (None, Some(CE)));
        }
        if to == "app" {
            scene.gateway.wait_device_drops(TENANT, "ecn_invalid", 2);
        }
    });
}

#[test]
fn congestion_on_the_way_is_told_inside() {
    marks_come_in(("device", "app"), Engine::any(), V4);
    marks_come_in(("device", "app"), Engine::any(), V6);
}

#[test]
fn congestion_on_the_way_is_told_inside_at_both_ends() {
    for way in [("device", "app"), ("app", "device")] {
        marks_come_in(way, Engine::Lockgate, V4);
    }
}
