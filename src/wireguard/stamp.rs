//! The stamps in initiations (WireGuard paper §5.1): TAI64N. Those we send are
//! each after all that this peer ever got of us, whatever our clock does; those
//! we get may be of a clock that is wrong.

use super::constants::{CLOCK_AHEAD, STAMP_STEP};
use super::handshake::STAMP_LEN;
use crate::net::Timestamp;
use std::time::Duration;

const STEP: Duration = Duration::from_nanos(STAMP_STEP);

/// What a TAI64 label adds to seconds since the Unix epoch: 2⁶², and the 10 s
/// between TAI and UTC in 1970 that everyone uses for good.
const TAI64_BASE: u64 = (1 << 62) + 10;

/// The moment `now` with its lower bits cleared, so that no one can measure our
/// clock by it.
fn coarse(now: Timestamp) -> Timestamp {
    let nanoseconds = u64::from(now.nanoseconds());
    Timestamp::new(now.seconds(), (nanoseconds - nanoseconds % STAMP_STEP) as u32)
}

/// What the next initiation to a peer says, if the last one to it said `last`.
/// `floor` is what any peer of ours may have got before, by an earlier process
/// or under an earlier configuration.
pub(super) fn next(now: Timestamp, floor: Timestamp, last: Timestamp) -> Timestamp {
    let least = floor.max(last);
    let now = coarse(now);
    if least < now { now } else { coarse(least) + STEP }
}

/// A stamp as it is sent.
pub(super) fn encode(stamp: Timestamp) -> [u8; STAMP_LEN] {
    let mut bytes = [0; STAMP_LEN];
    bytes[..8].copy_from_slice(&TAI64_BASE.wrapping_add(stamp.seconds()).to_be_bytes());
    bytes[8..].copy_from_slice(&stamp.nanoseconds().to_be_bytes());
    bytes
}

/// Whether a stamp can only be of a clock that ran ahead of the true time.
pub(super) fn is_ahead(stamp: &[u8; STAMP_LEN], now: Timestamp) -> bool {
    encode(now + CLOCK_AHEAD) < *stamp
}
