//! Where the index in a datagram leads: to a peer's session or handshake.
//!
//! Indices are random 32-bit numbers, so that they tell neither how many peers
//! there are nor in which order they came.

use super::random::Random;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The indices in use and the slot of the peer each belongs to.
#[derive(Default)]
pub(super) struct IndexTable(HashMap<u32, u32, BuildHasherDefault<Spread>>);

impl IndexTable {
    /// A free index, now of the peer in `slot`.
    pub(super) fn allocate(&mut self, slot: u32, random: &mut Random) -> u32 {
        // A peer holds four at most: among 2³² a free one is found at once.
        loop {
            let index = random.number();
            if let std::collections::hash_map::Entry::Vacant(entry) = self.0.entry(index) {
                entry.insert(slot);
                return index;
            }
        }
    }

    /// Frees an index.
    pub(super) fn free(&mut self, index: u32) {
        self.0.remove(&index);
    }

    /// The slot of the peer an index belongs to.
    pub(super) fn slot(&self, index: u32) -> Option<u32> {
        self.0.get(&index).copied()
    }
}

/// Spreads a random 32-bit key over the 64 bits the map wants. No stranger
/// chooses what is stored, so nothing stronger is needed.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, key: u32) {
        // 2⁶⁴ divided by the golden ratio (Knuth, multiplicative hashing).
        self.0 = (self.0 ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
