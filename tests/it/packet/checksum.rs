//! The Internet checksum against the plain computation.

use super::build::{Numbers, naive_sum};
use lockgate::packet::checksum::{Delta, Sum, pseudo_header, udp};

#[test]
fn sums_are_those_of_the_plain_computation() {
    let mut numbers = Numbers(1);
    for len in (0..300).chain([1_419, 1_420, 65_535]) {
        let mut bytes = numbers.bytes(len);
        assert_eq!(Sum::default().with(&bytes).fold(), naive_sum(&bytes), "{len} bytes");
        bytes.fill(0xff);
        assert_eq!(Sum::default().with(&bytes).fold(), naive_sum(&bytes), "{len} bytes of ones");
    }
}

#[test]
fn a_sum_may_be_made_in_pieces_of_even_length() {
    let mut numbers = Numbers(2);
    let bytes = numbers.bytes(1_001);
    for cut in (0..=1_000).step_by(2) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(Sum::default().with(first).with(second).fold(), naive_sum(&bytes));
    }
}

#[test]
fn the_sums_of_rfc_1071_and_rfc_1624() {
    // RFC 1071 §3.
    let sum = Sum::default().with(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(sum.fold(), 0xddf2);
    assert_eq!(sum.checksum(), 0x220d);
    // RFC 1624 §4: equation 3 gives 0x0000, where RFC 1141's would give 0xffff.
    assert_eq!(Delta::default().replace_word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
}

#[test]
fn an_update_gives_what_computing_anew_gives() {
    let mut numbers = Numbers(3);
    let edges = [0x0000, 0x0001, 0x7fff, 0x8000, 0xfffe, 0xffff];
    for round in 0..20_000 {
        let mut bytes = numbers.bytes(20);
        bytes[0] |= 1;
        if round % 3 == 0 {
            // Makes the words around the change extreme.
            for at in (2..20).step_by(2) {
                let word: u16 = edges[numbers.below(edges.len())];
                bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
            }
        }
        let checksum = !naive_sum(&bytes);
        let before = bytes.clone();
        let at = 2 * (1 + numbers.below(4));
        let after = if round % 2 == 0 { numbers.bytes(8) } else { vec![0xff; 8] };
        bytes[at..at + 8].copy_from_slice(&after);
        let delta = Delta::default().replace(&before[at..at + 8], &after);
        assert_eq!(delta.apply(checksum), !naive_sum(&bytes), "{before:x?} -> {bytes:x?}");
        assert_eq!(delta.apply_partial(naive_sum(&before)), naive_sum(&bytes));
    }
}

#[test]
fn a_pseudo_header_is_summed_as_it_is_written() {
    let v4 = pseudo_header(&[10, 0, 0, 1, 10, 0, 0, 2], 6, 20);
    assert_eq!(v4.fold(), naive_sum(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 20]));
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut bytes = [octets("2001:db8::1"), octets("2001:db8::2")].concat();
    let v6 = pseudo_header(&bytes, 58, 0x1_0000);
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 58]);
    assert_eq!(v6.fold(), naive_sum(&bytes));
}

#[test]
fn a_udp_checksum_is_never_sent_as_none() {
    assert_eq!(udp(0), 0xffff);
    assert_eq!(udp(1), 1);
    assert_eq!(udp(0xffff), 0xffff);
}
