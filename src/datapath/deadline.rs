//! When each tenant of one thread wants to be woken.

use crate::net::Instant;
use std::collections::BTreeSet;

/// The deadlines of one thread's tenants, by slot.
///
/// A deadline that moves away is left where it is: the wake comes early, finds
/// nothing due and sets the new one. So the set is not touched for each batch of
/// packets, each of which moves its session's timers.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(Instant, usize)>,
    of: Vec<Option<Instant>>,
}

impl Deadlines {
    /// Wakes `slot` at `wanted` or, if it is to be woken earlier already, then.
    pub(super) fn arm(&mut self, slot: usize, wanted: Option<Instant>) {
        let Some(wanted) = wanted else { return };
        if self.of.len() <= slot {
            self.of.resize(slot + 1, None);
        }
        let Some(armed) = self.of.get_mut(slot) else { return };
        if armed.is_some_and(|armed| armed <= wanted) {
            return;
        }
        if let Some(armed) = armed.replace(wanted) {
            self.set.remove(&(armed, slot));
        }
        self.set.insert((wanted, slot));
    }

    /// Forgets `slot`.
    pub(super) fn disarm(&mut self, slot: usize) {
        if let Some(armed) = self.of.get_mut(slot).and_then(Option::take) {
            self.set.remove(&(armed, slot));
        }
    }

    /// The next moment somebody is to be woken.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|&(at, _)| at)
    }

    /// A slot whose moment has come; it is no longer armed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let &(at, slot) = self.set.first()?;
        if now < at {
            return None;
        }
        self.disarm(slot);
        Some(slot)
    }
}
