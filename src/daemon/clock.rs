//! The control plane's only reading of the clock.

use crate::net::{Instant, Now, Timestamp};
use std::time;

/// Both clocks of this machine, the monotonic one counted from when this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: time::Instant,
}

impl Clock {
    /// Starts counting.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn start() -> Self {
        Self { start: time::Instant::now() }
    }

    /// This moment.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn now(self) -> Now {
        let elapsed = self.start.elapsed();
        // One second past the start: a moment of zero is kept for "never".
        let mono = Instant::from_secs(1) + elapsed;
        let wall = time::SystemTime::now()
            .duration_since(time::UNIX_EPOCH)
            .map(|since| Timestamp::new(since.as_secs(), since.subsec_nanos()))
            .unwrap_or_default();
        Now { mono, wall }
    }

    /// When `at` will be, for a timer.
    pub fn deadline(self, at: Instant) -> time::Instant {
        self.start + at.since(Instant::from_secs(1))
    }
}
