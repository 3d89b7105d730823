//! What Secrets hold, given as an argument: this room reads no file.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// The values of Secrets by namespace, Secret and key.
///
/// They are wiped when dropped, and `Debug` tells only how many there are.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<(String, String, String), Zeroizing<Vec<u8>>>,
}

impl Secrets {
    /// Takes the value of `key` in the Secret `name` of `namespace`.
    pub fn insert(&mut self, namespace: &str, name: &str, key: &str, value: Zeroizing<Vec<u8>>) {
        self.values.insert((namespace.to_owned(), name.to_owned(), key.to_owned()), value);
    }

    /// The same for the same Secrets, and tells nothing of them to who does not
    /// know them.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for ((namespace, name, key), value) in &self.values {
            for part in [namespace.as_bytes(), name.as_bytes(), key.as_bytes(), value.as_slice()] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
        }
        digest.finalize().into()
    }

    /// The value, when it is there.
    pub fn find(&self, namespace: &str, name: &str, key: &str) -> Option<&[u8]> {
        let place = (namespace.to_owned(), name.to_owned(), key.to_owned());
        self.values.get(&place).map(|value| value.as_slice())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} redacted)", self.values.len())
    }
}
