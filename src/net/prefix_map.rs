//! What belongs to a network, found by an address in it.

use super::Prefix;
use std::net::IpAddr;

/// Values by network, v4 and v6 apart; of the networks around an address the
/// longest counts.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefixMap<T> {
    v4: prefix_trie::PrefixMap<(u32, u8), T>,
    v6: prefix_trie::PrefixMap<(u128, u8), T>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { v4: prefix_trie::PrefixMap::new(), v6: prefix_trie::PrefixMap::new() }
    }
}

impl<T> PrefixMap<T> {
    /// Puts a value at `prefix`, in place of the one before.
    pub fn insert(&mut self, prefix: Prefix, value: T) {
        match prefix.address() {
            IpAddr::V4(address) => self.v4.insert((address.to_bits(), prefix.length()), value),
            IpAddr::V6(address) => self.v6.insert((address.to_bits(), prefix.length()), value),
        };
    }

    /// The value at `prefix` itself.
    pub fn get(&self, prefix: Prefix) -> Option<&T> {
        match prefix.address() {
            IpAddr::V4(address) => self.v4.get(&(address.to_bits(), prefix.length())),
            IpAddr::V6(address) => self.v6.get(&(address.to_bits(), prefix.length())),
        }
    }

    /// Takes the value at `prefix` away.
    pub fn remove(&mut self, prefix: Prefix) {
        match prefix.address() {
            IpAddr::V4(address) => self.v4.remove(&(address.to_bits(), prefix.length())),
            IpAddr::V6(address) => self.v6.remove(&(address.to_bits(), prefix.length())),
        };
    }

    /// The value of the longest network that holds `address`. A v4-mapped
    /// address is looked up as what it is, an IPv6 address.
    pub fn longest_match(&self, address: IpAddr) -> Option<&T> {
        match address {
            IpAddr::V4(address) => self.v4.get_lpm(&(address.to_bits(), 32)).map(|(_, it)| it),
            IpAddr::V6(address) => self.v6.get_lpm(&(address.to_bits(), 128)).map(|(_, it)| it),
        }
    }
}

impl<T> PrefixMap<T> {
    /// The values of all networks that hold every address of `prefix`, its own
    /// among them, the widest first.
    pub fn covering(&self, prefix: Prefix) -> impl Iterator<Item = &T> {
        let (mut v4, mut v6) = (None, None);
        match prefix.address() {
            IpAddr::V4(address) => {
                v4 = Some(self.v4.cover_values(&(address.to_bits(), prefix.length())));
            }
            IpAddr::V6(address) => {
                v6 = Some(self.v6.cover_values(&(address.to_bits(), prefix.length())));
            }
        }
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// Every value, v4 before v6.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.v4.values().chain(self.v6.values())
    }

    /// Whether some address is both in `prefix` and in a network that has a value.
    pub fn meets(&self, prefix: Prefix) -> bool {
        let inside = match prefix.address() {
            IpAddr::V4(address) => {
                self.v4.children(&(address.to_bits(), prefix.length())).next().is_some()
            }
            IpAddr::V6(address) => {
                self.v6.children(&(address.to_bits(), prefix.length())).next().is_some()
            }
        };
        inside || self.covering(prefix).next().is_some()
    }
}

impl<T> FromIterator<(Prefix, T)> for PrefixMap<T> {
    fn from_iter<I: IntoIterator<Item = (Prefix, T)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (prefix, value) in entries {
            map.insert(prefix, value);
        }
        map
    }
}
