//! Which message numbers of a session came already (RFC 6479's ring of words).

/// Bits in the ring.
const BITS: u64 = 8_192;
const WORDS: usize = (BITS / 64) as usize;

/// How far behind the newest number an old one may be: a ring's worth less the
/// word that is being filled. The kernel's is the same; networks that spread a
/// flow over many paths do reorder by thousands.
pub const WINDOW: u64 = BITS - 64;

/// The numbers that came, as far back as the window reaches.
pub struct ReplayWindow {
    /// One more than the highest number that came.
    next: u64,
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }
}

impl ReplayWindow {
    /// Whether `counter` did not come yet and can still be told from one that did.
    ///
    /// The highest number of all is none a session may use, and never new.
    pub const fn is_new(&self, counter: u64) -> bool {
        if self.next <= counter {
            return counter != u64::MAX;
        }
        if WINDOW < self.next - counter {
            return false;
        }
        let (word, bit) = place(counter);
        self.seen[word] & bit == 0
    }

    /// Marks `counter` as having come, and says whether it [was new](Self::is_new).
    ///
    /// To be called for authenticated messages only.
    pub fn accept(&mut self, counter: u64) -> bool {
        if !self.is_new(counter) {
            return false;
        }
        if self.next <= counter {
            // The words between the old end and the new one held numbers a
            // ring's length ago.
            let old_end = self.next.wrapping_sub(1) / 64;
            let from = if self.next == 0 { 0 } else { old_end + 1 };
            let to = counter / 64;
            for word in from.max(to.saturating_sub(WORDS as u64 - 1))..=to {
                self.seen[(word % WORDS as u64) as usize] = 0;
            }
            self.next = counter + 1;
        }
        let (word, bit) = place(counter);
        self.seen[word] |= bit;
        true
    }

    /// The highest number that came; 0 if none did.
    pub const fn highest(&self) -> u64 {
        self.next.saturating_sub(1)
    }
}

const fn place(counter: u64) -> (usize, u64) {
    ((counter / 64 % WORDS as u64) as usize, 1 << (counter % 64))
}
