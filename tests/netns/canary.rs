//! [`Canary`]: bytes that only one tenant can have sent, found again wherever
//! they turn up.
//!
//! Each is a keyed hash of whose it is and of a number, so nothing else looks
//! like one, and one that is found says by itself where it came from.

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Mac};

/// What each begins with, so that it can be looked for.
const BEGIN: &[u8; 8] = b"lgcanary";

/// Bytes of one: its beginning, whose it is, its number, the hash of these.
pub(crate) const LEN: usize = 8 + 1 + 8 + 16;

/// Bytes that are only one tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Canary {
    /// Whose.
    pub(crate) owner: u8,
    /// Which of the owner's.
    pub(crate) number: u64,
}

impl Canary {
    /// As it is sent.
    pub(crate) fn bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(BEGIN);
        bytes[8] = self.owner;
        bytes[9..17].copy_from_slice(&self.number.to_be_bytes());
        let mut hash = <Blake2sMac<U16> as KeyInit>::new_from_slice(&[self.owner; 32]).unwrap();
        Mac::update(&mut hash, &bytes[..17]);
        bytes[17..].copy_from_slice(&hash.finalize_fixed());
        bytes
    }

    /// The one that `bytes` begin with.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..LEN)?;
        let number = u64::from_be_bytes(bytes[9..17].try_into().unwrap());
        let canary = Self { owner: bytes[8], number };
        (canary.bytes() == bytes).then_some(canary)
    }

    /// All that are anywhere in `bytes`.
    pub(crate) fn find(bytes: &[u8]) -> Vec<Self> {
        beginnings(bytes).filter_map(|at| Self::read(&bytes[at..])).collect()
    }
}

/// Whether a text shows a part of any canary, as it is or in hexadecimal.
pub(crate) fn is_shown(text: &str) -> bool {
    let hex: String = BEGIN.iter().map(|byte| format!("{byte:02x}")).collect();
    text.contains(std::str::from_utf8(BEGIN).unwrap()) || text.to_lowercase().contains(&hex)
}

fn beginnings(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let starts = bytes.windows(BEGIN.len()).enumerate();
    starts.filter(|(_, window)| window == BEGIN).map(|(at, _)| at)
}
