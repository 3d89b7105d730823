//! One tenant's BGP: its sessions, what they said, what they are told.
//!
//! ```text
//!  documents ─ configure ──┐                    ┌─▶ poll_io: dial, write, close
//!  sites up ── set_up ─────┼─▶ ┌─ Speaker ────┐ │
//!  namespace ─ surround ───┤   │ a Session for│─┼─▶ routes: what the kernel is to hold
//!  sockets ─── handle_* ───┘   │ each neighbor│ │
//!                              │ one Rib      │ └─▶ poll_event: for the history
//!                              └──────────────┘
//! ```
//!
//! There is one for each tenant, and none knows of another: what one tenant's
//! neighbors say can come out nowhere else.
//!
//! In reading order: [`Speaker`], [`Endpoint`] (whom the sockets are for),
//! `neighbor` (one of them), `range` (those that connect out of one), `converse` (what comes
//! of what sessions tell), `reflected` (what comes over sessions that are shared),
//! [`NeighborSample`].

mod converse;
mod endpoint;
mod neighbor;
mod range;
mod reflected;
mod sample;

pub use endpoint::{Endpoint, endpoints, ranges};
pub(in crate::bgp) use neighbor::config;
pub use range::ListenRange;
pub use reflected::ReflectedSample;
pub use sample::{NeighborSample, RangeSample, SpeakerSample};

use super::rib::{Explained, Multipath, NeighborName, Rib};
use super::session::{ConnectionId, DownReason, Output, Session, StopReason};
use super::{Exporter, Surroundings, Wanted, wanted_by_fabric, wanted_by_site};
use crate::model::{FabricBgp, Tenant, limits};
use crate::net::{Instant, InterfaceAddress, Prefix, SiteName};
use crate::reconcile::{Namespace, Route, RouteKey, Said};
use neighbor::Neighbor;
use range::Range;
use reflected::Reflected;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// How long routes that an earlier process installed are kept for neighbors that
/// have not said everything yet (the Selection_Deferral_Timer of RFC 4724 §4.1).
const DEFERRAL: Duration = Duration::from_secs(120);

/// How long sites have to come back after a restart before neighbors are told that
/// they have heard all: longer than every customer that dialled in needs to answer
/// when it is called.
const REJOIN: Duration = Duration::from_secs(15);

/// Something that a neighbor's sockets are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Io {
    /// Whose.
    pub neighbor: NeighborName,
    /// What.
    pub what: SocketWork,
}

/// What sockets are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketWork {
    /// Connect.
    Dial(ConnectionId),
    /// Write what [`Speaker::unsent`] gives.
    Write(ConnectionId),
    /// Write as much of `last` as goes at once, and close.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// The last words.
        last: Vec<u8>,
    },
}

/// Something that happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerEvent {
    /// With whom.
    pub neighbor: NeighborName,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The session came up.
    Established,
    /// It went down; whether its routes are kept meanwhile.
    Down(DownReason, bool),
    /// It has said three quarters of the networks that it may.
    NearLimit,
    /// It said more, and the session was ended.
    OverLimit,
    /// It was not taken: its range has as many neighbors as it may. Said once until
    /// there is room again.
    RangeFull(usize),
}

/// The speaker of one tenant.
#[derive(Debug)]
pub struct Speaker {
    tenant: Tenant,
    rib: Rib,
    neighbors: BTreeMap<NeighborName, Neighbor>,
    by_address: BTreeMap<IpAddr, NeighborName>,
    ranges: BTreeMap<String, Range>,
    reflectors: BTreeMap<NeighborName, Reflected>,
    /// Whether neighbors out of ranges came up or went that were not told of.
    arrived: bool,
    /// A random number that is another one with each neighbor.
    seed: u64,
    up: BTreeSet<SiteName>,
    stopping: bool,
    routes: BTreeMap<RouteKey, Route>,
    /// Networks whose route is another than when they were last fetched.
    changed: BTreeSet<RouteKey>,
    /// Until when routes that an earlier process installed are left alone.
    deferred: Option<Instant>,
    /// What routers of sites had said to that process.
    held: Said,
    /// What they say.
    said: Said,
    /// Whether that is another than was last fetched.
    is_said_anew: bool,
    /// Until when neighbors are not told that they have heard all: sites that were
    /// up for an earlier process have not come back yet.
    rejoining: Option<Instant>,
    /// No session is due before this, and none at all when it is `None`: to look at all
    /// of a thousand whenever one has spoken would take longer than what it said.
    wake: Option<Instant>,
    /// The last connection of sessions that are no more.
    last_id: ConnectionId,
    io: VecDeque<Io>,
    events: VecDeque<SpeakerEvent>,
}

impl Speaker {
    /// A speaker for `tenant`, which has BGP; `seed` is a random number, with which
    /// waits are made uneven. `held` is there when an earlier process left the namespace as
    /// it is, with its routes: what of them routers of sites had said. Connections are
    /// numbered after the last one of a speaker before it.
    pub fn new(
        tenant: &Tenant,
        held: Option<Said>,
        (after, seed): (ConnectionId, u64),
        now: Instant,
    ) -> Self {
        let restarted = held.is_some();
        let held = held.unwrap_or_default();
        let mut speaker = Self {
            tenant: tenant.clone(),
            rib: Rib::new(Multipath::default()),
            neighbors: BTreeMap::new(),
            by_address: BTreeMap::new(),
            ranges: BTreeMap::new(),
            reflectors: BTreeMap::new(),
            arrived: false,
            seed,
            up: BTreeSet::new(),
            stopping: false,
            routes: BTreeMap::new(),
            changed: BTreeSet::new(),
            deferred: restarted.then(|| now + DEFERRAL),
            said: held.clone(),
            held,
            is_said_anew: false,
            rejoining: (restarted && !tenant.sites.is_empty()).then(|| now + REJOIN),
            wake: None,
            last_id: after,
            io: VecDeque::new(),
            events: VecDeque::new(),
        };
        speaker.configure(tenant, seed, now);
        speaker
    }

    /// Takes up changed documents, or what follows from [`Speaker::take_said`]. Sessions
    /// about which nothing changed go on.
    pub fn configure(&mut self, tenant: &Tenant, seed: u64, now: Instant) {
        self.tenant = tenant.clone();
        let mut endpoints = endpoints(tenant);
        let named: BTreeSet<IpAddr> = endpoints.values().map(|it| it.address).collect();
        let dynamic = self.configure_ranges(ranges(tenant)).into_iter();
        endpoints.extend(dynamic.filter(|(_, endpoint)| !named.contains(&endpoint.address)));
        let gone: Vec<NeighborName> =
            self.neighbors.keys().filter(|name| !endpoints.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(mut neighbor) = self.neighbors.remove(&name) {
                neighbor.session.stop(&StopReason::Deconfigured, now);
                self.last_id = self.last_id.max(neighbor.session.last_id());
                self.last_work(&name, &mut neighbor.session);
            }
            self.rib.remove_neighbor(&name);
        }
        self.by_address = endpoints.iter().map(|(name, it)| (it.address, name.clone())).collect();
        for (at, (name, endpoint)) in endpoints.into_iter().enumerate() {
            let seed = seed.wrapping_add(at as u64);
            self.configure_one(&name, endpoint, seed, now);
        }
        self.configure_reflectors();
        self.advertise_all(now);
        self.pump(now);
    }

    fn configure_one(&mut self, name: &NeighborName, endpoint: Endpoint, seed: u64, now: Instant) {
        let Some(bgp) = self.tenant.fabric.bgp.clone() else { return };
        let Some(settings) = endpoint.settings(&self.tenant, name) else { return };
        let ask_again = self.rib.set_neighbor(name.clone(), settings);
        match self.neighbors.get_mut(name) {
            Some(known) if known.endpoint == endpoint => {
                if ask_again {
                    known.ask_again(now);
                }
            }
            Some(known) => {
                let restarted = self.deferred.is_some();
                // What both ends agree on is said once, when a session begins.
                known.session.stop(&StopReason::Deconfigured, now);
                let after = known.session.last_id();
                let new = Neighbor::new(endpoint, &bgp, restarted, (after, seed), now);
                let mut old = std::mem::replace(known, new);
                self.last_work(name, &mut old.session);
                self.rib.neighbor_down(name, &super::rib::Retain::default(), now);
            }
            None => {
                let restarted = self.deferred.is_some();
                let ids = (self.last_id, seed);
                let neighbor = Neighbor::new(endpoint, &bgp, restarted, ids, now);
                self.neighbors.insert(name.clone(), neighbor);
            }
        }
    }

    /// What a session that is no more has to do still.
    fn last_work(&mut self, name: &NeighborName, session: &mut Session) {
        while let Some(output) = session.poll_output() {
            if let Output::Close { connection, last } = output {
                let what = SocketWork::Close { connection, last };
                self.io.push_back(Io { neighbor: name.clone(), what });
            }
        }
    }

    /// These sites are up: their networks are advertised, and no others.
    pub fn set_up(&mut self, up: BTreeSet<SiteName>, now: Instant) {
        if self.up != up {
            self.up = up;
            if self.tenant.sites.keys().all(|site| self.up.contains(site)) {
                self.rejoining = None;
            }
            self.advertise_all(now);
            self.pump(now);
        }
    }

    /// The namespace is like this: what next hops are reached by.
    pub fn surround(&mut self, namespace: &Namespace, now: Instant) {
        let fabric = Surroundings::fabric(&self.tenant, namespace);
        let sites = self.neighbors.keys().filter_map(|name| match name {
            NeighborName::Site(site) => self.tenant.sites.get(site),
            NeighborName::Fabric(_) | NeighborName::Dynamic { .. } | NeighborName::Reflector(_) => {
                None
            }
        });
        let sites = sites.map(|site| (site.name.clone(), Surroundings::site(site, namespace)));
        self.rib.set_surroundings(fabric, sites.collect());
        self.pump(now);
    }

    /// Others are to be used first, for we are about to stop (RFC 8326).
    pub fn begin_shutdown(&mut self, now: Instant) {
        self.stopping = true;
        self.advertise_all(now);
        self.pump(now);
    }

    /// Ends every session, for `reason`; nobody is let in any more.
    pub fn stop(&mut self, reason: &StopReason, now: Instant) {
        self.ranges.clear();
        for neighbor in self.neighbors.values_mut() {
            neighbor.session.stop(reason, now);
        }
        self.pump(now);
    }

    /// BFD says that a neighbor cannot be reached; see
    /// [`super::session::Session::bfd_down`].
    pub fn bfd_down(&mut self, name: &NeighborName, control_plane_independent: bool, now: Instant) {
        if let Some(neighbor) = self.neighbors.get_mut(name) {
            neighbor.session.bfd_down(control_plane_independent, now);
            self.pump_one(name, now);
        }
    }

    /// Someone connected, from `remote` to `local`: whose connection it is, or `None`
    /// when it is nobody's and is to be closed without a word.
    pub fn handle_incoming(
        &mut self,
        local: IpAddr,
        remote: IpAddr,
        now: Instant,
    ) -> Option<(NeighborName, ConnectionId)> {
        let (local, remote) = (local.to_canonical(), remote.to_canonical());
        let known = self.by_address.get(&remote).cloned();
        let Some(name) = known.or_else(|| self.let_in(remote, now)) else {
            return self.turn_away(local, remote, now);
        };
        let neighbor = self.neighbors.get_mut(&name)?;
        let id = neighbor.session.handle_incoming(local, remote, now);
        self.pump_one(&name, now);
        Some((name, id))
    }

    /// A dial reached its neighbor.
    pub fn handle_connected(
        &mut self,
        name: &NeighborName,
        id: ConnectionId,
        (local, remote): (IpAddr, IpAddr),
        now: Instant,
    ) {
        if let Some(neighbor) = self.neighbors.get_mut(name) {
            let (local, remote) = (local.to_canonical(), remote.to_canonical());
            neighbor.session.handle_connected(id, local, remote, now);
            self.pump_one(name, now);
        }
    }

    /// A connection could not be made, or ended; `why` in a few words.
    pub fn handle_closed(
        &mut self,
        name: &NeighborName,
        id: ConnectionId,
        why: &str,
        now: Instant,
    ) {
        if let Some(neighbor) = self.neighbors.get_mut(name) {
            neighbor.session.handle_closed(id, why, now);
            self.pump_one(name, now);
        }
    }

    /// Bytes came on a connection.
    pub fn handle_bytes(
        &mut self,
        name: &NeighborName,
        id: ConnectionId,
        bytes: &[u8],
        now: Instant,
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(neighbor) = self.neighbors.get_mut(name) else { return };
            let taken = neighbor.session.handle_bytes(id, rest, now).max(1);
            rest = rest.get(taken..).unwrap_or_default();
            self.pump_one(name, now);
        }
    }

    /// Bytes of a connection were written.
    pub fn handle_written(
        &mut self,
        name: &NeighborName,
        id: ConnectionId,
        count: usize,
        now: Instant,
    ) {
        if let Some(neighbor) = self.neighbors.get_mut(name) {
            neighbor.session.handle_written(id, count, now);
            self.pump_one(name, now);
        }
    }

    /// What is to be written on a connection.
    pub fn unsent(&self, name: &NeighborName, id: ConnectionId) -> &[u8] {
        self.neighbors.get(name).map_or(&[], |neighbor| neighbor.session.unsent(id))
    }

    /// When [`Speaker::handle_timeout`] is to be called next. It may have nothing to do
    /// then, where a session is due later than it was.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silence = self.silence_timeout();
        let all = [self.wake, self.rib.poll_timeout(), self.deferred, self.rejoining, silence];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deferred.is_some_and(|until| until <= now) {
            self.deferred = None;
        }
        if self.rejoining.is_some_and(|until| until <= now) {
            self.rejoining = None;
            self.advertise_all(now);
        }
        self.rib.handle_timeout(now);
        self.handle_silence_timeout(now);
        for neighbor in self.neighbors.values_mut() {
            if neighbor.session.poll_timeout().is_some_and(|at| at <= now) {
                neighbor.session.handle_timeout(now);
            }
        }
        self.pump(now);
    }

    /// The next piece of work for sockets.
    pub fn poll_io(&mut self) -> Option<Io> {
        self.io.pop_front()
    }

    /// The next thing that happened. The oldest are forgotten beyond
    /// [`limits::BGP_EVENTS`].
    pub fn poll_event(&mut self) -> Option<SpeakerEvent> {
        self.events.pop_front()
    }

    /// What was learned, as the kernel is to hold it.
    pub const fn routes(&self) -> &BTreeMap<RouteKey, Route> {
        &self.routes
    }

    /// The networks whose route is another than when this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<RouteKey> {
        std::mem::take(&mut self.changed)
    }

    /// What routers of sites say, when that is another than was last fetched: the tenant
    /// is to be served by it, and [`Speaker::configure`] to be told of that.
    pub fn take_said(&mut self) -> Option<Said> {
        std::mem::take(&mut self.is_said_anew).then(|| self.said.clone())
    }

    /// The last connection of any of its sessions.
    pub fn last_id(&self) -> ConnectionId {
        let sessions = self.neighbors.values().map(|neighbor| neighbor.session.last_id());
        sessions.fold(self.last_id, ConnectionId::max)
    }

    /// Whether any session is up.
    pub fn is_up(&self) -> bool {
        self.neighbors.values().any(|neighbor| neighbor.session.negotiated().is_some())
    }

    /// Whether routes of an earlier process, which nobody said to us yet, are to be
    /// left where they are (RFC 4724 §4.1).
    pub const fn keeps_unsaid(&self) -> bool {
        self.deferred.is_some()
    }

    /// Every path to a network, and why it serves or does not.
    pub fn explain(&self, prefix: Prefix) -> Option<Explained> {
        self.rib.explain(prefix)
    }

    /// The networks around `prefix` of which something was said, the longest first.
    pub fn around(&self, prefix: Prefix) -> impl Iterator<Item = Prefix> {
        self.rib.around(prefix)
    }

    /// As [`Speaker::explain_all`], from the network after this one.
    pub fn explain_after(&self, after: Option<Prefix>) -> impl Iterator<Item = Explained> {
        self.rib.explain_after(after)
    }

    /// As [`Speaker::explain`], of every network.
    pub fn explain_all(&self) -> impl Iterator<Item = Explained> {
        self.rib.explain_all()
    }

    fn bgp(&self) -> Option<&FabricBgp> {
        self.tenant.fabric.bgp.as_ref()
    }

    /// Our addresses on the link to a neighbor.
    fn addresses(&self, name: &NeighborName) -> &[InterfaceAddress] {
        match name {
            NeighborName::Fabric(_) | NeighborName::Dynamic { .. } | NeighborName::Reflector(_) => {
                &self.tenant.fabric.addresses
            }
            NeighborName::Site(site) => {
                self.tenant.sites.get(site).map_or(&[], |site| site.addresses())
            }
        }
    }

    /// What a neighbor is to be told, in the session it has.
    fn wanted(&self, name: &NeighborName, neighbor: &Neighbor) -> Option<Wanted> {
        let bgp = self.bgp()?;
        let agreed = neighbor.session.negotiated()?;
        let exporter = Exporter {
            local_asn: bgp.local_asn,
            external: !agreed.is_internal(),
            next_hop: Neighbor::next_hops(self.addresses(name), agreed),
            stopping: self.stopping,
        };
        let mut wanted = match name {
            NeighborName::Fabric(_) | NeighborName::Dynamic { .. } => {
                wanted_by_fabric(&self.tenant, bgp, &self.up, &exporter)
            }
            // Nothing but what is wanted of it is said there, and not by a tenant.
            NeighborName::Reflector(_) => Wanted::default(),
            NeighborName::Site(_) => wanted_by_site(&self.tenant, &exporter),
        };
        wanted.retain(|prefix, _| neighbor.carries(*prefix));
        Some(wanted)
    }

    fn advertise_all(&mut self, now: Instant) {
        let names: Vec<NeighborName> = self.neighbors.keys().cloned().collect();
        for name in names {
            self.advertise(&name, now);
        }
    }

    /// Says to a neighbor what it does not know yet, as far as there is room.
    fn advertise(&mut self, name: &NeighborName, now: Instant) {
        let Some(neighbor) = self.neighbors.get(name) else { return };
        let Some(wanted) = self.wanted(name, neighbor) else { return };
        let is_all = self.rejoining.is_none();
        let bgp = self.tenant.fabric.bgp.as_ref();
        let targets = bgp.map_or(&[][..], |bgp| &bgp.import.route_targets);
        if let Some(neighbor) = self.neighbors.get_mut(name) {
            neighbor.tell_targets(targets, now);
            neighbor.tell(&wanted, is_all, now);
        }
    }

    fn happened(&mut self, neighbor: &NeighborName, what: Happening) {
        if limits::BGP_EVENTS <= self.events.len() {
            self.events.pop_front();
        }
        self.events.push_back(SpeakerEvent { neighbor: neighbor.clone(), what });
    }
}
