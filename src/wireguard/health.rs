//! What the samples of a peer say of how it is.
//!
//! WireGuard has no connections: a peer that is silent may be idle, or gone. So
//! this goes by what must be heard from a peer that lives: the answer to a
//! handshake, and a sign within 15 s of data (paper §6.5). It judges a kernel
//! device's samples as well as ours.
//!
//! Feed it with [`Health::handle_sample`], ask [`Health::judge`]; without a new
//! sample the judgement can change at [`Health::poll_timeout`].

use super::constants::{KEEPALIVE_TIMEOUT, REJECT_AFTER_TIME, REKEY_TIMEOUT};
use super::{PeerConfig, PeerSample};
use crate::net::Timestamp;
use std::time::Duration;

/// How long data may go unanswered: a peer that has nothing to send sends a
/// keepalive after 10 s, and 5 s are for the way.
const PATIENCE: Duration = KEEPALIVE_TIMEOUT.saturating_add(REKEY_TIMEOUT);

/// How a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// No handshake was ever completed, as far as this process knows.
    NeverConnected,
    /// There is a session, and what we sent was answered.
    Up,
    /// The last session has run out, and nobody needed another.
    Stale,
    /// There is a session, we send, and nothing comes back.
    Blackholed,
    /// The last session has run out, and there should be another.
    Down,
}

impl PeerState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverConnected => "NeverConnected",
            Self::Up => "Up",
            Self::Stale => "Stale",
            Self::Blackholed => "Blackholed",
            Self::Down => "Down",
        }
    }
}

/// Why a peer is judged so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerReason {
    /// Never connected: nothing was tried yet.
    Starting,
    /// Never connected: we do not know where it is.
    WaitingForCustomer,
    /// Never connected: our handshakes are not answered.
    HandshakeUnanswered,
    /// Never connected: its handshakes are answered by us, and not completed.
    HandshakeUnconfirmed,
    /// Up.
    SessionAlive,
    /// Stale.
    SessionExpired,
    /// Blackholed.
    NoReply,
    /// Down: handshakes are not answered any more.
    HandshakeTimeout,
}

impl PeerReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::WaitingForCustomer,
        Self::HandshakeUnanswered,
        Self::HandshakeUnconfirmed,
        Self::SessionAlive,
        Self::SessionExpired,
        Self::NoReply,
        Self::HandshakeTimeout,
    ];

    /// Its name in snake_case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::WaitingForCustomer => "waiting_for_customer",
            Self::HandshakeUnanswered => "handshake_unanswered",
            Self::HandshakeUnconfirmed => "handshake_unconfirmed",
            Self::SessionAlive => "session_alive",
            Self::SessionExpired => "session_expired",
            Self::NoReply => "no_reply",
            Self::HandshakeTimeout => "handshake_timeout",
        }
    }

    /// It as a person reads it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Starting => "no handshake was tried yet",
            Self::WaitingForCustomer => "its endpoint is not known; it has to begin",
            Self::HandshakeUnanswered => "it never answered a handshake",
            Self::HandshakeUnconfirmed => "it begins handshakes and never completes one",
            Self::SessionAlive => "there is a session, and what is sent is answered",
            Self::SessionExpired => "silent since its last session ended; nothing was missed",
            Self::NoReply => "packets are sent to it and nothing comes back",
            Self::HandshakeTimeout => "it does not answer handshakes any more",
        }
    }
}

/// One peer, as its samples show it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    keeps_alive: bool,
    last: PeerSample,
    /// [`PeerSample::handshake_timeouts`] when the last handshake was seen.
    timeouts: u64,
    /// When data was sent that nothing came back for.
    unanswered: Option<Timestamp>,
}

impl Health {
    /// A peer nothing is known of.
    pub fn new(config: &PeerConfig) -> Self {
        let mut health = Self::default();
        health.configure(config);
        health
    }

    /// The peer is to be like this from now on.
    pub const fn configure(&mut self, config: &PeerConfig) {
        self.keeps_alive = config.keepalive.is_some();
    }

    /// Takes the next sample of the peer.
    pub fn handle_sample(&mut self, sample: &PeerSample) {
        let last = std::mem::replace(&mut self.last, *sample);
        if sample.handshakes < last.handshakes || sample.received_bytes < last.received_bytes {
            // Another device's samples: what was counted before is no measure.
            *self = Self { keeps_alive: self.keeps_alive, last: *sample, ..Self::default() };
        }
        if last.last_handshake < sample.last_handshake {
            self.timeouts = sample.handshake_timeouts;
        }
        if last.received_bytes < sample.received_bytes {
            self.unanswered = None;
        }
        let is_sent = last.last_sent < sample.last_sent;
        if is_sent && self.unanswered.is_none() && sample.last_received < sample.last_sent {
            self.unanswered = sample.last_sent;
        }
    }

    /// How the peer is at `now`, and why.
    pub fn judge(&self, now: Timestamp) -> (PeerState, PeerReason) {
        let is_failing = self.timeouts < self.last.handshake_timeouts;
        let Some(handshake) = self.last.last_handshake else {
            let reason = match self.last.endpoint {
                // Only what its own key has signed is counted as received.
                _ if self.last.received_bytes != 0 => PeerReason::HandshakeUnconfirmed,
                _ if is_failing => PeerReason::HandshakeUnanswered,
                None => PeerReason::WaitingForCustomer,
                Some(_) => PeerReason::Starting,
            };
            return (PeerState::NeverConnected, reason);
        };
        if REJECT_AFTER_TIME <= now.since(handshake) {
            return if is_failing || self.keeps_alive {
                (PeerState::Down, PeerReason::HandshakeTimeout)
            } else {
                (PeerState::Stale, PeerReason::SessionExpired)
            };
        }
        if self.unanswered.is_some_and(|since| PATIENCE <= now.since(since)) {
            return (PeerState::Blackholed, PeerReason::NoReply);
        }
        (PeerState::Up, PeerReason::SessionAlive)
    }

    /// When [`Health::judge`] may say something else although no sample came.
    pub fn poll_timeout(&self, now: Timestamp) -> Option<Timestamp> {
        let expiry = self.last.last_handshake.map(|at| at + REJECT_AFTER_TIME);
        let patience = self.unanswered.map(|since| since + PATIENCE);
        [expiry, patience].into_iter().flatten().filter(|at| now < *at).min()
    }
}
