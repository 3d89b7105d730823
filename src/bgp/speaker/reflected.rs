//! What comes from the route reflectors that tenants share: the sessions are others'
//! ([`crate::bgp::SharedSession`]), what is heard is judged and held here.

use super::endpoint::{Endpoint, reflectors};
use super::neighbor::{preserved, retained};
use super::{Happening, Speaker};
use crate::bgp::Family;
use crate::bgp::proto::Negotiated;
use crate::bgp::rib::{Counts, Limit, NeighborName, Retain};
use crate::bgp::session::Event;
use crate::net::{Instant, RouteTarget};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A route reflector that is heard.
#[derive(Debug)]
pub(super) struct Reflected {
    pub(super) endpoint: Endpoint,
    /// What both ends agreed on and since when, while its session is up.
    up: Option<(Arc<Negotiated>, Instant)>,
    said_all: BTreeSet<Family>,
    converged: Option<Duration>,
    retain: Retain,
    /// Until when nothing of it is heard, for it has said too much.
    silenced: Option<Instant>,
    /// Whether it is to say everything again, for more may be taken.
    asks_again: bool,
}

/// How a route reflector is, as one tenant hears it.
#[derive(Clone, Debug)]
pub struct ReflectedSample {
    /// Who it is.
    pub endpoint: Endpoint,
    /// What it said.
    pub counts: Counts,
    /// How long it took, from when it was first heard in its session, to say everything;
    /// `None` while it has not.
    pub converged: Option<Duration>,
    /// Whether nothing of it is heard for a time, for it has said too much.
    pub is_silenced: bool,
}

impl Reflected {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            up: None,
            said_all: BTreeSet::new(),
            converged: None,
            retain: Retain::default(),
            silenced: None,
            asks_again: false,
        }
    }

    /// Whether it has said everything in its session.
    pub(super) fn has_said_all(&self) -> bool {
        self.up.as_ref().is_some_and(|(agreed, _)| {
            let mut networks = agreed.families.iter().filter(|it| **it != Family::RouteTargets);
            networks.all(|family| self.said_all.contains(family))
        })
    }

    fn handle_end_of_rib(&mut self, family: Family, now: Instant) {
        self.said_all.insert(family);
        if let Some((_, since)) = &self.up
            && self.converged.is_none()
            && self.has_said_all()
        {
            self.converged = Some(now.since(*since));
        }
    }
}

impl Speaker {
    /// Takes up which reflectors are heard.
    pub(super) fn configure_reflectors(&mut self) {
        let wanted = reflectors(&self.tenant);
        let gone: Vec<NeighborName> =
            self.reflectors.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            self.reflectors.remove(&name);
            self.rib.remove_neighbor(&name);
        }
        for (name, endpoint) in wanted {
            let Some(settings) = endpoint.settings(&self.tenant, &name) else { continue };
            let asks_again = self.rib.set_neighbor(name.clone(), settings);
            let reflected =
                self.reflectors.entry(name).or_insert_with(|| Reflected::new(endpoint.clone()));
            reflected.endpoint = endpoint;
            reflected.asks_again |= asks_again;
        }
    }

    /// Which route targets are wanted of a reflector; none when it is not heard.
    pub fn wanted_of(&self, reflector: &NeighborName) -> &[RouteTarget] {
        let reflected = self.reflectors.get(reflector);
        let is_heard = reflected.is_some_and(|it| it.silenced.is_none());
        let bgp = self.bgp().filter(|_| is_heard);
        bgp.map_or(&[], |bgp| &bgp.import.route_targets)
    }

    /// Whether it knows that the session with a reflector is up.
    pub fn hears(&self, reflector: &NeighborName) -> bool {
        self.reflectors.get(reflector).is_some_and(|it| it.up.is_some())
    }

    /// Whether a reflector is to say everything again, since this was asked last.
    pub fn take_asks_again(&mut self, reflector: &NeighborName) -> bool {
        let reflected = self.reflectors.get_mut(reflector);
        reflected.is_some_and(|it| std::mem::take(&mut it.asks_again))
    }

    /// Takes what happened on the session with a reflector, as far as it is for this tenant.
    pub fn hear(&mut self, name: &NeighborName, event: Event, now: Instant) {
        let Some(reflected) = self.reflectors.get_mut(name) else { return };
        match event {
            Event::Established(agreed) => {
                reflected.retain = retained(&agreed, reflected.endpoint.long_lived);
                let (id, preserved) = (agreed.remote_id, preserved(&agreed));
                reflected.up = Some((agreed, now));
                reflected.said_all.clear();
                (reflected.converged, reflected.asks_again) = (None, false);
                self.rib.neighbor_up(name, id, &preserved);
                self.happened(name, Happening::Established);
            }
            Event::Update(update) if reflected.silenced.is_none() => {
                match self.rib.update(name, &update) {
                    Some(Limit::Over) => self.silence(name, now),
                    Some(Limit::Near) => self.happened(name, Happening::NearLimit),
                    None => {}
                }
            }
            Event::TreatedAsWithdrawn(fault, networks) => {
                self.rib.treated_as_withdrawn(name, &networks, fault);
            }
            Event::EndOfRib(family) => {
                reflected.handle_end_of_rib(family, now);
                self.rib.end_of_rib(name, family);
            }
            Event::RefreshBegun(family) => self.rib.begin_refresh(name, family),
            Event::RefreshEnded(family) => {
                self.rib.end_refresh(name, family);
                // Who came later than everybody else heard it all only now.
                reflected.handle_end_of_rib(family, now);
                self.rib.end_of_rib(name, family);
            }
            Event::Down { reason, keeps_routes } => {
                let kept = if keeps_routes { reflected.retain.clone() } else { Retain::default() };
                reflected.up = None;
                reflected.said_all.clear();
                reflected.converged = None;
                self.rib.neighbor_down(name, &kept, now);
                self.happened(name, Happening::Down(reason, keeps_routes));
            }
            // Of one that was silenced, and what is for who says something there.
            Event::Update(_) | Event::RefreshAsked(_) | Event::Writable => {}
        }
        self.conclude();
    }

    /// Hears nothing more of a reflector for a time: the session goes on, for others.
    fn silence(&mut self, name: &NeighborName, now: Instant) {
        let restart_after = self.bgp().map(|bgp| bgp.import.restart_after);
        let Some(reflected) = self.reflectors.get_mut(name) else { return };
        reflected.silenced = Some(now + restart_after.unwrap_or_default());
        reflected.up = None;
        self.rib.neighbor_down(name, &Retain::default(), now);
        self.happened(name, Happening::OverLimit);
    }

    /// Hears those again whose time is over.
    pub(super) fn handle_silence_timeout(&mut self, now: Instant) {
        for reflected in self.reflectors.values_mut() {
            reflected.silenced.take_if(|until| *until <= now);
        }
    }

    pub(super) fn silence_timeout(&self) -> Option<Instant> {
        self.reflectors.values().filter_map(|reflected| reflected.silenced).min()
    }

    pub(super) fn sample_reflected(&self) -> impl Iterator<Item = (NeighborName, ReflectedSample)> {
        self.reflectors.iter().map(|(name, reflected)| {
            let sample = ReflectedSample {
                endpoint: reflected.endpoint.clone(),
                counts: self.rib.counts(name).unwrap_or_default(),
                converged: reflected.converged,
                is_silenced: reflected.silenced.is_some(),
            };
            (name.clone(), sample)
        })
    }
}
