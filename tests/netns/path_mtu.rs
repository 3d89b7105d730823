//! What the longest packet of a path is, found out as senders do: by asking with
//! packets that nobody may take apart.
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::capture::Capture;
use crate::lab::{Lab, PATIENCE, wait_until};
use crate::wireguard_stage::socket;
use crate::wireguard_wire::Seen;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use std::collections::BTreeSet;
use std::net::UdpSocket;

const TCP: u8 = 6;

/// The maximum segment sizes in the SYNs seen.
pub(crate) fn segment_sizes(capture: &Capture) -> BTreeSet<u16> {
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
pub(crate) fn told(capture: &Capture) -> Vec<(String, u16)> {
    let seen = capture.frames().into_iter().filter_map(|frame| Seen::of(&frame));
    let told = seen.filter(|seen| {
        matches!((seen.protocol, seen.payload.as_slice()), (1, [3, 4, ..]) | (58, [2, 0, ..]))
    });
    told.map(|it| (it.from.to_string(), u16::from_be_bytes([it.payload[6], it.payload[7]])))
        .collect()
}

/// A packet of 1,500 (or as many as the link takes) is answered by `by` with the
/// `mtu` of what comes after; then what fits passes, and no byte more.
pub(crate) fn check(
    lab: &Lab,
    way: (&str, &str, &str),
    link: &str,
    longest: u16,
    by: &str,
    mtu: u16,
) {
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
