//! What is known of a neighbor beside its routes.

use super::path::{Mark, Path};
use crate::bgp::{Family, ImportPolicy};
use crate::net::{Instant, Prefix, SiteName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Who a neighbor is, within its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighborName {
    /// A router of the fabric, by its name in the document.
    Fabric(String),
    /// One that connected out of a range of the fabric.
    Dynamic {
        /// The range, by its name in the document.
        range: String,
        /// Its address.
        address: IpAddr,
    },
    /// A route reflector with which tenants share a session, by its name in the class.
    Reflector(String),
    /// The router of a site.
    Site(SiteName),
}

impl NeighborName {
    /// The range it connected out of, if it did.
    pub fn range(&self) -> Option<&str> {
        match self {
            Self::Dynamic { range, .. } => Some(range),
            Self::Fabric(_) | Self::Reflector(_) | Self::Site(_) => None,
        }
    }
}

impl fmt::Display for NeighborName {
    /// `tor`, `nodes/10.1.0.7`, `reflector/rr1`, `site/hq`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fabric(name) => f.write_str(name),
            Self::Dynamic { range, address } => write!(f, "{range}/{address}"),
            Self::Reflector(name) => write!(f, "reflector/{name}"),
            Self::Site(site) => write!(f, "site/{site}"),
        }
    }
}

/// What a neighbor may say and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborSettings {
    /// Its address.
    pub address: IpAddr,
    /// What may be taken from it.
    pub policy: ImportPolicy,
    /// Routes beyond this end the session.
    pub maximum_prefixes: u32,
}

/// How long to keep a neighbor's routes after its session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// The families of its graceful restart capability (RFC 4724); empty keeps
    /// nothing but what is in `long_lived`.
    pub families: BTreeSet<Family>,
    /// Its restart time, as the caller limits it.
    pub restart_time: Duration,
    /// Families that are kept for longer, each for so long after that (RFC 9494).
    pub long_lived: BTreeMap<Family, Duration>,
}

/// How far a neighbor is with what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It has come to three quarters of its maximum; said once a session.
    Near,
    /// It has said more. The rest of the message was not looked at: end the
    /// session with Cease/1 (RFC 4486) and call
    /// [`Rib::neighbor_down`](super::Rib::neighbor_down) without retaining.
    Over,
}

/// Since when and until when routes of a family are kept past their session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Until it is back (RFC 4724 §4.2); then for how long more.
    Restarting { until: Instant, then: Option<Duration> },
    /// For long (RFC 9494 §4.2).
    LongLived { until: Instant },
}

impl Kept {
    pub(super) const fn until(self) -> Instant {
        match self {
            Self::Restarting { until, .. } | Self::LongLived { until } => until,
        }
    }
}

/// A neighbor.
#[derive(Clone, Debug)]
pub(super) struct Neighbor {
    pub(super) name: NeighborName,
    pub(super) settings: NeighborSettings,
    pub(super) router_id: Ipv4Addr,
    pub(super) up: bool,
    /// Kept up with each change: the table is too large to be walked with each snapshot.
    pub(super) counts: Counts,
    pub(super) warned: bool,
    pub(super) kept: BTreeMap<Family, Kept>,
    /// Of a site's: the networks it has, as far as documents let it have them.
    pub(super) said: BTreeSet<Prefix>,
}

/// How many routes of a neighbor there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Held, whatever became of them.
    pub held: u32,
    /// Taken by the import policy.
    pub accepted: u32,
    /// Serving, alone or with others.
    pub serving: u32,
    /// Kept past their session.
    pub stale: u32,
    /// VPN routes for none of the tenant's route targets since the neighbor is
    /// known; not held.
    pub not_kept: u64,
}

impl Counts {
    /// One more path is held.
    pub(super) fn add(&mut self, path: &Path) {
        let [accepted, serving, stale] = traits(path);
        self.held += 1;
        self.accepted += accepted;
        self.serving += serving;
        self.stale += stale;
    }

    /// A path that was counted as it is here is held no more.
    pub(super) fn subtract(&mut self, path: &Path) {
        let [accepted, serving, stale] = traits(path);
        self.held -= 1;
        self.accepted -= accepted;
        self.serving -= serving;
        self.stale -= stale;
    }
}

/// Whether a path is accepted, serves and is stale.
fn traits(path: &Path) -> [u32; 3] {
    let stale = path.has(Mark::Stale) || path.has(Mark::LongLived);
    [path.reject.is_none(), path.serves(), stale].map(u32::from)
}
