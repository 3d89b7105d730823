//! How fast neighbors' connections are taken.
//!
//! All of a range's neighbors may come back in the same instant, and each is to be up
//! as soon as can be; whoever connects over and over has the loop work for each time.
//! So as many as are waited for are taken at once, and from then on one each
//! [`PAUSE`].

use std::time::Duration;
use tokio::time::Instant;

/// The time after which one more is taken.
const PAUSE: Duration = Duration::from_millis(10);

/// What may be taken of connections.
#[derive(Debug)]
pub struct Pace {
    /// When all of them could be taken at once again; in the past where they can.
    full_at: Instant,
    /// How long it takes from none to all.
    whole: Duration,
}

impl Pace {
    /// As many as `expected` may be taken at once, one at the least.
    pub fn new(expected: usize, now: Instant) -> Self {
        let expected = u32::try_from(expected).unwrap_or(u32::MAX).max(1);
        Self { full_at: now, whole: PAUSE.saturating_mul(expected) }
    }

    /// One was taken, or could not be; gives when the next may be.
    pub fn take(&mut self, now: Instant) -> Instant {
        self.full_at = self.full_at.max(now) + PAUSE;
        // Of the time to all of them, less than this means that one is to be had.
        let spare = self.whole.saturating_sub(PAUSE);
        self.full_at.checked_sub(spare).unwrap_or(now).max(now)
    }
}
