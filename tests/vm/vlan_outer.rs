//! The outer tag of two: our link for it is in the underlay, where the host's own
//! addresses and services are.

use crate::frames::{ARP, EVERYONE, FOE, Wire, arp, frame, icmp6, udp, v6};
use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links::{self, Tag, tags};
use crate::vlan_stage::{Customer, app, set, socket, works};
use lockgate::status::SiteState;
use std::net::{Ipv6Addr, UdpSocket};

const OUTER: Tag = Tag::S(100);
const CUSTOMER: Customer = Customer { name: "acme", tags: &[OUTER, Tag::C(30)] };

/// The host's addresses, beside its trunk.
const HOST: [&str; 2] = ["198.51.100.1", "2001:db8:f::1"];

/// Who asks: somebody with an address the host knows no way to, one of the host's
/// own network, and nobody.
const ASKERS: [[&str; 2]; 3] = [
    ["192.168.1.66", "2001:db8:aa::66"],
    ["198.51.100.2", "2001:db8:f::2"],
    ["0.0.0.0", "fe80::66"],
];

/// What has come to a service of the host's.
fn came(service: &UdpSocket) -> Vec<Vec<u8>> {
    service.set_nonblocking(true).unwrap();
    let mut buffer = [0; 64];
    std::iter::from_fn(|| service.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec()))
        .collect()
}

/// A question to the host's services from every asker, with only the outer tag.
fn knocks(wire: &Wire, port: u16) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for asker in ASKERS {
        for (from, to) in asker.into_iter().zip(HOST) {
            frames.push(wire.frame(&[OUTER], &udp(from, to, [9_000, port], b"open up")));
        }
        let body = arp(1, (FOE, asker[0]), ([0; 6], HOST[0]));
        frames.push(frame(EVERYONE, FOE, &[OUTER.bytes()], ARP, &body));
        let [.., a, b, c] = HOST[1].parse::<Ipv6Addr>().unwrap().octets();
        let group = format!("ff02::1:ff{a:02x}:{b:02x}{c:02x}");
        let mut target = HOST[1].parse::<Ipv6Addr>().unwrap().octets().to_vec();
        target.extend([1, 1]);
        target.extend(FOE);
        let ask = icmp6(asker[1], &group, 135, [0; 4], &target);
        let to = [0x33, 0x33, 0xff, a, b, c];
        let packet = v6(asker[1], &group, 58, 255, &ask);
        frames.push(frame(to, FOE, &[OUTER.bytes()], 0x86dd, &packet));
    }
    // Somebody says he is the host's router, with a prefix to make addresses of.
    let mut offer = vec![0; 8];
    offer.extend([3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    offer.extend("2001:db8:bad::".parse::<Ipv6Addr>().unwrap().octets());
    let offer = icmp6("fe80::66", "ff02::1", 134, [64, 0, 0xff, 0xff], &offer);
    let packet = v6("fe80::66", "ff02::1", 58, 255, &offer);
    frames.push(frame([0x33, 0x33, 0, 0, 0, 1], FOE, &[OUTER.bytes()], 0x86dd, &packet));
    frames
}

/// Addresses and routes of the underlay.
fn known(lab: &Lab) -> String {
    let what = ["-o address show", "-4 route show table all", "-6 route show table all"];
    what.map(|what| lab.ip(At::Underlay, what)).concat()
}

#[test]
fn whoever_sends_the_outer_tag_alone_does_not_reach_the_host() {
    links::run(|lab| {
        set(lab, &[CUSTOMER]);
        lab.add("lan");
        lab.veth((At::Underlay, "up0"), ("lan".into(), "eth0"));
        for (address, length) in HOST.into_iter().zip([24, 64]) {
            lab.address(At::Underlay, "up0", &format!("{address}/{length}"));
        }
        let gateway = Gateway::start(lab, At::Underlay, &CUSTOMER.documents());
        app(lab, &CUSTOMER);
        gateway.wait_state(&CUSTOMER.tenant(), "lab", SiteState::Up);
        assert!(works(lab, &CUSTOMER));

        let services = HOST.map(|host| lab.udp(At::Underlay, socket(host, 7_777)));
        let outside = lab.udp(At::Underlay, socket(HOST[0], 0));
        outside.send_to(b"the host's own", socket(HOST[0], 7_777)).unwrap();
        let wire = Wire::new(lab);
        let before = known(lab);
        let capture = lab.capture("wan", "trunk");
        wire.send(&knocks(&wire, 7_777));
        // What is behind them on the wire has passed.
        assert!(works(lab, &CUSTOMER));
        let own: &[&[u8]] = &[b"the host's own"];
        assert_eq!(
            services.each_ref().map(came),
            [own.iter().map(|it| it.to_vec()).collect(), vec![]]
        );
        let is_answer =
            |frame: &&Vec<u8>| frame[6..12] == wire.gateway && tags(frame) == [OUTER.bytes()];
        let frames = capture.frames();
        let answers: Vec<_> = frames.iter().filter(is_answer).collect();
        assert!(answers.is_empty(), "{answers:02x?}");
        assert_eq!(known(lab), before, "the host has learned something");
        let outer = lab.ip(At::Underlay, "-o link show type vlan");
        let outer = outer.split([':', '@']).nth(1).unwrap().trim();
        assert!(outer.starts_with("lg-s100."), "{outer}");
        wait_until("the tag to have no address of the host's", PATIENCE, || {
            let addresses = lab.ip(At::Underlay, &format!("address show dev {outer}"));
            if addresses.contains("inet") { Err(addresses) } else { Ok(()) }
        });
    });
}
