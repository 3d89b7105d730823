//! Which peer an address belongs to, among all peers of a device.
//!
//! There is one table for the device and not one for each peer: with `10.0.0.0/8`
//! at one peer and `10.1.0.0/16` at another, the first must neither get nor send
//! what is the second's.

use super::PeerIndex;
use crate::net::Prefix;
use prefix_trie::PrefixMap;
use std::net::IpAddr;

/// The allowed IPs of all peers, by longest prefix.
#[derive(Default)]
pub struct AllowedIps {
    v4: PrefixMap<(u32, u8), PeerIndex>,
    v6: PrefixMap<(u128, u8), PeerIndex>,
}

impl AllowedIps {
    /// Gives `prefix` to `peer`, whoever had it.
    pub fn insert(&mut self, prefix: Prefix, peer: PeerIndex) {
        match prefix.address() {
            IpAddr::V4(address) => self.v4.insert((address.to_bits(), prefix.length()), peer),
            IpAddr::V6(address) => self.v6.insert((address.to_bits(), prefix.length()), peer),
        };
    }

    /// Takes `prefix` from `peer`; nothing happens when it is another's.
    pub fn remove(&mut self, prefix: Prefix, peer: PeerIndex) {
        match prefix.address() {
            IpAddr::V4(address) => {
                let key = (address.to_bits(), prefix.length());
                if self.v4.get(&key) == Some(&peer) {
                    self.v4.remove(&key);
                }
            }
            IpAddr::V6(address) => {
                let key = (address.to_bits(), prefix.length());
                if self.v6.get(&key) == Some(&peer) {
                    self.v6.remove(&key);
                }
            }
        }
    }

    /// The peer with the longest prefix that holds `address`. A v4-mapped
    /// address is looked up as what it is, an IPv6 address.
    pub fn longest_match(&self, address: IpAddr) -> Option<PeerIndex> {
        match address {
            IpAddr::V4(address) => self.v4.get_lpm(&(address.to_bits(), 32)).map(|(_, peer)| *peer),
            IpAddr::V6(address) => {
                self.v6.get_lpm(&(address.to_bits(), 128)).map(|(_, peer)| *peer)
            }
        }
    }
}
