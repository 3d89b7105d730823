//! Chance, of a seed that is handed in: what failed together is not to be tried
//! again together (RFC 4271 §10), nor are many to send at once (RFC 5880 §6.8.7).

use std::time::Duration;

/// A sequence of numbers that look like chance (SplitMix64); no secret hangs on
/// them.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The sequence that `seed`, a random number, begins.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Three to four quarters of `time`: never later, so a keepalive stays one.
    pub fn shortened(&mut self, time: Duration) -> Duration {
        let quarter = time / 4;
        quarter * 3 + self.part(quarter)
    }

    /// Three to five quarters of `time`.
    pub fn around(&mut self, time: Duration) -> Duration {
        let quarter = time / 4;
        quarter * 3 + self.part(quarter * 2)
    }

    /// Something below `time`, to a 1,024th of it.
    pub fn part(&mut self, time: Duration) -> Duration {
        let share = u32::try_from(self.number() % 1_024).unwrap_or(0);
        time / 1_024 * share
    }
}
