//! Which peer an address belongs to, among all peers of a device.
//!
//! There is one table for the device and not one for each peer: with `10.0.0.0/8`
//! at one peer and `10.1.0.0/16` at another, the first must neither get nor send
//! what is the second's.

use super::PeerIndex;
use crate::net::{Prefix, PrefixMap};
use std::net::IpAddr;

/// The allowed IPs of all peers, by longest prefix.
#[derive(Default)]
pub struct AllowedIps(PrefixMap<PeerIndex>);

impl AllowedIps {
    /// Gives `prefix` to `peer`, whoever had it.
    pub fn insert(&mut self, prefix: Prefix, peer: PeerIndex) {
        self.0.insert(prefix, peer);
    }

    /// Takes `prefix` from `peer`; nothing happens when it is another's.
    pub fn remove(&mut self, prefix: Prefix, peer: PeerIndex) {
        if self.0.get(prefix) == Some(&peer) {
            self.0.remove(prefix);
        }
    }

    /// The peer with the longest prefix that holds `address`. A v4-mapped
    /// address is looked up as what it is, an IPv6 address.
    pub fn longest_match(&self, address: IpAddr) -> Option<PeerIndex> {
        self.0.longest_match(address).copied()
    }
}
