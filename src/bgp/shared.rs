//! One session with a route reflector that has many tenants' VPN routes (RFC 4364),
//! shared by those who name their route targets.
//!
//! ```text
//!                        ┌──── SharedSession ────┐
//!   handle_* (sockets) ─▶│ a Session, receiving  │─▶ poll_work: dial, write, close
//!   want (a tenant's     │ who wants which route │─▶ poll_event: to each tenant what
//!     route targets) ───▶│ targets; who was told │     carries one of its own
//!                        │ of which network      │
//!                        └───────────────────────┘
//! ```
//!
//! There is no table here: a route goes to the speakers of the tenants that want one of
//! its targets, whose policies judge it, and into nothing else. What is remembered of it
//! is who was told, so that what takes it back, or gives it to others, is told to them and
//! to nobody else. What nobody wants is counted and forgotten.
//!
//! Nothing is advertised but which targets are wanted (RFC 4684), which a reflector that
//! knows of that takes for a bound.

use super::proto::Negotiated;
use super::session::{ConnectionId, Event, Output, Session, SessionSample, StopReason};
use super::speaker::{Endpoint, SocketWork, config};
use super::{Announcement, Family, Nlri, Update};
use crate::model::{VpnReflector, limits};
use crate::net::{Instant, RouteTarget, TenantName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long others have to ask as well, before the neighbor is asked to say everything again.
const GATHER: Duration = Duration::from_millis(100);

/// How long at least it is then not asked once more: after a restart tenants come back one
/// by one, and each has all to hear.
const REPEAT: Duration = Duration::from_secs(2);

/// How long a session stays down that said too much (6/1).
const OVER_LIMIT: Duration = Duration::from_secs(300);

/// What is carried.
const FAMILIES: [Family; 3] = [Family::Ipv4Vpn, Family::Ipv6Vpn, Family::RouteTargets];

/// Who has something to hear.
type Hearers = Arc<BTreeSet<TenantName>>;

/// A session that tenants share.
#[derive(Debug)]
pub struct SharedSession {
    endpoint: Endpoint,
    session: Session,
    wanted: BTreeMap<TenantName, BTreeSet<RouteTarget>>,
    /// Who wants what carries a target.
    wanters: BTreeMap<RouteTarget, BTreeSet<TenantName>>,
    /// The targets that the neighbor was told we want.
    told: BTreeSet<RouteTarget>,
    /// Who was told of a network, in the session that is up.
    hearers: BTreeMap<Nlri, Hearers>,
    /// Who was told that the networks of the last update are no more.
    bereft: BTreeMap<Nlri, Hearers>,
    /// How many networks of tenants it may say.
    maximum: usize,
    not_kept: u64,
    /// When the neighbor is to be asked to say everything again, and when it was last.
    ask_at: Option<Instant>,
    asked_at: Option<Instant>,
    work: VecDeque<SocketWork>,
    events: VecDeque<(TenantName, Event)>,
}

impl SharedSession {
    /// A session with `reflector`, which begins when somebody wants something of it.
    /// `seed` is a random number; connections are numbered after `after`.
    pub fn new(reflector: &VpnReflector, (after, seed): (ConnectionId, u64), now: Instant) -> Self {
        let endpoint = Endpoint::reflector(reflector);
        let who = (reflector.local_asn, reflector.router_id);
        let mut session = Session::new(config(&endpoint, who, FAMILIES.to_vec()), seed, now);
        session.number_after(after);
        Self {
            endpoint,
            session,
            wanted: BTreeMap::new(),
            wanters: BTreeMap::new(),
            told: BTreeSet::new(),
            hearers: BTreeMap::new(),
            bereft: BTreeMap::new(),
            maximum: limits::NETWORKS_PER_REFLECTOR,
            not_kept: 0,
            ask_at: None,
            asked_at: None,
            work: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// With another maximum of networks.
    #[must_use]
    pub fn with_maximum(self, maximum: usize) -> Self {
        Self { maximum, ..self }
    }

    // Commands.

    /// Takes which targets a tenant wants, none when it hears nothing more; of more than
    /// before it hears by what the neighbor says again. `restarted` is whether an earlier
    /// process left it with its routes.
    pub fn want(
        &mut self,
        tenant: &TenantName,
        targets: &[RouteTarget],
        restarted: bool,
        now: Instant,
    ) {
        let targets: BTreeSet<RouteTarget> = targets.iter().copied().collect();
        if self.wanted.get(tenant).map_or(targets.is_empty(), |before| *before == targets) {
            return;
        }
        let was_idle = self.wanted.is_empty();
        let before = self.wanted.remove(tenant).unwrap_or_default();
        let is_more = !before.is_empty() && !targets.is_subset(&before);
        for target in before.difference(&targets) {
            if let Some(wanters) = self.wanters.get_mut(target) {
                wanters.remove(tenant);
                if wanters.is_empty() {
                    self.wanters.remove(target);
                }
            }
        }
        for target in targets.difference(&before) {
            self.wanters.entry(*target).or_default().insert(tenant.clone());
        }
        if targets.is_empty() {
            self.forget(tenant);
        } else {
            self.wanted.insert(tenant.clone(), targets);
        }
        match (was_idle, self.wanted.is_empty()) {
            (true, false) => {
                let kept = if restarted { &FAMILIES[..] } else { &[] };
                self.session.set_restart(restarted, kept);
                self.session.start(now);
            }
            (false, true) => self.session.stop(&StopReason::Deconfigured, now),
            (true, true) | (false, false) => {}
        }
        self.tell_targets(now);
        if is_more {
            self.ask_again(now);
        }
        self.pump(now);
    }

    /// Tells a tenant that has not heard of it, and wants something, that the session is
    /// up, if it is. What was said before is said again then.
    pub fn greet(&mut self, tenant: &TenantName, now: Instant) {
        if let Some(agreed) = self.session.negotiated().cloned()
            && self.wanted.contains_key(tenant)
        {
            self.events.push_back((tenant.clone(), Event::Established(agreed)));
            self.ask_again(now);
        }
    }

    /// Has the neighbor say everything again: somebody may take more of it than before.
    pub fn ask_again(&mut self, now: Instant) {
        if self.session.negotiated().is_some() && self.ask_at.is_none() {
            let earliest = self.asked_at.map_or(now, |asked| asked + REPEAT);
            self.ask_at = Some(earliest.max(now + GATHER));
        }
    }

    /// Ends it: it is not configured any more.
    pub fn stop(&mut self, now: Instant) {
        self.session.stop(&StopReason::Deconfigured, now);
        self.pump(now);
    }

    // What came.

    /// A dial reached the neighbor.
    pub fn handle_connected(
        &mut self,
        id: ConnectionId,
        (local, remote): (IpAddr, IpAddr),
        now: Instant,
    ) {
        self.session.handle_connected(id, local.to_canonical(), remote.to_canonical(), now);
        self.pump(now);
    }

    /// A connection could not be made, or ended; `why` in a few words.
    pub fn handle_closed(&mut self, id: ConnectionId, why: &str, now: Instant) {
        self.session.handle_closed(id, why, now);
        self.pump(now);
    }

    /// Bytes came on a connection.
    pub fn handle_bytes(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.session.handle_bytes(id, rest, now).max(1);
            rest = rest.get(taken..).unwrap_or_default();
            self.pump(now);
        }
    }

    /// Bytes of a connection were written.
    pub fn handle_written(&mut self, id: ConnectionId, count: usize, now: Instant) {
        self.session.handle_written(id, count, now);
        self.pump(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ask_at.is_some_and(|at| at <= now) {
            (self.ask_at, self.asked_at) = (None, Some(now));
            for family in [Family::Ipv4Vpn, Family::Ipv6Vpn] {
                // To one that does not know how, or does not carry it, nothing is said.
                let _ = self.session.ask_refresh(family, now);
            }
        }
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
        self.pump(now);
    }

    /// When [`SharedSession::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.session.poll_timeout(), self.ask_at].into_iter().flatten().min()
    }

    /// The next piece of work for sockets.
    pub fn poll_work(&mut self) -> Option<SocketWork> {
        self.work.pop_front()
    }

    /// The next thing for a tenant to hear.
    pub fn poll_event(&mut self) -> Option<(TenantName, Event)> {
        self.events.pop_front()
    }

    // How it is.

    /// What is to be written on a connection.
    pub fn unsent(&self, id: ConnectionId) -> &[u8] {
        self.session.unsent(id)
    }

    /// Whom the sockets are for.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The last connection of it.
    pub const fn last_id(&self) -> ConnectionId {
        self.session.last_id()
    }

    /// How the session is.
    pub fn sample(&self) -> SessionSample {
        self.session.sample()
    }

    /// How many tenants hear it.
    pub fn tenants(&self) -> usize {
        self.wanted.len()
    }

    /// Routes that were said and that no tenant wants, since it is configured.
    pub const fn not_kept(&self) -> u64 {
        self.not_kept
    }

    // What comes of what the session tells.

    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Dial(id) => self.work.push_back(SocketWork::Dial(id)),
                Output::Write(id) => self.work.push_back(SocketWork::Write(id)),
                Output::Close { connection, last } => {
                    self.work.push_back(SocketWork::Close { connection, last });
                }
                Output::Event(event) => self.handle_event(event, now),
            }
        }
    }

    fn handle_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Established(agreed) => {
                self.told.clear();
                self.hearers.clear();
                (self.ask_at, self.asked_at) = (None, None);
                self.tell_everybody(&Event::Established(Arc::clone(&agreed)));
                self.tell_targets(now);
                self.end_of_ribs(&agreed, now);
            }
            Event::Update(update) => {
                self.distribute(update);
                // What a tenant's speaker does not hold is remembered here all the same.
                if self.maximum < self.hearers.len() {
                    self.end_over_limit(now);
                }
            }
            Event::TreatedAsWithdrawn(fault, networks) => {
                let mut treated: BTreeMap<TenantName, Vec<Nlri>> = BTreeMap::new();
                for network in networks {
                    let Some(hearers) = self.bereft.get(&network) else { continue };
                    for tenant in hearers.iter() {
                        treated.entry(tenant.clone()).or_default().push(network);
                    }
                }
                for (tenant, networks) in treated {
                    let event = Event::TreatedAsWithdrawn(fault, networks);
                    self.events.push_back((tenant, event));
                }
            }
            Event::EndOfRib(_) | Event::RefreshBegun(_) | Event::RefreshEnded(_) => {
                self.tell_everybody(&event);
            }
            Event::RefreshAsked(Family::RouteTargets) => {
                self.told.clear();
                self.tell_targets(now);
            }
            // There is nothing that could be said again, or for which there was no room.
            Event::RefreshAsked(_) | Event::Writable => {}
            Event::Down { .. } => {
                self.hearers.clear();
                self.bereft.clear();
                self.ask_at = None;
                self.tell_everybody(&event);
            }
        }
    }

    /// It says more than can be remembered: it is ended, and begins anew after a while.
    fn end_over_limit(&mut self, now: Instant) {
        let maximum = u32::try_from(self.maximum).unwrap_or(u32::MAX);
        let (family, restart_after) = (Family::Ipv4Vpn, Some(OVER_LIMIT));
        self.session.stop(&StopReason::MaximumPrefixes { family, maximum, restart_after }, now);
    }

    /// A tenant hears nothing more, and need not be told what is no more.
    fn forget(&mut self, tenant: &TenantName) {
        self.hearers.retain(|_, hearers| {
            if hearers.contains(tenant) {
                Arc::make_mut(hearers).remove(tenant);
            }
            !hearers.is_empty()
        });
    }

    fn tell_everybody(&mut self, event: &Event) {
        let all = self.wanted.keys().map(|tenant| (tenant.clone(), event.clone()));
        self.events.extend(all);
    }

    /// Says which targets are wanted now.
    fn tell_targets(&mut self, now: Instant) {
        let wanted = self.wanters.keys().filter(|target| !self.told.contains(target));
        let new: Vec<RouteTarget> = wanted.copied().collect();
        let unwanted = self.told.iter().filter(|target| !self.wanters.contains_key(target));
        let old: Vec<RouteTarget> = unwanted.copied().collect();
        let is_said = self.session.advertise_targets(&new, true, now).is_ok()
            && self.session.advertise_targets(&old, false, now).is_ok();
        if is_said {
            self.told.extend(new);
            self.told.retain(|target| self.wanters.contains_key(target));
        }
    }

    /// Says of every family that this was all: of networks nothing.
    fn end_of_ribs(&mut self, agreed: &Negotiated, now: Instant) {
        for family in &agreed.families {
            let _ = self.session.end_of_rib(*family, now);
        }
    }

    /// Tells each tenant what of an update is for it.
    fn distribute(&mut self, update: Update) {
        let mut told: BTreeMap<TenantName, Update> = BTreeMap::new();
        self.bereft.clear();
        for network in update.withdrawn {
            let Some(hearers) = self.hearers.remove(&network) else { continue };
            for tenant in hearers.iter() {
                told.entry(tenant.clone()).or_default().withdrawn.push(network);
            }
            self.bereft.insert(network, hearers);
        }
        for Announcement { attributes, nlri } in update.announced {
            let communities = attributes.extended_communities.iter().copied();
            let targets = communities.filter_map(RouteTarget::recognize);
            let wanters = targets.filter_map(|target| self.wanters.get(&target));
            let wanters: Hearers = Arc::new(wanters.flatten().cloned().collect());
            if wanters.is_empty() {
                self.not_kept += nlri.len() as u64;
            }
            for network in &nlri {
                // What it was before is replaced where it is told again, and goes elsewhere.
                let before = match wanters.is_empty() {
                    true => self.hearers.remove(network),
                    false => self.hearers.insert(*network, Arc::clone(&wanters)),
                };
                for tenant in before.iter().flat_map(|it| it.difference(&wanters)) {
                    told.entry(tenant.clone()).or_default().withdrawn.push(*network);
                }
            }
            for tenant in wanters.iter() {
                let announced =
                    Announcement { attributes: Arc::clone(&attributes), nlri: nlri.clone() };
                told.entry(tenant.clone()).or_default().announced.push(announced);
            }
        }
        let events = told.into_iter().map(|(tenant, update)| (tenant, Event::Update(update)));
        self.events.extend(events);
    }
}
