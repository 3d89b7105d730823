//! How long a tenant's routes take from what a neighbor says to the kernel.

use crate::net::Instant;
use std::time::Duration;

/// Since when the kernel does not hold what was heard, and how long that lasted last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Convergence {
    since: Option<Instant>,
    last: Option<Duration>,
}

impl Convergence {
    /// A route is another one than the kernel holds.
    pub(super) fn heard(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The kernel holds all that was heard.
    pub(super) fn is_in_place(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.last = Some(now.since(since));
        }
    }

    /// How long it took the last time; `None` before the first route.
    pub(super) const fn last(&self) -> Option<Duration> {
        self.last
    }
}
