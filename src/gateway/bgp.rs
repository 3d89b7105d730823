//! One tenant's BGP: its speaker, from the moment its namespace can carry a
//! connection until the tenant goes. How what is learned gets into the kernel is
//! `learned`'s.
//!
//! ```text
//!   handle_observed ──▶ surround ─┐                       ┌─▶ Output::Bgp: listen, dial, write, close
//!   handle_wanted ───▶ configure ─┼─▶ Speaker ─▶ settle ──┼─▶ Output::Apply: the routes that changed
//!   set_up, sockets, timeouts ────┤                       └─▶ the history
//!   BFD finds a neighbor dead ────┘
//! ```

use super::bfd::Bfd;
use super::convergence::Convergence;
use super::following::Following;
use super::tenant::TenantMachine;
use super::{BgpAction, Listening, Output, SocketEvent};
use crate::bgp::NeighborName;
use crate::bgp::session::{ConnectionId, StopReason};
use crate::bgp::speaker::{
    Endpoint, Happening, SocketWork, Speaker, SpeakerEvent, endpoints, ranges,
};
use crate::model::Tenant;
use crate::net::{Instant, ManagedName, Now, Prefix, SiteName};
use crate::reconcile::{Device, Namespace, RouteKey, Said};
use crate::status::EventReason;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// How long neighbors have to find other ways before a session is ended (RFC 8326).
const GRACE: Duration = Duration::from_secs(2);

/// How long last words have to leave before the links go.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a tenant's BGP is at, for its machine.
#[derive(Debug, Default)]
pub(super) struct Bgp {
    pub(super) speaker: Option<Speaker>,
    pub(super) bfd: Bfd,
    /// The sites that are up.
    up: BTreeSet<SiteName>,
    /// What the sockets were told to listen for.
    listening: Listening,
    /// The last connection of any speaker before.
    last_id: ConnectionId,
    /// A random number.
    seed: u64,
    /// Whether the namespace was as wanted when it was first looked at: another process
    /// has made it, and packets went through it since.
    pub(super) found: Option<bool>,
    /// Whether there is something that the last plan did not know of.
    pub(super) is_due: bool,
    /// How long what is heard takes to the kernel.
    pub(super) convergence: Convergence,
    /// Which routes that is; all that are not named here are as they were.
    pub(super) changed: BTreeSet<RouteKey>,
    /// Whether steps about learned routes are under way while the namespace is looked at.
    pub(super) is_applying: bool,
    /// The routes that were changed since that look began, which it may not show.
    pub(super) meanwhile: BTreeSet<RouteKey>,
    /// What was seen, while such steps are still under way.
    pub(super) seen: Option<Option<Namespace>>,
    /// Whether routes that nobody has said yet were left alone.
    keeps: bool,
    /// Until when what our own routes stir up is not looked at.
    pub(super) settle_at: Option<Instant>,
    /// Whether more is wanted than our own routes, for which nothing waits.
    pub(super) is_pressing: bool,
    leaving: Option<Leaving>,
    /// How the tenant follows what routers of sites say.
    pub(super) following: Following,
}

/// How far the end of a tenant's sessions is.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    /// When the next thing is due.
    at: Instant,
    /// Whether the sessions are ended, and not just about to be.
    is_said: bool,
}

impl Bgp {
    /// Takes a random number, with which waits are made uneven.
    pub(super) fn with_seed(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let speaker = self.speaker.as_ref().and_then(Speaker::poll_timeout);
        let bfd = self.bfd.poll_timeout();
        let leaving = self.leaving.map(|it| it.at);
        [speaker, bfd, leaving, self.following.due_at()].into_iter().flatten().min()
    }

    /// Whether the tenant was to go and its sessions are being ended.
    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether changes of our own are not looked at yet.
    pub(super) fn is_settling(&self, now: Instant) -> bool {
        self.settle_at.is_some_and(|at| now < at)
    }
}

impl TenantMachine {
    /// These sites are up.
    pub(super) fn set_up(&mut self, up: &BTreeSet<SiteName>, now: Now) {
        if self.bgp.up == *up {
            return;
        }
        self.bgp.up.clone_from(up);
        if let Some(speaker) = &mut self.bgp.speaker {
            speaker.set_up(up.clone(), now.mono);
            self.after_bgp(now);
        }
    }

    /// Someone connected; whose connection it is, or `None` when it is nobody's.
    pub(super) fn handle_incoming(
        &mut self,
        local: IpAddr,
        remote: IpAddr,
        now: Now,
    ) -> Option<(NeighborName, ConnectionId)> {
        let waited = self.bgp.listening.at.get(&local);
        waited?.keys().find(|from| from.contains(remote))?;
        let whose = self.bgp.speaker.as_mut()?.handle_incoming(local, remote, now.mono);
        self.after_bgp(now);
        whose
    }

    /// Takes what happened on a connection.
    pub(super) fn handle_socket(
        &mut self,
        neighbor: &NeighborName,
        id: ConnectionId,
        event: &SocketEvent,
        now: Now,
    ) {
        let Some(speaker) = &mut self.bgp.speaker else { return };
        match event {
            SocketEvent::Connected { local, remote } => {
                speaker.handle_connected(neighbor, id, (*local, *remote), now.mono);
            }
            SocketEvent::Closed(why) => speaker.handle_closed(neighbor, id, why, now.mono),
            SocketEvent::Bytes(bytes) => speaker.handle_bytes(neighbor, id, bytes, now.mono),
            SocketEvent::Written(count) => speaker.handle_written(neighbor, id, *count, now.mono),
        }
        self.after_bgp(now);
    }

    /// Does what is due.
    pub(super) fn handle_bgp_timeout(&mut self, now: Now) {
        self.handle_bfd_timeout(now);
        if let Some(speaker) = &mut self.bgp.speaker
            && speaker.poll_timeout().is_some_and(|at| at <= now.mono)
        {
            speaker.handle_timeout(now.mono);
            self.after_bgp(now);
        }
        match self.bgp.leaving {
            Some(Leaving { at, is_said: false }) if at <= now.mono => self.end_sessions(now),
            Some(Leaving { at, is_said: true }) if at <= now.mono => self.leave_now(now),
            Some(_) | None => {}
        }
    }

    /// Takes up what is wanted now. A tenant that was about to leave stays.
    pub(super) fn configure_bgp(&mut self, now: Now) {
        if self.bgp.leaving.take().is_some() {
            self.drop_speaker(&StopReason::Deconfigured, now);
            self.dirty = true;
        }
        let Some(tenant) = self.wanted().map(|wanted| wanted.served().clone()) else { return };
        if tenant.fabric.bgp.is_none() {
            self.drop_speaker(&StopReason::Deconfigured, now);
            return;
        }
        let seed = self.seed();
        if let Some(speaker) = &mut self.bgp.speaker {
            speaker.configure(&tenant, seed, now.mono);
            self.listen(&tenant, now);
            self.after_bgp(now);
        }
    }

    /// Takes what the namespace holds now. The first one that can carry connections
    /// makes the speaker.
    pub(super) fn surround_bgp(&mut self, now: Now) {
        let can_connect = self.observed().is_some_and(|namespace| self.can_connect(namespace));
        // What was all in place before anything was done is an earlier process's.
        let found = *self.bgp.found.get_or_insert(can_connect);
        let wanted = self.wanted().map(|wanted| wanted.served().fabric.bgp.is_some());
        if wanted != Some(true) || self.bgp.leaving.is_some() {
            return;
        }
        if self.observed().is_none() {
            // Whatever listened there is of no use any more.
            self.listen_no_more();
        } else if can_connect && self.bgp.listening.is_empty() {
            let Some(tenant) = self.wanted().map(|wanted| wanted.served().clone()) else { return };
            if self.bgp.speaker.is_none() {
                let ids = (self.bgp.last_id, self.seed());
                let held = found.then(|| self.bgp.following.said().clone());
                self.bgp.following.hear(held.clone().unwrap_or_default());
                let mut speaker = Speaker::new(&tenant, held, ids, now.mono);
                speaker.set_up(self.bgp.up.clone(), now.mono);
                self.bgp.speaker = Some(speaker);
            }
            self.listen(&tenant, now);
        }
        if let Some(speaker) = &mut self.bgp.speaker {
            match &self.observed {
                Some(namespace) => speaker.surround(namespace, now.mono),
                None => speaker.surround(&Namespace::default(), now.mono),
            }
            self.after_bgp(now);
        }
    }

    /// Whether the rules stand that let neighbors in and the link to the fabric is up.
    fn can_connect(&self, namespace: &Namespace) -> bool {
        let Some(wanted) = self.wanted() else { return false };
        // Neighbors are spoken with on the link itself, whatever there is to their pods.
        let tunnels = [ManagedName::wireguard(), ManagedName::ipip()].map(Device::Managed);
        let is_fabric =
            |device: &&Device| !tunnels.contains(*device) && !wanted.site_links.contains(*device);
        let mut fabric = wanted.namespace.links.keys().filter(is_fabric);
        namespace.ruleset.is_some()
            && namespace.ruleset == wanted.namespace.ruleset
            && fabric.all(|device| namespace.links.get(device).is_some_and(|link| link.up))
    }

    /// Has the sockets listen for the neighbors there are.
    fn listen(&mut self, tenant: &Tenant, now: Now) {
        let listening = Listening::of(tenant);
        if listening != self.bgp.listening {
            self.bgp.listening.clone_from(&listening);
            self.say(BgpAction::Listen(listening));
        }
        self.watch_neighbors(tenant, now);
    }

    fn listen_no_more(&mut self) {
        self.watch_nobody();
        if std::mem::take(&mut self.bgp.listening) != Listening::default() {
            self.say(BgpAction::Listen(Listening::default()));
        }
    }

    /// Ends the sessions before the tenant goes: where one is up, neighbors first
    /// hear that others are to be used.
    pub(super) fn leave(&mut self, now: Now) {
        match &mut self.bgp.speaker {
            Some(speaker) if speaker.is_up() => {
                if self.bgp.leaving.is_none() {
                    speaker.begin_shutdown(now.mono);
                    self.bgp.leaving = Some(Leaving { at: now.mono + GRACE, is_said: false });
                    self.after_bgp(now);
                }
            }
            Some(_) | None => {
                self.end_sessions(now);
                self.leave_now(now);
            }
        }
    }

    fn end_sessions(&mut self, now: Now) {
        let text = "the gateway stops serving this tenant".to_owned();
        self.drop_speaker(&StopReason::Shutdown { text }, now);
        self.bgp.leaving = Some(Leaving { at: now.mono + LAST_WORDS, is_said: true });
    }

    fn leave_now(&mut self, now: Now) {
        self.bgp.leaving = None;
        self.handle_wanted(None, now);
        self.handle_device(None, now);
    }

    fn drop_speaker(&mut self, reason: &StopReason, now: Now) {
        self.end_bfd(now);
        let Some(speaker) = &mut self.bgp.speaker else { return };
        speaker.stop(reason, now.mono);
        self.after_bgp(now);
        // The next one does not take up anything.
        self.bgp.found = Some(false);
        if let Some(speaker) = self.bgp.speaker.take() {
            self.bgp.last_id = self.bgp.last_id.max(speaker.last_id());
        }
        self.listen_no_more();
        self.bgp.following.hear(Said::default());
        (self.bgp.keeps, self.bgp.is_due) = (false, true);
        self.bgp.changed.clear();
        self.dirty = true;
    }

    /// What is to be written on a connection.
    pub(super) fn unsent(&self, neighbor: &NeighborName, id: ConnectionId) -> &[u8] {
        self.bgp.speaker.as_ref().map_or(&[], |speaker| speaker.unsent(neighbor, id))
    }

    /// Brings up what the speaker has to say, and has the kernel hold what it learned.
    pub(super) fn after_bgp(&mut self, now: Now) {
        let Some(speaker) = &mut self.bgp.speaker else { return };
        let (mut events, mut actions) = (Vec::new(), Vec::new());
        while let Some(event) = speaker.poll_event() {
            events.push(event);
        }
        while let Some(io) = speaker.poll_io() {
            let neighbor = io.neighbor;
            actions.push(match io.what {
                SocketWork::Dial(id) => BgpAction::Dial(neighbor, id),
                SocketWork::Write(id) => BgpAction::Write(neighbor, id),
                SocketWork::Close { connection, last } => {
                    BgpAction::Close { neighbor, connection, last }
                }
            });
        }
        self.bgp.changed.extend(speaker.take_changed());
        if let Some(said) = speaker.take_said() {
            self.bgp.following.hear(said);
        }
        self.watch_arrivals(now);
        let Some(speaker) = &mut self.bgp.speaker else { return };
        let keeps = speaker.keeps_unsaid();
        let has_kept = std::mem::replace(&mut self.bgp.keeps, keeps) && !keeps;
        self.bgp.is_due |= has_kept || !self.bgp.changed.is_empty();
        if !self.bgp.changed.is_empty() {
            self.bgp.convergence.heard(now.mono);
        }
        for event in events {
            self.note_bgp(&event, now);
        }
        for action in actions {
            self.say(action);
        }
        if has_kept {
            // What nobody said by now goes; a look says what that is.
            self.bgp.settle_at = None;
            self.handle_dirty(now);
        } else {
            self.program_learned();
        }
    }

    fn say(&mut self, action: BgpAction) {
        self.outputs.push_back(Output::Bgp(self.name.clone(), action));
    }

    fn note_bgp(&mut self, event: &SpeakerEvent, now: Now) {
        let neighbor = &event.neighbor;
        let (reason, message) = match &event.what {
            Happening::Established => {
                (EventReason::SessionEstablished, format!("{neighbor}: established"))
            }
            Happening::Down(reason, keeps) => {
                let kept = if *keeps { "; its routes are kept while it comes back" } else { "" };
                (EventReason::SessionDown, format!("{neighbor}: {reason}{kept}"))
            }
            Happening::NearLimit => {
                let message = format!("{neighbor}: has said three quarters of what it may");
                (EventReason::PrefixLimit, message)
            }
            Happening::RangeFull(maximum) => {
                let message = format!("{neighbor}: not taken, for its range has {maximum} already");
                (EventReason::RangeFull, message)
            }
            Happening::OverLimit => {
                let message = format!("{neighbor}: has said more networks than it may");
                (EventReason::PrefixLimit, message)
            }
        };
        let site = match neighbor {
            NeighborName::Site(site) => Some(site.clone()),
            NeighborName::Fabric(_) | NeighborName::Dynamic { .. } | NeighborName::Reflector(_) => {
                None
            }
        };
        self.history.push(reason, site, message, now.wall);
    }

    /// A number of this tenant's own.
    pub(super) fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        hasher.finish() ^ self.bgp.seed
    }
}

impl Listening {
    /// For all neighbors of `tenant`: at our address on their link, or at every one
    /// on the fabric for who is hops away.
    fn of(tenant: &Tenant) -> Self {
        let endpoints = endpoints(tenant);
        let named = endpoints.values().map(|it| (Prefix::host(it.address), it.clone()));
        let ranges = ranges(tenant).into_values().map(|it| (it.prefix, it.endpoint));
        let mut at: BTreeMap<IpAddr, BTreeMap<Prefix, Endpoint>> = BTreeMap::new();
        for (from, endpoint) in named.chain(ranges) {
            let fabric = tenant.fabric.addresses.iter().map(|own| own.address());
            let same = fabric.filter(|own| own.is_ipv4() == endpoint.address.is_ipv4());
            let locals = match endpoint.local {
                Some(local) => vec![local],
                None => same.collect(),
            };
            for local in locals {
                at.entry(local).or_default().insert(from, endpoint.clone());
            }
        }
        Self { endpoints, at }
    }
}
