//! Packets that are too long for some part of the way: whoever sent them is
//! told, from an address it has business with, and TCP does not even have to be.

use crate::capture::Capture;
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    Addresses, FAMILIES, PORT, Stage, TENANT, V4, documents, key, socket,
};
use crate::wireguard_wire::Seen;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use std::collections::BTreeSet;
use std::net::UdpSocket;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// The MTU inside the tunnel, when the documents name none.
const TUNNEL_MTU: u16 = 1_420;

const TCP: u8 = 6;

/// A tenant with its customer's router, which has dialled in.
fn connect<'lab>(lab: &'lab Lab, documents: &str) -> (Stage<'lab>, Gateway<'lab>, Router<'lab>) {
    let stage = Stage::new(lab);
    let gateway = stage.start(documents);
    let customer = Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
    };
    let router = Router::start(lab, "router", Engine::any(), &customer);
    stage.wait_traffic("device", "app", V4.app);
    (stage, gateway, router)
}

fn usual() -> String {
    documents(key(CUSTOMER).public(), "", "")
}

/// The maximum segment sizes in the SYNs seen.
fn segment_sizes(capture: &Capture) -> BTreeSet<u16> {
    let seen = capture.frames().into_iter().filter_map(|frame| Seen::of(&frame));
    seen.filter(|seen| seen.protocol == TCP)
        .filter_map(|seen| segment_size(&seen.payload))
        .collect()
}

/// The maximum segment size in a segment with SYN (RFC 9293 §3.1).
fn segment_size(segment: &[u8]) -> Option<u16> {
    if segment[13] & 2 == 0 {
        return None;
    }
    let mut options = segment.get(20..usize::from(segment[12] >> 4) * 4)?;
    loop {
        match options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [1, rest @ ..] => options = rest,
            [_, len, ..] => options = options.get(usize::from(*len).max(2)..)?,
            _ => return None,
        }
    }
}

/// Both ends have links of 1,500 and do not know of the tunnel between them.
#[test]
fn tcp_is_told_by_its_own_handshake_what_fits() {
    lab::run(|lab| {
        let (stage, _gateway, _router) = connect(lab, &usual());
        for family in FAMILIES {
            let headers = if family.app.contains(':') { 60 } else { 40 };
            let fits = TUNNEL_MTU - headers;
            for (from, to, address) in
                [("app", "device", family.device), ("device", "app", family.app)]
            {
                let captures = [("app", "apps"), ("device", "lan")];
                let captures = captures.map(|(at, link)| (at, lab.capture(at, link)));
                stage.tcp(from, to, address, 400_000);
                for (at, capture) in captures {
                    // Its own, which leaves as it is, and the other one's.
                    let sizes = segment_sizes(&capture);
                    let expected = BTreeSet::from([fits, 1_500 - headers]);
                    assert_eq!(sizes, expected, "{from} to {to}, at {at}");
                }
            }
        }
    });
}

/// A socket that never lets the kernel or a router fragment.
fn whole(lab: &Lab, at: &str, to: &str) -> UdpSocket {
    let v6 = to.contains(':');
    let asks = lab.udp(at, socket(if v6 { "::" } else { "0.0.0.0" }, 0));
    if v6 {
        set_ipv6_mtu_discover(&asks, Ipv6PathMtuDiscovery::DO).unwrap();
    } else {
        set_ip_mtu_discover(&asks, Ipv4PathMtuDiscovery::DO).unwrap();
    }
    asks
}

/// Who said that a packet is too big, and what would fit (RFC 792, RFC 4443 §3.2).
fn told(capture: &Capture) -> Vec<(String, u16)> {
    let seen = capture.frames().into_iter().filter_map(|frame| Seen::of(&frame));
    let told = seen.filter(|seen| {
        matches!((seen.protocol, seen.payload.as_slice()), (1, [3, 4, ..]) | (58, [2, 0, ..]))
    });
    told.map(|it| (it.from.to_string(), u16::from_be_bytes([it.payload[6], it.payload[7]])))
        .collect()
}

/// A packet of 1,500 (or as many as the link takes) is answered by `by` with the
/// `mtu` of what comes after; then what fits passes, and no byte more.
fn check(lab: &Lab, way: (&str, &str, &str), link: &str, longest: u16, by: &str, mtu: u16) {
    let (from, to, address) = way;
    let headers = if address.contains(':') { 48 } else { 28 };
    let capture = lab.capture(from, link);
    let echo = lab.udp_echo(to, socket(address, 0));
    let asks = whole(lab, from, address);
    let send = |len: u16| {
        let payload = vec![5; usize::from(len - headers)];
        asks.send_to(&payload, echo.address).map_err(|error| error.kind())
    };
    wait_until("the sender to be told", PATIENCE, || {
        let _ = send(longest);
        let told = told(&capture);
        if told.is_empty() { Err("silence") } else { Ok(told) }
    })
    .into_iter()
    .for_each(|told| assert_eq!(told, (by.to_owned(), mtu), "{from} to {address}"));
    wait_until("its kernel to know", PATIENCE, || match send(longest) {
        Err(_) => Ok(()),
        Ok(_) => Err("it still sends"),
    });
    assert!(send(mtu + 1).is_err(), "{from} to {address}: one more than fits");
    let payload = vec![5; usize::from(mtu - headers)];
    assert!(lab.udp_ask(&asks, echo.address, &payload).is_some(), "{from} to {address}: what fits");
}

fn for_each_family(check: impl Fn(Addresses)) {
    FAMILIES.into_iter().for_each(check);
}

/// V21: too long for the tunnel; the tenant's side of the gateway says so.
#[test]
fn an_application_is_told_what_fits_the_tunnel() {
    lab::run(|lab| {
        let (_stage, _gateway, _router) = connect(lab, &usual());
        for_each_family(|family| {
            let way = ("app", "device", family.device);
            check(lab, way, "apps", 1_500, family.fabric, TUNNEL_MTU);
        });
    });
}

/// Too long for the fabric's link: the gateway's end of the tunnel says so.
#[test]
fn a_device_is_told_what_fits_the_fabric() {
    lab::run(|lab| {
        let narrow = usual().replace("mtu: 1500", "mtu: 1300");
        assert_ne!(narrow, usual());
        let (_stage, _gateway, _router) = connect(lab, &narrow);
        lab.ip("app", "link set apps mtu 1300");
        for_each_family(|family| {
            let way = ("device", "app", family.app);
            check(lab, way, "lan", TUNNEL_MTU, family.tunnel[0], 1_300);
        });
    });
}

/// Too long for a link behind the customer's router: its end of the tunnel says
/// so, and the gateway lets that through.
#[test]
fn an_application_is_told_what_fits_behind_the_customers_router() {
    lab::run(|lab| {
        let (_stage, _gateway, _router) = connect(lab, &usual());
        lab.ip("router", "link set eth0 mtu 1300");
        lab.ip("device", "link set lan mtu 1300");
        for_each_family(|family| {
            let way = ("app", "device", family.device);
            check(lab, way, "apps", TUNNEL_MTU, family.tunnel[1], 1_300);
        });
    });
}

/// As the tunnel's MTU is set, so it is told.
#[test]
fn a_tunnels_mtu_is_what_the_documents_say() {
    lab::run(|lab| {
        let narrow = usual().replace("listenPort:", "tunnelMTU: 1280\n  listenPort:");
        assert_ne!(narrow, usual());
        let (stage, _gateway, _router) = connect(lab, &narrow);
        for_each_family(|family| {
            let way = ("app", "device", family.device);
            check(lab, way, "apps", 1_500, family.fabric, 1_280);
            stage.tcp("app", "device", family.device, 200_000);
        });
    });
}

/// The uplink becomes a DSL line with PPPoE while the gateway runs.
#[test]
fn a_tunnel_follows_the_mtu_of_the_uplink() {
    lab::run(|lab| {
        let (stage, _gateway, _router) = connect(lab, &usual());
        let is = |mtu: u16| {
            wait_until(&format!("a tunnel of {mtu}"), PATIENCE, || {
                let link = lab.ip("lockgate.acme.gw", "link show lg-wg");
                if link.contains(&format!("mtu {mtu} ")) { Ok(()) } else { Err(link) }
            });
        };
        is(TUNNEL_MTU);
        lab.ip(At::Underlay, "route add default via 198.51.100.2");
        lab.ip(At::Underlay, "link set up0 mtu 1492");
        is(TUNNEL_MTU - 8);
        stage.wait_traffic("app", "device", V4.device);
        lab.ip(At::Underlay, "link set up0 mtu 1500");
        is(TUNNEL_MTU);
    });
}
