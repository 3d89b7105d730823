//! Which of several paths serves, and why each of the others does not
//! (RFC 4271 §9.1.2.2).
//!
//! Paths are struck out step by step, all those at once that are worse than
//! another still there. That gives the same answer in whatever order they came,
//! also where MED counts among the paths of one neighboring AS only, which
//! comparing two at a time does not.
//!
//! Several may serve together when no step up to the cost of their next hop
//! tells them apart, their next hops differ, and their AS_PATHs are the same.
//! With [`Multipath::relax`] the paths need only be of the same length: routers
//! of racks that each have an AS are then used together.

use crate::bgp::{Attributes, Origin};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// LOCAL_PREF of a route that brings none.
const DEFAULT_LOCAL_PREF: u32 = 100;

/// LOCAL_PREF that Calico sends of a route with its normal kernel metric, 1024;
/// it takes the metric from 2147483647.
pub const CALICO_NORMAL: u32 = i32::MAX as u32 - 1024;

/// A path that takes part.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What was said of it.
    pub attributes: &'a Attributes,
    /// Whether its neighbor is of another AS.
    pub external: bool,
    /// Its neighbor's BGP identifier.
    pub router_id: Ipv4Addr,
    /// Its neighbor's address.
    pub address: IpAddr,
    /// What it costs to reach its next hop.
    pub cost: u32,
    /// Whether it was kept past its session for long (RFC 9494).
    pub long_lived: bool,
    /// What tells it from the same neighbor's other paths.
    pub identity: (u32, u32),
}

/// How many paths serve together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multipath {
    /// At most so many; 1 is the best one alone.
    pub maximum: usize,
    /// Whether paths of the same length through other systems may.
    pub relax: bool,
}

impl Default for Multipath {
    fn default() -> Self {
        Self { maximum: crate::model::limits::PATHS_PER_ROUTE, relax: false }
    }
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It serves.
    Best,
    /// It serves beside the best.
    Multipath,
    /// Another is better.
    Lost(Lost),
}

/// The step at which a path was struck out, in the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// Another is not stale (RFC 9494 §4.2), or does not say it is.
    LongLivedStale,
    /// Another's neighbor is not about to go (RFC 8326) or has a higher LOCAL_PREF.
    LocalPref,
    /// Another's AS_PATH is shorter (a).
    AsPathLength,
    /// Another began closer (b).
    Origin,
    /// Another of the same neighboring AS has a lower MED (c).
    Med,
    /// Another is of an external neighbor (d).
    External,
    /// Another's next hop is closer (e).
    Cost,
    /// Another's originator or neighbor has a lower BGP identifier (f; RFC 4456 §9).
    RouterId,
    /// Another went through fewer clusters (RFC 4456 §9).
    ClusterList,
    /// Another's neighbor has a lower address (g).
    Address,
    /// Another of the same neighbor has a lower path identifier or distinguisher.
    Identity,
}

impl Lost {
    /// It as a person reads it, after “lost: ”.
    pub const fn message(self) -> &'static str {
        match self {
            Self::LongLivedStale => "another path is not stale",
            Self::LocalPref => "another path has a higher LOCAL_PREF",
            Self::AsPathLength => "another path is shorter",
            Self::Origin => "another path has a lower origin",
            Self::Med => "another path of the same AS has a lower MED",
            Self::External => "another path is external",
            Self::Cost => "another path's next hop is closer",
            Self::RouterId => "another path has a lower router ID",
            Self::ClusterList => "another path has a shorter CLUSTER_LIST",
            Self::Address => "another path's neighbor has a lower address",
            Self::Identity => "another path of the neighbor has a lower path ID",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// LOCAL_PREF as it is compared.
///
/// Calico's is brought to the default, plus or minus what its metric is off the
/// normal: its huge values would win over every other fabric's. A neighbor that
/// is about to go counts for nothing (RFC 8326 §4).
pub fn preference(attributes: &Attributes) -> u32 {
    if attributes.communities.contains(&crate::bgp::Community::GRACEFUL_SHUTDOWN) {
        return 0;
    }
    let Some(sent) = attributes.local_pref else { return DEFAULT_LOCAL_PREF };
    // A metric of sixteen bits, taken from the largest of thirty-one.
    if (i32::MAX as u32 - 0xffff..=i32::MAX as u32).contains(&sent) {
        return (sent + DEFAULT_LOCAL_PREF).saturating_sub(CALICO_NORMAL);
    }
    sent
}

impl Candidate<'_> {
    fn is_long_lived(&self) -> bool {
        self.long_lived || self.attributes.communities.contains(&crate::bgp::Community::LLGR_STALE)
    }

    fn originator(&self) -> Ipv4Addr {
        self.attributes.originator_id.unwrap_or(self.router_id)
    }

    /// The system it was heard of from; `None` is our own.
    fn neighboring(&self) -> Option<u32> {
        self.attributes.as_path.first()
    }

    fn med(&self) -> u32 {
        self.attributes.med.unwrap_or_default()
    }

    fn origin(&self) -> Origin {
        self.attributes.origin
    }
}

/// What becomes of each of `candidates`, in their order. There is one best
/// unless there is none at all.
pub fn select(candidates: &[Candidate<'_>], multipath: Multipath) -> Vec<Standing> {
    let mut standings = vec![Standing::Best; candidates.len()];
    if candidates.len() < 2 {
        return standings;
    }
    let mut rest: Vec<usize> = (0..candidates.len()).collect();
    let mut strike = |rest: &mut Vec<usize>, lost, worst: &dyn Fn(&Candidate<'_>) -> u64| {
        let scores = |index: &usize| candidates.get(*index).map_or(u64::MAX, worst);
        let least = rest.iter().map(scores).min().unwrap_or_default();
        rest.retain(|index| {
            let stays = scores(index) == least;
            if let (false, Some(standing)) = (stays, standings.get_mut(*index)) {
                *standing = Standing::Lost(lost);
            }
            stays
        });
    };
    strike(&mut rest, Lost::LongLivedStale, &|it| u64::from(it.is_long_lived()));
    strike(&mut rest, Lost::LocalPref, &|it| u64::from(u32::MAX - preference(it.attributes)));
    strike(&mut rest, Lost::AsPathLength, &|it| it.attributes.as_path.length() as u64);
    strike(&mut rest, Lost::Origin, &|it| it.origin() as u64);
    let remaining: Vec<&Candidate<'_>> =
        rest.iter().filter_map(|index| candidates.get(*index)).collect();
    strike(&mut rest, Lost::Med, &|it| {
        let same = |other: &&&Candidate<'_>| other.neighboring() == it.neighboring();
        let least = remaining.iter().filter(same).map(|other| other.med()).min();
        u64::from(least.is_some_and(|least| least < it.med()))
    });
    strike(&mut rest, Lost::External, &|it| u64::from(!it.external));
    strike(&mut rest, Lost::Cost, &|it| u64::from(it.cost));
    let equal = rest.clone();
    strike(&mut rest, Lost::RouterId, &|it| u64::from(it.originator().to_bits()));
    strike(&mut rest, Lost::ClusterList, &|it| it.attributes.cluster_list.len() as u64);
    let lowest = rest.iter().filter_map(|index| candidates.get(*index)).map(|it| it.address).min();
    strike(&mut rest, Lost::Address, &|it| u64::from(Some(it.address) != lowest));
    let first = rest.iter().filter_map(|index| candidates.get(*index)).map(|it| it.identity).min();
    strike(&mut rest, Lost::Identity, &|it| u64::from(Some(it.identity) != first));
    share(candidates, equal, multipath, &mut standings);
    standings
}

/// Lets those serve beside the best that may.
fn share(
    candidates: &[Candidate<'_>],
    mut equal: Vec<usize>,
    multipath: Multipath,
    standings: &mut [Standing],
) {
    let best = standings.iter().position(|standing| *standing == Standing::Best);
    let Some(best) = best.and_then(|best| candidates.get(best)) else { return };
    equal.sort_by_key(|index| {
        candidates
            .get(*index)
            .map(|it| (it.originator(), it.attributes.cluster_list.len(), it.address, it.identity))
    });
    let mut hops = vec![best.attributes.next_hop];
    for index in equal {
        let (Some(it), Some(standing)) = (candidates.get(index), standings.get_mut(index)) else {
            continue;
        };
        let hop = it.attributes.next_hop;
        let may = multipath.relax || it.attributes.as_path == best.attributes.as_path;
        if *standing != Standing::Best
            && hops.len() < multipath.maximum
            && may
            && !hops.contains(&hop)
        {
            hops.push(hop);
            *standing = Standing::Multipath;
        }
    }
}
