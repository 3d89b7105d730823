//! One host that takes all the status endpoint's connections it can get, and others who ask
//! it with a stock client meanwhile (threats H1).

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use lockgate::model::limits::{
    HTTP_ADDRESS_CONNECTIONS, HTTP_ADDRESS_STREAMS, HTTP_CONNECTIONS, HTTP_LOOPBACK_STREAMS,
};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A gateway on two wires: to `crowd` and to `noc`.
fn started(lab: &Lab) -> Gateway<'_> {
    for (name, v4, v6) in [("crowd", "192.0.2", "2001:db8:1"), ("noc", "198.51.100", "2001:db8:2")]
    {
        lab.add(name);
        lab.veth((At::Underlay, name), (At::Netns(name), "up0"));
        for (at, link, host) in [(At::Underlay, name, 1), (At::Netns(name), "up0", 2)] {
            lab.address(at, link, &format!("{v4}.{host}/24"));
            lab.address(at, link, &format!("{v6}::{host}/64"));
        }
    }
    let mut gateway = Gateway::new(lab, At::Underlay);
    gateway.write("none.yaml", "");
    gateway.argument(&["--status", "[::]:9586"]);
    gateway.spawn();
    wait_until("the endpoint", PATIENCE, || ask(lab, At::Underlay, "127.0.0.1"));
    gateway
}

/// Asks as an operator does.
fn ask(lab: &Lab, from: At<'_>, host: &str) -> Result<(), String> {
    let url = format!("http://{host}:9586/livez");
    let output = lab.output(from, &["curl", "-gsS", "--max-time", "10", &url]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.stdout == b"ok\n" { Ok(()) } else { Err(said) }
}

/// So many who follow what happens, each of whom stays for most of a minute; those who got
/// no place are closed.
fn crowd(lab: &Lab, from: At<'_>, to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = || {
        let mut stream = TcpStream::connect(to).unwrap();
        // It may be closed by then.
        let _ = stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream
    };
    lab.within(from, || (0..count).map(|_| connect()).collect())
}

/// How many of them follow, and how many were told that too many do.
fn served(streams: &[TcpStream]) -> [usize; 2] {
    let status = |mut stream: &TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).is_ok().then_some(head)
    };
    let all: Vec<_> = streams.iter().filter_map(status).collect();
    [b"HTTP/1.1 200", b"HTTP/1.1 503"].map(|of| all.iter().filter(|it| *it == of).count())
}

/// What becomes of all that one address may have.
const OF_ONE: [usize; 2] = [HTTP_ADDRESS_STREAMS, HTTP_ADDRESS_CONNECTIONS - HTTP_ADDRESS_STREAMS];

#[test]
fn one_address_held_all_connections_and_nobody_else_was_answered() {
    lab::run(|lab| {
        let _gateway = started(lab);
        for (own, others) in [("192.0.2.1", "198.51.100.1"), ("[2001:db8:1::1]", "[2001:db8:2::1]")]
        {
            let to = format!("{own}:9586").parse().unwrap();
            let crowd = crowd(lab, "crowd".into(), to, HTTP_CONNECTIONS + 20);
            assert_eq!(served(&crowd), OF_ONE);
            ask(lab, "noc".into(), others).unwrap();
            ask(lab, At::Underlay, "127.0.0.1").unwrap();
            ask(lab, "crowd".into(), own).unwrap_err();
            drop(crowd);
            wait_until("places to be free again", PATIENCE, || ask(lab, "crowd".into(), own));
        }
    });
}

/// A host has a whole /64 to choose addresses from.
#[test]
fn one_host_of_many_addresses_held_all_connections() {
    lab::run(|lab| {
        let _gateway = started(lab);
        let mut all = Vec::new();
        for n in 3..8 {
            lab.address("crowd", "up0", &format!("2001:db8:1::{n}/64"));
            lab.ip("crowd", &format!("-6 route replace 2001:db8:1::1 dev up0 src 2001:db8:1::{n}"));
            let to = "[2001:db8:1::1]:9586".parse().unwrap();
            all.extend(crowd(lab, "crowd".into(), to, HTTP_ADDRESS_CONNECTIONS));
        }
        let from: BTreeSet<_> = all.iter().map(|it| it.local_addr().unwrap().ip()).collect();
        assert_eq!(from.len(), 5, "{from:?}");
        assert_eq!(served(&all), OF_ONE);
        ask(lab, "noc".into(), "[2001:db8:2::1]").unwrap();
    });
}

#[test]
fn two_addresses_held_all_streams_and_nobody_else_could_follow() {
    lab::run(|lab| {
        let _gateway = started(lab);
        let to = "192.0.2.1:9586".parse().unwrap();
        let mut all = crowd(lab, "crowd".into(), to, HTTP_ADDRESS_CONNECTIONS);
        lab.address("crowd", "up0", "192.0.2.3/24");
        lab.ip("crowd", "route replace 192.0.2.1 dev up0 src 192.0.2.3");
        all.extend(crowd(lab, "crowd".into(), to, HTTP_ADDRESS_CONNECTIONS));
        assert_eq!(served(&all), OF_ONE.map(|of_one| 2 * of_one));
        let noc = crowd(lab, "noc".into(), "198.51.100.1:9586".parse().unwrap(), 1);
        assert_eq!(served(&noc), [1, 0]);
    });
}

#[test]
fn a_crowd_on_the_machine_itself_left_no_room_for_the_network() {
    lab::run(|lab| {
        let _gateway = started(lab);
        let to = "127.0.0.1:9586".parse().unwrap();
        let crowd = crowd(lab, At::Underlay, to, HTTP_CONNECTIONS + 20);
        ask(lab, "noc".into(), "198.51.100.1").unwrap();
        // Those of whom a proxy here speaks are more than one address's.
        assert_eq!(served(&crowd)[0], HTTP_LOOPBACK_STREAMS);
    });
}
