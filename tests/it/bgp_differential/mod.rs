//! The same bytes, read by us and by two codecs that share no line with ours:
//! NetGauze's, which also writes, and BGPKIT's, which is made for archives.
//!
//! Everything is compared in our words ([`Said`]), so what differs shows as two
//! values next to one another.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the enums are the other codecs', and have words for much that is not compared"
)]

mod bgpkit;
mod damaged;
mod netgauze;
mod open;
mod scene;
mod updates;

use lockgate::bgp::{Attributes, Nlri, Update};
use std::collections::{BTreeMap, BTreeSet};

/// What a message says, whatever its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    withdrawn: BTreeSet<Nlri>,
    announced: BTreeMap<Nlri, Attributes>,
}

impl Said {
    /// What is withdrawn and announced at once is announced (RFC 4271 §4.3), as
    /// our reader has it already.
    fn settle(&mut self) {
        self.withdrawn.retain(|nlri| !self.announced.contains_key(nlri));
    }

    fn prefixes(&self) -> (BTreeSet<Nlri>, BTreeSet<Nlri>) {
        (self.withdrawn.clone(), self.announced.keys().copied().collect())
    }
}

impl From<Update> for Said {
    fn from(update: Update) -> Self {
        let mut said =
            Self { withdrawn: update.withdrawn.into_iter().collect(), ..Self::default() };
        for routes in update.announced {
            let attributes = routes.attributes;
            said.announced
                .extend(routes.nlri.into_iter().map(|nlri| (nlri, attributes.as_ref().clone())));
        }
        said
    }
}
