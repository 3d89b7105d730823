//! Waits of a session that keeps failing.

use std::time::Duration;

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
