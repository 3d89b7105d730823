//! Time as a number that is handed in.
//!
//! The pure rooms never read a clock. They are given an [`Instant`] (for how
//! long) and, where a peer or a person must be told when, a [`Timestamp`] (for
//! which moment). As both are plain numbers, a test can write them down and a
//! recorded run can be replayed.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A moment on the monotonic clock: nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment `nanoseconds` after the clock's start.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// The moment `seconds` after the clock's start.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    ///
    /// Clocks of real machines have been seen to step back across cores, so
    /// this never panics.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Self> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// A moment on the wall clock: seconds and nanoseconds since the Unix epoch.
///
/// It can step either way with the machine's clock, so it is shown and sent,
/// never subtracted to find how long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: u64,
    nanoseconds: u32,
}

impl Timestamp {
    /// The moment `seconds` and `nanoseconds` after the Unix epoch.
    ///
    /// Nanoseconds of a second or more carry over into the seconds.
    pub const fn new(seconds: u64, nanoseconds: u32) -> Self {
        Self {
            seconds: seconds.saturating_add((nanoseconds / 1_000_000_000) as u64),
            nanoseconds: nanoseconds % 1_000_000_000,
        }
    }

    /// Whole seconds since the Unix epoch.
    pub const fn seconds(self) -> u64 {
        self.seconds
    }

    /// Nanoseconds within the second, below 1,000,000,000.
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        let this = Duration::new(self.seconds, self.nanoseconds);
        this.saturating_sub(Duration::new(earlier.seconds, earlier.nanoseconds))
    }

    /// The moment `duration` before this one, not before the Unix epoch.
    pub const fn before(self, duration: Duration) -> Self {
        let earlier = Duration::new(self.seconds, self.nanoseconds).saturating_sub(duration);
        Self { seconds: earlier.as_secs(), nanoseconds: earlier.subsec_nanos() }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let later = Duration::new(self.seconds, self.nanoseconds).saturating_add(duration);
        Self { seconds: later.as_secs(), nanoseconds: later.subsec_nanos() }
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with whole seconds: `2026-11-24T03:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.seconds / 86_400;
        let second = self.seconds % 86_400;
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counting in years that begin on 1 March puts the leap day last, so that
/// month lengths follow one line: `(153 * month + 2) / 5`.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The same moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For measuring how long.
    pub mono: Instant,
    /// For saying when.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time of the earlier monotonic moment `at`.
    pub fn wall_of(self, at: Instant) -> Timestamp {
        self.wall.before(self.mono.since(at))
    }
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { mono: self.mono + duration, wall: self.wall + duration }
    }
}
