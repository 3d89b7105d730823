//! When to try again what failed.
//!
//! One per tenant. Without jitter: a gateway's tenants fail apart, and what they
//! wait for is this machine's kernel, not a server many wait for.

use crate::net::Instant;
use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double with each failure in a row, from 0.1 s to 30 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Something failed at `now`.
    pub fn handle_failure(&mut self, now: Instant) {
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + FIRST.saturating_mul(factor).min(LONGEST));
    }

    /// All went well: the next failure waits shortly again.
    pub fn handle_success(&mut self) {
        *self = Self::default();
    }

    /// Whether it may be tried at `now`.
    pub fn is_open(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When it may next be tried; `None` when at once.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}
