//! Places for connections, or for streams: so many in all, and so many for one address, so
//! that nobody takes them all.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that its owner did not choose: a host has a whole /64 to itself
/// (RFC 7934 §3), so it is counted as one.
const HOST_V6: u128 = u128::MAX << 64;

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// In all.
    pub(super) all: usize,
    /// For one address.
    pub(super) address: usize,
    /// For loopback's addresses together: whom a proxy or a tunnel on this machine speaks
    /// for comes from there.
    pub(super) loopback: usize,
}

/// The places that are taken.
#[derive(Clone, Debug)]
pub(super) struct Places {
    room: Room,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// As long as there are any.
    by: BTreeMap<IpAddr, usize>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    by: IpAddr,
}

impl Places {
    pub(super) fn new(room: Room) -> Self {
        Self { room, taken: Arc::default() }
    }

    /// A place for who comes from `address`, when there is one.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let by = host(address);
        let limit = if by.is_loopback() { self.room.loopback } else { self.room.address };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&by).copied().unwrap_or_default();
        if self.room.all <= taken.all || limit <= own {
            return None;
        }
        taken.all += 1;
        taken.by.insert(by, own + 1);
        Some(Place { taken: Arc::clone(&self.taken), by })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(own) = taken.by.get_mut(&self.by) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&self.by);
            }
        }
    }
}

/// Who `address` is counted as.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & HOST_V6)),
        address @ IpAddr::V4(_) => address,
    }
}
