//! What goes out without a packet at hand: cookie replies, handshakes, packets
//! that were staged, keepalives.

use super::send::seal;
use super::{Device, ask_handshake, forget, schedule};
use crate::net::Now;
use crate::wireguard::handshake::Initiator;
use crate::wireguard::messages::{HEADER_LEN, INITIATION_NOISE, TAG_LEN, start_initiation};
use crate::wireguard::peer::Initiation;
use crate::wireguard::x25519::StaticSecretShared;
use crate::wireguard::{Destination, DropReason, Transmit, stamp};

impl Device {
    /// The next datagram to send that no packet at hand is the cause of:
    /// handshakes, cookies, keepalives, packets that were staged.
    ///
    /// Call until `None` after every batch of other calls. `buffer` has
    /// [`Device::transmit_len`] bytes; what does not fit is dropped as
    /// [`DropReason::TooBig`].
    pub fn poll_transmit(&mut self, buffer: &mut [u8], now: Now) -> Option<Transmit> {
        while let Some((reply, destination)) = self.replies.pop_front() {
            if let Some(len) = self.put(buffer, &reply) {
                return Some(transmit(destination, len));
            }
        }
        while let Some(slot) = self.queue.front().copied() {
            if let Some(transmit) = self.transmit_owed(slot, buffer, now) {
                return Some(transmit);
            }
            self.queue.pop_front();
            if let Some(peer) = self.peers.at(slot) {
                peer.owed.is_queued = false;
            }
        }
        None
    }

    /// The next datagram the peer in `slot` is owed.
    fn transmit_owed(&mut self, slot: u32, buffer: &mut [u8], now: Now) -> Option<Transmit> {
        let peer = self.peers.at(slot)?;
        if let Some(destination) = peer.owed.call_back.take() {
            let len = self.call_back(slot, buffer, now)?;
            return Some(transmit(destination, len));
        }
        let destination = peer.destination()?;
        if let Some(response) = peer.owed.response.take() {
            let len = self.put(buffer, &*response)?;
            self.handshake_sent(slot, len, now);
            return Some(transmit(destination, len));
        }
        if let Some(response) = peer.spare.as_mut().and_then(|spare| spare.response.take()) {
            let len = self.put(buffer, &response)?;
            self.handshake_sent(slot, len, now);
            return Some(transmit(destination, len));
        }
        if std::mem::take(&mut peer.owed.initiation) {
            let len = self.initiate(slot, buffer, now)?;
            self.handshake_sent(slot, len, now);
            return Some(transmit(destination, len));
        }
        if !peer.can_send(now.mono) {
            let is_wanted = std::mem::take(&mut peer.owed.keepalive) || !peer.staging.is_empty();
            if is_wanted && !peer.timers.awaits_answer() {
                ask_handshake(peer, &mut self.queue, now.mono);
                schedule(&mut self.deadlines, peer);
                if peer.owed.initiation {
                    return self.transmit_owed(slot, buffer, now);
                }
            }
            return None;
        }
        let len = self
            .transmit_staged(slot, buffer, now)
            .or_else(|| self.keepalive(slot, buffer, now))?;
        Some(transmit(destination, len))
    }

    /// The oldest staged packet that can be sealed.
    fn transmit_staged(&mut self, slot: u32, buffer: &mut [u8], now: Now) -> Option<usize> {
        loop {
            let peer = self.peers.at(slot)?;
            let index = peer.index;
            let packet = peer.staging.pop()?;
            let sealed = match buffer.get_mut(HEADER_LEN..HEADER_LEN + packet.len()) {
                Some(room) => {
                    room.copy_from_slice(&packet);
                    seal(peer, self.mtu, buffer, packet.len())
                }
                None => Err(DropReason::TooBig),
            };
            match sealed {
                Ok(len) => {
                    self.sent(index, 1, len as u64, now);
                    return Some(len);
                }
                Err(reason) => {
                    self.dropped(reason);
                }
            }
        }
    }

    fn keepalive(&mut self, slot: u32, buffer: &mut [u8], now: Now) -> Option<usize> {
        let peer = self.peers.at(slot)?;
        if !std::mem::take(&mut peer.owed.keepalive) {
            return None;
        }
        let room = buffer.get_mut(..HEADER_LEN + TAG_LEN)?;
        let len = peer.current.as_mut()?.seal(room, 0).ok()?;
        peer.counters.sent_bytes += len as u64;
        peer.timers.sent(peer.config.keepalive, now.mono);
        if peer.current.as_ref().is_some_and(|session| session.is_worn(now.mono)) {
            ask_handshake(peer, &mut self.queue, now.mono);
        }
        schedule(&mut self.deadlines, peer);
        Some(len)
    }

    /// Writes an initiation; the one before it is answered no more.
    fn initiate(&mut self, slot: u32, buffer: &mut [u8], now: Now) -> Option<usize> {
        let peer = self.peers.at(slot)?;
        forget(&mut peer.initiation, &mut self.indices);
        peer.handshake_sent = Some(now.mono);
        peer.timers.handshake_begun(&mut self.random, now.mono);
        let (begun, len) = self.begin(slot, buffer, now)?;
        self.peers.at(slot)?.initiation = Some(begun);
        Some(len)
    }

    /// Writes one for where a possible replay came from.
    fn call_back(&mut self, slot: u32, buffer: &mut [u8], now: Now) -> Option<usize> {
        let peer = self.peers.at(slot)?;
        forget(&mut peer.call_back, &mut self.indices);
        peer.called_back = Some(now.mono);
        let (begun, len) = self.begin(slot, buffer, now)?;
        let peer = self.peers.at(slot)?;
        peer.call_back = Some(begun);
        peer.counters.sent_bytes += len as u64;
        Some(len)
    }

    fn begin(
        &mut self,
        slot: u32,
        buffer: &mut [u8],
        now: Now,
    ) -> Option<(Box<Initiation>, usize)> {
        let peer = self.peers.at(slot)?;
        let index = self.indices.allocate(slot, &mut self.random);
        let stamp = stamp::next(now.wall, self.stamp_floor, peer.last_stamp);
        peer.last_stamp = stamp;
        self.last_initiation = self.last_initiation.max(stamp);
        let mut message = start_initiation(index);
        let by_next_key = self.own.are_two() && peer.calls_by_next_key();
        let own = &self.own.get(by_next_key).key;
        if !peer.shared.as_ref().is_some_and(|it| it.is_of(own, &peer.key)) {
            peer.shared = StaticSecretShared::new(own, &peer.key);
        }
        let noise = Initiator::start(
            own,
            &peer.key,
            peer.shared.as_ref(),
            &stamp::encode(stamp),
            self.random.bytes(),
            message.get_mut(INITIATION_NOISE).unwrap_or_default(),
        );
        match noise {
            Ok(noise) => {
                peer.cookies.stamp(&peer.key, &mut message, now.mono);
                let len = self.put(buffer, &message)?;
                Some((Box::new(Initiation { index, noise, by_next_key, forged: 0 }), len))
            }
            Err(reason) => {
                self.indices.free(index);
                self.dropped(reason);
                None
            }
        }
    }

    fn handshake_sent(&mut self, slot: u32, len: usize, now: Now) {
        let Some(peer) = self.peers.at(slot) else { return };
        peer.counters.sent_bytes += len as u64;
        peer.timers.sent(peer.config.keepalive, now.mono);
        schedule(&mut self.deadlines, peer);
    }

    fn put(&mut self, buffer: &mut [u8], message: &[u8]) -> Option<usize> {
        let Some(room) = buffer.get_mut(..message.len()) else {
            self.dropped(DropReason::TooBig);
            return None;
        };
        room.copy_from_slice(message);
        Some(message.len())
    }
}

const fn transmit(destination: Destination, len: usize) -> Transmit {
    Transmit { to: destination.to, from: destination.from, len }
}
