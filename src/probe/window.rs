//! How a probe went lately, and how long its answers took since the start.

use crate::model::limits::PROBE_READINGS;
use std::collections::VecDeque;
use std::time::Duration;

/// The upper bounds of the histogram's buckets, in microseconds: from a device in the
/// same building to one behind a satellite. What is above the last is in none but the
/// count.
pub const BOUNDS: [u32; 11] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_500_000];

/// One shot, as it is kept: four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading(u32);

impl Reading {
    /// No answer.
    pub const LOST: Self = Self(u32::MAX);

    /// An answer after so long; above 71 minutes is 71 minutes.
    pub fn answered(after: Duration) -> Self {
        Self(u32::try_from(after.as_micros()).unwrap_or(u32::MAX).min(u32::MAX - 1))
    }

    /// How long the answer took, in microseconds; `None` when there was none.
    pub const fn micros(self) -> Option<u32> {
        if self.0 == u32::MAX { None } else { Some(self.0) }
    }
}

/// The last shots, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Window {
    readings: VecDeque<Reading>,
}

/// What a window says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Shots in it.
    pub shots: u32,
    /// How many of them nobody answered.
    pub lost: u32,
    /// The shortest answer, in microseconds; `None` when there was no answer.
    pub minimum: Option<u32>,
    /// The mean of the answers.
    pub mean: Option<u32>,
    /// That which 99 of 100 answers were not longer than; of the few there are in a
    /// window it is the longest.
    pub p99: Option<u32>,
}

impl Window {
    /// Takes one more; beyond the maximum the oldest goes.
    pub fn push(&mut self, reading: Reading) {
        if self.readings.len() == PROBE_READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    /// The shots, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Reading> {
        self.readings.iter().copied()
    }

    /// What it says.
    pub fn summary(&self) -> Summary {
        let mut answers: Vec<u32> = self.iter().filter_map(Reading::micros).collect();
        answers.sort_unstable();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let sum: u64 = answers.iter().map(|micros| u64::from(*micros)).sum();
        let rank = (answers.len() * 99).div_ceil(100).saturating_sub(1);
        Summary {
            shots: count(self.readings.len()),
            lost: count(self.readings.len() - answers.len()),
            minimum: answers.first().copied(),
            mean: sum.checked_div(answers.len() as u64).and_then(|mean| u32::try_from(mean).ok()),
            p99: answers.get(rank).copied(),
        }
    }
}

/// How long answers took, since the probe began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Answers within each of [`BOUNDS`], those within a smaller one included.
    pub within: [u64; BOUNDS.len()],
    /// All answers.
    pub count: u64,
    /// What they took together, in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Takes one more answer.
    pub fn push(&mut self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        for (within, bound) in self.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(micros <= u64::from(bound));
        }
        self.count += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }
}
