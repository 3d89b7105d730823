//! Frames made by hand, tags and all, and [`Wire`], which puts them on a trunk:
//! what no stack would send.
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::capture::frame_socket;
use crate::lab::{At, Lab};
use crate::links::Tag;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use socket2::Socket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// Who sends what should not be sent.
pub(crate) const FOE: Mac = [2, 0, 0, 0, 0x66, 0x66];

/// Everyone on the link.
pub(crate) const EVERYONE: Mac = [0xff; 6];

pub(crate) const ARP: u16 = 0x0806;
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;

/// The longest frame with a tag that a link with an MTU of 1,500 takes.
const LONGEST: usize = 14 + 4 + 1_500;

/// Whether the sender was told that nobody took it (`net_xmit_errno`).
fn is_lost(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

/// The far end of the trunk.
pub(crate) struct Wire {
    socket: Socket,
    /// The gateway's hardware address, which all of its VLANs have.
    pub(crate) gateway: Mac,
}

impl Wire {
    pub(crate) fn new(lab: &Lab) -> Self {
        let socket = lab.within("wan", || frame_socket("trunk"));
        Self { socket, gateway: mac(lab, At::Underlay, "eth2") }
    }

    /// Sends frames one after another, and they arrive in that order: from one
    /// processor, for each has a queue of its own.
    pub(crate) fn send<'a>(&self, frames: impl IntoIterator<Item = &'a Vec<u8>>) {
        let before = sched_getaffinity(None).unwrap();
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(None, &here).unwrap();
        for frame in frames {
            match self.socket.send(frame) {
                Ok(_) => {}
                // The link at the other end of the pair takes none that long.
                Err(error) if LONGEST < frame.len() && is_lost(&error) => {}
                Err(error) => panic!("{frame:02x?}: {error}"),
            }
        }
        sched_setaffinity(None, &before).unwrap();
    }

    /// A frame to the gateway from [`FOE`].
    pub(crate) fn frame(&self, tags: &[Tag], packet: &[u8]) -> Vec<u8> {
        let tags: Vec<_> = tags.iter().map(|tag| tag.bytes()).collect();
        frame(self.gateway, FOE, &tags, ethertype(packet), packet)
    }
}

/// A link's hardware address.
pub(crate) fn mac(lab: &Lab, at: At<'_>, link: &str) -> Mac {
    let shown = lab.ip(at, &format!("-o link show {link}"));
    let text = shown.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
    parse_mac(text)
}

/// One as text.
pub(crate) fn parse_mac(text: &str) -> Mac {
    let bytes: Vec<u8> = text.split(':').map(|it| u8::from_str_radix(it, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// IPv4's or IPv6's.
pub(crate) const fn ethertype(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 }
}

/// A frame with these tags, each of four bytes, outermost first.
pub(crate) fn frame(to: Mac, from: Mac, tags: &[[u8; 4]], kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend(tags.concat());
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    frame
}

/// An IPv4 header that can be made wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct V4<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
    /// Flags and fragment offset, as they are in the header.
    pub(crate) fragment: u16,
    /// Of a length that four divides.
    pub(crate) options: &'a [u8],
}

impl<'a> V4<'a> {
    pub(crate) const fn new(from: &'a str, to: &'a str, protocol: u8) -> Self {
        Self { from, to, protocol, ttl: 64, id: 7, fragment: 0, options: &[] }
    }

    pub(crate) fn packet(self, body: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut packet = vec![0x40 | (header / 4) as u8, 0];
        packet.extend(((header + body.len()) as u16).to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, self.protocol, 0, 0]);
        packet.extend(self.from.parse::<Ipv4Addr>().unwrap().octets());
        packet.extend(self.to.parse::<Ipv4Addr>().unwrap().octets());
        packet.extend(self.options);
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum);
        packet.extend(body);
        packet
    }
}

/// An IPv6 packet; `next` is what `body` begins with.
pub(crate) fn v6(from: &str, to: &str, next: u8, hops: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(from.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(to.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(body);
    packet
}

/// A UDP datagram, alone.
pub(crate) fn datagram(from: &str, to: &str, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    for half in [ports[0], ports[1], 8 + payload.len() as u16, 0] {
        datagram.extend(half.to_be_bytes());
    }
    datagram.extend(payload);
    let sum = checksum_with_addresses(from, to, UDP, &datagram);
    datagram[6..8].copy_from_slice(&sum);
    datagram
}

/// A packet with the first segment of a TCP connection, over IPv4.
pub(crate) fn syn(from: &str, to: &str, ports: [u16; 2]) -> Vec<u8> {
    let mut segment = ports.map(u16::to_be_bytes).concat();
    segment.extend([0, 0, 0, 7, 0, 0, 0, 0, 5 << 4, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let sum = checksum_with_addresses(from, to, TCP, &segment);
    segment[16..18].copy_from_slice(&sum);
    V4::new(from, to, TCP).packet(&segment)
}

/// A packet of either family with a UDP datagram in it.
pub(crate) fn udp(from: &str, to: &str, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let datagram = datagram(from, to, ports, payload);
    if from.contains(':') {
        v6(from, to, UDP, 64, &datagram)
    } else {
        V4::new(from, to, UDP).packet(&datagram)
    }
}

/// An ICMP message of IPv4, alone.
pub(crate) fn icmp4(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest);
    message.extend(body);
    let sum = checksum(&[&message]);
    message[2..4].copy_from_slice(&sum);
    message
}

/// An ICMPv6 message, alone.
pub(crate) fn icmp6(from: &str, to: &str, kind: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(rest);
    message.extend(body);
    let sum = checksum_with_addresses(from, to, ICMP6, &message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// The body of an ARP message: 1 asks, 2 answers.
pub(crate) fn arp(operation: u8, sender: (Mac, &str), target: (Mac, &str)) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, operation];
    for (mac, address) in [sender, target] {
        body.extend(mac);
        body.extend(address.parse::<Ipv4Addr>().unwrap().octets());
    }
    body
}

fn checksum_with_addresses(from: &str, to: &str, protocol: u8, body: &[u8]) -> [u8; 2] {
    let octets = |text: &str| match text.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (from, to) = (octets(from), octets(to));
    let [a, b] = (body.len() as u16).to_be_bytes();
    checksum(&[&from, &to, &[0, protocol, a, b], body])
}

/// The Internet checksum (RFC 1071) of parts of which only the last may be of an
/// odd length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let halves = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 =
        halves.map(|it| u32::from(it[0]) << 8 | u32::from(*it.get(1).unwrap_or(&0))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(((sum & 0xffff) + (sum >> 16)) as u16)).to_be_bytes()
}
