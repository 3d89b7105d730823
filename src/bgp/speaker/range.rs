//! Neighbors that connect out of a range of addresses: who is let in, and when each is
//! forgotten again.
//!
//! ```text
//!  connects ──▶ a neighbor, while there is room ──▶ session over, nothing waited for,
//!                                                   nothing of it kept ──▶ gone
//! ```
//! One that failed is waited for as every other, and one whose routes are kept past
//! its session (RFC 4724) stays until they are swept: what it said is never without
//! an owner. All of that counts towards the range's maximum.

use super::neighbor::Neighbor;
use super::neighbor::own_config;
use super::{Endpoint, Happening, Speaker};
use crate::bgp::rib::NeighborName;
use crate::bgp::session::{ConnectionId, Session, SessionCounters};
use crate::net::{Instant, Prefix};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Whom to let in, as sockets and sessions need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// Where they come from.
    pub prefix: Prefix,
    /// The most at one time.
    pub maximum: usize,
    /// What each of them is; its address is the network's.
    pub endpoint: Endpoint,
}

/// A range, and what is known of it beside its neighbors.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) listen: ListenRange,
    /// Connections of those for whom there was no room.
    pub(super) refused: u64,
    /// Whether it was told that there is no room.
    is_told: bool,
    /// What was counted of neighbors that are gone.
    pub(super) gone: SessionCounters,
}

impl ListenRange {
    /// The neighbor at `address`.
    pub fn endpoint_of(&self, address: IpAddr) -> Endpoint {
        Endpoint { address, ..self.endpoint.clone() }
    }
}

impl Speaker {
    /// Takes up changed ranges. Gives those of their neighbors that stay.
    pub(super) fn configure_ranges(
        &mut self,
        ranges: BTreeMap<String, ListenRange>,
    ) -> Vec<(NeighborName, Endpoint)> {
        let mut known = std::mem::take(&mut self.ranges);
        for (name, listen) in ranges {
            let range = match known.remove(&name) {
                Some(range) => Range { listen, ..range },
                None => {
                    let gone = SessionCounters::default();
                    Range { listen, refused: 0, is_told: false, gone }
                }
            };
            self.ranges.insert(name, range);
        }
        let stays = |name: &NeighborName| match name {
            NeighborName::Dynamic { range, address } => {
                let listen = &self.ranges.get(range)?.listen;
                let endpoint = listen.endpoint_of(*address);
                listen.prefix.contains(*address).then(|| (name.clone(), endpoint))
            }
            NeighborName::Fabric(_) | NeighborName::Reflector(_) | NeighborName::Site(_) => None,
        };
        self.neighbors.keys().filter_map(stays).collect()
    }

    /// Who connected from `remote` becomes a neighbor, where it is in a range that has
    /// room.
    pub(super) fn let_in(&mut self, remote: IpAddr, now: Instant) -> Option<NeighborName> {
        let (range, listen) = self.range_of(remote)?;
        if listen.maximum <= self.neighbors_of(&range) {
            return None;
        }
        let bgp = self.bgp()?.clone();
        let name = NeighborName::Dynamic { range, address: remote };
        let endpoint = listen.endpoint_of(remote);
        let settings = endpoint.settings(&self.tenant, &name)?;
        self.rib.set_neighbor(name.clone(), settings);
        self.seed = self.seed.wrapping_add(1);
        let ids = (self.last_id(), self.seed);
        let neighbor = Neighbor::new(endpoint, &bgp, self.deferred.is_some(), ids, now);
        self.neighbors.insert(name.clone(), neighbor);
        self.by_address.insert(remote, name.clone());
        Some(name)
    }

    /// Tells who connected from a range without room that it is not taken (Cease/5,
    /// RFC 4486). `None` when it is of no range.
    pub(super) fn turn_away(
        &mut self,
        local: IpAddr,
        remote: IpAddr,
        now: Instant,
    ) -> Option<(NeighborName, ConnectionId)> {
        let (range, listen) = self.range_of(remote)?;
        let bgp = self.bgp()?.clone();
        let name = NeighborName::Dynamic { range: range.clone(), address: remote };
        // A session that nobody has started takes no connection, and says so.
        let mut session = Session::new(own_config(&listen.endpoint_of(remote), &bgp), 0, now);
        session.number_after(self.last_id());
        let id = session.handle_incoming(local, remote, now);
        self.last_id = session.last_id();
        self.last_work(&name, &mut session);
        let first = self.ranges.get_mut(&range).is_some_and(|range| {
            range.refused += 1;
            !std::mem::replace(&mut range.is_told, true)
        });
        if first {
            self.happened(&name, Happening::RangeFull(listen.maximum));
        }
        Some((name, id))
    }

    /// Forgets neighbors out of ranges of whom nothing is left.
    pub(super) fn forget_gone(&mut self) {
        let names = self.neighbors.keys().filter(|name| name.range().is_some());
        let names: Vec<NeighborName> = names.cloned().collect();
        for name in names {
            self.forget_if_gone(&name);
        }
    }

    /// Forgets this one, if it is such a neighbor.
    pub(super) fn forget_if_gone(&mut self, name: &NeighborName) {
        let Some(range) = name.range() else { return };
        let is_idle = self.neighbors.get(name).is_some_and(|it| it.session.is_idle());
        if !is_idle || self.rib.counts(name).is_some_and(|it| it.held != 0) {
            return;
        }
        let Some(mut neighbor) = self.neighbors.remove(name) else { return };
        self.last_id = self.last_id.max(neighbor.session.last_id());
        self.last_work(name, &mut neighbor.session);
        self.arrived |= neighbor.was_up;
        self.rib.remove_neighbor(name);
        self.by_address.remove(&neighbor.endpoint.address);
        if let Some(range) = self.ranges.get_mut(range) {
            range.gone.add(&neighbor.session.sample().counters);
            range.is_told = false;
        }
    }

    /// Neighbors out of ranges whose session has come up, until they are forgotten.
    pub fn arrivals(&self) -> impl Iterator<Item = (&NeighborName, &Endpoint)> {
        let all = self.neighbors.iter();
        let arrived = all.filter(|(name, it)| name.range().is_some() && it.was_up);
        arrived.map(|(name, neighbor)| (name, &neighbor.endpoint))
    }

    /// Whether [`Speaker::arrivals`] may be others than when this was asked last.
    pub fn take_arrived(&mut self) -> bool {
        std::mem::take(&mut self.arrived)
    }

    /// How many neighbors there are out of a range.
    pub(super) fn neighbors_of(&self, of: &str) -> usize {
        self.neighbors.keys().filter(|name| name.range() == Some(of)).count()
    }

    /// The range that an address is in: no two have one in common.
    fn range_of(&self, address: IpAddr) -> Option<(String, ListenRange)> {
        let mut ranges = self.ranges.iter();
        let found = ranges.find(|(_, range)| range.listen.prefix.contains(address));
        found.map(|(name, range)| (name.clone(), range.listen.clone()))
    }
}
