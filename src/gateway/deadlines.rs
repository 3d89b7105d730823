//! Which tenant has something to do when: with a thousand of them nobody asks each after
//! everything that happens.

use crate::net::{Instant, TenantName};
use std::collections::{BTreeMap, BTreeSet};

/// The next deadline of each tenant that has one.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    of: BTreeMap<TenantName, Instant>,
    in_order: BTreeSet<(Instant, TenantName)>,
}

impl Deadlines {
    /// The tenant has something to do at `at`, and nothing before.
    pub(super) fn set(&mut self, name: &TenantName, at: Option<Instant>) {
        let before = self.of.get(name).copied();
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.in_order.remove(&(before, name.clone()));
        }
        match at {
            Some(at) => {
                self.of.insert(name.clone(), at);
                self.in_order.insert((at, name.clone()));
            }
            None => {
                self.of.remove(name);
            }
        }
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Whose has come.
    pub(super) fn due(&self, now: Instant) -> Vec<TenantName> {
        let due = self.in_order.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, name)| name.clone()).collect()
    }
}
