//! What comes of what the sessions tell.

use super::neighbor::Neighbor;
use super::reflected::Reflected;
use super::{Happening, Io, SocketWork, Speaker};
use crate::bgp::Family;
use crate::bgp::rib::{Limit, NeighborName, Retain};
use crate::bgp::session::{Event, Output, StopReason};
use crate::net::Instant;
use crate::reconcile::Said;

impl Speaker {
    /// Works off what the sessions have to tell, and what follows from it.
    pub(super) fn pump(&mut self, now: Instant) {
        let names: Vec<NeighborName> = self.neighbors.keys().cloned().collect();
        self.wake = None;
        for name in &names {
            self.work_off(name, now);
        }
        self.conclude();
        self.forget_gone();
    }

    /// As [`Self::pump`], where only this neighbor's session was touched: of a thousand
    /// neighbors one has always just said something.
    pub(super) fn pump_one(&mut self, name: &NeighborName, now: Instant) {
        self.work_off(name, now);
        self.conclude();
        self.forget_if_gone(name);
    }

    fn work_off(&mut self, name: &NeighborName, now: Instant) {
        loop {
            while let Some(output) =
                self.neighbors.get_mut(name).and_then(|it| it.session.poll_output())
            {
                self.handle_output(name, output, now);
            }
            // However often it asks in one breath, it is told all once.
            if !self.neighbors.get_mut(name).is_some_and(Neighbor::take_asked) {
                break;
            }
            self.advertise(name, now);
        }
        let due = self.neighbors.get(name).and_then(|it| it.session.poll_timeout());
        self.wake = [self.wake, due].into_iter().flatten().min();
    }

    /// What follows for the routes from what was said.
    pub(super) fn conclude(&mut self) {
        self.rib.settle();
        while let Some((key, route)) = self.rib.poll_route() {
            self.changed.insert(key);
            match route {
                Some(route) => self.routes.insert(key, route),
                None => self.routes.remove(&key),
            };
        }
        // Who will come back out of a range is not known, so all the time is waited.
        let is_known = self.ranges.is_empty();
        let has_said = |it: &Neighbor| it.has_said_all();
        let have_all_said = self.neighbors.values().all(has_said)
            && self.reflectors.values().all(Reflected::has_said_all);
        if self.deferred.is_some() && is_known && have_all_said {
            self.deferred = None;
        }
        self.gather_said();
    }

    /// Notes what routers of sites say now: of those that said something, for of a thousand
    /// one has always just done so. Until one has said everything, what it had said to an
    /// earlier process counts as well.
    fn gather_said(&mut self) {
        let mut anew = self.rib.take_said();
        if !self.held.is_empty() {
            anew.extend(self.tenant.sites.keys().cloned());
        }
        if self.deferred.is_none() {
            self.held = Said::default();
        }
        for site in anew {
            let name = NeighborName::Site(site.clone());
            if self.neighbors.get(&name).is_none_or(Neighbor::has_said_all) {
                self.held.put(&site, []);
            }
            let before = self.said.of(&site).to_vec();
            self.said.put(&site, self.rib.said(&name).chain(self.held.of(&site).iter().copied()));
            self.is_said_anew |= before != self.said.of(&site);
        }
    }

    fn handle_output(&mut self, name: &NeighborName, output: Output, now: Instant) {
        let what = match output {
            Output::Dial(connection) => SocketWork::Dial(connection),
            Output::Write(connection) => SocketWork::Write(connection),
            Output::Close { connection, last } => SocketWork::Close { connection, last },
            Output::Event(event) => return self.handle_event(name, event, now),
        };
        self.io.push_back(Io { neighbor: name.clone(), what });
    }

    fn handle_event(&mut self, name: &NeighborName, event: Event, now: Instant) {
        let Some(neighbor) = self.neighbors.get_mut(name) else { return };
        match event {
            Event::Established(agreed) => {
                let preserved = neighbor.handle_established(&agreed, now);
                self.arrived |= name.range().is_some();
                self.rib.neighbor_up(name, agreed.remote_id, &preserved);
                self.happened(name, Happening::Established);
                self.advertise(name, now);
            }
            Event::Update(update) => match self.rib.update(name, &update) {
                Some(Limit::Over) => self.end_over_limit(name, now),
                Some(Limit::Near) => self.happened(name, Happening::NearLimit),
                None => {}
            },
            Event::TreatedAsWithdrawn(fault, networks) => {
                self.rib.treated_as_withdrawn(name, &networks, fault);
            }
            Event::EndOfRib(family) => {
                neighbor.handle_end_of_rib(family, now);
                self.rib.end_of_rib(name, family);
            }
            Event::RefreshAsked(family) => neighbor.repeat(family),
            Event::RefreshBegun(family) => self.rib.begin_refresh(name, family),
            Event::RefreshEnded(family) => self.rib.end_refresh(name, family),
            Event::Writable => self.advertise(name, now),
            Event::Down { reason, keeps_routes } => {
                let retain = if keeps_routes { neighbor.retain.clone() } else { Retain::default() };
                neighbor.handle_down();
                self.rib.neighbor_down(name, &retain, now);
                self.happened(name, Happening::Down(reason, keeps_routes));
            }
        }
    }

    fn end_over_limit(&mut self, name: &NeighborName, now: Instant) {
        let Some(neighbor) = self.neighbors.get_mut(name) else { return };
        let family = neighbor.families().next().unwrap_or(Family::Ipv4Unicast);
        let maximum = neighbor.endpoint.maximum_prefixes;
        let restart_after = Some(neighbor.endpoint.restart_after);
        neighbor.session.stop(&StopReason::MaximumPrefixes { family, maximum, restart_after }, now);
        self.rib.neighbor_down(name, &Retain::default(), now);
        self.happened(name, Happening::OverLimit);
    }
}
