//! Superpackets taken apart, against a plain reference and against `tun-rs`.

use super::build::{Draft, Numbers, TCP, UDP, naive_sum, pseudo, seal, take_apart, transport_sum};
use lockgate::packet::{Gso, Malformed, Superpacket, VIRTIO_LEN, VirtioHeader};
use std::net::Ipv6Addr;
use tun_rs::VirtioNetHdr;

/// A superpacket as a TUN hands it over: its checksum is begun only.
fn superpacket(draft: &Draft, size: usize) -> (VirtioHeader, Vec<u8>, usize) {
    let (mut packet, at) = draft.build();
    let is_v4 = packet[0] >> 4 == 4;
    let (kind, place, header_len) = match (draft.protocol, is_v4) {
        (TCP, true) => (Gso::TcpV4, 16, 20 + draft.tcp_options.len()),
        (TCP, false) => (Gso::TcpV6, 16, 20 + draft.tcp_options.len()),
        _ => (Gso::UdpL4, 6, 8),
    };
    let begun = naive_sum(&pseudo(&packet, draft.protocol, packet.len() - at));
    packet[at + place..at + place + 2].copy_from_slice(&begun.to_be_bytes());
    let mut header = VirtioHeader::superpacket(kind, at, at + header_len, size);
    if draft.protocol == TCP && draft.flags & 0x80 != 0 {
        header.gso_type |= 0x80;
    }
    (header, packet, at)
}

/// The packets a draft stands for, built one by one.
fn expected(draft: &Draft, size: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<_> = draft.payload.chunks(size).collect();
    let count = pieces.len();
    let build = |(index, piece): (usize, &&[u8])| {
        let mut one = Draft { payload: piece.to_vec(), ..draft.clone() };
        one.id = draft.id.wrapping_add(index as u16);
        one.sequence = draft.sequence.wrapping_add((index * size) as u32);
        if index + 1 != count {
            one.flags &= !0x09;
        }
        if index != 0 {
            one.flags &= !0x80;
        }
        one.build().0
    };
    pieces.iter().enumerate().map(build).collect()
}

fn drafts(numbers: &mut Numbers) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for len in [1, 2, 99, 100, 101, 1_000, 9_999, 64_000] {
        for protocol in [TCP, UDP] {
            for is_v4 in [true, false] {
                let payload = numbers.bytes(len);
                let draft =
                    if is_v4 { Draft::v4(protocol, payload) } else { Draft::v6(protocol, payload) };
                drafts.push(Draft { flags: 0xd9, ..draft });
            }
        }
    }
    drafts
}

#[test]
fn superpackets_are_taken_apart_as_built_one_by_one() {
    let mut numbers = Numbers(4);
    for draft in drafts(&mut numbers) {
        for size in [1, 7, 100, 1_380, 65_000] {
            if draft.payload.len() / size > 2_000 {
                continue;
            }
            let (header, packet, _) = superpacket(&draft, size);
            let context = format!("{} bytes by {size}, protocol {}", packet.len(), draft.protocol);
            assert_eq!(take_apart(&header, &packet).unwrap(), expected(&draft, size), "{context}");
        }
    }
}

#[test]
fn superpackets_are_taken_apart_as_tun_rs_does() {
    let mut numbers = Numbers(5);
    for draft in drafts(&mut numbers) {
        for size in [100, 536, 1_380] {
            let (header, packet, _) = superpacket(&draft, size);
            let mut theirs = vec![vec![0; 2_000]; 700];
            let mut sizes = [0; 700];
            let of_tun = VirtioNetHdr {
                flags: header.flags,
                gso_type: header.gso_type & 0x7f,
                hdr_len: header.hdr_len,
                gso_size: header.gso_size,
                csum_start: header.csum_start,
                csum_offset: header.csum_offset,
            };
            let is_v6 = packet[0] >> 4 == 6;
            let mut input = packet.clone();
            let count =
                tun_rs::gso_split(&mut input, of_tun, &mut theirs, &mut sizes, 16, is_v6).unwrap();
            let theirs: Vec<_> = theirs[..count]
                .iter()
                .zip(sizes)
                .map(|(segment, size)| segment[16..16 + size].to_vec())
                .collect();
            assert_eq!(take_apart(&header, &packet).unwrap(), theirs);
        }
    }
}

#[test]
fn a_wrong_header_length_is_not_believed() {
    let draft = Draft::v4(TCP, vec![5; 3_000]);
    for hdr_len in [0, 20, 41, 4_000, u16::MAX] {
        let (header, packet, _) = superpacket(&draft, 1_000);
        let header = VirtioHeader { hdr_len, ..header };
        assert_eq!(take_apart(&header, &packet).unwrap(), expected(&draft, 1_000));
    }
}

#[test]
fn options_and_extension_headers_are_in_every_segment() {
    let with_options = Draft { ip_options: vec![1; 8], ..Draft::v4(TCP, vec![5; 3_000]) };
    // Hop-by-hop options of one unit, destination options of two.
    let mut extensions = vec![60, 0, 1, 4, 0, 0, 0, 0];
    extensions.extend([UDP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let with_extensions =
        Draft { extensions: Some((0, extensions)), ..Draft::v6(UDP, vec![5; 3_000]) };
    for draft in [with_options, with_extensions] {
        let (header, packet, at) = superpacket(&draft, 1_400);
        let segments = take_apart(&header, &packet).unwrap();
        assert_eq!(segments.len(), 3);
        for segment in &segments {
            assert_eq!(transport_sum(segment, at, draft.protocol), 0xffff);
        }
        assert_eq!(segments, expected(&draft, 1_400));
    }
}

#[test]
fn the_checksum_of_a_single_packet_is_completed() {
    for (protocol, place) in [(TCP, 16), (UDP, 6)] {
        for draft in [Draft::v4(protocol, vec![9; 77]), Draft::v6(protocol, vec![9; 77])] {
            let (_, packet, at) = superpacket(&draft, 1);
            let header = VirtioHeader {
                flags: 1,
                csum_start: at as u16,
                csum_offset: place,
                ..VirtioHeader::default()
            };
            assert_eq!(take_apart(&header, &packet).unwrap(), [draft.build().0]);
            let untouched = VirtioHeader { flags: 0, ..header };
            assert_eq!(take_apart(&untouched, &packet).unwrap(), std::slice::from_ref(&packet));
        }
    }
}

#[test]
fn a_completed_udp_checksum_is_never_none() {
    let (packet, at) = Draft::v4(UDP, vec![0; 2]).build();
    // A payload that makes everything else sum up to 0xffff.
    let mut bare = packet;
    bare[at + 6..at + 8].fill(0);
    let rest = !transport_sum(&bare, at, UDP);
    bare[at + 8..at + 10].copy_from_slice(&rest.to_be_bytes());
    seal(&mut bare, at, UDP);
    assert_eq!(bare[at + 6..at + 8], [0xff, 0xff]);
    let draft = Draft::v4(UDP, rest.to_be_bytes().to_vec());
    let (header, packet, _) = superpacket(&draft, 2);
    assert_eq!(take_apart(&header, &packet).unwrap(), [bare.clone()]);
    let single = VirtioHeader { gso_type: 0, ..header };
    assert_eq!(take_apart(&single, &packet).unwrap(), [bare]);
}

#[test]
fn what_contradicts_itself_is_refused_by_name() {
    let draft = Draft::v4(TCP, vec![5; 3_000]);
    let (header, packet, at) = superpacket(&draft, 1_000);
    let refusal =
        |header: VirtioHeader, packet: &[u8]| Superpacket::read(&header, packet).unwrap_err();
    let as_udp = VirtioHeader { gso_type: 5, ..header };
    assert_eq!(refusal(as_udp, &packet), Malformed::SuperpacketProtocol);
    let as_v6 = VirtioHeader { gso_type: 4, ..header };
    assert_eq!(refusal(as_v6, &packet), Malformed::SuperpacketProtocol);
    let unknown = VirtioHeader { gso_type: 3, ..header };
    assert_eq!(refusal(unknown, &packet), Malformed::SuperpacketKind);
    let empty = VirtioHeader { gso_size: 0, ..header };
    assert_eq!(refusal(empty, &packet), Malformed::SuperpacketSize);
    for elsewhere in [
        VirtioHeader { csum_start: 24, ..header },
        VirtioHeader { csum_offset: 6, ..header },
        VirtioHeader { csum_start: 16, csum_offset: 20, ..header },
    ] {
        assert_eq!(refusal(elsewhere, &packet), Malformed::ChecksumPlace);
    }
    let beyond = VirtioHeader { gso_type: 0, csum_start: 3_039, ..header };
    assert_eq!(refusal(beyond, &packet), Malformed::ChecksumPlace);
    assert_eq!(refusal(header, &packet[..packet.len() - 1]), Malformed::Truncated);
    let mut fragment = packet.clone();
    fragment[6] = 0x20;
    assert_eq!(refusal(header, &fragment), Malformed::SuperpacketFragment);
    let mut long_header = Draft::v4(TCP, vec![5; 3]).build().0;
    long_header[at + 12] = 0xf0;
    assert_eq!(refusal(header, &long_header), Malformed::TransportHeader);

    let superpacket = Superpacket::read(&header, &packet).unwrap();
    let first = superpacket.segments().next().unwrap();
    let mut out = vec![0; first.len() - 1];
    assert_eq!(first.write(&mut out), Err(Malformed::SegmentRoom));
}

#[test]
fn padding_is_no_payload() {
    let draft = Draft::v6(UDP, vec![5; 3_000]);
    let (header, mut packet, _) = superpacket(&draft, 1_000);
    packet.extend([0; 1_000]);
    assert_eq!(take_apart(&header, &packet).unwrap(), expected(&draft, 1_000));
}

#[test]
fn a_superpacket_whose_checksum_is_not_begun_gets_one() {
    for draft in [Draft::v4(TCP, vec![5; 3_000]), Draft::v6(TCP, vec![5; 3_000])] {
        let (header, mut packet, at) = superpacket(&draft, 1_000);
        packet[at + 16..at + 18].fill(0x55);
        let header = VirtioHeader { flags: 2, csum_start: 0, csum_offset: 0, ..header };
        assert_eq!(take_apart(&header, &packet).unwrap(), expected(&draft, 1_000));
    }
}

#[test]
fn a_routed_superpacket_lost_the_checksum_of_its_last_destination() {
    // A routing header with one more destination: the checksum is of that one.
    let last = "2001:db8:3::1".parse::<Ipv6Addr>().unwrap();
    let mut extensions = vec![TCP, 2, 2, 1, 0, 0, 0, 0];
    extensions.extend(last.octets());
    let draft = Draft { extensions: Some((43, extensions)), ..Draft::v6(TCP, vec![5; 3_000]) };
    let (header, mut packet, at) = superpacket(&draft, 1_000);
    let as_received = |packet: &[u8]| [&packet[..24], &last.octets(), &packet[40..]].concat();
    let begun = naive_sum(&pseudo(&as_received(&packet), TCP, packet.len() - at));
    packet[at + 16..at + 18].copy_from_slice(&begun.to_be_bytes());
    let segments = take_apart(&header, &packet).unwrap();
    assert_eq!(segments.len(), 3);
    for segment in segments {
        assert_eq!(transport_sum(&as_received(&segment), at, TCP), 0xffff);
    }
    let not_begun = VirtioHeader { flags: 0, ..header };
    assert_eq!(take_apart(&not_begun, &packet), Err(Malformed::ChecksumPlace));
}

#[test]
fn a_virtio_header_is_read_as_it_was_written() {
    let header = VirtioHeader {
        flags: 1,
        gso_type: 0x81,
        hdr_len: 2,
        gso_size: 0x0304,
        csum_start: 0x0506,
        csum_offset: 0x0708,
    };
    let bytes = header.encode();
    assert_eq!(VirtioHeader::decode(&bytes), header);
    let mut theirs = [0; VIRTIO_LEN];
    VirtioNetHdr::decode(&bytes).unwrap().encode(&mut theirs).unwrap();
    assert_eq!(theirs, bytes);
    assert_eq!(header.gso(), Ok(Gso::TcpV4));
}
