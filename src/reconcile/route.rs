//! A route of ours in a tenant's main table.
//!
//! Never one of the kernel's own (connected, local) or of anybody else's: only
//! routes that carry [`ROUTE_PROTOCOL`](super::ROUTE_PROTOCOL) are seen.

use super::{Device, Family};
use crate::net::Prefix;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What tells one route from another in a table: the kernel keeps routes of one
/// prefix apart by their metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Where to.
    pub prefix: Prefix,
    /// The lower serves first (`RTA_PRIORITY`).
    pub metric: u32,
}

impl RouteKey {
    /// Metric of our routes. Not zero, which is what v4 connected routes have
    /// and would be replaced by ours.
    pub const METRIC: u32 = 64;

    /// Metric of routes learned over BGP: what the fabric says now comes before
    /// what a document says once of the same network, and that remains when it
    /// says nothing.
    pub const LEARNED_METRIC: u32 = 32;

    /// Metric of the unreachable default: every other route comes before it.
    pub const LAST_METRIC: u32 = u32::MAX;

    /// A route to `prefix` with our metric.
    pub const fn new(prefix: Prefix) -> Self {
        Self { prefix, metric: Self::METRIC }
    }

    /// A route to `prefix` that was learned.
    pub const fn learned(prefix: Prefix) -> Self {
        Self { prefix, metric: Self::LEARNED_METRIC }
    }

    /// The default route of `family` that is asked last.
    pub fn last(family: Family) -> Self {
        Self { prefix: family.everything(), metric: Self::LAST_METRIC }
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What becomes of packets.
    pub target: RouteTarget,
}

/// What a route does with packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// They leave by a link.
    Link {
        /// The link.
        device: Device,
        /// The router on that link, whatever networks the link has addresses in
        /// (`RTNH_F_ONLINK`); `None` when the destination itself is on it. Of an
        /// IPv4 route it may be an IPv6 address (RFC 8950, `RTA_VIA`).
        via: Option<IpAddr>,
        /// What our own packets that way have as source (`RTA_PREFSRC`), ICMP
        /// errors among them: a customer's router takes only what its allowed
        /// IPs name, which is the address of *its* tunnel.
        source: Option<IpAddr>,
    },
    /// They leave by one of several ways, each conversation by one of them
    /// (`RTA_MULTIPATH`); two or more, all of the same weight.
    Multipath(BTreeSet<Hop>),
    /// They are dropped without a word (`RTN_BLACKHOLE`).
    Blackhole,
    /// They are answered with ICMP unreachable (`RTN_UNREACHABLE`).
    Unreachable,
    /// A route that carries our protocol number and is none of the above, such
    /// as one with an encapsulation. Only observed.
    Unrecognized,
}

/// One of several ways.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// The link.
    pub device: Device,
    /// The router on it, as of [`RouteTarget::Link`].
    pub via: Option<IpAddr>,
}

impl Route {
    /// The link it leaves by, when that is one.
    pub const fn device(&self) -> Option<&Device> {
        match &self.target {
            RouteTarget::Link { device, .. } => Some(device),
            RouteTarget::Multipath(_)
            | RouteTarget::Blackhole
            | RouteTarget::Unreachable
            | RouteTarget::Unrecognized => None,
        }
    }

    /// Every link it leaves by and the router there; a link may come again.
    pub fn hops(&self) -> impl Iterator<Item = (&Device, Option<IpAddr>)> {
        let (one, several) = match &self.target {
            RouteTarget::Link { device, via, .. } => (Some((device, *via)), None),
            RouteTarget::Multipath(hops) => (None, Some(hops)),
            RouteTarget::Blackhole | RouteTarget::Unreachable | RouteTarget::Unrecognized => {
                (None, None)
            }
        };
        one.into_iter().chain(several.into_iter().flatten().map(|hop| (&hop.device, hop.via)))
    }
}
