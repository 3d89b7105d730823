//! Which networks meet, in one sorted pass.
//!
//! Prefixes nest or are apart, so in the order of their addresses, wider ones
//! first, those that hold the current one are a stack. Its depth is at most
//! 129, whatever the number of prefixes.

use super::error::Forbidden;
use crate::net::{ALWAYS_FORBIDDEN, Prefix};

/// The networks of [`ALWAYS_FORBIDDEN`].
pub fn always_forbidden() -> Vec<(Prefix, Forbidden)> {
    let parse = |(text, why): &(&str, &'static str)| {
        text.parse::<Prefix>().ok().map(|prefix| (prefix, Forbidden::Always(why)))
    };
    ALWAYS_FORBIDDEN.iter().filter_map(parse).collect()
}

/// Networks that may not be used, asked one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForbiddenSet {
    /// Sorted, none inside another.
    disjoint: Vec<(Prefix, Forbidden)>,
}

impl ForbiddenSet {
    pub(super) fn new(mut prefixes: Vec<(Prefix, Forbidden)>) -> Self {
        prefixes.sort();
        let mut disjoint: Vec<(Prefix, Forbidden)> = Vec::with_capacity(prefixes.len());
        for (prefix, why) in prefixes {
            if !disjoint.last().is_some_and(|(last, _)| last.covers(prefix)) {
                disjoint.push((prefix, why));
            }
        }
        Self { disjoint }
    }

    /// A forbidden network that meets `prefix`.
    pub(super) fn meets(&self, prefix: Prefix) -> Option<(Prefix, Forbidden)> {
        let next = self.disjoint.partition_point(|(forbidden, _)| *forbidden <= prefix);
        let before = next.checked_sub(1).and_then(|index| self.disjoint.get(index));
        let around = [before, self.disjoint.get(next)];
        around.into_iter().flatten().find(|(forbidden, _)| forbidden.overlaps(prefix)).copied()
    }
}

/// Whose a network is, within one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The applications'.
    App,
    /// Of the fabric link.
    Fabric,
    /// Between us and a site: a tunnel's or a handed-over VLAN's.
    Link,
    /// A site's, as the applications see it.
    Visible,
}

/// A network and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) prefix: Prefix,
    pub(super) role: Role,
    /// Which site's; `usize::MAX` when it is no site's.
    pub(super) site: usize,
    /// The site's priority.
    pub(super) priority: u32,
    /// Where it is written.
    pub(super) path: String,
}

/// Two networks of one tenant that may not meet, the later written one first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) later: usize,
    pub(super) earlier: usize,
}

/// One distinct network of the stack, and who has it. Two claims of different
/// sites for each role are enough to find one that is not a given site's.
#[derive(Debug)]
struct Level {
    prefix: Prefix,
    /// Indexes of claims by role.
    holders: [[Option<usize>; 2]; 4],
    /// Priorities of the sites that have it as their own, with the claim.
    priorities: Vec<(u32, usize)>,
}

/// Finds meetings of claims, at most one for each claim and network it meets.
///
/// Default routes meet everything and are compared with each other only.
pub(super) fn meetings(claims: &[Claim]) -> Vec<Meeting> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by_key(|index| (claims[*index].prefix, *index));
    let mut stack: Vec<Level> = Vec::new();
    let mut found = Vec::new();
    for index in order {
        let claim = &claims[index];
        while stack.last().is_some_and(|level| !level.prefix.covers(claim.prefix)) {
            stack.pop();
        }
        for level in &stack {
            if level.prefix.length() == 0 && level.prefix != claim.prefix {
                continue;
            }
            if let Some(other) = level.conflict(claims, claim) {
                found.push(Meeting { later: index.max(other), earlier: index.min(other) });
            }
        }
        if stack.last().is_none_or(|level| level.prefix != claim.prefix) {
            stack.push(Level {
                prefix: claim.prefix,
                holders: [[None; 2]; 4],
                priorities: Vec::new(),
            });
        }
        if let Some(level) = stack.last_mut() {
            level.add(claims, index);
        }
    }
    found.sort_by_key(|meeting| (meeting.later, meeting.earlier));
    found
}

impl Level {
    fn add(&mut self, claims: &[Claim], index: usize) {
        let claim = &claims[index];
        let [first, second] = &mut self.holders[claim.role as usize];
        match first {
            None => *first = Some(index),
            Some(other) if second.is_none() && claims[*other].site != claim.site => {
                *second = Some(index)
            }
            Some(_) => {}
        }
        if claim.role == Role::Visible
            && let Err(at) =
                self.priorities.binary_search_by_key(&claim.priority, |(priority, _)| *priority)
        {
            self.priorities.insert(at, (claim.priority, index));
        }
    }

    /// A claim of this level that `claim` may not meet.
    fn conflict(&self, claims: &[Claim], claim: &Claim) -> Option<usize> {
        let equal = self.prefix == claim.prefix;
        [Role::App, Role::Fabric, Role::Link, Role::Visible].into_iter().find_map(|role| {
            let holders = self.holders[role as usize].into_iter().flatten();
            let mut others = holders.filter(|other| claims[*other].site != claim.site);
            let mut own = self.holders[role as usize]
                .into_iter()
                .flatten()
                .filter(|other| claims[*other].site == claim.site);
            match (role, claim.role) {
                // Applications may be on the fabric's own network, or routed inside another of theirs.
                (Role::App | Role::Fabric, Role::App | Role::Fabric) => None,
                // Two sites may have the very same network, as each other's backup.
                (Role::Visible, Role::Visible) if equal => own.next().or_else(|| {
                    let at = self.priorities.binary_search_by_key(&claim.priority, |(p, _)| *p);
                    at.ok().map(|at| self.priorities[at].1)
                }),
                (Role::Visible, Role::Visible) => others.next().or_else(|| own.next()),
                // A site's own devices may be on the VLAN it hands over.
                (Role::Link, Role::Visible) | (Role::Visible, Role::Link) => others.next(),
                // Two addresses of one link may share its network.
                (Role::Link, Role::Link) => others.next(),
                _ => others.next().or_else(|| own.next()),
            }
        })
    }
}
