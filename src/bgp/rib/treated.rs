//! What neighbors announced in a way that counts as withdrawn (RFC 7606 §2), and why: no
//! path is made of it, so this is all that is left to say why a route is not here.
//!
//! It is forgotten when the neighbor says the network rightly or withdraws it, begins to
//! say everything again, or its session ends; and, the oldest first, beyond
//! [`limits::TREATED_PER_NEIGHBOR`] and [`limits::TREATED_PER_TENANT`].

use super::{NeighborName, Rib};
use crate::bgp::proto::Fault;
use crate::bgp::{Family, Nlri};
use crate::model::limits;
use crate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A network that a neighbor announced and that counts as withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treated {
    /// The network as it was heard.
    pub nlri: Nlri,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Those of all neighbors, by their index; the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct TreatedAsWithdrawn {
    of: BTreeMap<u16, VecDeque<Treated>>,
    count: usize,
}

impl TreatedAsWithdrawn {
    fn add(&mut self, neighbor: u16, treated: Treated) {
        self.remove(neighbor, |it| it.nlri == treated.nlri);
        if limits::TREATED_PER_TENANT <= self.count {
            // Who says most of it has no room from the others.
            let most = self.of.iter().max_by_key(|(_, all)| all.len());
            if let Some(most) = most.map(|(neighbor, _)| *neighbor) {
                self.forget_oldest(most);
            }
        }
        let all = self.of.entry(neighbor).or_default();
        all.push_back(treated);
        self.count += 1;
        if limits::TREATED_PER_NEIGHBOR < all.len() {
            self.forget_oldest(neighbor);
        }
    }

    fn forget_oldest(&mut self, neighbor: u16) {
        let Some(all) = self.of.get_mut(&neighbor) else { return };
        self.count -= usize::from(all.pop_front().is_some());
        if all.is_empty() {
            self.of.remove(&neighbor);
        }
    }

    /// Forgets what `which` says of a neighbor's.
    pub(super) fn remove(&mut self, neighbor: u16, which: impl Fn(&Treated) -> bool) {
        let Some(all) = self.of.get_mut(&neighbor) else { return };
        let before = all.len();
        all.retain(|it| !which(it));
        self.count -= before - all.len();
        if all.is_empty() {
            self.of.remove(&neighbor);
        }
    }

    /// Forgets these networks of a neighbor, about which it has said something else.
    pub(super) fn replaced(&mut self, neighbor: u16, networks: &[Nlri]) {
        if self.of.contains_key(&neighbor) {
            let networks: BTreeSet<&Nlri> = networks.iter().collect();
            self.remove(neighbor, |it| networks.contains(&it.nlri));
        }
    }
}

impl Rib {
    /// Takes in that a neighbor announced these networks and that they count as
    /// withdrawn: to be called after [`Rib::update`], which takes out what was there.
    pub fn treated_as_withdrawn(&mut self, name: &NeighborName, networks: &[Nlri], fault: Fault) {
        let Some(index) = self.names.get(name).copied() else { return };
        // The rest would push out the first of themselves.
        for nlri in networks.iter().take(limits::TREATED_PER_NEIGHBOR) {
            self.treated.add(index, Treated { nlri: *nlri, fault });
        }
    }

    /// Forgets what a neighbor is about to say again.
    pub(super) fn forget_treated(&mut self, index: u16, of: Family) {
        self.treated.remove(index, |it| {
            let is_v4 = it.nlri.prefix.is_v4();
            of == match (is_v4, it.nlri.distinguisher) {
                (true, None) => Family::Ipv4Unicast,
                (false, None) => Family::Ipv6Unicast,
                (true, Some(_)) => Family::Ipv4Vpn,
                (false, Some(_)) => Family::Ipv6Vpn,
            }
        });
    }

    /// What is known of `prefix` so, with who said it, in the order of neighbors.
    pub(super) fn treated_at(&self, prefix: Prefix) -> Vec<(NeighborName, Treated)> {
        let all = self.all_treated().filter(|(at, _, _)| *at == prefix);
        all.map(|(_, name, treated)| (name.clone(), *treated)).collect()
    }

    /// The networks of which something is known so, as the tenant's namespace knows them.
    pub(super) fn treated_networks(&self) -> BTreeSet<Prefix> {
        self.all_treated().map(|(prefix, _, _)| prefix).collect()
    }

    fn all_treated(&self) -> impl Iterator<Item = (Prefix, &NeighborName, &Treated)> {
        self.treated.of.iter().flat_map(|(index, all)| {
            let neighbor = self.neighbors.get(index).into_iter();
            neighbor.flat_map(move |neighbor| {
                all.iter().map(move |it| {
                    let renamed = neighbor.settings.policy.rename(it.nlri.prefix);
                    (renamed.unwrap_or(it.nlri.prefix), &neighbor.name, it)
                })
            })
        })
    }
}
