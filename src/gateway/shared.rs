//! The sessions with route reflectors that tenants share: they begin when a tenant that
//! wants something of them has a speaker, and end with the last one.
//!
//! ```text
//!   speakers: what is wanted ─▶ share ─▶ SharedSession ─▶ Output::Shared: dial, write, close
//!   sockets ─▶ handle_shared ──────────▶      │
//!                                             └─▶ hear, of each tenant that it is for
//! ```

use super::tenant::TenantMachine;
use super::{Gateway, Output, SocketEvent, tenants};
use crate::bgp::session::{ConnectionId, Event};
use crate::bgp::speaker::{Endpoint, SocketWork, Speaker};
use crate::bgp::{NeighborName, SharedSession};
use crate::model::VpnReflector;
use crate::net::{Instant, Now, TenantName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A route reflector that tenants share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedName {
    /// The class it is of.
    pub class: String,
    /// Its name there.
    pub reflector: String,
}

impl fmt::Display for SharedName {
    /// `default/rr1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.reflector)
    }
}

/// The sessions.
#[derive(Debug, Default)]
pub(super) struct Shared {
    sessions: BTreeMap<SharedName, (VpnReflector, SharedSession)>,
    /// The last connection of sessions that are no more.
    last_id: ConnectionId,
}

impl Shared {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.values().filter_map(|(_, session)| session.poll_timeout()).min()
    }

    /// The session with a reflector of a class.
    pub(super) fn get(&self, class: &str, reflector: &str) -> Option<&SharedSession> {
        let name = SharedName { class: class.to_owned(), reflector: reflector.to_owned() };
        self.sessions.get(&name).map(|(_, session)| session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SharedName, &SharedSession)> {
        self.sessions.iter().map(|(name, (_, session))| (name, session))
    }
}

/// What a session has to do and to tell.
fn drain(session: &mut SharedSession) -> (Vec<SocketWork>, Vec<(TenantName, Event)>) {
    let work = std::iter::from_fn(|| session.poll_work()).collect();
    (work, std::iter::from_fn(|| session.poll_event()).collect())
}

impl Gateway {
    /// Takes up which reflectors there are.
    pub(super) fn configure_shared(&mut self, now: Now) {
        let mut wanted: BTreeMap<SharedName, VpnReflector> = BTreeMap::new();
        for tenant in tenants(&self.config, self.tenants.iter()) {
            for reflector in &tenant.class.vpn_reflectors {
                let (class, name) = (tenant.class.name.clone(), reflector.name.clone());
                // A tenant that goes on with documents of before comes after the others.
                let name = SharedName { class, reflector: name };
                wanted.entry(name).or_insert_with(|| reflector.clone());
            }
        }
        let sessions = self.shared.sessions.iter();
        let gone = sessions.filter(|(name, (known, _))| wanted.get(*name) != Some(known));
        let gone: Vec<SharedName> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            let Some((_, mut session)) = self.shared.sessions.remove(&name) else { continue };
            session.stop(now.mono);
            self.shared.last_id = self.shared.last_id.max(session.last_id());
            let (work, events) = drain(&mut session);
            self.bring_up(&name, work, events, now);
        }
        for (name, reflector) in wanted {
            let ids = (self.shared.last_id, self.seed);
            self.shared.sessions.entry(name).or_insert_with(|| {
                let session = SharedSession::new(&reflector, ids, now.mono);
                (reflector, session)
            });
        }
    }

    /// Has the sessions know what a tenant wants of them now.
    pub(super) fn share(&mut self, tenant: &TenantName, now: Now) {
        for (name, (_, session)) in &mut self.shared.sessions {
            let neighbor = NeighborName::Reflector(name.reflector.clone());
            let machine = self.tenants.get_mut(tenant);
            let mut machine = machine.filter(|machine| machine.is_of_class(&name.class));
            match machine.as_mut().and_then(|machine| machine.hearer()) {
                None => session.want(tenant, &[], false, now.mono),
                Some((speaker, restarted)) => {
                    session.want(tenant, speaker.wanted_of(&neighbor), restarted, now.mono);
                    if !speaker.hears(&neighbor) {
                        session.greet(tenant, now.mono);
                    }
                    if speaker.take_asks_again(&neighbor) {
                        session.ask_again(now.mono);
                    }
                }
            }
            let (work, events) = drain(session);
            self.outputs.extend(work.into_iter().map(|it| Output::Shared(name.clone(), it)));
            // Who begins to hear a session that is up is told so; nobody else is told of it.
            for (_, event) in events {
                if let Some(machine) = &mut machine {
                    machine.hear(&neighbor, event, now);
                }
            }
        }
    }

    /// Has done and told what a session has to do and to tell.
    fn bring_up(
        &mut self,
        name: &SharedName,
        work: Vec<SocketWork>,
        events: Vec<(TenantName, Event)>,
        now: Now,
    ) {
        self.outputs.extend(work.into_iter().map(|it| Output::Shared(name.clone(), it)));
        let neighbor = NeighborName::Reflector(name.reflector.clone());
        let mut touched: BTreeSet<TenantName> = BTreeSet::new();
        for (tenant, event) in events {
            if let Some(machine) = self.tenants.get_mut(&tenant) {
                machine.hear(&neighbor, event, now);
                touched.insert(tenant);
            }
        }
        for tenant in touched {
            self.gather(&tenant, now);
        }
    }

    fn with_shared(&mut self, name: &SharedName, now: Now, feed: impl FnOnce(&mut SharedSession)) {
        let Some((_, session)) = self.shared.sessions.get_mut(name) else { return };
        feed(session);
        let (work, events) = drain(session);
        self.bring_up(name, work, events, now);
    }

    /// Takes what happened on a connection of a session that tenants share.
    pub fn handle_shared(
        &mut self,
        name: &SharedName,
        id: ConnectionId,
        event: &SocketEvent,
        now: Now,
    ) {
        self.with_shared(name, now, |session| match event {
            SocketEvent::Connected { local, remote } => {
                session.handle_connected(id, (*local, *remote), now.mono);
            }
            SocketEvent::Closed(why) => session.handle_closed(id, why, now.mono),
            SocketEvent::Bytes(bytes) => session.handle_bytes(id, bytes, now.mono),
            SocketEvent::Written(count) => session.handle_written(id, *count, now.mono),
        });
    }

    /// Does what is due of sessions that tenants share.
    pub(super) fn handle_shared_timeout(&mut self, now: Now) {
        let due = self
            .shared
            .iter()
            .filter(|(_, session)| session.poll_timeout().is_some_and(|at| at <= now.mono));
        let due: Vec<SharedName> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.with_shared(&name, now, |session| session.handle_timeout(now.mono));
        }
    }

    /// What is to be written on a connection of such a session.
    pub fn shared_unsent(&self, name: &SharedName, id: ConnectionId) -> &[u8] {
        self.shared.sessions.get(name).map_or(&[], |(_, session)| session.unsent(id))
    }

    /// Whom the sockets of such a session are for.
    pub fn shared_endpoint(&self, name: &SharedName) -> Option<&Endpoint> {
        self.shared.sessions.get(name).map(|(_, session)| session.endpoint())
    }
}

impl TenantMachine {
    fn is_of_class(&self, class: &str) -> bool {
        self.wanted().is_some_and(|wanted| wanted.tenant.class.name == class)
    }

    /// Its speaker, while it is to hear anything, and whether an earlier process had one.
    fn hearer(&mut self) -> Option<(&mut Speaker, bool)> {
        let (restarted, is_leaving) = (self.bgp.found == Some(true), self.bgp.is_leaving());
        let speaker = self.bgp.speaker.as_mut().filter(|_| !is_leaving)?;
        Some((speaker, restarted))
    }

    /// Takes what happened on a session that is shared, as far as it is for this tenant.
    fn hear(&mut self, neighbor: &NeighborName, event: Event, now: Now) {
        if let Some(speaker) = &mut self.bgp.speaker {
            speaker.hear(neighbor, event, now.mono);
            self.after_bgp(now);
        }
    }
}
