//! Which networks each site's router has, as far as it may have them.
//!
//! Kept up with each change, apart from what serves: of a network that another site
//! serves at the moment it counts as well, or neither could ever take over from the other.

use super::{NeighborName, Rib};
use crate::bgp::Reject;
use crate::net::{Prefix, SiteName};
use std::collections::BTreeSet;

impl Rib {
    /// The networks that the router of a site says and that documents let it have, as the
    /// tenant knows them.
    pub fn said(&self, name: &NeighborName) -> impl Iterator<Item = Prefix> {
        let neighbor = self.names.get(name).and_then(|index| self.neighbors.get(index));
        neighbor.into_iter().flat_map(|neighbor| neighbor.said.iter().copied())
    }

    /// The sites of which [`Self::said`] may be another than when this was asked last.
    pub fn take_said(&mut self) -> BTreeSet<SiteName> {
        std::mem::take(&mut self.said_anew)
    }

    /// Notes that a path of this neighbor to `prefix` came or went.
    pub(super) fn note_said(&mut self, index: u16, prefix: Prefix) {
        let Some(neighbor) = self.neighbors.get_mut(&index) else { return };
        let NeighborName::Site(site) = &neighbor.name else { return };
        let paths = self.table.get(&prefix).map_or(&[][..], |paths| paths.as_slice());
        let mut own = paths.iter().filter(|path| path.key.source.neighbor() == index);
        let is_said = own.any(|path| matches!(path.reject, None | Some(Reject::OtherSite)));
        let is_anew =
            if is_said { neighbor.said.insert(prefix) } else { neighbor.said.remove(&prefix) };
        if is_anew {
            self.said_anew.insert(site.clone());
        }
    }
}
