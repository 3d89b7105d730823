//! What Secrets hold, given as an argument: this room reads no file.

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
