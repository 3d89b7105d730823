//! How a speaker is, as the snapshot shows it.

use super::{Endpoint, ListenRange, ReflectedSample, Speaker};
use crate::bgp::rib::{Counts, NeighborName};
use crate::bgp::session::{SessionCounters, SessionSample};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a tenant's BGP is.
#[derive(Clone, Debug)]
pub struct SpeakerSample {
    /// Its neighbors.
    pub neighbors: BTreeMap<NeighborName, NeighborSample>,
    /// The route reflectors of its class that it hears.
    pub reflectors: BTreeMap<NeighborName, ReflectedSample>,
    /// The ranges that neighbors may connect out of.
    pub ranges: BTreeMap<String, RangeSample>,
    /// Learned routes that the kernel is to hold.
    pub routes: usize,
    /// Whether routes of an earlier process are kept for neighbors that have not
    /// said everything yet.
    pub keeps_unsaid: bool,
}

/// How one neighbor is.
#[derive(Clone, Debug)]
pub struct NeighborSample {
    /// Who it is.
    pub endpoint: Endpoint,
    /// Its session.
    pub session: SessionSample,
    /// What it said.
    pub counts: Counts,
    /// How many networks it was told.
    pub advertised: usize,
    /// How long it took, from when its session came up, to say everything; `None` while
    /// it has not.
    pub converged: Option<Duration>,
}

/// How a range is.
#[derive(Clone, Debug)]
pub struct RangeSample {
    /// Whom it lets in.
    pub listen: ListenRange,
    /// How many neighbors there are out of it.
    pub neighbors: usize,
    /// Connections of those for whom there was no room.
    pub refused: u64,
    /// What was counted of all of its neighbors, those that are gone among them.
    pub counters: SessionCounters,
}

impl Speaker {
    /// How it is.
    pub fn sample(&self) -> SpeakerSample {
        let neighbors = self.neighbors.iter().map(|(name, neighbor)| {
            let sample = NeighborSample {
                endpoint: neighbor.endpoint.clone(),
                session: neighbor.session.sample(),
                counts: self.rib.counts(name).unwrap_or_default(),
                advertised: neighbor.out.sent().len(),
                converged: neighbor.converged,
            };
            (name.clone(), sample)
        });
        let neighbors: BTreeMap<NeighborName, NeighborSample> = neighbors.collect();
        let ranges = self.ranges.iter().map(|(name, range)| {
            let mut counters = range.gone.clone();
            for (of, sample) in &neighbors {
                if of.range() == Some(name) {
                    counters.add(&sample.session.counters);
                }
            }
            let sample = RangeSample {
                listen: range.listen.clone(),
                neighbors: self.neighbors_of(name),
                refused: range.refused,
                counters,
            };
            (name.clone(), sample)
        });
        SpeakerSample {
            reflectors: self.sample_reflected().collect(),
            ranges: ranges.collect(),
            neighbors,
            routes: self.routes.len(),
            keeps_unsaid: self.keeps_unsaid(),
        }
    }
}
