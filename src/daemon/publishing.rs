//! When what the gateway is doing is shown again.

use std::time::Duration;
use tokio::time::Instant;

/// The least time between two snapshots.
const LEAST: Duration = Duration::from_millis(100);

/// The most: on a machine that is too busy a snapshot may take long without being
/// much work, and what is shown must not be old for that.
const MOST: Duration = Duration::from_secs(1);

/// The part of the loop's time that showing may take, as one of so many.
const PART: u32 = 20;

/// Whether there is something new to show, and from when on it may be.
#[derive(Debug)]
pub struct Publishing {
    is_new: bool,
    from: Instant,
}

impl Publishing {
    /// Everything is new, and to be shown at once.
    pub const fn new(now: Instant) -> Self {
        Self { is_new: true, from: now }
    }

    /// There is something new, if `is_new`.
    pub const fn note(&mut self, is_new: bool) {
        self.is_new |= is_new;
    }

    /// What is new is to be shown without waiting.
    pub const fn hurry(&mut self, now: Instant) {
        self.is_new = true;
        self.from = now;
    }

    /// When the next snapshot is due; `None` while nothing is new.
    pub fn due(&self) -> Option<Instant> {
        self.is_new.then_some(self.from)
    }

    /// A snapshot was made from `begun` to `end`.
    pub fn done(&mut self, begun: Instant, end: Instant) {
        self.is_new = false;
        self.from = end + ((end - begun) * PART).clamp(LEAST, MOST);
    }
}
