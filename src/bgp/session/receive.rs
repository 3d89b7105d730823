//! Bytes that come, message by message.

use super::{ConnectionId, DownReason, Event, Output, Session, SessionCounters, count};
use crate::bgp::proto::{
    FsmState, Input, MessageKind, Negotiated, Notification, Received, Refresh, decode_refresh,
    decode_update, next_message,
};
use crate::model::limits::BGP_READ_BYTES;
use crate::net::Instant;
use std::sync::Arc;

impl Session {
    /// Bytes came on a connection. Takes [`BGP_READ_BYTES`] of them at most and gives
    /// how many: drain [`Session::poll_output`], then give the rest.
    pub fn handle_bytes(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) -> usize {
        let bytes = bytes.get(..BGP_READ_BYTES).unwrap_or(bytes);
        if self.keep_if_held(id, bytes, now) {
            return bytes.len();
        }
        let Some(link) = self.link(id) else { return bytes.len() };
        let mut received = std::mem::take(&mut link.received);
        received.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(link) = self.link(id) {
            let rest = received.get(at..).unwrap_or_default();
            match next_message(rest, link.maximum_message()) {
                Ok(Some((kind, length))) if length <= rest.len() => {
                    let message = rest.get(..length).unwrap_or_default();
                    self.handle_message(id, kind, message, now);
                    at += length;
                }
                Ok(_) => {
                    received.drain(..at);
                    link.received = received;
                    break;
                }
                Err(notification) => self.fail(id, notification, now),
            }
        }
        self.note_state(now);
        bytes.len()
    }

    /// Part of what was [`Session::unsent`] was written.
    pub fn handle_written(&mut self, id: ConnectionId, count: usize, now: Instant) {
        let Some(link) = self.link(id) else { return };
        if count != 0 {
            link.out.wrote(count);
            link.stuck_since = if link.out.is_empty() { None } else { Some(now) };
        }
        let is_roomy = link.out.unsent().len() < super::advertise::ROOMY_BYTES;
        if is_roomy && std::mem::take(&mut link.owes_writable) {
            self.outputs.push_back(Output::Event(Event::Writable));
        }
    }

    /// What is to be written on a connection; empty when nothing is.
    pub fn unsent(&self, id: ConnectionId) -> &[u8] {
        let link = self.connections.iter().find(|link| link.id == id);
        link.map_or(&[], |link| link.out.unsent())
    }

    fn handle_message(
        &mut self,
        id: ConnectionId,
        kind: MessageKind,
        message: &[u8],
        now: Instant,
    ) {
        count(&mut self.counters.received, kind);
        if kind == MessageKind::Notification {
            self.handle_notification(id, Notification::decode(message), now);
            return;
        }
        let Some(link) = self.link(id) else { return };
        let agreed = link.negotiated.clone().filter(|_| link.fsm.state() == FsmState::Established);
        let input = match kind {
            MessageKind::Open => Input::Open(message),
            MessageKind::Update
            | MessageKind::Notification
            | MessageKind::Keepalive
            | MessageKind::RouteRefresh => Input::Message(kind),
        };
        let actions = link.fsm.handle(input);
        self.act(id, actions, now);
        // In any other state the machine has ended the connection.
        let Some(agreed) = agreed else { return };
        let result = match kind {
            MessageKind::Update => self.handle_update(message, &agreed, now),
            MessageKind::RouteRefresh => self.handle_refresh(message, &agreed),
            MessageKind::Open | MessageKind::Notification | MessageKind::Keepalive => Ok(()),
        };
        if let Err(notification) = result {
            self.fail(id, notification, now);
        }
    }

    /// It ends the connection, and is never answered (RFC 4271 §6.4).
    fn handle_notification(&mut self, id: ConnectionId, notification: Notification, now: Instant) {
        let received = &mut self.counters.notifications_received;
        SessionCounters::notification(received, &notification);
        self.end(id, DownReason::Received(notification), Vec::new(), now);
    }

    fn handle_update(
        &mut self,
        message: &[u8],
        agreed: &Arc<Negotiated>,
        now: Instant,
    ) -> Result<(), Notification> {
        let Received { update, end_of_rib, flaws, treated, complaint } =
            decode_update(message, agreed)?;
        for (flaw, networks) in flaws {
            if let Some(count) = self.counters.flaws.get_mut(flaw as usize) {
                *count = count.saturating_add(u64::try_from(networks).unwrap_or(u64::MAX));
            }
        }
        if let Some(complaint) = complaint {
            self.error(format!("UPDATE: {complaint}"), now);
        }
        if !update.withdrawn.is_empty() || !update.announced.is_empty() {
            self.event(Event::Update(update));
        }
        for (fault, networks) in treated {
            self.event(Event::TreatedAsWithdrawn(fault, networks));
        }
        if let Some(family) = end_of_rib {
            self.event(Event::EndOfRib(family));
        }
        Ok(())
    }

    fn handle_refresh(
        &mut self,
        message: &[u8],
        agreed: &Arc<Negotiated>,
    ) -> Result<(), Notification> {
        if let Some((refresh, family)) = decode_refresh(message, agreed)? {
            self.event(match refresh {
                Refresh::Ask => Event::RefreshAsked(family),
                Refresh::Begin => Event::RefreshBegun(family),
                Refresh::End => Event::RefreshEnded(family),
            });
        }
        Ok(())
    }
}
