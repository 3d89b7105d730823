//! Routes past their session: graceful restart as a helper (RFC 4724 §4.2), long
//! lived (RFC 9494), and refresh with both its ends said (RFC 7313).
//!
//! ```text
//!  up ──down, restart time──▶ stale ──until──▶ long-lived stale ──until──▶ gone
//!   ▲                           │ up, said again or EndOfRib │
//!   └───────────────────────────┴────────────────────────────┘
//! ```
//! A second session that ends before EndOfRib deletes what is stale from the
//! first (RFC 4724 §4.1), but what is kept for long, whose time goes on
//! (RFC 9494 §4.2). A refresh never touches what is stale: what it ends is what
//! was there when it began.

use super::neighbor::{Kept, NeighborName, Retain};
use super::path::{Mark, Path};
use super::{Rib, family};
use crate::bgp::{Community, Family};
use crate::net::{Instant, Prefix};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

impl Rib {
    /// A session began. `preserved` are the families for which the neighbor says
    /// that it forwarded on meanwhile (the F bit of RFC 4724 §3 or RFC 9494 §3.1);
    /// of others what was kept is deleted.
    pub fn neighbor_up(
        &mut self,
        name: &NeighborName,
        router_id: Ipv4Addr,
        preserved: &BTreeSet<Family>,
    ) {
        let Some(index) = self.names.get(name).copied() else { return };
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return };
        neighbor.up = true;
        neighbor.warned = false;
        neighbor.router_id = router_id;
        neighbor.kept.retain(|family, _| preserved.contains(family));
        // Of a thousand neighbors that come up each would else be looked for among all
        // that the others said.
        if neighbor.counts.held == 0 {
            return;
        }
        self.sweep_marked(index, &[Mark::Stale, Mark::LongLived], |it| !preserved.contains(&it));
        self.choose_all(index);
    }

    /// A session ended. What `retain` names is kept, as stale; everything else
    /// is deleted.
    pub fn neighbor_down(&mut self, name: &NeighborName, retain: &Retain, now: Instant) {
        let Some(index) = self.names.get(name).copied() else { return };
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return };
        neighbor.up = false;
        self.treated.remove(index, |_| true);
        let names =
            |it: &Family| retain.families.contains(it) || retain.long_lived.contains_key(it);
        // Of an earlier session, unless it may be kept for long.
        self.sweep_marked(index, &[Mark::Stale], |it| !retain.long_lived.contains_key(&it));
        self.sweep_family(index, |family| !names(&family));
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return };
        neighbor.kept.retain(|family, _| names(family));
        let all: BTreeSet<Family> =
            retain.families.iter().chain(retain.long_lived.keys()).copied().collect();
        for it in all {
            let then = retain.long_lived.get(&it).copied();
            // What graceful restart does not name is long-lived at once (RFC 9494 §4.2).
            let named = retain.families.contains(&it);
            let until = if named { now + retain.restart_time } else { now };
            let kept = match neighbor.kept.get(&it).copied() {
                // Their time goes on, or who comes and goes would keep them for ever.
                Some(kept @ Kept::LongLived { .. }) if then.is_some() => kept,
                Some(Kept::Restarting { until: earlier, .. }) if then.is_some() => {
                    Kept::Restarting { until: earlier.min(until), then }
                }
                Some(_) | None => Kept::Restarting { until, then },
            };
            neighbor.kept.insert(it, kept);
        }
        let long_lived = |it: &Family| {
            let kept = self.neighbors.get(&index).and_then(|neighbor| neighbor.kept.get(it));
            matches!(kept, Some(Kept::LongLived { .. }))
        };
        let long_lived: BTreeSet<Family> =
            retain.long_lived.keys().copied().filter(long_lived).collect();
        self.mark(index, |_, path| {
            if !path.has(Mark::LongLived) {
                path.set(Mark::Stale, true);
            }
            path.set(Mark::Unrefreshed, false);
        });
        for it in long_lived {
            self.make_long_lived(index, it);
        }
    }

    /// The neighbor has said everything of a family (RFC 4724 §2): what is still
    /// stale is gone.
    pub fn end_of_rib(&mut self, name: &NeighborName, of: Family) {
        let Some(index) = self.names.get(name).copied() else { return };
        let Some(neighbor) = self.neighbors.get_mut(&index).filter(|it| it.up) else { return };
        // Without that nothing of it is stale, and nothing need be looked for.
        if neighbor.kept.remove(&of).is_some() {
            self.sweep_marked(index, &[Mark::Stale, Mark::LongLived], |it| it == of);
        }
    }

    /// The neighbor begins to say everything of a family again (BoRR, RFC 7313 §4).
    pub fn begin_refresh(&mut self, name: &NeighborName, of: Family) {
        let Some(index) = self.names.get(name).copied() else { return };
        self.forget_treated(index, of);
        self.mark(index, |prefix, path| {
            let is_stale = path.has(Mark::Stale) || path.has(Mark::LongLived);
            if family(prefix, path) == of && !is_stale {
                path.set(Mark::Unrefreshed, true);
            }
        });
    }

    /// It has (EoRR): what was there when it began and was not said again is gone.
    pub fn end_refresh(&mut self, name: &NeighborName, of: Family) {
        let Some(index) = self.names.get(name).copied() else { return };
        self.sweep_marked(index, &[Mark::Unrefreshed], |it| it == of);
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let kept = self.neighbors.values().flat_map(|neighbor| neighbor.kept.values());
        kept.map(|kept| kept.until()).min()
    }

    /// Ends what has been kept for its time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (index, neighbor) in &self.neighbors {
            let ended = neighbor.kept.iter().filter(|(_, kept)| kept.until() <= now);
            due.extend(ended.map(|(family, kept)| (*index, *family, *kept)));
        }
        for (index, of, kept) in due {
            let Some(neighbor) = self.neighbors.get_mut(&index) else { continue };
            match kept {
                // Back, and still saying what it has: it has until EndOfRib as
                // long as this lasts, then no longer.
                Kept::Restarting { until, then: Some(then) } if !neighbor.up => {
                    neighbor.kept.insert(of, Kept::LongLived { until: until + then });
                    self.make_long_lived(index, of);
                }
                Kept::Restarting { .. } | Kept::LongLived { .. } => {
                    neighbor.kept.remove(&of);
                    self.sweep_marked(index, &[Mark::Stale, Mark::LongLived], |it| it == of);
                }
            }
        }
    }

    /// Makes what is stale of a family long-lived, but what is not to be.
    fn make_long_lived(&mut self, index: u16, of: Family) {
        let mut gone = Vec::new();
        for (prefix, paths) in &self.table {
            for path in paths.as_slice() {
                let attributes = self.interner.attributes(path.attributes);
                let barred =
                    attributes.is_some_and(|it| it.communities.contains(&Community::NO_LLGR));
                let is_meant = path.key.source.neighbor() == index && path.has(Mark::Stale);
                if barred && is_meant && family(*prefix, path) == of {
                    gone.push((*prefix, path.key));
                }
            }
        }
        for (prefix, key) in gone {
            self.remove(prefix, key);
        }
        self.mark(index, |prefix, path| {
            if family(prefix, path) == of && path.has(Mark::Stale) {
                path.set(Mark::Stale, false);
                path.set(Mark::LongLived, true);
            }
        });
        self.choose_all(index);
    }

    fn mark(&mut self, index: u16, mark: impl Fn(Prefix, &mut Path)) {
        let neighbor = self.neighbors.get_mut(&index).filter(|it| 0 < it.counts.held);
        let Some(neighbor) = neighbor else { return };
        for (prefix, paths) in &mut self.table {
            for path in paths.as_mut_slice() {
                if path.key.source.neighbor() == index {
                    neighbor.counts.subtract(path);
                    mark(*prefix, path);
                    neighbor.counts.add(path);
                }
            }
        }
    }

    fn sweep_marked(&mut self, index: u16, marks: &[Mark], of: impl Fn(Family) -> bool) {
        self.sweep_paths(index, |prefix, path| {
            marks.iter().any(|mark| path.has(*mark)) && of(family(prefix, path))
        });
    }

    fn sweep_family(&mut self, index: u16, of: impl Fn(Family) -> bool) {
        self.sweep_paths(index, |prefix, path| of(family(prefix, path)));
    }

    /// Chooses anew for every network a neighbor has a route to.
    fn choose_all(&mut self, index: u16) {
        let mine = |path: &Path| path.key.source.neighbor() == index;
        let all = self.table.iter().filter(|(_, paths)| paths.as_slice().iter().any(mine));
        let all: Vec<Prefix> = all.map(|(prefix, _)| *prefix).collect();
        for prefix in all {
            self.choose(prefix);
            self.note(prefix);
        }
    }
}
