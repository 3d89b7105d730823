//! The packet threads' only reading of the clock: once for each wake, never
//! once for each packet.

use crate::net::{Instant, Now, Timestamp};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The moment on both clocks.
///
/// The monotonic one also runs while the machine sleeps (`CLOCK_BOOTTIME`), so
/// that a session does not outlive its 180 seconds in a suspended machine.
pub(super) fn now() -> Now {
    let (seconds, nanoseconds) = parts(clock_gettime(ClockId::Boottime));
    let mono = Instant::from_nanos(seconds.saturating_mul(1_000_000_000) + u64::from(nanoseconds));
    let (seconds, nanoseconds) = parts(clock_gettime(ClockId::Realtime));
    Now { mono, wall: Timestamp::new(seconds, nanoseconds) }
}

/// A clock set before 1970 reads as 1970.
fn parts(time: Timespec) -> (u64, u32) {
    (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
