//! What is said of a route (RFC 4271 §5 and what came after).
//!
//! Attributes nobody here knows are not kept: no route that was learned is
//! passed on.

use crate::net::{Community, ExtendedCommunity, LargeCommunity};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The path attributes of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// How the route began (RFC 4271 §5.1.1).
    pub origin: Origin,
    /// The systems it came through (RFC 4271 §5.1.2), of four bytes each
    /// (RFC 6793), the last one first.
    pub as_path: AsPath,
    /// Where to send (RFC 4271 §5.1.3, RFC 2545, RFC 8950): global, or
    /// link-local where there is no other.
    pub next_hop: IpAddr,
    /// The link-local next hop beside the global one (RFC 2545 §3).
    pub link_local: Option<Ipv6Addr>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; never of an external neighbor (RFC 4271 §5.1.5).
    pub local_pref: Option<u32>,
    /// ORIGINATOR_ID (RFC 4456 §8); never of an external neighbor.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456 §8); never of an external neighbor.
    pub cluster_list: Vec<Ipv4Addr>,
    /// COMMUNITIES (RFC 1997), in order and each once.
    pub communities: Vec<Community>,
    /// LARGE_COMMUNITY (RFC 8092), in order and each once.
    pub large_communities: Vec<LargeCommunity>,
    /// EXTENDED COMMUNITIES (RFC 4360), in order and each once.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// Only to Customer (RFC 9234 §5).
    pub otc: Option<u32>,
}

/// How a route began; the lower is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Inside its system.
    Igp,
    /// Of EGP.
    Egp,
    /// Of somewhere else.
    Incomplete,
}

/// The systems a route came through.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath(pub Vec<AsSegment>);

/// A part of a path. Its numbers are as they came: also those that nobody may
/// have, like 23456 (RFC 6793).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AsSegment {
    /// One after the other.
    Sequence(Vec<u32>),
    /// In no order (deprecated, RFC 9774).
    Set(Vec<u32>),
}

impl AsPath {
    /// Its length as best path counts it: a set is one (RFC 4271 §9.1.2.2 a).
    pub fn length(&self) -> usize {
        let lengths = self.0.iter().map(|segment| match segment {
            AsSegment::Sequence(systems) => systems.len(),
            AsSegment::Set(_) => 1,
        });
        lengths.sum()
    }

    /// Every system that is named in it.
    pub fn systems(&self) -> impl Iterator<Item = u32> {
        let all = self.0.iter().flat_map(|segment| match segment {
            AsSegment::Sequence(systems) | AsSegment::Set(systems) => systems,
        });
        all.copied()
    }

    /// Whether a part of it is in no order (AS_SET).
    pub fn has_set(&self) -> bool {
        self.0.iter().any(|segment| matches!(segment, AsSegment::Set(_)))
    }

    /// The system it was heard of from, when that can be told.
    pub fn first(&self) -> Option<u32> {
        match self.0.first()? {
            AsSegment::Sequence(systems) => systems.first().copied(),
            AsSegment::Set(_) => None,
        }
    }
}

impl fmt::Display for AsPath {
    /// As routers print it: `64512 65010 {1,2}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for segment in &self.0 {
            match segment {
                AsSegment::Sequence(systems) => {
                    for system in systems {
                        write!(f, "{space}{system}")?;
                        space = " ";
                    }
                }
                AsSegment::Set(systems) => {
                    let systems: Vec<String> = systems.iter().map(ToString::to_string).collect();
                    write!(f, "{space}{{{}}}", systems.join(","))?;
                    space = " ";
                }
            }
        }
        Ok(())
    }
}
