//! What serves: the best path of each network and the route made of it, which
//! hang on where next hops are.

use super::best_path::{Candidate, Standing, select};
use super::path::{Mark, Path};
use super::{HopKey, NeighborName, Rib, Tracked};
use crate::bgp::Community;
use crate::bgp::next_hop::{Resolved, Surroundings, Unresolved, is_possible};
use crate::model::limits;
use crate::net::{Prefix, SiteName};
use crate::reconcile::{Hop, Route, RouteKey, RouteTarget};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

impl Rib {
    /// The side a neighbor is on.
    fn side(&self, neighbor: u16) -> Option<SiteName> {
        match &self.neighbors.get(&neighbor)?.name {
            NeighborName::Fabric(_) | NeighborName::Dynamic { .. } | NeighborName::Reflector(_) => {
                None
            }
            NeighborName::Site(site) => Some(site.clone()),
        }
    }

    fn look(&self, (side, hop): &HopKey) -> Result<Resolved, Unresolved> {
        match side {
            None => self.fabric.resolve(*hop),
            Some(site) => {
                let here = self.sites.get(site);
                here.map_or(Err(Unresolved::Unreachable), |here| here.resolve(*hop))
            }
        }
    }

    /// Notes that one more route has this next hop; or that there are too many
    /// different ones.
    pub(super) fn track(&mut self, neighbor: u16, hop: IpAddr) -> bool {
        let key = (self.side(neighbor), hop);
        if let Some(tracked) = self.hops.get_mut(&key) {
            tracked.routes += 1;
            return true;
        }
        if limits::NEXT_HOPS_PER_TENANT <= self.hops.len() {
            return false;
        }
        let found = self.look(&key);
        self.unsettled |= key.0.is_none() && found == Err(Unresolved::Unreachable);
        self.hops.insert(key, Tracked { routes: 1, found });
        true
    }

    pub(super) fn untrack(&mut self, neighbor: u16, hop: IpAddr) {
        let key = (self.side(neighbor), hop);
        let Some(tracked) = self.hops.get_mut(&key) else { return };
        tracked.routes -= 1;
        if tracked.routes == 0 {
            self.hops.remove(&key);
        }
    }

    /// Where a path's next hop is.
    pub(super) fn found(&self, prefix: Prefix, path: &Path) -> Result<&Resolved, Unresolved> {
        let hop = self.interner.attributes(path.attributes).map(|it| it.next_hop);
        let hop = hop.ok_or(Unresolved::Unreachable)?;
        if !is_possible(prefix, hop) {
            return Err(Unresolved::Family);
        }
        let key = (self.side(path.key.source.neighbor()), hop);
        let tracked = self.hops.get(&key).ok_or(Unresolved::Unreachable)?;
        tracked.found.as_ref().map_err(|why| *why)
    }

    /// A path as it takes part in the choice, if it does.
    fn candidate<'a>(&'a self, prefix: Prefix, path: &Path) -> Option<Candidate<'a>> {
        if path.reject.is_some() {
            return None;
        }
        let found = self.found(prefix, path).ok()?;
        let neighbor = self.neighbors.get(&path.key.source.neighbor())?;
        Some(Candidate {
            attributes: self.interner.attributes(path.attributes)?,
            external: neighbor.settings.policy.is_external(),
            router_id: neighbor.router_id,
            address: neighbor.settings.address,
            cost: found.cost,
            long_lived: path.has(Mark::LongLived),
            identity: (path.key.path_id, u32::from(path.key.distinguisher)),
        })
    }

    /// What becomes of each path to a network; `None` of one that takes no part.
    pub(super) fn standings(&self, prefix: Prefix) -> Vec<Option<Standing>> {
        let paths = self.table.get(&prefix).map_or(&[][..], |paths| paths.as_slice());
        let all: Vec<_> = paths.iter().map(|path| self.candidate(prefix, path)).collect();
        let candidates: Vec<_> = all.iter().flatten().copied().collect();
        let mut standings = select(&candidates, self.multipath).into_iter();
        all.iter().map(|candidate| candidate.and_then(|_| standings.next())).collect()
    }

    /// Chooses anew among the paths to a network.
    pub(super) fn choose(&mut self, prefix: Prefix) {
        let standings = self.standings(prefix);
        let Some(paths) = self.table.get_mut(&prefix) else { return };
        for (path, standing) in paths.as_mut_slice().iter_mut().zip(standings) {
            let before = *path;
            path.set(Mark::Best, standing == Some(Standing::Best));
            path.set(Mark::Multipath, standing == Some(Standing::Multipath));
            if *path != before
                && let Some(neighbor) = self.neighbors.get_mut(&path.key.source.neighbor())
            {
                neighbor.counts.subtract(&before);
                neighbor.counts.add(path);
            }
        }
    }

    /// Notes that the route to a network may be another, and what hangs on it.
    pub(super) fn note(&mut self, prefix: Prefix) {
        self.changed.insert(prefix);
        if self.unsettled {
            return;
        }
        let first = (None, prefix.address());
        let last = (None, last_address(prefix));
        let inside = self.hops.range(first..=last);
        // Those found without learned routes do not hang on any.
        self.unsettled = inside.into_iter().any(|(_, tracked)| is_learned(&tracked.found));
    }

    /// Puts in what the namespace reaches on the fabric's side and, for each site
    /// that has a neighbor, on the site's.
    pub fn set_surroundings(
        &mut self,
        fabric: Surroundings,
        sites: BTreeMap<SiteName, Surroundings>,
    ) {
        self.fabric = fabric;
        self.sites = sites;
        self.unsettled = true;
        self.settle();
    }

    /// Works off what changes of routes mean for next hops that are reached by
    /// learned routes, and so for other routes. Does nothing when nothing hangs
    /// on what changed.
    pub fn settle(&mut self) {
        if !std::mem::take(&mut self.unsettled) {
            return;
        }
        let before: BTreeMap<HopKey, Result<Resolved, Unresolved>> =
            self.hops.iter().map(|(key, tracked)| (key.clone(), tracked.found.clone())).collect();
        let keys: Vec<HopKey> = before.keys().cloned().collect();
        for key in &keys {
            let found = self.look(key);
            if let Some(tracked) = self.hops.get_mut(key) {
                tracked.found = found;
            }
        }
        for level in 1..=limits::NEXT_HOP_DEPTH {
            let missing = |key: &&HopKey| {
                let tracked = self.hops.get(*key);
                key.0.is_none()
                    && tracked.is_some_and(|it| it.found == Err(Unresolved::Unreachable))
            };
            let found: Vec<(&HopKey, Resolved)> = keys
                .iter()
                .filter(missing)
                .filter_map(|key| Some((key, self.by_learned(key.1, level)?)))
                .collect();
            if found.is_empty() {
                break;
            }
            for (key, resolved) in found {
                if let Some(tracked) = self.hops.get_mut(key) {
                    tracked.found = Ok(resolved);
                }
            }
        }
        let moved: BTreeSet<&HopKey> = keys
            .iter()
            .filter(|key| self.hops.get(*key).map(|it| &it.found) != before.get(*key))
            .collect();
        if moved.is_empty() {
            return;
        }
        let hangs = |path: &Path| {
            let hop = self.interner.attributes(path.attributes).map(|it| it.next_hop);
            hop.is_some_and(|hop| moved.contains(&(self.side(path.key.source.neighbor()), hop)))
        };
        let hanging: Vec<Prefix> = self
            .table
            .iter()
            .filter(|(_, paths)| paths.as_slice().iter().any(hangs))
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in hanging {
            self.choose(prefix);
            self.changed.insert(prefix);
        }
    }

    /// Where a learned route leads that holds `hop` and hangs on fewer than
    /// `level` others: the longest one that leads anywhere.
    fn by_learned(&self, hop: IpAddr, level: u8) -> Option<Resolved> {
        let lengths = self.lengths.iter().rev();
        let lengths = lengths.filter(|((is_v4, _), count)| *is_v4 == hop.is_ipv4() && 0 < **count);
        lengths
            .filter_map(|((_, length), _)| Prefix::containing_address(hop, *length).ok())
            .find_map(|prefix| self.ground(prefix, level))
    }

    fn ground(&self, prefix: Prefix, level: u8) -> Option<Resolved> {
        let paths = self.table.get(&prefix)?.as_slice();
        let is_fabric = |path: &&Path| self.side(path.key.source.neighbor()).is_none();
        let known: Vec<(Candidate<'_>, &Resolved)> = paths
            .iter()
            .filter(is_fabric)
            .filter_map(|path| {
                let found = self.found(prefix, path).ok().filter(|it| it.level < level)?;
                Some((self.candidate(prefix, path)?, found))
            })
            .collect();
        let candidates: Vec<_> = known.iter().map(|(candidate, _)| *candidate).collect();
        let standings = select(&candidates, self.multipath);
        let mut serving = known.iter().zip(standings).filter_map(|((it, found), standing)| {
            let drops = it.attributes.communities.contains(&Community::BLACKHOLE);
            let serves = matches!(standing, Standing::Best | Standing::Multipath);
            (serves && !drops).then_some(*found)
        });
        let first = serving.next()?;
        let mut hops = first.hops.clone();
        for other in serving {
            hops.extend(other.hops.iter().cloned());
        }
        let cost = first.cost.saturating_add(1);
        Some(Resolved { hops, cost, level, source: None })
    }

    /// Whether a path asks for what is for its network to be dropped: a customer's has no
    /// say in that.
    pub(super) fn drops(&self, path: &Path) -> bool {
        let attributes = self.interner.attributes(path.attributes);
        let asks = attributes.is_some_and(|it| it.communities.contains(&Community::BLACKHOLE));
        asks && self.side(path.key.source.neighbor()).is_none()
    }

    /// The route to a network as the kernel is to hold it: the ways of all that
    /// serve, or a blackhole when the best asks for one (RFC 7999).
    pub(super) fn route(&self, prefix: Prefix) -> Option<Route> {
        let paths = self.table.get(&prefix)?.as_slice();
        let best = paths.iter().find(|path| path.has(Mark::Best))?;
        if self.drops(best) {
            return Some(Route { target: RouteTarget::Blackhole });
        }
        let mut hops: BTreeSet<Hop> = BTreeSet::new();
        let mut source = None;
        let others = paths.iter().filter(|path| path.has(Mark::Multipath));
        for path in std::iter::once(best).chain(others) {
            let Ok(found) = self.found(prefix, path) else { continue };
            source = source.or(found.source);
            hops.extend(found.hops.iter().cloned());
        }
        let mut hops: BTreeSet<Hop> = hops.into_iter().take(self.multipath.maximum).collect();
        let target = if hops.len() == 1 {
            let Hop { device, via } = hops.pop_first()?;
            RouteTarget::Link { device, via, source }
        } else {
            RouteTarget::Multipath(hops)
        };
        Some(Route { target })
    }

    /// Every learned route, as the kernel is to hold them.
    pub fn routes(&mut self) -> BTreeMap<RouteKey, Route> {
        self.settle();
        let keys = self.table.keys().copied();
        keys.filter_map(|prefix| Some((RouteKey::learned(prefix), self.route(prefix)?))).collect()
    }

    /// A network whose route may be another than before, and its route now;
    /// each until all were given out.
    pub fn poll_route(&mut self) -> Option<(RouteKey, Option<Route>)> {
        self.settle();
        let prefix = self.changed.pop_first()?;
        Some((RouteKey::learned(prefix), self.route(prefix)))
    }
}

/// Whether learned routes lead there, or could.
fn is_learned(found: &Result<Resolved, Unresolved>) -> bool {
    match found {
        Ok(resolved) => 0 < resolved.level,
        Err(Unresolved::Unreachable) => true,
        Err(Unresolved::Dropped | Unresolved::Family | Unresolved::NoTunnel) => false,
    }
}

fn last_address(prefix: Prefix) -> IpAddr {
    let free = u32::from(prefix.length());
    match prefix.address() {
        IpAddr::V4(first) => {
            let hosts = u32::MAX.checked_shr(free).unwrap_or_default();
            IpAddr::V4((first.to_bits() | hosts).into())
        }
        IpAddr::V6(first) => {
            let hosts = u128::MAX.checked_shr(free).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | hosts))
        }
    }
}
