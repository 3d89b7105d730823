//! Packets for checks, and the checksum computed the plain way.

use lockgate::packet::{Malformed, Superpacket, VirtioHeader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Repeatable numbers (xorshift64*).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// The sum word by word, carry by carry, as RFC 1071 §1 says it.
pub(super) fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

/// Source, destination, length and protocol before a transport header.
pub(super) fn pseudo(packet: &[u8], protocol: u8, len: usize) -> Vec<u8> {
    let mut bytes = match packet[0] >> 4 {
        4 => packet[12..20].to_vec(),
        _ => packet[8..40].to_vec(),
    };
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// What the transport checksum over `packet[at..]` and its pseudo-header sums up
/// to: 0xffff when it is right.
pub(super) fn transport_sum(packet: &[u8], at: usize, protocol: u8) -> u16 {
    let mut bytes = pseudo(packet, protocol, packet.len() - at);
    bytes.extend(&packet[at..]);
    naive_sum(&bytes)
}

/// A packet to be built.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// The source's.
    pub(super) port: u16,
    pub(super) protocol: u8,
    pub(super) id: u16,
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) window: u16,
    pub(super) tcp_options: Vec<u8>,
    pub(super) ip_options: Vec<u8>,
    /// IPv6 extension headers, and the number of the first one.
    pub(super) extensions: Option<(u8, Vec<u8>)>,
    pub(super) payload: Vec<u8>,
}

impl Draft {
    pub(super) fn v4(protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            source: Ipv4Addr::new(10, 1, 0, 7).into(),
            destination: Ipv4Addr::new(192, 0, 2, 9).into(),
            port: 12_345,
            protocol,
            id: 0xfffe,
            flags: 0x10,
            sequence: 0xffff_ff00,
            window: 501,
            tcp_options: vec![1, 1, 8, 10, 0, 1, 2, 3, 4, 5, 6, 7],
            ip_options: Vec::new(),
            extensions: None,
            payload,
        }
    }

    pub(super) fn v6(protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            source: "2001:db8:1::7".parse::<Ipv6Addr>().unwrap().into(),
            destination: "2001:db8:2::9".parse::<Ipv6Addr>().unwrap().into(),
            ..Self::v4(protocol, payload)
        }
    }

    /// The packet, all checksums right, and where the transport header begins.
    pub(super) fn build(&self) -> (Vec<u8>, usize) {
        let mut packet = Vec::new();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.push(0x45 + (self.ip_options.len() / 4) as u8);
                packet.extend([0, 0, 0]);
                packet.extend(self.id.to_be_bytes());
                packet.extend([0x40, 0, 61, self.protocol, 0, 0]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                packet.extend(&self.ip_options);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (next, extensions) =
                    self.extensions.clone().unwrap_or((self.protocol, Vec::new()));
                packet.extend([0x60, 0x01, 0x23, 0x45, 0, 0, next, 61]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
                packet.extend(extensions);
            }
            _ => panic!("addresses of two families"),
        }
        let at = packet.len();
        packet.extend(self.port.to_be_bytes());
        packet.extend([0x01, 0xbb]);
        match self.protocol {
            TCP => {
                packet.extend(self.sequence.to_be_bytes());
                packet.extend([0x11, 0x22, 0x33, 0x44]);
                packet.extend([0x50 + ((self.tcp_options.len() / 4) << 4) as u8, self.flags]);
                packet.extend(self.window.to_be_bytes());
                packet.extend([0, 0, 0, 0]);
                packet.extend(&self.tcp_options);
            }
            _ => {
                packet.extend(((8 + self.payload.len()) as u16).to_be_bytes());
                packet.extend([0, 0]);
            }
        }
        packet.extend(&self.payload);
        seal(&mut packet, at, self.protocol);
        (packet, at)
    }
}

/// Writes length and checksums of a packet whose TCP or UDP begins at `at`.
pub(super) fn seal(packet: &mut [u8], at: usize, protocol: u8) {
    let len = packet.len();
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet[10..12].fill(0);
        let sum = !naive_sum(&packet[..at]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    }
    let place = at + if protocol == TCP { 16 } else { 6 };
    packet[place..place + 2].fill(0);
    let mut sum = !transport_sum(packet, at, protocol);
    if sum == 0 && protocol == UDP {
        sum = 0xffff;
    }
    packet[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The packets that a packet with this header stands for.
pub(super) fn take_apart(header: &VirtioHeader, packet: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let superpacket = Superpacket::read(header, packet)?;
    let mut segments = Vec::new();
    for segment in superpacket.segments() {
        let mut out = vec![0xaa; segment.len() + 3];
        assert_eq!(segment.write(&mut out), Ok(segment.len()));
        assert_eq!(out[segment.len()..], [0xaa; 3], "bytes behind the packet");
        out.truncate(segment.len());
        segments.push(out);
    }
    assert_eq!(segments.len(), superpacket.count());
    Ok(segments)
}
