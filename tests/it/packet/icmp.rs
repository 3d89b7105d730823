//! Answers to packets that nobody can be sent.

use super::build::{Draft, TCP, UDP, naive_sum, seal, transport_sum};
use lockgate::packet::icmp::{ANSWER_LEN, host_unreachable};
use std::net::IpAddr;

fn answer(packet: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xaa; ANSWER_LEN];
    host_unreachable(packet, &mut out).map(|len| out[..len].to_vec())
}

/// An ICMP message of this type.
fn icmp(is_v4: bool, kind: u8, extensions: Option<(u8, Vec<u8>)>) -> Vec<u8> {
    let protocol = if is_v4 { 1 } else { 58 };
    let draft =
        if is_v4 { Draft::v4(protocol, vec![0; 9]) } else { Draft::v6(protocol, vec![0; 9]) };
    let (mut packet, at) = Draft { extensions, ..draft }.build();
    packet[at] = kind;
    packet
}

#[test]
fn who_sends_to_nobody_is_told_which_packet_it_was() {
    for protocol in [TCP, UDP] {
        let (packet, _) = Draft::v4(protocol, vec![7; 100]).build();
        let answer = answer(&packet).unwrap();
        assert_eq!(answer[20..22], [3, 1], "host unreachable");
        assert_eq!(answer[12..20], [&packet[16..20], &packet[12..16]].concat());
        assert_eq!((answer[9], naive_sum(&answer[..20])), (1, 0xffff));
        assert_eq!(naive_sum(&answer[20..]), 0xffff);
        assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])), answer.len());
        assert_eq!(answer[28..], packet);

        let (packet, _) = Draft::v6(protocol, vec![7; 100]).build();
        let answer = self::answer(&packet).unwrap();
        assert_eq!(answer[40..42], [1, 3], "address unreachable");
        assert_eq!(answer[8..40], [&packet[24..40], &packet[8..24]].concat());
        assert_eq!((answer[6], transport_sum(&answer, 40, 58)), (58, 0xffff));
        assert_eq!(usize::from(u16::from_be_bytes([answer[4], answer[5]])), answer.len() - 40);
        assert_eq!(answer[48..], packet);
    }
}

#[test]
fn only_the_beginning_of_a_long_packet_is_given_back() {
    let (v4, _) = Draft::v4(UDP, vec![7; 1_400]).build();
    let (v6, _) = Draft::v6(UDP, vec![7; 1_400]).build();
    let (to_v4, to_v6) = (answer(&v4).unwrap(), answer(&v6).unwrap());
    assert!(to_v4.len() <= 576 && to_v6.len() <= 1_280);
    assert!(v4.starts_with(&to_v4[28..]) && v6.starts_with(&to_v6[48..]));
    assert!(to_v4.len() > 500 && to_v6.len() > 500);
}

#[test]
fn padding_is_not_given_back() {
    let (mut packet, _) = Draft::v4(UDP, vec![7; 10]).build();
    let len = packet.len();
    packet.extend([0; 18]);
    assert_eq!(answer(&packet).unwrap()[28..], packet[..len]);
}

#[test]
fn errors_are_not_answered_and_queries_are() {
    for kind in 0..=255 {
        let is_query = matches!(kind, 0 | 8 | 13 | 14);
        assert_eq!(answer(&icmp(true, kind, None)).is_some(), is_query, "ICMP {kind}");
        // Redirects are as good as errors (RFC 4443 §2.4 e.2).
        let is_error = kind < 128 || kind == 137;
        assert_eq!(answer(&icmp(false, kind, None)).is_none(), is_error, "ICMPv6 {kind}");
        let behind = Some((60, vec![58, 0, 1, 4, 0, 0, 0, 0]));
        assert_eq!(answer(&icmp(false, kind, behind)).is_none(), is_error, "ICMPv6 {kind}");
    }
}

#[test]
fn of_fragments_only_the_first_is_answered() {
    for (flags, is_answered) in [([0x20, 0], true), ([0x20, 1], false), ([0, 1], false)] {
        let (mut packet, at) = Draft::v4(UDP, vec![7; 100]).build();
        packet[6..8].copy_from_slice(&flags);
        seal(&mut packet, at, UDP);
        assert_eq!(answer(&packet).is_some(), is_answered, "{flags:?}");
    }
    for (place, is_answered) in [([0, 1], true), ([0, 9], false), ([0, 8], false)] {
        let fragment = vec![UDP, 0, place[0], place[1], 0, 0, 0, 1];
        let draft = Draft { extensions: Some((44, fragment)), ..Draft::v6(UDP, vec![7; 100]) };
        assert_eq!(answer(&draft.build().0).is_some(), is_answered, "{place:?}");
    }
}

#[test]
fn who_is_no_host_is_neither_told_nor_spoken_for() {
    let no_hosts: [&[&str]; 2] = [
        &["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255"],
        &["::", "::1", "ff02::1", "ff05::1:3"],
    ];
    for (drafts, no_hosts) in
        [Draft::v4(UDP, vec![7]), Draft::v6(UDP, vec![7])].iter().zip(no_hosts)
    {
        for no_host in no_hosts {
            let no_host: IpAddr = no_host.parse().unwrap();
            let from = Draft { source: no_host, ..drafts.clone() };
            assert_eq!(answer(&from.build().0), None, "from {no_host}");
            let to = Draft { destination: no_host, ..drafts.clone() };
            assert_eq!(answer(&to.build().0), None, "to {no_host}");
        }
    }
}

#[test]
fn what_is_no_packet_is_not_answered() {
    for packet in [Draft::v4(UDP, vec![7; 9]).build().0, Draft::v6(UDP, vec![7; 9]).build().0] {
        for len in 0..packet.len() {
            assert_eq!(answer(&packet[..len]), None, "{len} bytes");
        }
        assert!(answer(&packet).is_some());
        assert_eq!(answer(&[&[0x50], &packet[1..]].concat()), None);
    }
}
