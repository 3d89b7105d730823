//! Networks under other names: every address and checksum after a translation
//! is the one of a packet that was built so.

use super::build::{Draft, Numbers, TCP, UDP, naive_sum, pseudo, transport_sum};
use lockgate::net::Prefix;
use lockgate::packet::{Malformed, Side, View, translate};
use std::net::IpAddr;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// What is renamed into what, an address and what becomes of it.
const NAMES: &[(&str, &str, &str, Option<&str>)] = &[
    ("10.1.0.0/16", "100.64.0.0/16", "10.1.2.3", Some("100.64.2.3")),
    ("10.1.0.0/16", "100.64.0.0/16", "10.1.0.0", Some("100.64.0.0")),
    ("10.1.0.0/16", "100.64.0.0/16", "10.1.255.255", Some("100.64.255.255")),
    ("10.1.0.0/16", "100.64.0.0/16", "10.2.0.0", None),
    ("10.1.0.0/16", "100.64.0.0/16", "100.64.2.3", None),
    ("10.1.2.128/25", "192.0.2.0/25", "10.1.2.129", Some("192.0.2.1")),
    ("10.1.2.128/25", "192.0.2.0/25", "10.1.2.127", None),
    ("10.1.2.3/32", "192.0.2.9/32", "10.1.2.3", Some("192.0.2.9")),
    ("10.1.2.3/32", "192.0.2.9/32", "10.1.2.2", None),
    ("10.0.0.0/31", "255.255.255.254/31", "10.0.0.1", Some("255.255.255.255")),
    ("0.0.0.0/0", "0.0.0.0/0", "198.51.100.1", Some("198.51.100.1")),
    ("2001:db8:1::/48", "fd00:1:2::/48", "2001:db8:1:5::6", Some("fd00:1:2:5::6")),
    ("2001:db8:1::/48", "fd00:1:2::/48", "2001:db8:2::1", None),
    ("2001:db8::7/128", "fd00::9/128", "2001:db8::7", Some("fd00::9")),
    ("2001:db8::/61", "2001:db8:0:f8::/61", "2001:db8:0:7::1", Some("2001:db8:0:ff::1")),
    ("::/0", "::/0", "2001:db8::7", Some("2001:db8::7")),
    ("10.1.0.0/16", "100.64.0.0/16", "2001:db8::7", None),
    ("2001:db8::/32", "fd00::/32", "10.1.2.3", None),
];

fn draft(side: Side, address: IpAddr, protocol: u8) -> Draft {
    let payload = (0..55).collect();
    let mut draft =
        if address.is_ipv4() { Draft::v4(protocol, payload) } else { Draft::v6(protocol, payload) };
    match side {
        Side::Source => draft.source = address,
        Side::Destination => draft.destination = address,
    }
    draft
}

#[test]
fn hosts_keep_their_number_under_the_other_name() {
    for side in [Side::Source, Side::Destination] {
        for protocol in [TCP, UDP] {
            for (from, to, address, renamed) in NAMES {
                let (mut packet, _) = draft(side, address.parse().unwrap(), protocol).build();
                let result = translate(&mut packet, side, prefix(from), prefix(to), false);
                let expected = renamed.unwrap_or(address).parse().unwrap();
                assert_eq!(packet, draft(side, expected, protocol).build().0, "{from} {address}");
                assert_eq!(result, Ok(renamed.is_some()), "{from} {address}");
            }
        }
    }
}

#[test]
fn there_and_back_is_where_it_was() {
    let mut numbers = Numbers(6);
    let (real, alias) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    for _ in 0..2_000 {
        let protocol = [TCP, UDP][numbers.below(2)];
        let mut draft = Draft::v4(protocol, numbers.bytes(40));
        draft.source = [10, 1, numbers.next() as u8, numbers.next() as u8].into();
        draft.id = numbers.next() as u16;
        let (before, at) = draft.build();
        let mut packet = before.clone();
        assert_eq!(translate(&mut packet, Side::Source, real, alias, false), Ok(true));
        assert_eq!(naive_sum(&packet[..20]), 0xffff);
        assert_eq!(transport_sum(&packet, at, protocol), 0xffff);
        assert_eq!(translate(&mut packet, Side::Source, alias, real, false), Ok(true));
        assert_eq!(packet, before);
    }
}

#[test]
fn a_begun_checksum_stays_the_pseudo_headers_sum() {
    for (from, to, address) in [
        ("10.1.0.0/16", "100.64.0.0/16", "10.1.2.3"),
        ("2001:db8::/32", "fd00:1::/32", "2001:db8::9"),
    ] {
        for (protocol, place) in [(TCP, 16), (UDP, 6)] {
            for side in [Side::Source, Side::Destination] {
                let (mut packet, at) = draft(side, address.parse().unwrap(), protocol).build();
                let begin = |packet: &mut Vec<u8>| {
                    let begun = naive_sum(&pseudo(packet, protocol, packet.len() - at));
                    packet[at + place..at + place + 2].copy_from_slice(&begun.to_be_bytes());
                };
                begin(&mut packet);
                assert_eq!(translate(&mut packet, side, prefix(from), prefix(to), true), Ok(true));
                let translated = packet.clone();
                begin(&mut packet);
                assert_eq!(translated, packet, "{address} {protocol}");
            }
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_still_has_none() {
    let (mut packet, at) = draft(Side::Source, [10, 1, 2, 3].into(), UDP).build();
    packet[at + 6..at + 8].fill(0);
    let (from, to) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    assert_eq!(translate(&mut packet, Side::Source, from, to, false), Ok(true));
    assert_eq!(packet[at + 6..at + 8], [0, 0]);
    assert_eq!(naive_sum(&packet[..20]), 0xffff);
}

#[test]
fn a_udp_checksum_never_becomes_none() {
    let (from, to) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    for value in 0..=u16::MAX {
        if value % 16 != 0 && value > 64 {
            continue;
        }
        let mut draft = draft(Side::Source, [10, 1, 2, 3].into(), UDP);
        draft.payload = value.to_be_bytes().to_vec();
        let (mut packet, at) = draft.build();
        translate(&mut packet, Side::Source, from, to, false).unwrap();
        assert_ne!(packet[at + 6..at + 8], [0, 0]);
        assert_eq!(transport_sum(&packet, at, UDP), 0xffff);
    }
    // The one value for which the sum comes out as zero.
    let mut draft = draft(Side::Source, [100, 64, 2, 3].into(), UDP);
    draft.payload = vec![0, 0];
    let rest = {
        let (mut packet, at) = draft.build();
        packet[at + 6..at + 8].fill(0);
        !transport_sum(&packet, at, UDP)
    };
    draft.payload = rest.to_be_bytes().to_vec();
    draft.source = [10, 1, 2, 3].into();
    let (mut packet, at) = draft.build();
    translate(&mut packet, Side::Source, from, to, false).unwrap();
    assert_eq!(packet[at + 6..at + 8], [0xff, 0xff]);
}

#[test]
fn of_fragments_only_the_first_has_a_checksum_to_change() {
    let (from, to) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    let (mut first, at) = draft(Side::Source, [10, 1, 2, 3].into(), TCP).build();
    let whole = first.clone();
    first[6] = 0x20;
    translate(&mut first, Side::Source, from, to, false).unwrap();
    let mut expected = draft(Side::Source, [100, 64, 2, 3].into(), TCP).build().0;
    assert_eq!(first[at..], expected[at..]);

    let mut second = whole.clone();
    second[7] = 9;
    translate(&mut second, Side::Source, from, to, false).unwrap();
    assert_eq!(second[at..], whole[at..]);
    assert_eq!(second[12..16], [100, 64, 2, 3]);

    // IPv6: behind a fragment header.
    let (from, to) = (prefix("2001:db8::/32"), prefix("fd00:1::/32"));
    for (offset, changes) in [(0_u16, true), (8, false)] {
        let mut extension = vec![TCP, 0];
        extension.extend((offset | 1).to_be_bytes());
        extension.extend([0, 0, 0, 1]);
        let build = |source: &str| Draft {
            source: source.parse().unwrap(),
            extensions: Some((44, extension.clone())),
            ..Draft::v6(TCP, vec![3; 40])
        };
        let (mut packet, at) = build("2001:db8::5").build();
        let before = packet.clone();
        translate(&mut packet, Side::Source, from, to, false).unwrap();
        expected = build("fd00:1::5").build().0;
        assert_eq!(packet[..at], expected[..at]);
        assert_eq!(packet[at..], if changes { &expected } else { &before }[at..]);
    }
}

#[test]
fn a_packet_cut_within_its_transport_header_is_refused() {
    let (from, to) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    let (mut packet, at) = draft(Side::Source, [10, 1, 2, 3].into(), TCP).build();
    packet.truncate(at + 8);
    packet[2..4].copy_from_slice(&28_u16.to_be_bytes());
    packet[6] = 0x20;
    let result = translate(&mut packet, Side::Source, from, to, false);
    assert_eq!(result, Err(Malformed::TransportHeader));
}

#[test]
fn the_checksum_of_a_routed_packet_covers_its_last_destination() {
    let (from, to) = (prefix("2001:db8::/32"), prefix("fd00:1::/32"));
    for (left, changes) in [(0, true), (1, false)] {
        // A type 2 routing header (RFC 6275 §6.4): one address.
        let mut extension = vec![UDP, 2, 2, left, 0, 0, 0, 0];
        extension.extend([0x20; 16]);
        let draft = Draft { extensions: Some((43, extension)), ..Draft::v6(UDP, vec![1, 2, 3, 4]) };
        let (before, at) = draft.build();
        let mut packet = before.clone();
        translate(&mut packet, Side::Destination, from, to, false).unwrap();
        assert_eq!(packet[at..] != before[at..], changes, "segments left {left}");
        assert!(View::parse(&packet).unwrap().destination().to_string().starts_with("fd00:1:"));
    }
}

/// An ICMP error of `kind` from `source`, quoting `quote`.
fn error(source: IpAddr, kind: u8, quote: &[u8]) -> (Vec<u8>, usize) {
    let is_v4 = source.is_ipv4();
    let mut draft = draft(Side::Source, source, UDP);
    draft.payload = Vec::new();
    let (mut packet, at) = draft.build();
    packet.truncate(at);
    packet[if is_v4 { 9 } else { 6 }] = if is_v4 { 1 } else { 58 };
    packet.extend([kind, 1, 0, 0, 0, 0, 0x05, 0x78]);
    packet.extend(quote);
    if is_v4 {
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet[10..12].fill(0);
        let sum = !naive_sum(&packet[..at]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        let len = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&len.to_be_bytes());
    }
    let sum = if is_v4 { naive_sum(&packet[at..]) } else { transport_sum(&packet, at, 58) };
    packet[at + 2..at + 4].copy_from_slice(&(!sum).to_be_bytes());
    (packet, at)
}

#[test]
fn an_error_quotes_the_packet_as_its_sender_knows_it() {
    let cases = [
        ("10.1.0.0/16", "100.64.0.0/16", "10.1.2.3", "100.64.2.3", "10.99.0.1", 3),
        ("2001:db8:1::/48", "fd00:1:2::/48", "2001:db8:1::3", "fd00:1:2::3", "2001:db8:9::1", 2),
    ];
    for (from, to, real, alias, router, kind) in cases {
        for protocol in [TCP, UDP] {
            // Quotes that hold the checksum and such that do not.
            for quoted_len in [usize::MAX, 68, 48, 28] {
                if !real.contains('.') && quoted_len < 48 {
                    continue;
                }
                // From the host itself, and from a router whose address is nobody's alias.
                for (sender, sender_alias) in [(real, alias), (router, router)] {
                    let quote = |to: &str| {
                        let whole =
                            draft(Side::Destination, to.parse().unwrap(), protocol).build().0;
                        whole[..whole.len().min(quoted_len)].to_vec()
                    };
                    let (mut packet, _) = error(sender.parse().unwrap(), kind, &quote(real));
                    let result =
                        translate(&mut packet, Side::Source, prefix(from), prefix(to), false);
                    assert_eq!(result, Ok(true));
                    let expected = error(sender_alias.parse().unwrap(), kind, &quote(alias)).0;
                    assert_eq!(packet, expected, "{sender} {protocol} {quoted_len}");
                }
            }
        }
    }
}

#[test]
fn an_error_about_others_and_an_echo_are_only_readdressed() {
    let (from, to) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    // An echo whose data looks like a packet to the network.
    let quote = draft(Side::Destination, [10, 1, 2, 3].into(), UDP).build().0;
    let (mut packet, _) = error([10, 1, 2, 4].into(), 8, &quote);
    assert_eq!(translate(&mut packet, Side::Source, from, to, false), Ok(true));
    assert_eq!(packet, error([100, 64, 2, 4].into(), 8, &quote).0);
    // The quote's source is not the side that has another name here.
    let mut other = Draft::v4(UDP, vec![1; 30]);
    other.source = [10, 1, 2, 3].into();
    other.destination = [203, 0, 113, 1].into();
    let (mut packet, _) = error([198, 51, 100, 1].into(), 3, &other.build().0);
    let before = packet.clone();
    assert_eq!(translate(&mut packet, Side::Source, from, to, false), Ok(false));
    assert_eq!(packet, before);
}

#[test]
fn an_error_that_quotes_nothing_is_refused() {
    let (from, to) = (prefix("10.1.0.0/16"), prefix("100.64.0.0/16"));
    let (v6, _) = Draft::v6(UDP, Vec::new()).build();
    for quote in [&[][..], &[0x45; 19], &[0x45; 20], &v6] {
        let (mut packet, _) = error([10, 1, 2, 4].into(), 3, quote);
        let result = translate(&mut packet, Side::Source, from, to, false);
        // Twenty bytes of 0x45 are a header; what it says is nobody's business.
        let expected = if quote.len() == 20 { Ok(true) } else { Err(Malformed::Quote) };
        assert_eq!(result, expected, "{quote:x?}");
    }
}

#[test]
fn unlike_prefixes_are_refused() {
    let (mut packet, _) = Draft::v4(UDP, Vec::new()).build();
    for to in ["100.64.0.0/17", "2001::/16"] {
        let result = translate(&mut packet, Side::Source, prefix("10.1.0.0/16"), prefix(to), false);
        assert_eq!(result, Err(Malformed::AliasShape));
    }
}
