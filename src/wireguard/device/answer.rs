//! Handshake messages that come.

use super::{Device, enqueue, forget_begun, may_call_back, schedule};
use crate::model::limits::COOKIE_REPLIES;
use crate::net::{Now, PresharedKey, PublicKey};
use crate::wireguard::constants::{FORGED_RESPONSES, PEER_INITIATION_INTERVAL};
use crate::wireguard::handshake::Responder;
use crate::wireguard::messages::{
    INITIATION_NOISE, Kind, RESPONSE_LEN, RESPONSE_NOISE, receiver, sender, start_response,
};
use crate::wireguard::peer::Spare;
use crate::wireguard::session::{MadeWith, Session};
use crate::wireguard::{Destination, DropReason, Received, stamp};
use std::net::{IpAddr, SocketAddr};

impl Device {
    /// The looks that come before any multiplication: does the sender know our
    /// key, and, when there is much to do, does it get what is sent to it, and
    /// has it had its share. Gives whether it is our next key.
    fn admit(
        &mut self,
        from: SocketAddr,
        to: Option<IpAddr>,
        message: &[u8],
        now: Now,
    ) -> Result<bool, DropReason> {
        let by_next_key = self.own.meant(message).ok_or(DropReason::Mac1)?;
        if self.limiter.is_loaded(now.mono) {
            let random = &mut self.random;
            let checker = &mut self.own.get_mut(by_next_key).checker;
            if !checker.is_mac2_right(message, from, random, now.mono) {
                if COOKIE_REPLIES <= self.replies.len() {
                    return Err(DropReason::CookieBacklog);
                }
                let reply = checker.reply(message, from, random, now.mono);
                let destination = Destination { to: from, from: to };
                self.replies.extend(reply.map(|reply| (reply, destination)));
                return Err(DropReason::UnderLoad);
            }
            if !self.limiter.take_source(from.ip(), now.mono) {
                return Err(DropReason::SourceRate);
            }
            if !self.limiter.take_device(now.mono) {
                return Err(DropReason::DeviceRate);
            }
        }
        Ok(by_next_key)
    }

    pub(super) fn handle_initiation(
        &mut self,
        from: SocketAddr,
        to: Option<IpAddr>,
        message: &[u8],
        now: Now,
    ) -> Result<Received, DropReason> {
        let by_next_key = self.admit(from, to, message, now)?;
        let noise = message.get(INITIATION_NOISE).unwrap_or_default();
        let responder =
            Responder::read(&self.own.get(by_next_key).key, noise, self.random.bytes())?;
        let key = PublicKey::from_bytes(responder.theirs).map_err(|_| DropReason::UnknownPeer)?;
        let index = self.peers.find(&key).ok_or(DropReason::UnknownPeer)?;
        let peer = self.peers.get(index).ok_or(DropReason::UnknownPeer)?;
        if responder.stamp <= peer.greatest_stamp {
            if stamp::is_ahead(&peer.greatest_stamp, now.wall) && may_call_back(peer, now.mono) {
                // Its clock ran ahead. If it has been put right, none of its
                // initiations will count as new for as long as it was wrong.
                // Ours tells it from a replay: only the peer can answer.
                peer.owed.call_back = Some(Destination { to: from, from: to });
                enqueue(&mut self.queue, peer);
            }
            return Err(DropReason::InitiationReplayed);
        }
        let taken = peer.initiation_taken;
        if taken.is_some_and(|taken| now.mono.since(taken) < PEER_INITIATION_INTERVAL) {
            return Err(DropReason::PeerRate);
        }
        peer.greatest_stamp = responder.stamp;
        peer.initiation_taken = Some(now.mono);

        let (first, next) =
            (peer.config.preshared_key.clone(), peer.config.next_preshared_key().cloned());
        let made_with = MadeWith { next_key: by_next_key, next_preshared_key: false };
        let (response, session) =
            self.answer(responder, first.as_ref(), index.slot, made_with, message, now)?;
        let spare =
            next.and_then(|next| self.answer_again(&next, index.slot, made_with, message, now));
        let peer = self.peers.get(index).ok_or(DropReason::UnknownPeer)?;
        for gone in peer.install_answered(session, spare).into_iter().flatten() {
            self.indices.free(gone);
        }
        peer.hold(by_next_key, now.mono);
        peer.owed.response = Some(Box::new(response));
        peer.roam(from, to, now.mono);
        peer.handshake_sent = Some(now.mono);
        peer.counters.received_bytes += message.len() as u64;
        peer.counters.last_received = Some(now.mono);
        peer.timers.keys_made(now.mono);
        peer.timers.received(peer.config.keepalive, now.mono);
        enqueue(&mut self.queue, peer);
        schedule(&mut self.deadlines, peer);
        Ok(Received::Nothing)
    }

    /// An answer to an initiation, and the session that comes of it.
    fn answer(
        &mut self,
        responder: Responder,
        psk: Option<&PresharedKey>,
        slot: u32,
        made_with: MadeWith,
        initiation: &[u8],
        now: Now,
    ) -> Result<([u8; RESPONSE_LEN], Session), DropReason> {
        let local = self.indices.allocate(slot, &mut self.random);
        let remote = sender(initiation);
        let mut response = start_response(local, remote);
        let out = response.get_mut(RESPONSE_NOISE).unwrap_or_default();
        let session = responder
            .answer(psk, out)
            .and_then(|keys| Session::new(&keys, local, remote, false, made_with, now.mono))
            .inspect_err(|_| self.indices.free(local))?;
        if let Some(peer) = self.peers.at(slot) {
            peer.cookies.stamp(&peer.key, &mut response, now.mono);
        }
        Ok((response, session))
    }

    /// The same initiation answered with the next preshared key, from the beginning:
    /// the two answers have nothing in common.
    fn answer_again(
        &mut self,
        next: &PresharedKey,
        slot: u32,
        made_with: MadeWith,
        initiation: &[u8],
        now: Now,
    ) -> Option<Spare> {
        let noise = initiation.get(INITIATION_NOISE).unwrap_or_default();
        let own = &self.own.get(made_with.next_key).key;
        let responder = Responder::read(own, noise, self.random.bytes()).ok()?;
        let made_with = MadeWith { next_preshared_key: true, ..made_with };
        let answered = self.answer(responder, Some(next), slot, made_with, initiation, now);
        answered.ok().map(|(response, session)| Spare { session, response: Some(response) })
    }

    pub(super) fn handle_response(
        &mut self,
        from: SocketAddr,
        to: Option<IpAddr>,
        message: &[u8],
        now: Now,
    ) -> Result<Received, DropReason> {
        self.own.meant(message).ok_or(DropReason::Mac1)?;
        let local = receiver(Kind::Response, message);
        let slot = self.indices.slot(local).ok_or(DropReason::UnknownIndex)?;
        let peer = self.peers.at(slot).ok_or(DropReason::UnknownIndex)?;
        let first = peer.config.preshared_key.clone();
        let next = peer.config.next_preshared_key().cloned();
        let initiation = peer.begun(local, now.mono).ok_or(DropReason::UnknownIndex)?;
        // No cookie is asked for, even under load: the index shows that the
        // sender saw our initiation, and there are only as many of those as we
        // sent. To ask would hold up our own handshakes after a restart.
        if FORGED_RESPONSES <= initiation.forged {
            return Err(DropReason::PeerRate);
        }
        let noise = message.get(RESPONSE_NOISE).unwrap_or_default();
        let mut made_with =
            MadeWith { next_key: initiation.by_next_key, next_preshared_key: false };
        let mut keys = initiation.noise.finish(noise, first.as_ref());
        if let (Err(_), Some(next)) = (&keys, &next) {
            keys = initiation.noise.finish(noise, Some(next));
            made_with.next_preshared_key = true;
        }
        let keys = keys.inspect_err(|_| initiation.forged += 1)?;
        let session = Session::new(&keys, local, sender(message), true, made_with, now.mono)?;

        // Its index is the session's from now on.
        for begun in [&mut peer.initiation, &mut peer.call_back] {
            begun.take_if(|begun| begun.index == local);
        }
        forget_begun(peer, &mut self.indices);
        for gone in peer.install_begun(session).into_iter().flatten() {
            self.indices.free(gone);
        }
        peer.roam(from, to, now.mono);
        peer.handshake_done(now);
        peer.counters.received_bytes += message.len() as u64;
        peer.counters.last_received = Some(now.mono);
        peer.timers.keys_made(now.mono);
        peer.timers.received(peer.config.keepalive, now.mono);
        // The peer does not use the session before it has heard of us in it.
        peer.owed.keepalive = true;
        enqueue(&mut self.queue, peer);
        schedule(&mut self.deadlines, peer);
        let index = peer.index;
        self.take_over(index);
        Ok(Received::Nothing)
    }

    pub(super) fn handle_cookie(
        &mut self,
        message: &[u8],
        now: Now,
    ) -> Result<Received, DropReason> {
        let local = receiver(Kind::Cookie, message);
        let slot = self.indices.slot(local).ok_or(DropReason::UnknownIndex)?;
        let peer = self.peers.at(slot).ok_or(DropReason::UnknownIndex)?;
        if !peer.cookies.take_reply(&peer.key, message, now.mono) {
            return Err(DropReason::CookieReply);
        }
        Ok(Received::Nothing)
    }
}
