//! Packets as a TUN hands them over, and what is right about those it is given.

use super::stage::{HERE, THERE};
use std::net::Ipv4Addr;

/// A UDP packet, checksum left out as IPv4 allows.
pub(super) fn udp(from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(from, to, 17, 8 + payload.len());
    packet.extend([0x13, 0x88, 0x13, 0x89]);
    packet.extend((8 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

pub(super) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    header[2..4].copy_from_slice(&(20 + payload as u16).to_be_bytes());
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = !sum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The Internet checksum's sum, not complemented (RFC 1071).
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

pub(super) fn pseudo_header(packet: &[u8]) -> Vec<u8> {
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, packet[9]]);
    pseudo.extend((packet.len() as u16 - 20).to_be_bytes());
    pseudo
}

/// A TCP superpacket as a TUN hands it over, and its header: `payload` in
/// segments of `mss`, the checksum begun only.
pub(super) fn tcp_superpacket(payload: &[u8], mss: u16) -> ([u8; 10], Vec<u8>) {
    let mut packet = ipv4(HERE, THERE, 6, 20 + payload.len());
    packet.extend([0x13, 0x88, 0x13, 0x89, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    let begun = sum(&pseudo_header(&packet));
    packet[36..38].copy_from_slice(&begun.to_be_bytes());
    let mut header = [0; 10];
    header[0] = 1; // NEEDS_CSUM
    header[1] = 1; // TCPV4
    header[2..4].copy_from_slice(&40_u16.to_ne_bytes());
    header[4..6].copy_from_slice(&mss.to_ne_bytes());
    header[6..8].copy_from_slice(&20_u16.to_ne_bytes());
    header[8..10].copy_from_slice(&16_u16.to_ne_bytes());
    (header, packet)
}

/// Sequence number and payload of a TCP packet whose checksums, complete or
/// begun as `header` says, are right.
pub(super) fn tcp_payload(header: &[u8; 10], packet: &[u8]) -> (u32, Vec<u8>) {
    assert_eq!(sum(&packet[..20]), 0xffff, "the IPv4 checksum");
    let pseudo = sum(&pseudo_header(packet));
    if header[0] & 1 == 1 {
        let begun = u16::from_be_bytes([packet[36], packet[37]]);
        assert_eq!(begun, pseudo, "the begun TCP checksum");
    } else {
        let mut covered = pseudo_header(packet);
        covered.extend(&packet[20..]);
        assert_eq!(sum(&covered), 0xffff, "the TCP checksum");
    }
    let sequence = u32::from_be_bytes(packet[24..28].try_into().unwrap());
    (sequence, packet[40..].to_vec())
}

/// The segments of [`tcp_superpacket`] one by one, as a TUN without offload
/// hands them over.
pub(super) fn tcp_segments(payload: &[u8], mss: usize) -> Vec<Vec<u8>> {
    let segment = |(index, part): (usize, &[u8])| {
        let (_, mut packet) = tcp_superpacket(part, 1);
        let sequence = 7 + (index * mss) as u32;
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[36..38].fill(0);
        let mut covered = pseudo_header(&packet);
        covered.extend(&packet[20..]);
        let checksum = !sum(&covered);
        packet[36..38].copy_from_slice(&checksum.to_be_bytes());
        packet
    };
    payload.chunks(mss).enumerate().map(segment).collect()
}

/// A packet of a protocol that nobody puts together.
pub(super) fn tcp_like(size: usize, mark: u8) -> Vec<u8> {
    let mut packet = ipv4(HERE, THERE, 253, size);
    packet.extend(vec![mark; size]);
    packet
}
