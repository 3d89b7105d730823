//! One connection of a session, from the moment it stands.

use super::ConnectionId;
use super::out_queue::OutQueue;
use crate::bgp::proto::{Action, Fsm, Negotiated};
use crate::model::limits::BGP_MESSAGE_BYTES;
use crate::net::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Who made the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The neighbor.
    Incoming,
    /// We.
    Outgoing,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) direction: Direction,
    pub(super) fsm: Fsm,
    /// Whether the session came up on it.
    pub(super) is_up: bool,
    /// What is to be done on it once it goes on, while it waits for another.
    pub(super) held: Option<Vec<Action>>,
    /// What both ends agreed on, once the neighbor's OPEN is accepted.
    pub(super) negotiated: Option<Arc<Negotiated>>,
    /// The beginning of a message that is not there in full.
    pub(super) received: Vec<u8>,
    pub(super) out: OutQueue,
    /// Whether an UPDATE found no room.
    pub(super) owes_writable: bool,
    /// When silence has lasted too long.
    pub(super) hold: Option<Instant>,
    /// When to say that we are still here, and how often.
    pub(super) keepalive: Option<Instant>,
    pub(super) keepalive_interval: Option<Duration>,
    /// Since when the neighbor takes nothing although there is something.
    pub(super) stuck_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, direction: Direction, fsm: Fsm) -> Self {
        Self {
            id,
            direction,
            fsm,
            is_up: false,
            held: None,
            negotiated: None,
            received: Vec::new(),
            out: OutQueue::default(),
            owes_writable: false,
            hold: None,
            keepalive: None,
            keepalive_interval: None,
            stuck_since: None,
        }
    }

    /// The most bytes of a message that may come: longer ones only behind both
    /// OPENs (RFC 8654 §3).
    pub(super) fn maximum_message(&self) -> usize {
        self.negotiated.as_ref().map_or(BGP_MESSAGE_BYTES, |agreed| agreed.maximum_message)
    }

    /// When the neighbor has taken nothing for too long (RFC 9687 §3).
    pub(super) fn send_deadline(&self, send_hold: Option<Duration>) -> Option<Instant> {
        let since = self.stuck_since.filter(|_| self.is_up)?;
        Some(since + send_hold?)
    }
}
