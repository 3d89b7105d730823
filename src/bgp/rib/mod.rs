//! What one tenant's neighbors said, and what is made of it.
//!
//! One table holds every neighbor's routes, those that are refused among them,
//! each with what became of it. A change is worked off at once for the networks
//! it names; what follows from it for other networks, over next hops, in
//! [`Rib::settle`]. The state after that depends on what was said alone, not on
//! the order in which neighbors said it.
//!
//! Feed with [`Rib::update`], [`Rib::neighbor_up`], [`Rib::neighbor_down`],
//! [`Rib::end_of_rib`], [`Rib::begin_refresh`], [`Rib::end_refresh`],
//! [`Rib::set_surroundings`] and, at [`Rib::poll_timeout`],
//! [`Rib::handle_timeout`]; drain with [`Rib::poll_route`].
//!
//! In reading order: [`NeighborName`] and its settings, `path` and `interner`
//! (how a route is held), [`select`] (the best path), `choice` (what serves, and
//! next hops), `restart` (past the session), `treated` (what counts as withdrawn),
//! `said` (which networks sites' routers have), `explain` (why).

mod best_path;
mod choice;
mod explain;
mod interner;
mod neighbor;
mod path;
mod restart;
mod said;
mod treated;

pub use best_path::{CALICO_NORMAL, Candidate, Lost, Multipath, Standing, preference, select};
pub use explain::{Explained, ExplainedPath, PathState, Stale};
pub use neighbor::{Counts, Limit, NeighborName, NeighborSettings, Retain};
pub use treated::Treated;

use super::next_hop::{Resolved, Surroundings, Unresolved};
use super::{Attributes, Family, Nlri, Reject, RouteDistinguisher, Update};
use crate::model::limits;
use crate::net::{Prefix, SiteName};
use interner::Interner;
use neighbor::Neighbor;
use path::{Mark, Path, PathKey, Paths, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use treated::TreatedAsWithdrawn;

/// A next hop and the side it is on: a site's, or the fabric's.
type HopKey = (Option<SiteName>, IpAddr);

/// A next hop that routes have.
#[derive(Clone, Debug)]
struct Tracked {
    routes: u32,
    found: Result<Resolved, Unresolved>,
}

/// The routes of one tenant.
#[derive(Clone, Debug, Default)]
pub struct Rib {
    multipath: Multipath,
    names: BTreeMap<NeighborName, u16>,
    neighbors: BTreeMap<u16, Neighbor>,
    table: BTreeMap<Prefix, Paths>,
    /// How many networks of the table have each length, v4 and v6 apart.
    lengths: BTreeMap<(bool, u8), u32>,
    interner: Interner,
    distinguishers: Vec<RouteDistinguisher>,
    fabric: Surroundings,
    sites: BTreeMap<SiteName, Surroundings>,
    hops: BTreeMap<HopKey, Tracked>,
    treated: TreatedAsWithdrawn,
    /// How many paths are held of all neighbors, and how many may be.
    held: u32,
    maximum: u32,
    /// Whether a learned route may lead elsewhere than it did.
    unsettled: bool,
    /// The sites whose routers have other networks than before.
    said_anew: BTreeSet<SiteName>,
    /// Networks whose route may have changed.
    changed: BTreeSet<Prefix>,
}

impl Rib {
    /// An empty one, of [`limits::PATHS_PER_TENANT`] paths at most.
    pub fn new(multipath: Multipath) -> Self {
        Self { multipath, maximum: limits::PATHS_PER_TENANT, ..Self::default() }
    }

    /// With another maximum of paths.
    #[must_use]
    pub fn with_maximum(self, maximum: u32) -> Self {
        Self { maximum, ..self }
    }

    /// Makes a neighbor known, or what may be taken from it another. Its routes
    /// are judged again; whether it must be asked again for those that were not
    /// kept (RFC 2918) is returned.
    pub fn set_neighbor(&mut self, name: NeighborName, settings: NeighborSettings) -> bool {
        if let Some(index) = self.names.get(&name).copied() {
            let known = self.neighbors.get(&index);
            // Of a thousand neighbors one changed: what the others said is not gone through.
            if known.is_some_and(|known| known.settings == settings) {
                return false;
            }
            return self.set_policy(index, settings);
        }
        // Ten thousand sites, sixty-four neighbors and all those of ranges fit in
        // fifteen bits.
        let most = u16::MAX >> 1;
        let next = self.neighbors.last_key_value().map_or(0, |(last, _)| last + 1);
        let free = (next < most).then_some(next);
        let free = free.or_else(|| (0..most).find(|index| !self.neighbors.contains_key(index)));
        let Some(index) = free else { return false };
        let neighbor = Neighbor {
            name: name.clone(),
            settings,
            router_id: Ipv4Addr::UNSPECIFIED,
            up: false,
            counts: Counts::default(),
            warned: false,
            kept: BTreeMap::new(),
            said: BTreeSet::new(),
        };
        self.names.insert(name, index);
        self.neighbors.insert(index, neighbor);
        false
    }

    /// Forgets a neighbor and everything it said.
    pub fn remove_neighbor(&mut self, name: &NeighborName) {
        let Some(index) = self.names.remove(name) else { return };
        self.sweep_paths(index, |_, _| true);
        self.treated.remove(index, |_| true);
        self.neighbors.remove(&index);
    }

    fn set_policy(&mut self, index: u16, settings: NeighborSettings) -> bool {
        let mine = |path: &Path| path.key.source.neighbor() == index;
        let (mut again, mut held) = (Vec::new(), Vec::new());
        for (prefix, paths) in &self.table {
            for path in paths.as_slice().iter().filter(|path| mine(path)) {
                again.push((self.heard(*prefix, path), *path));
            }
        }
        // Under the new policy a network may have another name, so all are taken
        // out, held meanwhile, and put in again.
        for (_, path) in &again {
            self.interner.hold_again(path.attributes);
            held.push(path.attributes);
        }
        self.sweep_paths(index, |_, _| true);
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return false };
        let not_kept = std::mem::take(&mut neighbor.counts.not_kept);
        neighbor.settings = settings;
        for (nlri, path) in again {
            let Some(attributes) = self.interner.attributes(path.attributes).cloned() else {
                continue;
            };
            self.insert(index, nlri, &attributes, path);
        }
        for slot in held {
            self.interner.release(slot);
        }
        let now = self.neighbors.get(&index).map_or(0, |neighbor| neighbor.counts.not_kept);
        0 < not_kept || 0 < now
    }

    /// A path's network as it was heard.
    fn heard(&self, prefix: Prefix, path: &Path) -> Nlri {
        let neighbor = self.neighbors.get(&path.key.source.neighbor());
        let original = neighbor
            .filter(|_| path.key.source.is_renamed())
            .and_then(|neighbor| neighbor.settings.policy.original(prefix));
        let distinguisher = usize::from(path.key.distinguisher).checked_sub(1);
        Nlri {
            prefix: original.unwrap_or(prefix),
            distinguisher: distinguisher.and_then(|at| self.distinguishers.get(at)).copied(),
            path_id: path.key.path_id,
        }
    }

    /// Takes in what a neighbor says.
    pub fn update(&mut self, name: &NeighborName, update: &Update) -> Option<Limit> {
        let index = self.names.get(name).copied()?;
        self.treated.replaced(index, &update.withdrawn);
        for nlri in &update.withdrawn {
            if let Some((prefix, key)) = self.place(index, nlri) {
                self.remove(prefix, key);
            }
        }
        let mut limit = None;
        for announcement in &update.announced {
            let attributes = &announcement.attributes;
            let slot = self.interner.hold(attributes);
            self.treated.replaced(index, &announcement.nlri);
            for nlri in &announcement.nlri {
                if self.is_nobodys(index, nlri, attributes) {
                    continue;
                }
                let Some(key) = self.place_new(index, nlri) else { continue };
                self.insert(index, *nlri, attributes, Path::new(key.1, slot, None));
                match self.limit(index) {
                    Some(Limit::Over) => {
                        self.interner.release(slot);
                        return Some(Limit::Over);
                    }
                    Some(Limit::Near) => limit = Some(Limit::Near),
                    None => {}
                }
            }
            self.interner.release(slot);
        }
        limit
    }

    /// Counts a VPN route that is for nobody here or cannot be told from others,
    /// and takes out what was at its place.
    fn is_nobodys(&mut self, index: u16, nlri: &Nlri, attributes: &Attributes) -> bool {
        let Some(distinguisher) = nlri.distinguisher else { return false };
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return true };
        let reject = neighbor.settings.policy.attributes(attributes, true);
        let is_full = limits::DISTINGUISHERS_PER_TENANT <= self.distinguishers.len()
            && !self.distinguishers.contains(&distinguisher);
        if reject != Some(Reject::RouteTarget) && !is_full {
            return false;
        }
        neighbor.counts.not_kept += 1;
        if let Some((prefix, key)) = self.place(index, nlri) {
            self.remove(prefix, key);
        }
        true
    }

    fn limit(&mut self, index: u16) -> Option<Limit> {
        let neighbor = self.neighbors.get_mut(&index)?;
        let most = neighbor.settings.maximum_prefixes;
        if most < neighbor.counts.held || self.maximum < self.held {
            return Some(Limit::Over);
        }
        let is_near = u64::from(most) * 3 <= u64::from(neighbor.counts.held) * 4;
        let first = is_near && !neighbor.warned;
        neighbor.warned |= is_near;
        first.then_some(Limit::Near)
    }

    /// Where a route of a neighbor is, or would be.
    fn place(&self, index: u16, nlri: &Nlri) -> Option<(Prefix, PathKey)> {
        let distinguisher = match nlri.distinguisher {
            None => 0,
            Some(it) => self.distinguishers.iter().position(|known| *known == it)? + 1,
        };
        let renamed = self.neighbors.get(&index)?.settings.policy.rename(nlri.prefix);
        let key = PathKey {
            source: Source::new(index, renamed.is_some()),
            path_id: nlri.path_id,
            distinguisher: u16::try_from(distinguisher).ok()?,
        };
        Some((renamed.unwrap_or(nlri.prefix), key))
    }

    /// As [`Self::place`], for a distinguisher that may be new.
    fn place_new(&mut self, index: u16, nlri: &Nlri) -> Option<(Prefix, PathKey)> {
        if let Some(new) = nlri.distinguisher
            && !self.distinguishers.contains(&new)
        {
            self.distinguishers.push(new);
        }
        self.place(index, nlri)
    }

    /// Puts in a route as the neighbor's policy judges it; the marks of `path`
    /// stay, its attributes are held once more.
    fn insert(&mut self, index: u16, nlri: Nlri, attributes: &Attributes, mut path: Path) {
        let Some((prefix, key)) = self.place(index, &nlri) else { return };
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return };
        let policy = &neighbor.settings.policy;
        let unwanted = policy.attributes(attributes, nlri.distinguisher.is_some());
        path.key = key;
        path.reject = unwanted.or_else(|| policy.prefix(nlri.prefix));
        path.set(Mark::Best, false);
        path.set(Mark::Multipath, false);
        if path.reject == Some(Reject::RouteTarget) {
            neighbor.counts.not_kept += 1;
            self.remove(prefix, key);
            return;
        }
        if path.reject.is_none() && !self.track(index, attributes.next_hop) {
            path.reject = Some(Reject::NextHops);
        }
        self.interner.hold_again(path.attributes);
        let old = match self.table.get_mut(&prefix) {
            Some(paths) => paths.put(path),
            None => {
                self.table.insert(prefix, Paths::One(path));
                *self.lengths.entry((prefix.is_v4(), prefix.length())).or_default() += 1;
                None
            }
        };
        self.held += 1;
        if let Some(neighbor) = self.neighbors.get_mut(&index) {
            neighbor.counts.add(&path);
        }
        if let Some(old) = old {
            self.let_go(&old);
        }
        self.note_said(index, prefix);
        self.choose(prefix);
        self.note(prefix);
    }

    /// Takes out a route.
    fn remove(&mut self, prefix: Prefix, key: PathKey) {
        let Some(paths) = self.table.get_mut(&prefix) else { return };
        let rest: Vec<Path> =
            paths.as_slice().iter().filter(|path| path.key != key).copied().collect();
        let old = paths.as_slice().iter().find(|path| path.key == key).copied();
        let Some(old) = old else { return };
        match rest[..] {
            [] => {
                self.table.remove(&prefix);
                if let Some(count) = self.lengths.get_mut(&(prefix.is_v4(), prefix.length())) {
                    *count = count.saturating_sub(1);
                }
            }
            [one] => *paths = Paths::One(one),
            _ => *paths = Paths::Many(rest),
        }
        self.let_go(&old);
        self.note_said(key.source.neighbor(), prefix);
        self.choose(prefix);
        self.note(prefix);
    }

    /// Lets go of what a path held that is out of the table.
    fn let_go(&mut self, path: &Path) {
        self.held -= 1;
        if let Some(neighbor) = self.neighbors.get_mut(&path.key.source.neighbor()) {
            neighbor.counts.subtract(path);
        }
        if path.reject.is_none()
            && let Some(hop) = self.interner.attributes(path.attributes).map(|it| it.next_hop)
        {
            self.untrack(path.key.source.neighbor(), hop);
        }
        self.interner.release(path.attributes);
    }

    /// Takes out every route of a neighbor for which `which` says so.
    fn sweep_paths(&mut self, index: u16, which: impl Fn(Prefix, &Path) -> bool) {
        if self.neighbors.get(&index).is_none_or(|neighbor| neighbor.counts.held == 0) {
            return;
        }
        let mut gone = Vec::new();
        for (prefix, paths) in &self.table {
            let paths = paths.as_slice().iter();
            for path in paths.filter(|path| path.key.source.neighbor() == index) {
                if which(*prefix, path) {
                    gone.push((*prefix, path.key));
                }
            }
        }
        for (prefix, key) in gone {
            self.remove(prefix, key);
        }
    }

    /// How many routes of a neighbor there are; `None` of one that is not known.
    pub fn counts(&self, name: &NeighborName) -> Option<Counts> {
        let neighbor = self.neighbors.get(self.names.get(name)?)?;
        Some(neighbor.counts)
    }

    /// How many networks are held, and how many different sets of attributes.
    pub fn size(&self) -> (usize, usize) {
        (self.table.len(), self.interner.count())
    }
}

/// The family a route was heard in.
fn family(prefix: Prefix, path: &Path) -> Family {
    match (prefix.is_v4(), path.key.distinguisher) {
        (true, 0) => Family::Ipv4Unicast,
        (false, 0) => Family::Ipv6Unicast,
        (true, _) => Family::Ipv4Vpn,
        (false, _) => Family::Ipv6Vpn,
    }
}
