//! What a message says of which networks.

use super::Attributes;
use crate::net::Prefix;
use std::fmt;
use std::sync::Arc;

/// What a session carries (AFI and SAFI, RFC 4760).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
    /// AFI 1, SAFI 128 (RFC 4364).
    Ipv4Vpn,
    /// AFI 2, SAFI 128 (RFC 4659).
    Ipv6Vpn,
    /// AFI 1, SAFI 132: which VPN routes are wanted, by their route targets (RFC 4684).
    /// No network is of it.
    RouteTargets,
}

impl fmt::Display for Family {
    /// As routers call it: `IPv4`, `VPNv6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Unicast => "IPv4",
            Self::Ipv6Unicast => "IPv6",
            Self::Ipv4Vpn => "VPNv4",
            Self::Ipv6Vpn => "VPNv6",
            Self::RouteTargets => "RTC",
        })
    }
}

/// What keeps the same network of two VPNs apart on one session (RFC 4364 §4.2):
/// its eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteDistinguisher(pub [u8; 8]);

/// One network as a message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri {
    /// The network.
    pub prefix: Prefix,
    /// With a VPN family; the label that comes along says nothing to us.
    pub distinguisher: Option<RouteDistinguisher>,
    /// Which of several paths of a neighbor this is (RFC 7911); 0 without.
    pub path_id: u32,
}

/// Networks that share their attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What is said of them.
    pub attributes: Arc<Attributes>,
    /// Them, all of one family.
    pub nlri: Vec<Nlri>,
}

/// What one UPDATE says after every check of RFC 7606: what was to be treated
/// as withdrawn is among the withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Networks that are no longer to be had from the neighbor.
    pub withdrawn: Vec<Nlri>,
    /// Networks that are.
    pub announced: Vec<Announcement>,
}
