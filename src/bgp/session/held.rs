//! A connection of the neighbor's that comes when another is nearly up: it waits, and our
//! OPEN with it, until it is known what becomes of the other.
//!
//! On the other our OPEN and the KEEPALIVE are said, so the neighbor may be up on it at
//! any moment, or drop it as soon as it has an OPEN to compare it with (RFC 4271 §6.8).
//! We would be up on what it has just dropped. Without our OPEN there is nothing to
//! compare: either the other is up, and this one is closed, or it ends, and this one
//! goes on.

use super::connection::Connection;
use super::{ConnectionId, Session};
use crate::bgp::proto::{Action, Notification};
use crate::model::limits::BGP_MESSAGE_BYTES;
use crate::net::Instant;

impl Session {
    /// Whether a connection that comes now has to wait.
    pub(super) fn is_nearly_up(&self) -> bool {
        self.connections.iter().any(|link| link.negotiated.is_some() && !link.is_up)
    }

    /// Has a connection wait, with what is to be done once it goes on.
    pub(super) fn hold(&mut self, mut link: Connection, actions: Vec<Action>) {
        link.held = Some(actions);
        self.connections.push(link);
    }

    /// Keeps what comes on a connection that waits: an OPEN, for a neighbor says no more
    /// before it has ours. Gives whether it does wait.
    pub(super) fn keep_if_held(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) -> bool {
        let Some(link) = self.link(id).filter(|link| link.held.is_some()) else { return false };
        if BGP_MESSAGE_BYTES < link.received.len() + bytes.len() {
            self.fail(id, Notification::cease(super::links::COLLISION), now);
        } else {
            link.received.extend_from_slice(bytes);
        }
        true
    }

    /// Lets go on what waited, where there is nothing more to wait for.
    pub(super) fn go_on(&mut self, now: Instant) {
        if self.is_nearly_up() || self.established().is_some() {
            return;
        }
        let held = self.connections.iter_mut().find_map(|link| Some((link.id, link.held.take()?)));
        let Some((id, actions)) = held else { return };
        self.act(id, actions, now);
        self.handle_bytes(id, &[], now);
    }
}
