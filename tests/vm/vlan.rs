//! The lab's VLANs: what a sub-interface sends has its tags on the wire, and a
//! switch passes a VLAN's frames to that VLAN's ports.

use crate::lab::{At, Lab};
use crate::links::{self, Tag, tags};
use std::net::{Ipv4Addr, SocketAddr};

/// In what a test sends.
const PAYLOAD: &[u8] = b"a datagram that is looked for on the wire";

fn socket(address: &str, port: u16) -> SocketAddr {
    (address.parse::<Ipv4Addr>().unwrap(), port).into()
}

/// Two namespaces, `left` and `right`, each end of the wire between them `trunk`.
fn wire(lab: &Lab) {
    lab.add("left");
    lab.add("right");
    lab.veth(("left".into(), "trunk"), ("right".into(), "trunk"));
}

/// Asks from `left` what `right` answers, and returns the tags that the question
/// and the answer had on the wire.
fn tags_of_an_exchange(lab: &Lab) -> Vec<Vec<[u8; 4]>> {
    let echo = lab.udp_echo("right", socket("10.0.0.2", 0));
    let client = lab.udp("left", socket("10.0.0.1", 0));
    let wire = lab.capture("right", "trunk");
    assert_eq!(lab.udp_ask(&client, echo.address, PAYLOAD).as_deref(), Some(PAYLOAD));
    let frames = wire.frames();
    assert_eq!(wire.lost(), 0);
    let ours = |frame: &&Vec<u8>| frame.windows(PAYLOAD.len()).any(|it| it == PAYLOAD);
    frames.iter().filter(ours).map(|frame| tags(frame)).collect()
}

/// Gives the two ends of a VLAN their addresses.
fn address(lab: &Lab, link: &str) {
    lab.address("left", link, "10.0.0.1/24");
    lab.address("right", link, "10.0.0.2/24");
}

#[test]
fn a_sub_interface_sends_and_takes_its_tag() {
    links::run(|lab| {
        wire(lab);
        for side in ["left", "right"] {
            lab.vlan(side, "trunk", "sub", Tag::C(100));
        }
        address(lab, "sub");
        let seen = tags_of_an_exchange(lab);
        assert!(seen.len() >= 2, "{seen:?}");
        assert!(seen.iter().all(|tags| *tags == [Tag::C(100).bytes()]), "{seen:x?}");
    });
}

#[test]
fn another_tag_is_not_taken() {
    links::run(|lab| {
        wire(lab);
        lab.vlan("left", "trunk", "sub", Tag::C(100));
        lab.vlan("right", "trunk", "sub", Tag::C(101));
        address(lab, "sub");
        assert!(!lab.ping("left", "10.0.0.2"));
    });
}

#[test]
fn a_sub_interface_of_a_sub_interface_sends_both_tags() {
    links::run(|lab| {
        wire(lab);
        for side in ["left", "right"] {
            lab.vlan(side, "trunk", "provider", Tag::S(10));
            lab.vlan(side, "provider", "customer", Tag::C(100));
        }
        address(lab, "customer");
        let seen = tags_of_an_exchange(lab);
        let both = [Tag::S(10).bytes(), Tag::C(100).bytes()];
        assert!(seen.len() >= 2, "{seen:?}");
        assert!(seen.iter().all(|tags| *tags == both), "{seen:x?}");
    });
}

#[test]
fn a_switch_passes_a_vlan_to_its_ports_alone() {
    links::run(|lab| {
        lab.add("router");
        lab.add("switch");
        lab.veth(("router".into(), "trunk"), ("switch".into(), "up0"));
        lab.switch("switch", "br0", &["up0"]);
        lab.trunk_port("switch", "up0", &[100, 200]);
        // Two customers with the same addresses, told apart by their VLAN alone.
        for id in [100, 200] {
            let (customer, port, sub) = (format!("c{id}"), format!("p{id}"), format!("v{id}"));
            lab.add(&customer);
            lab.veth((At::Netns(&customer), "eth0"), (At::Netns("switch"), &port));
            lab.ip("switch", &format!("link set {port} master br0"));
            lab.access_port("switch", &port, id);
            lab.address(&customer, "eth0", "10.0.0.2/24");
            lab.vlan("router", "trunk", &sub, Tag::C(id));
            lab.address("router", &sub, &format!("10.0.0.{id}/32"));
            lab.ip("router", &format!("route add 10.0.0.2 dev {sub} table {id} src 10.0.0.{id}"));
            lab.ip("router", &format!("rule add from 10.0.0.{id} table {id}"));
        }
        let asked_by = |id: u16| {
            let from = format!("10.0.0.{id}");
            let words = ["ping", "-c1", "-W5", "-I", &from, "10.0.0.2"];
            lab.output("router", &words).status.success()
        };
        assert_eq!([100, 200].map(asked_by), [true, true]);
        lab.ip("c200", "link set eth0 down");
        assert_eq!([100, 200].map(asked_by), [true, false]);
    });
}
