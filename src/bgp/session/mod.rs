//! One neighbor's session, without its sockets.
//!
//! ```text
//!              the network                                the routes
//!   handle_incoming ─┐                              ┌─▶ Event::Update, EndOfRib, …
//!   handle_connected ┼─▶ ┌──────── Session ───────┐ │
//!   handle_bytes ────┤   │ a few connections, of  │─┼─▶ Event::Established, Down
//!   handle_closed ───┘   │ which one survives     │ │
//!   unsent ◀── Write ◀── └────────────────────────┘ ├── advertise, end_of_rib
//!   handle_written ──▶        ▲            ▲        └── begin_refresh, end_refresh
//!   Dial, Close ◀──      start, stop,   handle_timeout
//!                        bfd_down       poll_timeout
//! ```
//!
//! Feed it with `handle_*`, drain [`Session::poll_output`] until `None` after each
//! of them, and wake it at [`Session::poll_timeout`]. Before it is woken, what
//! lies in the sockets should be read: a neighbor is not silent because we were.
//!
//! Where two connections meet, one loses (RFC 4271 §6.8). What was said over one
//! that goes is over; what may be kept of it is said with [`Event::Down`].
//!
//! In reading order: [`SessionConfig`], [`Output`] and [`Event`], this file (what a
//! session is, what is due when), `admin` (up and down), `links` (connections that
//! come, meet and go), `held` (one that waits for another), `receive`, `advertise`,
//! [`SessionSample`].

mod admin;
mod advertise;
mod backoff;
mod config;
mod connection;
mod held;
mod links;
mod out_queue;
mod output;
mod receive;
mod sample;

pub use advertise::{AdvertiseError, Advertised};
pub use config::{SessionConfig, StopReason};
pub use output::{ConnectionId, DownReason, Event, Output};
pub use sample::{SessionCounters, SessionSample, SessionState};

use super::proto::{Action, FsmState, Input, MessageKind, Negotiated, Notification, Offer};
use crate::model::limits::{BGP_ERROR_TEXT_BYTES, BGP_IDLE_HOLD_SECONDS};
use crate::net::{Instant, Jitter};
use backoff::Backoff;
use connection::Connection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a dial may take: four attempts of TCP at a connection.
const DIAL_TIME: Duration = Duration::from_secs(20);

/// A session with one neighbor.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    offer: Arc<Offer>,
    /// Whether it is to be up.
    wanted: Wanted,
    /// The dial that is under way, and when it has taken too long.
    dial: Option<(ConnectionId, Instant)>,
    /// At most one from each side on its way, beside one that is up.
    connections: Vec<Connection>,
    /// When to dial next, while nothing stands.
    retry_at: Option<Instant>,
    /// Until when no connection is taken, after an error.
    idle_until: Option<Instant>,
    backoff: Backoff,
    jitter: Jitter,
    next_id: u64,
    outputs: VecDeque<Output>,
    counters: SessionCounters,
    state: SessionState,
    since: Instant,
    last_error: Option<(String, Instant)>,
}

/// Whether a session is to be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Up,
    /// Not, or not before then. Who connects is told so, unless we restart: being
    /// told would be the end of keeping our routes.
    Down {
        until: Option<Instant>,
        is_restart: bool,
    },
}

impl Session {
    /// A session as `config` describes it; it begins stopped.
    ///
    /// `seed` is a random number; waits are made uneven with it.
    pub fn new(config: SessionConfig, seed: u64, now: Instant) -> Self {
        let most = Duration::from_secs(BGP_IDLE_HOLD_SECONDS);
        Self {
            offer: Arc::new(config.offer.clone()),
            wanted: Wanted::Down { until: None, is_restart: false },
            dial: None,
            connections: Vec::new(),
            retry_at: None,
            idle_until: None,
            backoff: Backoff::new(config.idle_hold, most),
            jitter: Jitter::new(seed),
            next_id: 0,
            outputs: VecDeque::new(),
            counters: SessionCounters::default(),
            state: SessionState::Stopped,
            since: now,
            last_error: None,
            config,
        }
    }

    /// The next thing that is to be done, or to be known.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Session::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let restart = match self.wanted {
            Wanted::Up => None,
            Wanted::Down { until, .. } => until,
        };
        let dial = self.dial.map(|(_, until)| until);
        let send_hold = self.config.send_hold;
        let of_connections = self.connections.iter().flat_map(|connection| {
            [connection.hold, connection.keepalive, connection.send_deadline(send_hold)]
        });
        let all = [restart, dial, self.retry_at, self.idle_until].into_iter();
        all.chain(of_connections).flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Wanted::Down { until, .. } = self.wanted
            && is_due(until)
        {
            self.start(now);
        }
        if let Some((id, until)) = self.dial
            && until <= now
        {
            self.outputs.push_back(Output::Close { connection: id, last: Vec::new() });
            self.dial_failed("connecting took too long", now);
        }
        if is_due(self.idle_until) {
            self.idle_until = None;
            self.retry_at = Some(now);
        }
        if is_due(self.retry_at) {
            self.retry_at = None;
            self.dial(now);
        }
        let ids: Vec<ConnectionId> = self.connections.iter().map(|link| link.id).collect();
        for id in ids {
            self.handle_connection_timeout(id, now);
        }
        self.note_state(now);
    }

    fn handle_connection_timeout(&mut self, id: ConnectionId, now: Instant) {
        let send_hold = self.config.send_hold;
        let Some(link) = self.link(id) else { return };
        if link.send_deadline(send_hold).is_some_and(|at| at <= now) {
            // It would not take a NOTIFICATION either.
            self.end(id, DownReason::SendHoldExpired, Vec::new(), now);
            return;
        }
        if link.hold.is_some_and(|at| at <= now) {
            link.hold = None;
            let actions = link.fsm.handle(Input::HoldExpired);
            self.act(id, actions, now);
        }
        let Some(link) = self.link(id) else { return };
        if link.keepalive.is_some_and(|at| at <= now) {
            link.keepalive = None;
            let actions = link.fsm.handle(Input::KeepaliveDue);
            self.act(id, actions, now);
        }
    }

    /// Does what a connection's machine says.
    fn act(&mut self, id: ConnectionId, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Send(kind, message) => self.send(id, kind, &message, now),
                Action::Notify(notification) => self.fail(id, notification, now),
                Action::Close => self.end(id, DownReason::Lost, Vec::new(), now),
                Action::Hold(time) => {
                    if let Some(link) = self.link(id) {
                        link.hold = time.map(|time| now + time);
                    }
                }
                Action::Keepalive(interval) => {
                    let at = interval.map(|interval| now + self.jitter.shortened(interval));
                    if let Some(link) = self.link(id) {
                        link.keepalive = at;
                        link.keepalive_interval = interval;
                    }
                }
                Action::Opened(agreed) => {
                    if let Some(link) = self.link(id) {
                        link.negotiated = Some(agreed);
                    }
                    // A dial that is not through by now would only come too late.
                    self.give_up_dial();
                    self.resolve_collision(id, now);
                }
                Action::Established => self.establish(id, now),
            }
        }
    }

    /// Puts a whole message on its way.
    fn send(&mut self, id: ConnectionId, kind: MessageKind, message: &[u8], now: Instant) {
        let Some(at) = self.connections.iter().position(|link| link.id == id) else { return };
        let Some(link) = self.connections.get_mut(at) else { return };
        // What already waits says that we are here; more of it would only pile up.
        if kind == MessageKind::Keepalive && link.is_up && !link.out.is_empty() {
            return;
        }
        if link.out.is_empty() {
            link.stuck_since = Some(now);
            self.outputs.push_back(Output::Write(id));
        }
        link.out.push(message);
        if kind == MessageKind::Update
            && let Some(interval) = link.keepalive_interval
        {
            link.keepalive = Some(now + self.jitter.shortened(interval));
        }
        count(&mut self.counters.sent, kind);
    }

    /// Ends a connection with a NOTIFICATION.
    fn fail(&mut self, id: ConnectionId, notification: Notification, now: Instant) {
        let last = self.last_words(id, &notification);
        self.end(id, DownReason::Sent(notification), last, now);
    }

    /// What a connection that ends with `notification` has to write still.
    fn last_words(&mut self, id: ConnectionId, notification: &Notification) -> Vec<u8> {
        let Some(link) = self.link(id) else { return Vec::new() };
        let mut last = link.out.rest_of_message().to_vec();
        last.extend(notification.encode());
        self.count_notification(notification);
        last
    }

    fn count_notification(&mut self, notification: &Notification) {
        count(&mut self.counters.sent, MessageKind::Notification);
        let sent = &mut self.counters.notifications_sent;
        SessionCounters::notification(sent, notification);
    }

    fn link(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|link| link.id == id)
    }

    /// The connection of the session that is up.
    fn established(&self) -> Option<&Connection> {
        self.connections.iter().find(|link| link.is_up)
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn error(&mut self, mut text: String, now: Instant) {
        while BGP_ERROR_TEXT_BYTES < text.len() {
            text.pop();
        }
        self.last_error = Some((text, now));
    }

    /// Where the session stands.
    pub fn state(&self) -> SessionState {
        let furthest = self.connections.iter().map(|link| link.fsm.state()).max();
        match furthest {
            Some(FsmState::Established) => SessionState::Established,
            Some(FsmState::OpenConfirm) => SessionState::OpenConfirm,
            Some(FsmState::OpenSent) => SessionState::OpenSent,
            Some(FsmState::Idle) | None => match self.wanted {
                Wanted::Down { .. } => SessionState::Stopped,
                Wanted::Up if self.idle_until.is_some() => SessionState::Idle,
                Wanted::Up if self.dial.is_some() => SessionState::Connect,
                Wanted::Up => SessionState::Active,
            },
        }
    }

    fn note_state(&mut self, now: Instant) {
        let state = self.state();
        if state != self.state {
            (self.state, self.since) = (state, now);
        }
    }

    /// What both ends agreed on, while the session is up.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.established()?.negotiated.as_ref()
    }

    /// How the session is.
    pub fn sample(&self) -> SessionSample {
        SessionSample {
            state: self.state,
            since: self.since,
            negotiated: self.negotiated().cloned(),
            unsent_bytes: self.established().map_or(0, |link| link.out.unsent().len()),
            counters: self.counters.clone(),
            last_error: self.last_error.clone(),
        }
    }
}

fn count(counts: &mut [u64; MessageKind::ALL.len()], kind: MessageKind) {
    if let Some(count) = counts.get_mut(kind as usize) {
        *count = count.saturating_add(1);
    }
}
