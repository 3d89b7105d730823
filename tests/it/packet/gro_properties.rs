//! Whatever comes in whatever order, taking apart what was put together gives
//! back what came.

use super::build::{Draft, Numbers, TCP, UDP, naive_sum, pseudo, seal, take_apart};
use super::gro::{BOTH, put_together};
use lockgate::packet::{GRO_SEGMENTS, VirtioHeader};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// What the next packet of a flow is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Full,
    Short,
    Pushed,
    Finished,
    Empty,
    /// One before it was lost.
    Lost,
    /// The window is another one from now on.
    Acknowledging,
    NotAtomic,
    OtherId,
    Damaged,
    DamagedHeader,
    NoChecksum,
    Fragment,
    Options,
}

const KINDS: [Kind; 14] = [
    Kind::Full,
    Kind::Short,
    Kind::Pushed,
    Kind::Finished,
    Kind::Empty,
    Kind::Lost,
    Kind::Acknowledging,
    Kind::NotAtomic,
    Kind::OtherId,
    Kind::Damaged,
    Kind::DamagedHeader,
    Kind::NoChecksum,
    Kind::Fragment,
    Kind::Options,
];

/// Whose turn it is, and what comes.
#[derive(Clone, Copy, Debug)]
struct Turn {
    flow: usize,
    kind: Kind,
}

/// Three flows between two hosts of IPv4, three between two of IPv6.
fn flows() -> Vec<Draft> {
    let of = |draft: fn(u8, Vec<u8>) -> Draft| {
        let one = draft(TCP, Vec::new());
        let two = Draft { port: 2, ..one.clone() };
        [one, two, draft(UDP, Vec::new())]
    };
    [of(Draft::v4), of(Draft::v6)].concat()
}

/// The next packet of a flow, which goes on behind it.
fn next(flow: &mut Draft, kind: Kind, size: usize, numbers: &mut Numbers) -> Vec<u8> {
    let is_v4 = flow.source.is_ipv4();
    let len = if kind == Kind::Empty {
        0
    } else if kind == Kind::Short {
        1 + numbers.below(size)
    } else {
        size
    };
    let mut one = Draft { payload: numbers.bytes(len), ..flow.clone() };
    if kind == Kind::Pushed {
        one.flags |= 0x08;
    } else if kind == Kind::Finished {
        one.flags |= 0x01;
    } else if kind == Kind::Lost {
        one.sequence = one.sequence.wrapping_add(size as u32);
    } else if kind == Kind::Acknowledging {
        one.window ^= 1;
        flow.window ^= 1;
    } else if kind == Kind::OtherId {
        one.id = one.id.wrapping_add(5);
    } else if kind == Kind::Options && is_v4 {
        one.ip_options = vec![1; 4];
    } else if kind == Kind::Options {
        one.extensions = Some((60, vec![one.protocol, 0, 1, 4, 0, 0, 0, 0]));
    } else if kind == Kind::Fragment && !is_v4 {
        one.extensions = Some((44, vec![one.protocol, 0, 0, 1, 0, 0, 0, 9]));
    }
    let (mut packet, at) = one.build();
    if is_v4 && (kind == Kind::NotAtomic || kind == Kind::OtherId) {
        packet[6] = 0;
    } else if is_v4 && kind == Kind::Fragment {
        packet[6] = 0x20;
    }
    seal(&mut packet, at, one.protocol);
    if kind == Kind::Damaged {
        *packet.last_mut().unwrap() ^= 1;
    } else if kind == Kind::DamagedHeader && is_v4 {
        packet[11] ^= 1;
    } else if kind == Kind::NoChecksum && one.protocol == UDP {
        packet[at + 6..at + 8].fill(0);
    }
    flow.sequence = one.sequence.wrapping_add(len as u32);
    flow.id = one.id.wrapping_add(1);
    packet
}

/// The packet without an identification that means nothing (RFC 6864 §4.1).
fn without_id(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let header_len = usize::from(packet[0] & 15) * 4;
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 && naive_sum(&packet[..header_len]) == 0xffff {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

fn check_superpacket(header: &VirtioHeader, packet: &[u8]) {
    let at = usize::from(header.csum_start);
    let protocol = if header.csum_offset == 6 { UDP } else { TCP };
    let place = at + usize::from(header.csum_offset);
    let begun = u16::from_be_bytes([packet[place], packet[place + 1]]);
    assert_eq!(begun, naive_sum(&pseudo(packet, protocol, packet.len() - at)));
    assert!(packet[0] >> 4 == 6 || naive_sum(&packet[..at]) == 0xffff);
    assert!(packet.len() <= 65_535);
}

fn check(turns: &[Turn], size: usize) {
    let mut numbers = Numbers(size as u64 * 7 + turns.len() as u64);
    let mut flows = flows();
    let packets: Vec<_> = turns
        .iter()
        .map(|turn| next(&mut flows[turn.flow], turn.kind, size, &mut numbers))
        .collect();
    // The turns each packet, once taken apart, can be of.
    let mut came: BTreeMap<Vec<u8>, VecDeque<usize>> = BTreeMap::new();
    for (turn, packet) in packets.iter().enumerate() {
        came.entry(without_id(packet)).or_default().push_back(turn);
    }
    let mut given = Vec::new();
    for (header, packet) in put_together(&packets, BOTH) {
        let segments = take_apart(&header, &packet).unwrap();
        if header == VirtioHeader::default() {
            let is_as_it_came = packets.contains(&packet);
            assert!(is_as_it_came, "left alone, and changed");
        } else {
            check_superpacket(&header, &packet);
            assert!((2..=GRO_SEGMENTS).contains(&segments.len()));
        }
        for segment in segments {
            let turn = came.get_mut(&without_id(&segment)).and_then(VecDeque::pop_front);
            given.push(turn.expect("a packet that never came"));
        }
    }
    assert_eq!(given.len(), packets.len(), "all that came");
    for flow in 0..flows.len() {
        let is_hidden =
            |turn: Turn| turn.kind == Kind::Fragment || turn.kind == Kind::Options && turn.flow > 2;
        let is_of = |turn: Turn| {
            if is_hidden(turn) { turn.flow / 3 == flow / 3 } else { turn.flow == flow }
        };
        let of_flow: Vec<_> = given.iter().filter(|&&turn| is_of(turns[turn])).collect();
        assert!(of_flow.is_sorted(), "flow {flow} in order: {of_flow:?}");
    }
}

fn turn() -> impl Strategy<Value = Turn> {
    // Most packets are like the one before, or nothing would be put together.
    let kind = prop_oneof![9 => Just(Kind::Full), 3 => proptest::sample::select(&KINDS[..])];
    (0..6_usize, kind).prop_map(|(flow, kind)| Turn { flow, kind })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn taking_apart_gives_back_what_came(
        turns in proptest::collection::vec(turn(), 0..200),
        size in prop_oneof![Just(2_usize), 2..1_400_usize, Just(1_380)],
    ) {
        check(&turns, size);
    }

    #[test]
    fn one_long_flow_is_given_back(
        flow in 0..6_usize,
        kinds in proptest::collection::vec(
            prop_oneof![30 => Just(Kind::Full), 1 => proptest::sample::select(&KINDS[..])],
            0..200,
        ),
        size in prop_oneof![Just(100_usize), Just(1_380), Just(9_000)],
    ) {
        let turns: Vec<_> = kinds.into_iter().map(|kind| Turn { flow, kind }).collect();
        check(&turns, size);
    }
}
