//! Packets from the tenant to a peer.

use super::{Device, ask_handshake, enqueue, schedule};
use crate::net::{Instant, Mtu, Now};
use crate::wireguard::alias::outward;
use crate::wireguard::messages::{HEADER_LEN, TAG_LEN};
use crate::wireguard::peer::Peer;
use crate::wireguard::{DropReason, PeerIndex, SendState};

impl Device {
    /// Whether packets for `peer` can be sealed now, and where to send them.
    ///
    /// Holds for a batch: [`Device::seal`] as many as there are, then
    /// [`Device::sent`] once.
    pub fn begin_send(&mut self, peer: PeerIndex, now: Now) -> SendState {
        let Some(peer) = self.peers.get(peer) else { return SendState::NoEndpoint };
        let Some(destination) = peer.destination() else { return SendState::NoEndpoint };
        // What is staged goes first.
        if peer.can_send(now.mono) && peer.staging.is_empty() {
            SendState::Ready(destination)
        } else {
            SendState::Staging
        }
    }

    /// Makes a datagram of a packet, in place, and returns its length.
    ///
    /// `buffer` holds [`HEADER_LEN`] bytes of
    /// room, the packet of `len` bytes, and room for padding to a multiple of
    /// 16 (not beyond the MTU) and the 16-byte tag. The packet is padded as far
    /// as there is room.
    ///
    /// # Errors
    /// The reason to drop it for, counted already.
    pub fn seal(
        &mut self,
        peer: PeerIndex,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<usize, DropReason> {
        let mtu = self.mtu;
        let Some(peer) = self.peers.get(peer) else {
            return Err(self.dropped(DropReason::PeerGone));
        };
        seal(peer, mtu, buffer, len).map_err(|reason| self.dropped(reason))
    }

    /// Says that `datagrams` of `bytes` in all, sealed since
    /// [`Device::begin_send`], were sent.
    pub fn sent(&mut self, peer: PeerIndex, datagrams: u64, bytes: u64, now: Now) {
        let Some(peer) = self.peers.get(peer) else { return };
        peer.counters.sent_packets += datagrams;
        peer.counters.sent_bytes += bytes;
        peer.counters.last_sent = Some(now.mono);
        peer.owed.keepalive = false;
        peer.timers.sent(peer.config.keepalive, now.mono);
        peer.timers.data_sent(&mut self.random, now.mono);
        if peer.current.as_ref().is_some_and(|session| session.is_worn(now.mono)) {
            ask_handshake(peer, &mut self.queue, now.mono);
        }
        schedule(&mut self.deadlines, peer);
    }

    /// Keeps a packet until there is a session, and asks for one.
    ///
    /// At [`limits::STAGED_PACKETS`](crate::model::limits::STAGED_PACKETS) or
    /// `STAGED_BYTES` the oldest ones make room, counted as
    /// [`DropReason::StagingFull`].
    ///
    /// # Errors
    /// The reason to drop it for, counted already.
    pub fn stage(&mut self, peer: PeerIndex, packet: &[u8], now: Now) -> Result<(), DropReason> {
        if usize::from(self.mtu.bytes()) < packet.len() {
            return Err(self.dropped(DropReason::TooBig));
        }
        let Some(peer) = self.peers.get(peer) else {
            return Err(self.dropped(DropReason::PeerGone));
        };
        if peer.endpoint.is_none() {
            return Err(self.dropped(DropReason::NoEndpoint));
        }
        let dropped = peer.staging.push(packet);
        want_session(peer, &mut self.queue, now.mono);
        schedule(&mut self.deadlines, peer);
        self.count_drops(DropReason::StagingFull, dropped);
        Ok(())
    }
}

/// Has the staged packets sent, or a handshake begun for them.
fn want_session(peer: &mut Peer, queue: &mut std::collections::VecDeque<u32>, now: Instant) {
    if peer.can_send(now) {
        enqueue(queue, peer);
    } else if !peer.timers.awaits_answer() {
        ask_handshake(peer, queue, now);
    }
}

/// Translates, pads and seals one packet in place.
pub(super) fn seal(
    peer: &mut Peer,
    mtu: Mtu,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, DropReason> {
    let Some(session) = peer.current.as_mut() else { return Err(DropReason::NoSession) };
    let Some(room) = buffer.len().checked_sub(HEADER_LEN + TAG_LEN) else {
        return Err(DropReason::TooBig);
    };
    if room < len {
        return Err(DropReason::TooBig);
    }
    outward(&peer.config.translations, &mut buffer[HEADER_LEN..HEADER_LEN + len])?;
    let padded = len.next_multiple_of(16).min(usize::from(mtu.bytes())).min(room).max(len);
    buffer[HEADER_LEN + len..HEADER_LEN + padded].fill(0);
    session.seal(buffer, padded)
}
