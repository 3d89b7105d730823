//! How long ago, as people read it.

use crate::net::Timestamp;
use std::fmt;
use std::time::Duration;

/// The time between two moments as text: `now`, `12 s ago`, `3 min ago`,
/// `2 h 5 min ago`, `4 d 7 h ago`.
///
/// A moment that lies ahead, as after a clock was set back, is `now`: a
/// negative age helps nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ago(Duration);

impl Ago {
    /// How long before `now` the moment `then` was.
    pub const fn between(then: Timestamp, now: Timestamp) -> Self {
        Self(now.since(then))
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        let text = match seconds {
            0 => "now".to_owned(),
            1..60 => format!("{seconds} s ago"),
            60..3_600 => format!("{minutes} min ago"),
            3_600..86_400 if minutes % 60 == 0 => format!("{hours} h ago"),
            3_600..86_400 => format!("{hours} h {} min ago", minutes % 60),
            _ if hours % 24 == 0 => format!("{days} d ago"),
            _ => format!("{days} d {} h ago", hours % 24),
        };
        f.pad(&text)
    }
}
