//! The DNS names of customers' endpoints, and the addresses they have.

use crate::model::{Host, WireGuardPeer};
use crate::net::{Instant, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long an answer from DNS is believed. The system's resolver does not tell
/// how long it may be, and customers' addresses change by the hour.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How soon a name without an address is asked for again.
const RETRY: Duration = Duration::from_secs(10);

/// How a name stands.
#[derive(Clone, Copy, Debug, Default)]
struct Lookup {
    address: Option<IpAddr>,
    asked: bool,
    ask_at: Option<Instant>,
}

/// Every name that a site has.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Lookup>);

impl Names {
    /// Lets go of names that no site has any more, and takes up new ones.
    pub(super) fn keep<'a>(&mut self, wanted: impl Iterator<Item = &'a str>) {
        let wanted: BTreeSet<&str> = wanted.collect();
        self.0.retain(|name, _| wanted.contains(name.as_str()));
        for name in wanted {
            if !self.0.contains_key(name) {
                self.0.insert(name.to_owned(), Lookup::default());
            }
        }
    }

    /// The names to ask for now.
    pub(super) fn ask(&mut self, now: Now) -> Vec<String> {
        let is_due =
            |lookup: &Lookup| !lookup.asked && lookup.ask_at.is_none_or(|at| at <= now.mono);
        let due = self.0.iter_mut().filter(|(_, lookup)| is_due(lookup));
        due.map(|(name, lookup)| {
            lookup.asked = true;
            name.clone()
        })
        .collect()
    }

    /// When the next has to be asked for.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|lookup| !lookup.asked);
        waiting.filter_map(|lookup| lookup.ask_at).min()
    }

    /// Takes the addresses of a name. True when another one is to be dialled.
    pub(super) fn handle_resolved(
        &mut self,
        name: &str,
        addresses: &[IpAddr],
        may_be_dialled: impl Fn(&IpAddr) -> bool,
        now: Now,
    ) -> bool {
        let Some(lookup) = self.0.get_mut(name) else { return false };
        lookup.asked = false;
        let is_usable = |address: &IpAddr| is_somebodys(*address) && may_be_dialled(address);
        // An address that is still among the answers is kept, so that a name
        // with several does not move the peer at every turn.
        let old = lookup.address.filter(is_usable);
        let address = match old {
            Some(old) if addresses.contains(&old) => Some(old),
            old => addresses.iter().copied().filter(is_usable).min().or(old),
        };
        let wait = if addresses.is_empty() { RETRY } else { ASK_AGAIN };
        lookup.ask_at = Some(now.mono + wait);
        std::mem::replace(&mut lookup.address, address) != address
    }

    /// The addresses of those that have one.
    pub(super) fn addresses(&self) -> BTreeMap<String, IpAddr> {
        let known =
            self.0.iter().filter_map(|(name, lookup)| Some((name.clone(), lookup.address?)));
        known.collect()
    }

    /// Whether a peer's endpoint is a name that was asked for and has no address.
    pub(super) fn is_unresolved(&self, peer: &WireGuardPeer) -> bool {
        peer.endpoint.as_ref().is_some_and(|endpoint| match &endpoint.host {
            Host::Address(_) => false,
            Host::Name(name) => self
                .0
                .get(name)
                .is_some_and(|lookup| lookup.address.is_none() && lookup.ask_at.is_some()),
        })
    }
}

/// Whether a name may lead there: not to this machine itself and not to what is
/// nobody's, whatever the customer's DNS says.
fn is_somebodys(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || link_local)
}
