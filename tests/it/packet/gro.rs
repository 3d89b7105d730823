//! Packets put together, case by case, and against `tun-rs`.

use super::build::{Draft, Numbers, TCP, UDP, naive_sum, pseudo, seal, take_apart, transport_sum};
use lockgate::packet::{GRO_SEGMENTS, Gro, Offload, VirtioHeader};
use tun_rs::VirtioNetHdr;

pub(super) const BOTH: Offload = Offload { tcp: true, udp: true };

/// What is written for `packets` that came in this order in one batch.
pub(super) fn put_together(packets: &[Vec<u8>], offload: Offload) -> Vec<(VirtioHeader, Vec<u8>)> {
    let mut buffer = vec![0x55; 7];
    let mut gro = Gro::default();
    let mut written = Vec::new();
    let mut write = |header, pieces: &[&[u8]]| {
        assert!(pieces.len() <= GRO_SEGMENTS);
        written.push((header, pieces.concat()));
    };
    for packet in packets {
        let begin = buffer.len();
        buffer.extend(packet);
        let end = buffer.len();
        buffer.extend([0x55; 16]);
        gro.push(&buffer, begin..end, offload);
        if gro.is_full() {
            gro.flush(&mut buffer, &mut write);
        }
    }
    gro.flush(&mut buffer, &mut write);
    gro.flush(&mut buffer, |_, _| panic!("written twice"));
    written
}

/// The packets `draft`'s payload is cut into, the identification counted on.
fn in_a_row(draft: &Draft, size: usize) -> Vec<Vec<u8>> {
    let one = |(index, piece): (usize, &[u8])| {
        let id = draft.id.wrapping_add(index as u16);
        let sequence = draft.sequence.wrapping_add((index * size) as u32);
        Draft { payload: piece.to_vec(), id, sequence, ..draft.clone() }.build().0
    };
    draft.payload.chunks(size).enumerate().map(one).collect()
}

fn drafts(len: usize) -> Vec<Draft> {
    let payload = Numbers(len as u64 + 1).bytes(len);
    let draft =
        |protocol| [Draft::v4(protocol, payload.clone()), Draft::v6(protocol, payload.clone())];
    [draft(TCP), draft(UDP)].concat()
}

/// The packets stay as they came.
fn assert_left_alone(packets: &[Vec<u8>], offload: Offload, what: &str) {
    let alone: Vec<_> =
        packets.iter().map(|packet| (VirtioHeader::default(), packet.clone())).collect();
    assert!(put_together(packets, offload) == alone, "{what}");
}

#[test]
fn packets_in_a_row_become_one() {
    for draft in drafts(10_500) {
        let packets = in_a_row(&draft, 1_000);
        let written = put_together(&packets, BOTH);
        let [(header, packet)] = &written[..] else { panic!("{} packets", written.len()) };
        // It is the packet that would have been cut up, its checksum begun.
        let (mut whole, at) = draft.build();
        let place = at + if draft.protocol == TCP { 16 } else { 6 };
        let begun = naive_sum(&pseudo(&whole, draft.protocol, whole.len() - at));
        whole[place..place + 2].copy_from_slice(&begun.to_be_bytes());
        assert!(*packet == whole);
        assert_eq!((header.flags, header.gso_size), (1, 1_000));
        assert_eq!(usize::from(header.csum_start), at);
        assert_eq!(usize::from(header.csum_start + header.csum_offset), place);
        assert_eq!(usize::from(header.hdr_len), whole.len() - 10_500);
        assert_eq!(take_apart(header, packet).unwrap(), packets);
    }
}

#[test]
fn tun_rs_takes_apart_what_was_put_together() {
    for draft in drafts(10_500) {
        let packets = in_a_row(&draft, 1_000);
        let (header, mut packet) = put_together(&packets, BOTH).remove(0);
        let header = VirtioNetHdr::decode(&header.encode()).unwrap();
        let (mut theirs, mut sizes) = (vec![vec![0; 1_200]; 20], [0; 20]);
        let is_v6 = packet[0] >> 4 == 6;
        let count =
            tun_rs::gso_split(&mut packet, header, &mut theirs, &mut sizes, 0, is_v6).unwrap();
        let theirs: Vec<_> =
            theirs.into_iter().zip(sizes).map(|(packet, size)| packet[..size].to_vec()).collect();
        assert!(theirs[..count] == packets);
    }
}

#[test]
fn packets_are_put_together_as_tun_rs_does() {
    for draft in drafts(60_000) {
        // A short packet ends a row; PSH ends the next one.
        let mut packets = in_a_row(&draft, 1_400);
        let next = Draft {
            sequence: draft.sequence.wrapping_add(60_000),
            id: draft.id.wrapping_add(packets.len() as u16),
            payload: vec![3; 2_800],
            ..draft.clone()
        };
        packets.extend(in_a_row(&next, 1_400));
        if draft.protocol == TCP {
            let last = packets.last_mut().unwrap();
            let at = if last[0] >> 4 == 4 { 20 } else { 40 };
            last[at + 13] |= 8;
            seal(last, at, TCP);
        }
        let mut buffers: Vec<Vec<u8>> = Vec::new();
        for packet in &packets {
            let mut buffer = Vec::with_capacity(70_000);
            buffer.extend([0; 10]);
            buffer.extend(packet);
            buffers.push(buffer);
        }
        let mut written = Vec::new();
        tun_rs::handle_gro(
            &mut buffers,
            10,
            &mut Default::default(),
            &mut Default::default(),
            true,
            &mut written,
        )
        .unwrap();
        let theirs: Vec<_> = written.into_iter().map(|index| buffers[index].clone()).collect();
        let ours: Vec<_> = put_together(&packets, BOTH)
            .into_iter()
            .map(|(header, packet)| [&header.encode()[..], &packet].concat())
            .collect();
        assert_eq!(ours.len(), 2);
        assert!(ours == theirs);
    }
}

#[test]
fn a_superpacket_has_at_most_64_packets() {
    for draft in drafts(100 * 80) {
        let written = put_together(&in_a_row(&draft, 100), BOTH);
        let counts: Vec<_> = written
            .iter()
            .map(|(header, packet)| take_apart(header, packet).unwrap().len())
            .collect();
        assert_eq!(counts, [64, 16]);
    }
}

#[test]
fn a_superpacket_is_no_longer_than_a_packet_can_be() {
    for draft in drafts(70_000) {
        let packets = in_a_row(&draft, 7_000);
        let written = put_together(&packets, BOTH);
        let lengths: Vec<_> = written.iter().map(|(_, packet)| packet.len()).collect();
        assert_eq!(lengths.len(), 2, "{lengths:?}");
        assert!(lengths[0] <= 65_535 && lengths[0] + 7_000 > 65_535, "{lengths:?}");
    }
}

#[test]
fn flows_that_come_mixed_are_told_apart() {
    let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
    for draft in drafts(4_000) {
        for port in [1, 2] {
            rows.push(in_a_row(&Draft { port, ..draft.clone() }, 1_000));
        }
    }
    let mixed: Vec<_> =
        (0..4).flat_map(|index| rows.iter().map(move |row| row[index].clone())).collect();
    let written = put_together(&mixed, BOTH);
    assert_eq!(written.len(), rows.len());
    for ((header, packet), row) in written.iter().zip(rows) {
        assert_eq!(take_apart(header, packet).unwrap(), row);
    }
}

#[test]
fn nothing_is_put_together_unasked() {
    for draft in drafts(4_000) {
        let other = Offload { tcp: draft.protocol == UDP, udp: draft.protocol == TCP };
        assert_left_alone(&in_a_row(&draft, 1_000), other, "the other protocol");
    }
}

/// Something done to the second of three packets of a draft, whose transport
/// header begins at the given place; the checksums are made right afterwards.
type Change = fn(&mut Vec<u8>, usize);

/// A packet with something odd is left alone, and so are those around it.
fn check_odd(protocol: u8, what: &str, change: Change, reseal: bool) {
    for draft in drafts(3_000).into_iter().filter(|draft| draft.protocol == protocol) {
        let mut packets = in_a_row(&draft, 1_000);
        let at = if packets[1][0] >> 4 == 4 { 20 } else { 40 };
        change(&mut packets[1], at);
        if reseal {
            seal(&mut packets[1], at, protocol);
        }
        assert_left_alone(&packets, BOTH, what);
    }
}

#[test]
fn what_taking_apart_would_not_give_back_is_left_alone() {
    let changes: [(&str, Change); 10] = [
        ("a gap", |packet, at| packet[at + 4] ^= 1),
        ("another acknowledgement", |packet, at| packet[at + 8] ^= 1),
        ("another window", |packet, at| packet[at + 14] ^= 1),
        ("another option", |packet, at| packet[at + 25] ^= 1),
        ("FIN", |packet, at| packet[at + 13] |= 0x01),
        ("URG", |packet, at| packet[at + 13] |= 0x20),
        ("ECE", |packet, at| packet[at + 13] |= 0x40),
        ("CWR", |packet, at| packet[at + 13] |= 0x80),
        ("the flag that was NS", |packet, at| packet[at + 12] |= 0x01),
        ("no acknowledgement", |packet, at| packet[at + 13] &= !0x10),
    ];
    for (what, change) in changes {
        check_odd(TCP, what, change, true);
    }
    for protocol in [TCP, UDP] {
        check_odd(
            protocol,
            "another hop limit",
            |packet, at| packet[if at == 20 { 8 } else { 7 }] ^= 8,
            true,
        );
        check_odd(protocol, "another class", |packet, _| packet[1] ^= 0x10, true);
        check_odd(protocol, "more payload than the first", |packet, _| packet.push(0), true);
    }
}

#[test]
fn a_damaged_packet_is_not_mended() {
    let flips: [Change; 3] = [
        |packet, _| *packet.last_mut().unwrap() ^= 1,
        |packet, at| packet[at + 6] ^= 1,
        |packet, at| packet[at + 16] ^= 1,
    ];
    for protocol in [TCP, UDP] {
        for flip in flips {
            check_odd(protocol, "damaged", flip, false);
        }
    }
    // The first of a row is looked at, too, when others would follow it.
    for draft in drafts(3_000) {
        let mut packets = in_a_row(&draft, 1_000);
        *packets[0].last_mut().unwrap() ^= 1;
        let written = put_together(&packets, BOTH);
        assert_eq!(written[0], (VirtioHeader::default(), packets[0].clone()));
        assert_eq!(take_apart(&written[1].0, &written[1].1).unwrap(), packets[1..]);
    }
}

#[test]
fn a_damaged_ipv4_header_is_not_mended() {
    for draft in [Draft::v4(TCP, vec![7; 3_000]), Draft::v4(UDP, vec![7; 3_000])] {
        for damaged in [0, 1] {
            let mut packets = in_a_row(&draft, 1_000);
            packets[damaged][10] ^= 1;
            let written = put_together(&packets, BOTH);
            let alone = (VirtioHeader::default(), packets[damaged].clone());
            assert!(written.contains(&alone), "packet {damaged}");
        }
    }
}

#[test]
fn a_udp_checksum_that_is_none_stays_none() {
    for sums_up in [false, true] {
        let mut packets = in_a_row(&Draft::v4(UDP, vec![0; 3_000]), 1_000);
        for packet in &mut packets {
            packet[26..28].fill(0);
            if sums_up {
                // Zero would be what the checksum comes to.
                let rest = !transport_sum(packet, 20, UDP);
                packet[28..30].copy_from_slice(&rest.to_be_bytes());
            }
        }
        assert_left_alone(&packets, BOTH, "no checksum");
    }
}

#[test]
fn what_every_packet_has_and_a_superpacket_cannot_have_is_left_alone() {
    for flags in [0x12, 0x11, 0x14, 0x30, 0x50, 0x90, 0x00, 0x08] {
        for draft in [Draft::v4(TCP, vec![7; 3_000]), Draft::v6(TCP, vec![7; 3_000])] {
            let packets = in_a_row(&Draft { flags, ..draft }, 1_000);
            assert_left_alone(&packets, BOTH, &format!("flags {flags:#x}"));
        }
    }
    let mut packets = in_a_row(&Draft::v4(TCP, vec![7; 3_000]), 1_000);
    for packet in &mut packets {
        packet[32] |= 1;
        seal(packet, 20, TCP);
    }
    assert_left_alone(&packets, BOTH, "the flag that was NS");
}

#[test]
fn lengths_that_lie_are_left_alone() {
    let mut packets = in_a_row(&Draft::v4(TCP, vec![7; 3_000]), 1_000);
    for packet in &mut packets {
        packet[3] -= 1;
        packet[10..12].fill(0);
        let checksum = !naive_sum(&packet[..20]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    assert_left_alone(&packets, BOTH, "longer than it says");

    let draft = Draft { tcp_options: Vec::new(), ..Draft::v4(TCP, vec![7; 3_000]) };
    let mut packets = in_a_row(&draft, 1_000);
    for (packet, index) in packets.iter_mut().zip(0..) {
        // Four bytes of the header would count as payload.
        packet[32] = 0x40;
        let sequence = draft.sequence.wrapping_add(1_004 * index);
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        seal(packet, 20, TCP);
    }
    assert_left_alone(&packets, BOTH, "a header shorter than itself");
}

#[test]
fn an_identification_that_means_something_is_kept() {
    let rows = |is_atomic: bool, ids: [u16; 3]| {
        let mut packets = in_a_row(&Draft::v4(UDP, vec![7; 3_000]), 1_000);
        for (packet, id) in packets.iter_mut().zip(ids) {
            packet[6] = if is_atomic { 0x40 } else { 0 };
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            seal(packet, 20, UDP);
        }
        put_together(&packets, BOTH).len()
    };
    assert_eq!(rows(false, [0xffff, 0, 1]), 1, "counted on");
    assert_eq!(rows(false, [7, 7, 7]), 3, "all the same");
    assert_eq!(rows(false, [7, 9, 10]), 2, "a gap");
    // With DF set it means nothing (RFC 6864 §4.1).
    assert_eq!(rows(true, [7, 7, 7]), 1, "all the same, with DF");
}

#[test]
fn options_of_ipv4_are_left_alone() {
    for protocol in [TCP, UDP] {
        let draft = Draft { ip_options: vec![1; 4], ..Draft::v4(protocol, vec![7; 3_000]) };
        assert_left_alone(&in_a_row(&draft, 1_000), BOTH, "options");
    }
}

#[test]
fn a_fragment_was_overtaken_by_what_came_after_it() {
    for draft in drafts(4_000) {
        let mut packets = in_a_row(&draft, 1_000);
        let mut fragment = Draft { payload: vec![9; 80], ..draft.clone() };
        if draft.source.is_ipv6() {
            fragment.extensions = Some((44, vec![draft.protocol, 0, 0, 1, 0, 0, 0, 5]));
        }
        let mut fragment = fragment.build().0;
        if draft.source.is_ipv4() {
            fragment[6] = 0x20;
            seal(&mut fragment, 20, draft.protocol);
        }
        packets.insert(2, fragment.clone());
        let written = put_together(&packets, BOTH);
        let taken: Vec<_> = written
            .iter()
            .flat_map(|(header, packet)| take_apart(header, packet).unwrap())
            .collect();
        assert!(taken == packets);
        assert_eq!(written.len(), 3);
        // Somebody else's fragments are no reason to wait.
        let begin = if draft.source.is_ipv4() { 12 } else { 8 };
        packets[2][begin] ^= 1;
        let [(header, packet), _] = &put_together(&packets, BOTH)[..] else { panic!() };
        packets.remove(2);
        assert!(take_apart(header, packet).unwrap() == packets);
    }
}

#[test]
fn what_contradicts_itself_is_left_alone() {
    let mut packets = Vec::new();
    for draft in drafts(300) {
        for packet in in_a_row(&draft, 100) {
            let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
            packets.extend((0..packet.len()).step_by(3).map(|len| packet[..len].to_vec()));
            let longer_than_it_says = [&packet[..], &[0; 8]].concat();
            let mut header_beyond_the_end = packet[..at + 30].to_vec();
            header_beyond_the_end[at + 12] |= 0xf0;
            packets.extend([longer_than_it_says, header_beyond_the_end]);
            if at == 20 {
                packets.push([&[0x43], &packet[1..]].concat());
            }
        }
    }
    assert_left_alone(&packets, BOTH, "not whole");
}
