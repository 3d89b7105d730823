//! Random bytes grown from a seed that was handed in.
//!
//! Every draw replaces the state by a one-way function of itself, so that who
//! reads our memory later does not learn the ephemeral keys of earlier
//! handshakes.

use blake2::Blake2sMac256;
use blake2::digest::{FixedOutput, KeyInit, Update};
use std::time::Duration;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A source of bytes nobody else can guess.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Random {
    state: [u8; 32],
    jitter: u64,
}

impl Random {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let mut random = Self { state: seed, jitter: 0 };
        random.jitter = u64::from(random.number());
        random
    }

    /// The next 32 bytes.
    pub(super) fn bytes(&mut self) -> Zeroizing<[u8; 32]> {
        let derive = |label: &[u8]| {
            let mac = Blake2sMac256::new(&self.state.into()).chain(label);
            Zeroizing::new(<[u8; 32]>::from(mac.finalize_fixed()))
        };
        let (bytes, state) = (derive(b"output"), derive(b"state"));
        self.state = *state;
        bytes
    }

    /// A number nobody else can guess.
    pub(super) fn number(&mut self) -> u32 {
        let bytes = self.bytes();
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// A time below `most` that is merely different each time: it is drawn for
    /// packets, so it has to be cheap, and it is no secret.
    pub(super) fn jitter(&mut self, most: Duration) -> Duration {
        // Knuth's multiplier for 64-bit linear congruence; the high bits are good.
        self.jitter = self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let most = u64::try_from(most.as_micros()).unwrap_or(0).max(1);
        Duration::from_micros((self.jitter >> 33) % most)
    }
}
