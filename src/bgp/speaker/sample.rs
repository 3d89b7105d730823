//! How a speaker is, as the snapshot shows it.

use super::{Endpoint, Speaker};
use crate::bgp::rib::{Counts, NeighborName};
use crate::bgp::session::SessionSample;
use std::collections::BTreeMap;

/// How a tenant's BGP is.
#[derive(Clone, Debug)]
pub struct SpeakerSample {
    /// Its neighbors.
    pub neighbors: BTreeMap<NeighborName, NeighborSample>,
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
}

impl Speaker {
    /// How it is.
    pub fn sample(&self) -> SpeakerSample {
        let counts = self.rib.counts_by_neighbor();
        let neighbors = self.neighbors.iter().map(|(name, neighbor)| {
            let sample = NeighborSample {
                endpoint: neighbor.endpoint.clone(),
                session: neighbor.session.sample(),
                counts: counts.get(name).copied().unwrap_or_default(),
                advertised: neighbor.out.sent().len(),
            };
            (name.clone(), sample)
        });
        SpeakerSample {
            neighbors: neighbors.collect(),
            routes: self.routes.len(),
            keeps_unsaid: self.keeps_unsaid(),
        }
    }
}
