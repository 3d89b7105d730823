//! Congestion marks across a tunnel, the whole table of RFC 6040.

use super::build::{Draft, TCP, naive_sum};
use lockgate::packet::{Ecn, Malformed, ecn};

const ALL: [Ecn; 4] = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];

/// RFC 6040 §4.2, figure 4: a row for each inner mark, a column for each outer.
const TABLE: [[Option<Ecn>; 4]; 4] = {
    use Ecn::{Ce, Ect0, Ect1, NotEct};
    [
        [Some(NotEct), Some(NotEct), Some(NotEct), None],
        [Some(Ect0), Some(Ect0), Some(Ect1), Some(Ce)],
        [Some(Ect1), Some(Ect1), Some(Ect1), Some(Ce)],
        [Some(Ce), Some(Ce), Some(Ce), Some(Ce)],
    ]
};

#[test]
fn marks_come_through_as_the_table_says() {
    for is_v4 in [true, false] {
        for (row, inner) in ALL.into_iter().enumerate() {
            for (column, outer) in ALL.into_iter().enumerate() {
                let mut packet = marked(is_v4, inner);
                let before = packet.clone();
                let expected = TABLE[row][column];
                let context = format!("v4 {is_v4}, inner {inner:?}, outer {outer:?}");
                match ecn::decapsulate(outer, &mut packet) {
                    Ok(()) => {
                        let class = if is_v4 { packet[1] } else { packet[0] << 4 | packet[1] >> 4 };
                        assert_eq!(Some(Ecn::from_bits(class)), expected, "{context}");
                        assert_eq!(class >> 2, 46, "{context}");
                    }
                    Err(reason) => {
                        assert_eq!(reason, Malformed::NotEcnCapable, "{context}");
                        assert_eq!(expected, None, "{context}");
                        assert_eq!(packet, before, "{context}");
                    }
                }
                if is_v4 {
                    assert_eq!(naive_sum(&packet[..20]), 0xffff, "{context}");
                }
                assert_eq!(packet[2..10], before[2..10], "{context}");
                assert_eq!(packet[12..], before[12..], "{context}");
            }
        }
    }
}

#[test]
fn the_outer_packet_carries_the_inner_ones_mark() {
    for mark in ALL {
        assert_eq!(Ecn::from_bits(mark.bits()), mark);
        assert_eq!(ecn::encapsulate(&marked(true, mark)), Ok(mark));
        assert_eq!(ecn::encapsulate(&marked(false, mark)), Ok(mark));
    }
    assert_eq!(ecn::encapsulate(&[]), Err(Malformed::Truncated));
    assert_eq!(ecn::encapsulate(&[0x45]), Err(Malformed::Truncated));
    assert_eq!(ecn::encapsulate(&[0x55, 0]), Err(Malformed::IpVersion));
}

/// A packet of expedited forwarding (DSCP 46) with a mark.
fn marked(is_v4: bool, mark: Ecn) -> Vec<u8> {
    let class = 46 << 2 | mark.bits();
    let draft = if is_v4 { Draft::v4(TCP, vec![7; 9]) } else { Draft::v6(TCP, vec![7; 9]) };
    let (mut packet, at) = draft.build();
    if is_v4 {
        packet[1] = class;
    } else {
        packet[0] = 0x60 | class >> 4;
        packet[1] = class << 4 | 1;
    }
    super::build::seal(&mut packet, at, TCP);
    packet
}
