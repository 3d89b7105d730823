//! Datagrams from the customers: which peer's they are, and the packets in them.

use super::{Device, ask_handshake, enqueue, forget_begun, schedule};
use crate::net::Now;
use crate::wireguard::alias::{inward, is_alias};
use crate::wireguard::inner::inspect;
use crate::wireguard::messages::{HEADER_LEN, Kind, kind, receiver};
use crate::wireguard::peer::Peer;
use crate::wireguard::{DropReason, Received};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

impl Device {
    /// Takes a datagram that came `from` a socket address to the address `to`
    /// of ours (`None` if not known); opens it in place.
    pub fn handle_datagram(
        &mut self,
        from: SocketAddr,
        to: Option<IpAddr>,
        datagram: &mut [u8],
        now: Now,
    ) -> Received {
        let handled = kind(datagram).and_then(|kind| match kind {
            Kind::Data => self.handle_data(from, to, datagram, now),
            Kind::Initiation => self.handle_initiation(from, to, datagram, now),
            Kind::Response => self.handle_response(from, to, datagram, now),
            Kind::Cookie => self.handle_cookie(datagram, now),
        });
        handled.unwrap_or_else(|reason| Received::Dropped(self.dropped(reason)))
    }

    fn handle_data(
        &mut self,
        from: SocketAddr,
        to: Option<IpAddr>,
        datagram: &mut [u8],
        now: Now,
    ) -> Result<Received, DropReason> {
        let local = receiver(Kind::Data, datagram);
        let slot = self.indices.slot(local).ok_or(DropReason::UnknownIndex)?;
        let peer = self.peers.at(slot).ok_or(DropReason::UnknownIndex)?;
        let session = peer.session(local).ok_or(DropReason::UnknownIndex)?;
        let opened = session.open(datagram, now.mono)?;

        // A message that was overtaken says where the peer was, not where it is.
        if opened.is_newest {
            peer.roam(from, to, now.mono);
        }
        if let Some(gone) = peer.confirm(local) {
            for gone in gone.into_iter().flatten() {
                self.indices.free(gone);
            }
            // The peer's handshake made ours needless.
            forget_begun(peer, &mut self.indices);
            peer.handshake_done(now);
            enqueue(&mut self.queue, peer);
            let index = peer.index;
            self.take_over(index);
        } else if peer.held_until.is_some() && peer.uses(local) {
            peer.held_until = None;
            enqueue(&mut self.queue, peer);
        }
        let peer = self.peers.at(slot).ok_or(DropReason::PeerGone)?;
        if !peer.asked_late && peer.current.as_ref().is_some_and(|s| s.is_late(now.mono)) {
            peer.asked_late = true;
            ask_handshake(peer, &mut self.queue, now.mono);
        }
        peer.counters.received_bytes += datagram.len() as u64;
        peer.counters.last_received = Some(now.mono);
        peer.timers.received(peer.config.keepalive, now.mono);
        if opened.len == 0 {
            schedule(&mut self.deadlines, peer);
            return Ok(Received::Nothing);
        }
        peer.timers.data_received(now.mono);
        schedule(&mut self.deadlines, peer);

        let packet = datagram.get_mut(HEADER_LEN..HEADER_LEN + opened.len).unwrap_or_default();
        let mut inner = inspect(packet)?;
        if !peer.config.translations.is_empty() {
            // Our names for its networks are no addresses of its own.
            if is_alias(&peer.config.translations, inner.source) {
                return Err(DropReason::SourceNotAllowed);
            }
            let packet = packet.get_mut(..inner.len).unwrap_or_default();
            inward(&peer.config.translations, packet)?;
            // The source is checked as what we call it.
            inner = inspect(packet)?;
        }
        self.check_source(slot, inner.source)?;
        let peer = self.peers.at(slot).ok_or(DropReason::PeerGone)?;
        peer.counters.received_packets += 1;
        let range = Range { start: HEADER_LEN, end: HEADER_LEN + inner.len };
        Ok(Received::Packet { peer: peer.index, range })
    }

    /// Whether an inner source is this peer's, and no other's by a longer prefix.
    fn check_source(&mut self, slot: u32, source: IpAddr) -> Result<(), DropReason> {
        let peer = self.peers.at(slot).ok_or(DropReason::PeerGone)?;
        if peer.last_source == Some(source) {
            return Ok(());
        }
        let index = peer.index;
        let owner = self.allowed.longest_match(source);
        // What its twin has is its own: they are one customer.
        if owner.is_none() || (owner != Some(index) && owner != self.twin(index)) {
            return Err(DropReason::SourceNotAllowed);
        }
        let peer = self.peers.at(slot).ok_or(DropReason::PeerGone)?;
        peer.last_source = Some(source);
        Ok(())
    }
}

impl Peer {
    /// A handshake is done on both sides.
    pub(super) fn handshake_done(&mut self, now: Now) {
        if let Some(session) = &self.current {
            self.made_with = session.made_with;
        }
        self.attempts = 0;
        self.asked_late = false;
        self.timers.handshake_done();
        self.counters.handshakes += 1;
        self.counters.last_handshake = Some(now.wall);
    }
}
