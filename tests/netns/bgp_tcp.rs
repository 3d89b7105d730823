//! The sockets of BGP: who is heard and who is not, before a byte of BGP.
#![allow(clippy::disallowed_methods, reason = "connections are waited for, within bounds")]

use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use lockgate::linux::tcp::{self, Guard, Reach};
use lockgate::net::{Prefix, TcpPassword};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

const NEAR: &str = "10.9.0.1";
const FAR: &str = "10.9.0.2";
const BEYOND: &str = "10.8.0.2";
const PORT: u16 = 179;

/// `near` and `far` on one link, `beyond` behind far; v6 beside it.
fn topology(lab: &Lab) {
    for name in ["near", "far", "beyond"] {
        lab.add(name);
    }
    lab.veth((At::Netns("near"), "north"), (At::Netns("far"), "south"));
    lab.veth((At::Netns("far"), "north"), (At::Netns("beyond"), "south"));
    lab.address("near", "north", "10.9.0.1/24");
    lab.address("near", "north", "fd09::1/64");
    lab.address("far", "south", "10.9.0.2/24");
    lab.address("far", "south", "fd09::2/64");
    lab.address("far", "north", "10.8.0.1/24");
    lab.address("beyond", "south", "10.8.0.2/24");
    lab.route("near", "10.8.0.0/24", FAR);
    lab.route("beyond", "10.9.0.0/24", "10.8.0.1");
    lab.within("far", || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
}

fn guard(address: &str, reach: Reach, password: Option<&str>) -> Guard {
    let password = password.map(|text| TcpPassword::new(text).unwrap());
    Guard { from: Prefix::host(address.parse().unwrap()), reach, password }
}

/// A listener; one that was dropped is there until the programs that other tests were
/// starting meanwhile have closed what they inherited.
fn listen(lab: &Lab, at: &str, address: &str, neighbors: &[Guard]) -> TcpListener {
    let local = SocketAddr::new(address.parse().unwrap(), PORT);
    wait_until("the address to be free", PATIENCE, || {
        lab.within(at, || tcp::listen(local, neighbors)).map_err(|error| error.kind())
    })
}

/// What `at` gets when it dials: a connection, or none in half a second.
fn dial(lab: &Lab, at: &str, neighbor: &Guard, local: Option<IpAddr>) -> Option<TcpStream> {
    let stream = lab
        .within(at, || tcp::dial(SocketAddr::new(neighbor.from.address(), PORT), neighbor, local))
        .unwrap();
    let mut ready = [PollFd::new(&stream, PollFlags::OUT)];
    let patience = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
    let count = poll(&mut ready, Some(&patience)).unwrap();
    (count == 1 && stream.take_error().unwrap().is_none()).then_some(stream)
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    wait_until("a connection", PATIENCE, || listener.accept().map_err(|error| error.kind()))
}

/// Whether what one end writes arrives at the other.
fn passes(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"hello").unwrap();
    to.set_nonblocking(false).unwrap();
    to.set_read_timeout(Some(std::time::Duration::from_millis(700))).unwrap();
    let mut bytes = [0; 5];
    to.read_exact(&mut bytes).is_ok() && bytes == *b"hello"
}

#[test]
fn a_password_is_shared_or_nothing_is_heard() {
    lab::run(|lab| {
        topology(lab);
        for (near, far) in [(NEAR, FAR), ("fd09::1", "fd09::2")] {
            let secret = |address| guard(address, Reach::Link, Some("s3cret"));
            let listener = listen(lab, "far", far, &[secret(near)]);
            let mut there = dial(lab, "near", &secret(far), None).expect("with the password");
            let (mut here, from) = accept(&listener);
            assert_eq!(from.ip(), near.parse::<IpAddr>().unwrap());
            tcp::admit(&here, &secret(near)).unwrap();
            assert!(passes(&mut there, &mut here) && passes(&mut here, &mut there));
            for wrong in [None, Some("S3cret")] {
                let neighbor = guard(far, Reach::Link, wrong);
                assert!(dial(lab, "near", &neighbor, None).is_none(), "with {wrong:?}");
            }
            assert!(listener.accept().is_err(), "nobody else got through");
        }
    });
}

#[test]
fn who_is_farther_away_than_it_may_be_is_not_heard() {
    lab::run(|lab| {
        topology(lab);
        let neighbors =
            [guard(NEAR, Reach::Secured(1), None), guard(BEYOND, Reach::Secured(2), None)];
        let listener = listen(lab, "far", FAR, &neighbors[..1]);
        let near = dial(lab, "near", &guard(FAR, Reach::Secured(1), None), None);
        let mut near = near.expect("on the link, with the TTL of GTSM");
        let (mut here, _) = accept(&listener);
        tcp::admit(&here, &neighbors[0]).unwrap();
        assert!(passes(&mut near, &mut here) && passes(&mut here, &mut near));
        // The same neighbor with a TTL that a router on the way might have left.
        assert!(dial(lab, "near", &guard(FAR, Reach::Multihop, None), None).is_none());

        // A router away is near enough where two hops are allowed, and not for one.
        let listener = listen(lab, "near", NEAR, &neighbors[1..]);
        let hops = |hops| guard(NEAR, Reach::Secured(hops), None);
        let mut beyond = dial(lab, "beyond", &hops(2), None).expect("two hops away");
        let (mut here, _) = accept(&listener);
        tcp::admit(&here, &neighbors[1]).unwrap();
        assert!(passes(&mut beyond, &mut here) && passes(&mut here, &mut beyond));
        drop(listener);
        let listener = listen(lab, "near", NEAR, &[guard(BEYOND, Reach::Secured(1), None)]);
        assert!(dial(lab, "beyond", &hops(2), None).is_none(), "two hops away");
        drop(listener);

        // What is for the link alone does not leave it.
        let listener = listen(lab, "near", NEAR, &[guard(BEYOND, Reach::Multihop, None)]);
        assert!(dial(lab, "beyond", &guard(NEAR, Reach::Link, None), None).is_none());
        assert!(dial(lab, "beyond", &guard(NEAR, Reach::Multihop, None), None).is_some());
        drop(listener);
    });
}

#[test]
fn a_socket_listens_at_an_address_its_link_will_have() {
    lab::run(|lab| {
        topology(lab);
        let later = "10.9.0.7";
        let listener = listen(lab, "far", later, &[guard(NEAR, Reach::Link, None)]);
        lab.address("far", "south", "10.9.0.7/24");
        let local = Some(NEAR.parse().unwrap());
        assert!(dial(lab, "near", &guard(later, Reach::Link, None), local).is_some());
        accept(&listener);
    });
}
