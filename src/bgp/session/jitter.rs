//! Chance, of a seed that is handed in: neighbors that failed together are not to
//! try again together (RFC 4271 §10).

use std::time::Duration;

/// A sequence of numbers that look like chance (SplitMix64); no secret hangs on
/// them.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Three to four quarters of `time`: never later, so a keepalive stays one.
    pub(super) fn shortened(&mut self, time: Duration) -> Duration {
        let quarter = time / 4;
        quarter * 3 + self.part(quarter)
    }

    /// Three to five quarters of `time`.
    pub(super) fn around(&mut self, time: Duration) -> Duration {
        let quarter = time / 4;
        quarter * 3 + self.part(quarter * 2)
    }

    /// Something below `time`, to a 1,024th of it.
    fn part(&mut self, time: Duration) -> Duration {
        let share = u32::try_from(self.next() % 1_024).unwrap_or(0);
        time / 1_024 * share
    }
}

/// How long a session that keeps failing waits (RFC 4271 §8.1.1's IdleHoldTime).
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first: first.min(most), most, next: first.min(most) }
    }

    /// How long to wait now; twice as long the next time.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(self.most);
        wait
    }

    /// A session was up for `time`: one that lasted is a new beginning, one that
    /// fell at once is not.
    pub(super) fn was_up(&mut self, time: Duration) {
        if self.most <= time {
            self.next = self.first;
        }
    }

    /// Someone takes care of it.
    pub(super) const fn forget(&mut self) {
        self.next = self.first;
    }
}
