//! Congestion marks across the tunnel (RFC 6040): copied outwards from the inner
//! packet, and a mark made on the way put onto the inner packet.

use super::header::{half, put};

/// Congestion experienced.
const CE: u8 = 3;

/// The two bits of an IP packet; `None` if it is none.
pub(super) fn of(packet: &[u8]) -> Option<u8> {
    match packet.first()? >> 4 {
        4 => packet.get(1).map(|tos| tos & 3),
        6 => packet.get(1).map(|byte| byte >> 4 & 3),
        _ => None,
    }
}

/// Takes over the mark of the `outer` packet; false when the inner one must be
/// dropped, for its sender would not understand it (§4.2).
pub(super) fn decapsulate(outer: u8, packet: &mut [u8]) -> bool {
    if outer != CE {
        return true;
    }
    match of(packet) {
        Some(0) | None => false,
        Some(CE) => true,
        Some(_) => {
            mark(packet);
            true
        }
    }
}

fn mark(packet: &mut [u8]) {
    let Some(&[first, second]) = packet.get(..2) else { return };
    if first >> 4 == 6 {
        put(packet, 0, u16::from_be_bytes([first, second | 0x30]));
        return;
    }
    let before = u16::from_be_bytes([first, second]);
    let after = before | 3;
    put(packet, 0, after);
    // HC' = ~(~HC + ~m + m') (RFC 1624 §3).
    let sum = u64::from(!half(packet, 10)) + u64::from(!before) + u64::from(after);
    put(packet, 10, !super::sum::fold(sum));
}
