//! A route of ours in a tenant's main table.
//!
//! Never one of the kernel's own (connected, local) or of anybody else's: only
//! routes that carry [`ROUTE_PROTOCOL`](super::ROUTE_PROTOCOL) are seen.

use super::{Device, Family};
use crate::net::Prefix;
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

    /// Metric of the unreachable default: every other route comes before it.
    pub const LAST_METRIC: u32 = u32::MAX;

    /// A route to `prefix` with our metric.
    pub const fn new(prefix: Prefix) -> Self {
        Self { prefix, metric: Self::METRIC }
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
        /// (`RTNH_F_ONLINK`); `None` when the destination itself is on it.
        via: Option<IpAddr>,
        /// What our own packets that way have as source (`RTA_PREFSRC`), ICMP
        /// errors among them: a customer's router takes only what its allowed
        /// IPs name, which is the address of *its* tunnel.
        source: Option<IpAddr>,
    },
    /// They are answered with ICMP unreachable (`RTN_UNREACHABLE`).
    Unreachable,
    /// A route that carries our protocol number and is none of the above, such
    /// as a multipath one. Only observed.
    Unrecognized,
}

impl Route {
    /// The link it leaves by.
    pub const fn device(&self) -> Option<&Device> {
        match &self.target {
            RouteTarget::Link { device, .. } => Some(device),
            RouteTarget::Unreachable | RouteTarget::Unrecognized => None,
        }
    }
}
