//! What is said of routes, each set of attributes once.
//!
//! A neighbor says the same of thousands of routes, and a route then holds four
//! bytes of it.

use crate::bgp::Attributes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which set of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

/// Sets of attributes, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    sets: Vec<Option<(Arc<Attributes>, u32)>>,
    free: Vec<u32>,
    by_value: BTreeMap<Arc<Attributes>, u32>,
}

impl Interner {
    /// The slot of `attributes`, held once more; let it go with [`Self::release`].
    pub(super) fn hold(&mut self, attributes: &Arc<Attributes>) -> Slot {
        if let Some(index) = self.by_value.get(attributes).copied() {
            self.hold_again(Slot(index));
            return Slot(index);
        }
        let set = Some((Arc::clone(attributes), 1));
        let index = self.free.pop().unwrap_or(u32::MAX);
        let index = match self.sets.get_mut(index as usize) {
            Some(place) => {
                *place = set;
                index
            }
            None => {
                self.sets.push(set);
                u32::try_from(self.sets.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_value.insert(Arc::clone(attributes), index);
        Slot(index)
    }

    /// Holds a slot that is held once more.
    pub(super) fn hold_again(&mut self, slot: Slot) {
        if let Some(Some((_, count))) = self.sets.get_mut(slot.0 as usize) {
            *count += 1;
        }
    }

    /// Lets a slot go.
    pub(super) fn release(&mut self, slot: Slot) {
        let Some(place) = self.sets.get_mut(slot.0 as usize) else { return };
        if let Some((_, count)) = place
            && 1 < *count
        {
            *count -= 1;
            return;
        }
        if let Some((attributes, _)) = place.take() {
            self.by_value.remove(&attributes);
            self.free.push(slot.0);
        }
    }

    /// What is in a slot that is held.
    pub(super) fn attributes(&self, slot: Slot) -> Option<&Arc<Attributes>> {
        self.sets.get(slot.0 as usize)?.as_ref().map(|(attributes, _)| attributes)
    }

    /// How many different sets there are.
    pub(super) fn count(&self) -> usize {
        self.by_value.len()
    }
}
