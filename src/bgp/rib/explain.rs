//! Why a route is used or not: every path and what became of it.

use super::best_path::{Lost, Standing};
use super::path::Mark;
use super::treated::Treated;
use super::{NeighborName, Rib};
use crate::bgp::next_hop::Unresolved;
use crate::bgp::{Attributes, Nlri, Reject};
use crate::net::Prefix;
use crate::reconcile::Route;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// A network and all that was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The network, as the tenant's namespace knows it.
    pub prefix: Prefix,
    /// The route made of it, if one is.
    pub route: Option<Route>,
    /// Every path, in the order of neighbors and path identifiers.
    pub paths: Vec<ExplainedPath>,
    /// What was announced of it and counts as withdrawn, with who did.
    pub treated: Vec<(NeighborName, Treated)>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPath {
    /// Who said it.
    pub neighbor: NeighborName,
    /// The network as it was heard.
    pub nlri: Nlri,
    /// What was said of it.
    pub attributes: Arc<Attributes>,
    /// What became of it.
    pub state: PathState,
    /// Whether it is kept past its session.
    pub stale: Option<Stale>,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// It serves.
    Best,
    /// It serves, and asks for what is for its network to be dropped (RFC 7999).
    BestDrops,
    /// It serves beside the best.
    Multipath,
    /// Another is better, and by what.
    Lost(Lost),
    /// The import policy does not take it, and why.
    Refused(Reject),
    /// It is taken and cannot be installed, and why.
    NotInstalled(Unresolved),
}

/// That a path is kept past its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// For the neighbor's restart time (RFC 4724).
    Restarting,
    /// For long (RFC 9494).
    LongLived,
}

impl fmt::Display for PathState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("best"),
            Self::BestDrops => f.write_str("best: what is for it is dropped (BLACKHOLE)"),
            Self::Multipath => f.write_str("multipath"),
            Self::Lost(lost) => write!(f, "lost: {lost}"),
            Self::Refused(reject) => write!(f, "refused: {reject}"),
            Self::NotInstalled(why) => write!(f, "not installed: {why}"),
        }
    }
}

impl fmt::Display for ExplainedPath {
    /// `192.168.72.64/26 of rr1 via 10.1.0.8 path 64512: best`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attributes { next_hop, as_path, .. } = &*self.attributes;
        write!(f, "{} of {} via {next_hop}", self.nlri.prefix, self.neighbor)?;
        if !as_path.0.is_empty() {
            write!(f, " path {as_path}")?;
        }
        write!(f, ": {}", self.state)?;
        match self.stale {
            Some(Stale::Restarting) => f.write_str(", stale"),
            Some(Stale::LongLived) => f.write_str(", long-lived stale"),
            None => Ok(()),
        }
    }
}

impl Rib {
    /// Every path to `prefix`; `None` when nothing was said of it.
    pub fn explain(&self, prefix: Prefix) -> Option<Explained> {
        let treated = self.treated_at(prefix);
        let Some(paths) = self.table.get(&prefix) else {
            let nothing = Explained { prefix, route: None, paths: Vec::new(), treated };
            return (!nothing.treated.is_empty()).then_some(nothing);
        };
        let paths = paths.as_slice();
        let standings = self.standings(prefix);
        let mut explained = Vec::with_capacity(paths.len());
        for (path, standing) in paths.iter().zip(standings) {
            let state = match (path.reject, standing) {
                (Some(reject), _) => PathState::Refused(reject),
                (None, Some(Standing::Best)) if self.drops(path) => PathState::BestDrops,
                (None, Some(Standing::Best)) => PathState::Best,
                (None, Some(Standing::Multipath)) => PathState::Multipath,
                (None, Some(Standing::Lost(lost))) => PathState::Lost(lost),
                (None, None) => {
                    let why = self.found(prefix, path).err();
                    PathState::NotInstalled(why.unwrap_or(Unresolved::Unreachable))
                }
            };
            let stale = if path.has(Mark::LongLived) {
                Some(Stale::LongLived)
            } else {
                path.has(Mark::Stale).then_some(Stale::Restarting)
            };
            let neighbor = self.neighbors.get(&path.key.source.neighbor())?;
            explained.push(ExplainedPath {
                neighbor: neighbor.name.clone(),
                nlri: self.heard(prefix, path),
                attributes: Arc::clone(self.interner.attributes(path.attributes)?),
                state,
                stale,
            });
        }
        Some(Explained { prefix, route: self.route(prefix), paths: explained, treated })
    }

    /// The networks around `prefix` of which there are paths, the longest first.
    pub fn around(&self, prefix: Prefix) -> impl Iterator<Item = Prefix> {
        let is_wider = move |(is_v4, length): &(bool, u8)| {
            *is_v4 == prefix.is_v4() && *length < prefix.length()
        };
        let lengths = self.lengths.keys().rev().filter(move |it| is_wider(it));
        let networks = lengths.filter_map(move |(_, length)| {
            Prefix::containing_address(prefix.address(), *length).ok()
        });
        networks.filter(|network| self.table.contains_key(network))
    }

    /// As [`Rib::explain_all`], from the network after this one.
    pub fn explain_after(&self, after: Option<Prefix>) -> impl Iterator<Item = Explained> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.table.range((begin, Bound::Unbounded));
        let mut held = rest.map(|(prefix, _)| *prefix).peekable();
        let mut others = self.treated_networks();
        others.retain(|prefix| !self.table.contains_key(prefix) && after < Some(*prefix));
        let mut others = others.into_iter().peekable();
        let both = std::iter::from_fn(move || match (held.peek(), others.peek()) {
            (Some(one), Some(other)) if other < one => others.next(),
            (None, Some(_)) => others.next(),
            (Some(_) | None, _) => held.next(),
        });
        both.filter_map(|prefix| self.explain(prefix))
    }

    /// Everything that was said, network by network.
    pub fn explain_all(&self) -> impl Iterator<Item = Explained> {
        self.explain_after(None)
    }
}
