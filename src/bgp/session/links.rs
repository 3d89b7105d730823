//! Connections that come, meet and go (RFC 4271 §6.8, RFC 4724 §4.2).

use super::connection::{Connection, Direction};
use super::{ConnectionId, DIAL_TIME, DownReason, Event, Output, Session, Wanted};
use crate::bgp::proto::{Fsm, Notification};
use crate::net::Instant;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Cease/5: no connection is taken now (RFC 4486).
const CONNECTION_REJECTED: u8 = 5;
/// Cease/7: another connection is kept.
pub(super) const COLLISION: u8 = 7;

/// How long after a session came up another connection is still taken for a dial that
/// was under way then: a SYN that was lost twice arrives within this time. Who has
/// really restarted so soon is taken when it tries again.
const LATE_DIAL: Duration = Duration::from_secs(5);

impl Session {
    /// Its connections are numbered after this one: what sockets tell of an earlier
    /// session with the neighbor is not taken for news of this one.
    pub fn number_after(&mut self, last: ConnectionId) {
        self.next_id = self.next_id.max(last.0);
    }

    /// The last number it gave.
    pub const fn last_id(&self) -> ConnectionId {
        ConnectionId(self.next_id)
    }

    /// The neighbor connected, from `remote` to `local`. Gives the number of the
    /// connection; where it is not taken, an [`Output::Close`] of it follows.
    pub fn handle_incoming(&mut self, local: IpAddr, remote: IpAddr, now: Instant) -> ConnectionId {
        let id = self.new_id();
        match self.wanted {
            Wanted::Down { is_restart: false, .. } => {
                self.refuse(id, CONNECTION_REJECTED);
                return id;
            }
            // No word: it may be keeping our routes (RFC 4724 §4.2).
            Wanted::Down { is_restart: true, .. } => {
                self.refuse_silently(id);
                return id;
            }
            Wanted::Up if self.idle_until.is_some() => {
                self.refuse_silently(id);
                return id;
            }
            Wanted::Up => {}
        }
        // A neighbor that restarts comes back before its old connection is known to
        // be dead: that one goes once the new one is up. But where both dialed, and we
        // came up on one of the two before the other was here, the neighbor may not be up
        // on it yet: offered the other, it would choose among the two, and drop ours.
        let agreed = self.established().and_then(|link| link.negotiated.as_ref());
        let is_late = now.since(self.since) < LATE_DIAL;
        if agreed.is_some_and(|agreed| agreed.restart.is_none() || is_late) {
            self.refuse(id, COLLISION);
            return id;
        }
        let older = self
            .connections
            .iter()
            .find(|link| link.direction == Direction::Incoming && !link.is_up);
        if let Some(older) = older.map(|link| link.id) {
            // It dials one at a time, so it has given up that one.
            self.fail(older, Notification::cease(COLLISION), now);
        }
        self.add(id, Direction::Incoming, local, remote, now);
        id
    }

    /// The dial of this number reached the neighbor, from `local` to `remote`.
    pub fn handle_connected(
        &mut self,
        id: ConnectionId,
        local: IpAddr,
        remote: IpAddr,
        now: Instant,
    ) {
        if self.dial.is_some_and(|(dialed, _)| dialed == id) {
            self.dial = None;
            self.add(id, Direction::Outgoing, local, remote, now);
        } else {
            self.outputs.push_back(Output::Close { connection: id, last: Vec::new() });
        }
    }

    /// The dial of this number failed, or the connection was closed at the other
    /// end or broke; `why` in a few words, for people.
    pub fn handle_closed(&mut self, id: ConnectionId, why: &str, now: Instant) {
        if self.dial.is_some_and(|(dialed, _)| dialed == id) {
            self.dial_failed(why, now);
        } else if let Some(link) = self.take(id) {
            self.error(format!("the connection was lost: {why}"), now);
            self.ended(&link, DownReason::Lost, now);
        }
        self.note_state(now);
    }

    pub(super) fn dial(&mut self, now: Instant) {
        let can = self.wanted == Wanted::Up && !self.config.passive;
        if can && self.idle_until.is_none() && self.dial.is_none() && self.connections.is_empty() {
            let id = self.new_id();
            self.dial = Some((id, now + DIAL_TIME));
            self.outputs.push_back(Output::Dial(id));
        }
    }

    pub(super) fn dial_failed(&mut self, why: &str, now: Instant) {
        self.dial = None;
        self.counters.dials_failed += 1;
        self.error(format!("cannot connect: {why}"), now);
        if self.connections.is_empty() {
            self.retry_at = Some(now + self.jitter.around(self.config.connect_retry));
        }
    }

    pub(super) fn give_up_dial(&mut self) {
        if let Some((connection, _)) = self.dial.take() {
            self.outputs.push_back(Output::Close { connection, last: Vec::new() });
        }
    }

    const fn new_id(&mut self) -> ConnectionId {
        self.next_id += 1;
        ConnectionId(self.next_id)
    }

    fn refuse(&mut self, connection: ConnectionId, subcode: u8) {
        let notification = Notification::cease(subcode);
        self.counters.refused += 1;
        self.count_notification(&notification);
        self.outputs.push_back(Output::Close { connection, last: notification.encode() });
    }

    fn refuse_silently(&mut self, connection: ConnectionId) {
        self.counters.refused += 1;
        self.outputs.push_back(Output::Close { connection, last: Vec::new() });
    }

    fn add(
        &mut self,
        id: ConnectionId,
        direction: Direction,
        local: IpAddr,
        remote: IpAddr,
        now: Instant,
    ) {
        self.retry_at = None;
        let (fsm, actions) = Fsm::new(Arc::clone(&self.offer), local, remote);
        let link = Connection::new(id, direction, fsm);
        if self.is_nearly_up() {
            self.hold(link, actions);
        } else {
            self.connections.push(link);
            self.act(id, actions, now);
        }
        self.note_state(now);
    }

    fn take(&mut self, id: ConnectionId) -> Option<Connection> {
        let at = self.connections.iter().position(|link| link.id == id)?;
        Some(self.connections.remove(at))
    }

    /// The neighbor's OPEN was accepted on `id`: where another connection is on its
    /// way, the one that the higher identifier dialed is kept; of equal ones the
    /// higher AS's (RFC 6286 §2.3).
    ///
    /// A connection on which no OPEN came yet counts, since the other end is known:
    /// were it left out, each end could be up on another one and close the other's.
    pub(super) fn resolve_collision(&mut self, id: ConnectionId, now: Instant) {
        let other = self.connections.iter().find(|link| link.id != id && !link.is_up);
        let Some(other) = other.map(|link| (link.id, link.direction)) else { return };
        let Some(link) = self.link(id) else { return };
        let Some(agreed) = &link.negotiated else { return };
        let ours = (agreed.local_id, agreed.local_asn);
        let theirs = (agreed.remote_id, agreed.remote_asn);
        let kept = if ours < theirs { Direction::Incoming } else { Direction::Outgoing };
        let loser = if link.direction == kept { other.0 } else { id };
        self.fail(loser, Notification::cease(COLLISION), now);
    }

    /// The session is up on `id`; nothing else is needed.
    pub(super) fn establish(&mut self, id: ConnectionId, now: Instant) {
        self.give_up_dial();
        let others = self.connections.iter().filter(|link| link.id != id);
        let others: Vec<_> = others.map(|link| (link.id, link.is_up)).collect();
        for (other, was_up) in others {
            if was_up {
                self.end(other, DownReason::Replaced, Vec::new(), now);
            } else {
                self.fail(other, Notification::cease(COLLISION), now);
            }
        }
        if let Some(link) = self.link(id) {
            link.is_up = true;
        }
        self.since = now;
        if let Some(restart) = &mut Arc::make_mut(&mut self.offer).restart {
            restart.restarting = false;
        }
        self.counters.established += 1;
        self.note_state(now);
        if let Some(agreed) = self.negotiated().cloned() {
            self.event(Event::Established(agreed));
        }
    }

    /// Ends a connection from our side, with these bytes.
    pub(super) fn end(
        &mut self,
        id: ConnectionId,
        reason: DownReason,
        last: Vec<u8>,
        now: Instant,
    ) {
        let Some(link) = self.take(id) else { return };
        self.outputs.push_back(Output::Close { connection: id, last });
        self.error(reason.to_string(), now);
        self.ended(&link, reason, now);
    }

    /// A connection is over, whoever ended it: tells so where it was the session's,
    /// and sees to what comes next.
    pub(super) fn ended(&mut self, link: &Connection, reason: DownReason, now: Instant) {
        let was_up = link.is_up;
        if was_up {
            self.backoff.was_up(now.since(self.since));
            self.counters.flaps += 1;
        }
        if self.wanted == Wanted::Up && self.connections.is_empty() && self.dial.is_none() {
            match next(&reason) {
                Next::Idle => {
                    let wait = self.backoff.wait();
                    self.retry_at = None;
                    self.idle_until = Some(now + self.jitter.around(wait));
                }
                Next::LeaveAlone => {
                    let wait = self.backoff.wait();
                    self.retry_at = Some(now + self.jitter.around(wait));
                }
                Next::Retry => {
                    self.retry_at = Some(now + self.jitter.around(self.config.connect_retry));
                }
            }
        }
        if was_up {
            let keeps_routes = keeps_routes(link, &reason);
            self.event(Event::Down { reason, keeps_routes });
        }
        self.go_on(now);
        self.note_state(now);
    }
}

/// What comes after a connection that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It failed: nobody is dialed or let in for a while, longer each time.
    Idle,
    /// Someone there wanted it: not dialed for a while, longer each time (RFC 4486 §4),
    /// but let in, for who connects is back.
    LeaveAlone,
    /// It is tried again soon.
    Retry,
}

fn next(reason: &DownReason) -> Next {
    match reason {
        DownReason::Received(notification) => {
            let inner = notification.inner();
            match (inner.code, inner.subcode) {
                (6, COLLISION) => Next::Retry,
                // Shut down, deconfigured, reset, configured anew.
                (6, 2 | 3 | 4 | 6) => Next::LeaveAlone,
                _ => Next::Idle,
            }
        }
        DownReason::Sent(notification) => {
            let inner = notification.inner();
            if inner.code == 6 && inner.subcode == COLLISION { Next::Retry } else { Next::Idle }
        }
        DownReason::SendHoldExpired => Next::Idle,
        DownReason::Lost | DownReason::Replaced | DownReason::Bfd { .. } | DownReason::Released => {
            Next::Retry
        }
    }
}

/// Whether the neighbor's routes may be kept (RFC 4724 §4.2, RFC 8538 §4).
fn keeps_routes(link: &Connection, reason: &DownReason) -> bool {
    let Some(agreed) = &link.negotiated else { return false };
    let Some(restart) = &agreed.restart else { return false };
    if restart.families.is_empty() && agreed.long_lived.is_empty() {
        return false;
    }
    match reason {
        DownReason::Lost | DownReason::Replaced => true,
        DownReason::Sent(notification) | DownReason::Received(notification) => {
            restart.notification && !notification.is_hard_reset()
        }
        DownReason::SendHoldExpired => restart.notification,
        DownReason::Bfd { control_plane_independent } => !control_plane_independent,
        DownReason::Released => false,
    }
}
