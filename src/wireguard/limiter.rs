//! How many handshakes are taken, in front of the multiplications they cost.
//!
//! Three looks: is the device under load (then senders must show a cookie), has
//! this source had its share, and has the device had its.

use super::constants::{DEVICE_RATE, LOADED_RATE, LOADED_STICKY, SOURCE_BURST, SOURCE_RATE};
use crate::model::limits::HANDSHAKE_SOURCES;
use crate::net::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What one handshake costs of a source's allowance.
const COST: Duration = Duration::from_nanos(1_000_000_000 / SOURCE_RATE as u64);

/// How much of it can be saved up.
const MOST: Duration = Duration::from_nanos(COST.as_nanos() as u64 * SOURCE_BURST as u64);

/// Events in the second that began with the first of them.
#[derive(Default)]
struct Meter {
    began: Option<Instant>,
    count: u32,
}

impl Meter {
    /// Counts one more, and gives the number in this second.
    fn count(&mut self, now: Instant) -> u32 {
        if self.began.is_none_or(|began| SECOND <= now.since(began)) {
            self.began = Some(now);
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// A source's allowance, as time.
#[derive(Clone, Copy)]
struct Bucket {
    saved: Duration,
    at: Instant,
}

/// The three looks of one device.
#[derive(Default)]
pub(super) struct Limiter {
    arrived: Meter,
    loaded_at: Option<Instant>,
    taken: Meter,
    /// Sources seen lately, and those seen before that. When the first is full
    /// or a second old, it becomes the second, whose sources have all they can
    /// save anyway and may be forgotten.
    young: BTreeMap<IpAddr, Bucket>,
    old: BTreeMap<IpAddr, Bucket>,
    turned: Option<Instant>,
}

impl Limiter {
    /// Counts a handshake message with a right MAC1, and says whether the
    /// device is under load.
    pub(super) fn is_loaded(&mut self, now: Instant) -> bool {
        if LOADED_RATE < self.arrived.count(now) {
            self.loaded_at = Some(now);
        }
        self.loaded_at.is_some_and(|at| now.since(at) < LOADED_STICKY)
    }

    /// Whether this source may begin one more handshake.
    pub(super) fn take_source(&mut self, source: IpAddr, now: Instant) -> bool {
        let full = HANDSHAKE_SOURCES <= self.young.len();
        if full || self.turned.is_none_or(|turned| SECOND <= now.since(turned)) {
            self.old = std::mem::take(&mut self.young);
            self.turned = Some(now);
        }
        let source = network(source);
        let seen = self.young.get(&source).or_else(|| self.old.get(&source)).copied();
        let bucket = seen.unwrap_or(Bucket { saved: MOST, at: now });
        let saved = MOST.min(bucket.saved + now.since(bucket.at));
        let left = saved.checked_sub(COST);
        self.young.insert(source, Bucket { saved: left.unwrap_or(saved), at: now });
        left.is_some()
    }

    /// Whether the device, under load, may answer one more handshake.
    pub(super) fn take_device(&mut self, now: Instant) -> bool {
        self.taken.count(now) <= DEVICE_RATE
    }
}

/// What one customer of an access network usually has: an address of IPv4, a
/// /64 of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
    }
}
