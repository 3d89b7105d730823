//! Packets and superpackets pass as they are, whatever each end can do at once.

use super::packets::{
    pseudo_header, sum, tcp_like, tcp_payload, tcp_segments, tcp_superpacket, udp,
};
use super::stage::{End, HERE, MTU, THERE, connect, one_thread, pair};
use lockgate::datapath::Options;

#[test]
fn packets_pass_both_ways_and_the_first_one_waits_for_the_session() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let answer = udp(THERE, HERE, b"answer");
    there.inside.write([0; 10], &answer);
    assert_eq!(here.inside.read().1, answer);
    for size in [0, 1, 15, 16, 17, 1_000, MTU as usize - 28] {
        let packet = udp(HERE, THERE, &vec![7; size]);
        here.inside.write([0; 10], &packet);
        assert_eq!(there.inside.read().1, packet, "{size} bytes");
    }
}

/// A superpacket written at one end arrives whole and in order at the other, in
/// at most `most` pieces.
fn check_superpacket(here: Options, there: Options, most: usize) {
    let (here, there) = pair(here, there);
    connect(&here, &there);
    let payload: Vec<u8> = (0..60_000_u32).map(|i| (i % 251) as u8).collect();
    let (header, packet) = tcp_superpacket(&payload, 1_380);
    here.inside.write(header, &packet);
    let mut got = Vec::new();
    let mut pieces = 0;
    while got.len() < payload.len() {
        let (header, packet) = there.inside.read();
        let (sequence, part) = tcp_payload(&header, &packet);
        assert_eq!(sequence, 7 + got.len() as u32, "in order");
        got.extend(part);
        pieces += 1;
    }
    assert!(got == payload, "the bytes are what was sent");
    assert!(pieces <= most, "{pieces} pieces");
}

#[test]
fn superpackets_pass_whole() {
    check_superpacket(one_thread(), one_thread(), 4);
}

#[test]
fn superpackets_pass_without_udp_segmentation() {
    let without = Options { udp_gso: false, ..one_thread() };
    check_superpacket(without, one_thread(), 44);
}

#[test]
fn superpackets_pass_without_udp_receive_offload() {
    let without = Options { udp_gro: false, ..one_thread() };
    check_superpacket(one_thread(), without, 44);
}

#[test]
fn superpackets_pass_to_an_end_without_tun_offload() {
    let without = Options { tun_offload: false, ..one_thread() };
    check_superpacket(one_thread(), without, 44);
}

#[test]
fn segments_are_not_put_together_when_tun_offload_is_off() {
    let without = Options { tun_offload: false, ..one_thread() };
    let (here, there) = pair(one_thread(), without);
    connect(&here, &there);
    let (header, packet) = tcp_superpacket(&[7; 4_000], 1_000);
    here.inside.write(header, &packet);
    for _ in 0..4 {
        let (header, packet) = there.inside.read();
        assert_eq!((header, packet.len()), ([0; 10], 1_040));
    }
}

/// Writes `packets` in one go (the thread finds them all when it wakes, or some
/// at a time) and returns what comes out until `bytes` of payload have.
fn through(here: &End, there: &End, packets: &[Vec<u8>]) -> Vec<([u8; 10], Vec<u8>)> {
    let bytes: usize = packets.iter().map(|packet| packet.len() - 40).sum();
    for packet in packets {
        here.inside.write([0; 10], packet);
    }
    let mut got = Vec::new();
    let mut seen = 0;
    while seen < bytes {
        let (header, packet) = there.inside.read();
        seen += packet.len() - 40;
        got.push((header, packet));
    }
    got
}

#[test]
fn a_corrupt_segment_is_never_put_together_with_others() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let payload: Vec<u8> = (0..9_000_u32).map(|i| (i % 251) as u8).collect();
    let mut packets = tcp_segments(&payload, 1_000);
    packets[4][500] ^= 1;
    // Whether they meet in one batch is a matter of luck each time.
    for _ in 0..20 {
        let got = through(&here, &there, &packets);
        // Its checksum must still be there to be found wrong.
        let as_sent = |got: &&([u8; 10], Vec<u8>)| got.0 == [0; 10] && got.1 == packets[4];
        assert_eq!(got.iter().filter(as_sent).count(), 1);
        for (header, packet) in got.iter().filter(|got| !as_sent(got)) {
            tcp_payload(header, packet);
        }
    }
}

/// Something done to a packet.
type Change = fn(&mut Vec<u8>);

#[test]
fn a_damaged_ipv4_header_is_not_mended_by_putting_packets_together() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let payload: Vec<u8> = (0..9_000_u32).map(|i| (i % 251) as u8).collect();
    let mut packets = tcp_segments(&payload, 1_000);
    packets[4][10] ^= 1;
    for _ in 0..20 {
        let got = through(&here, &there, &packets);
        let as_sent = |got: &&([u8; 10], Vec<u8>)| got.0 == [0; 10] && got.1 == packets[4];
        assert_eq!(got.iter().filter(as_sent).count(), 1);
    }
}

#[test]
fn what_taking_apart_would_not_give_back_is_left_alone() {
    let payload: Vec<u8> = (0..6_000_u32).map(|i| (i % 251) as u8).collect();
    let changes: [(&str, Change); 6] = [
        ("another acknowledgement", |packet| packet[31] ^= 1),
        ("another window", |packet| packet[35] ^= 1),
        ("FIN", |packet| packet[33] |= 1),
        ("CWR", |packet| packet[33] |= 0x80),
        ("another TTL", |packet| packet[8] -= 1),
        ("another port", |packet| packet[21] ^= 1),
    ];
    for (what, change) in changes {
        let (here, there) = pair(one_thread(), one_thread());
        connect(&here, &there);
        let mut packets = tcp_segments(&payload, 1_000);
        let odd = &mut packets[2];
        change(odd);
        odd[10..12].fill(0);
        let checksum = !sum(&odd[..20]);
        odd[10..12].copy_from_slice(&checksum.to_be_bytes());
        odd[36..38].fill(0);
        let mut covered = pseudo_header(odd);
        covered.extend(&odd[20..]);
        let checksum = !sum(&covered);
        odd[36..38].copy_from_slice(&checksum.to_be_bytes());
        for _ in 0..20 {
            let got = through(&here, &there, &packets);
            assert!(got.iter().any(|(_, packet)| *packet == packets[2]), "{what}");
        }
    }
}

#[test]
fn a_udp_superpacket_passes_whole() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let payload: Vec<u8> = (0..10_500_u32).map(|i| (i % 251) as u8).collect();
    let mut packet = udp(HERE, THERE, &payload);
    let begun = sum(&pseudo_header(&packet));
    packet[26..28].copy_from_slice(&begun.to_be_bytes());
    // NEEDS_CSUM, UDP_L4, 28 bytes of header, 1,000 in each, from 20 at 6.
    let mut header = [1, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    for (at, value) in [(2, 28_u16), (4, 1_000), (6, 20), (8, 6)] {
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    here.inside.write(header, &packet);
    let (mut got, mut pieces) = (Vec::<u8>::new(), 0);
    while got.len() < payload.len() {
        let (header, packet) = there.inside.read();
        assert_eq!(sum(&packet[..20]), 0xffff, "the IPv4 checksum");
        if header != [0; 10] {
            assert_eq!((header[0], header[1]), (1, 5));
            assert_eq!(u16::from_ne_bytes([header[4], header[5]]), 1_000);
            assert_eq!(packet[26..28], sum(&pseudo_header(&packet)).to_be_bytes());
        }
        got.extend(&packet[28..]);
        pieces += 1;
    }
    assert!(got == payload && pieces <= 2, "{pieces} pieces");
}

#[test]
fn a_superpacket_waits_for_the_session_in_segments() {
    let (here, there) = pair(one_thread(), one_thread());
    let (header, packet) = tcp_superpacket(&[7; 5_000], 1_000);
    here.inside.write(header, &packet);
    let mut got = 0;
    while got < 5_000 {
        let (header, packet) = there.inside.read();
        let (sequence, part) = tcp_payload(&header, &packet);
        assert_eq!(sequence, 7 + got);
        got += part.len() as u32;
    }
}

#[test]
fn small_packets_keep_their_order() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    // Lengths that change force new batches; equal ones share one.
    let sizes = [100, 100, 100, 300, 300, 80, 300, 300, 64, 64, 64, 64, 1_300, 1_300, 10];
    let packets: Vec<_> = sizes.iter().zip(0_u8..).map(|(&size, i)| tcp_like(size, i)).collect();
    for packet in &packets {
        here.inside.write([0; 10], packet);
    }
    for packet in &packets {
        assert!(there.inside.read().1 == *packet);
    }
}
