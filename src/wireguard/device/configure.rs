//! How a device becomes what is wanted: only what differs is touched, so that
//! no running session notices a change elsewhere.

use super::{Device, enqueue, forget, forget_begun, forget_sessions, retain_sessions, schedule};
use crate::net::{Instant, Now, PresharedKey, PublicKey};
use crate::wireguard::constants::{SPREAD_BATCH, SPREAD_INTERVAL};
use crate::wireguard::cookie::Stamper;
use crate::wireguard::index::IndexTable;
use crate::wireguard::peer::Peer;
use crate::wireguard::session::MadeWith;
use crate::wireguard::{DeviceConfig, DropReason, PeerConfig, PeerIndex};
use std::collections::BTreeMap;

impl Device {
    /// Makes the device what `config` describes.
    ///
    /// Peers that are as before keep their sessions, counters and learned
    /// endpoints. A private key that goes ends all sessions that were made with it
    /// and begins new ones with whoever had one; a preshared key does so for its peer.
    pub fn configure(&mut self, config: DeviceConfig, now: Now) {
        let DeviceConfig { private_key, next_private_key, listen_port, mtu, mut peers } = config;
        self.listen_port = listen_port;
        self.mtu = mtu;
        let mut starts = Vec::new();
        if let Some(moved) = self.own.change(private_key, next_private_key) {
            self.replies.clear();
            for peer in self.peers.iter_mut() {
                let Some(made_with) = moved.made_with(peer.made_with) else {
                    if is_wanted(peer) {
                        starts.push(peer.index);
                    }
                    begin_anew(peer, &mut self.indices);
                    continue;
                };
                peer.made_with = made_with;
                retain_sessions(peer, &mut self.indices, |made_with| moved.made_with(made_with));
                for begun in [&mut peer.initiation, &mut peer.call_back] {
                    match begun.as_ref().map(|begun| moved.of(begun.by_next_key)) {
                        Some(Some(by_next_key)) => {
                            begun.iter_mut().for_each(|it| it.by_next_key = by_next_key);
                        }
                        Some(None) => forget(begun, &mut self.indices),
                        None => {}
                    }
                }
            }
        }

        // Handshakes with oneself lead nowhere.
        for own in self.own.publics() {
            peers.remove(&own);
        }
        self.remove_absent(&peers);
        for (key, wanted) in &peers {
            self.release_prefixes(key, wanted);
        }
        let mut twins = Vec::new();
        for (key, wanted) in peers {
            if wanted.twin().is_some() {
                twins.push((key, self.peers.find(&key).is_none()));
            }
            let (index, is_start) = match self.peers.find(&key) {
                Some(index) => (index, self.change_peer(index, wanted, now.mono)),
                None => self.add_peer(key, wanted, now.mono),
            };
            if is_start {
                starts.push(index);
            }
        }
        self.settle_twins(&twins);
        self.begin_handshakes(starts, now.mono);
    }

    fn remove_absent(&mut self, wanted: &BTreeMap<PublicKey, PeerConfig>) {
        let gone: Vec<PublicKey> =
            self.peers.keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
        if gone.is_empty() {
            return;
        }
        for key in &gone {
            let Some(mut peer) = self.peers.remove(key) else { continue };
            for prefix in &peer.config.allowed_ips {
                self.allowed.remove(*prefix, peer.index);
            }
            for index in peer.indices() {
                self.indices.free(index);
            }
            if let Some(at) = peer.scheduled {
                self.deadlines.remove(&(at, peer.index.slot));
            }
            // Should it come back, with our clock set back meanwhile, its next
            // stamp has to be after this one.
            self.stamp_floor = self.stamp_floor.max(peer.last_stamp);
            let staged = peer.staging.clear();
            self.count_drops(DropReason::PeerGone, staged);
        }
        let peers = &mut self.peers;
        self.queue.retain(|slot| peers.at(*slot).is_some());
    }

    /// Takes from a peer the prefixes it is not to have, before anyone else is
    /// given them.
    fn release_prefixes(&mut self, key: &PublicKey, wanted: &PeerConfig) {
        let Some(index) = self.peers.find(key) else { return };
        let Some(peer) = self.peers.get(index) else { return };
        peer.last_source = None;
        if peer.config.allowed_ips == wanted.allowed_ips && peer.config.twin() == wanted.twin() {
            return;
        }
        for prefix in &peer.config.allowed_ips {
            self.allowed.remove(*prefix, index);
        }
        peer.config.allowed_ips.clear();
    }

    fn add_peer(&mut self, key: PublicKey, wanted: PeerConfig, now: Instant) -> (PeerIndex, bool) {
        let index = self.peers.add(key, wanted);
        let Some(peer) = self.peers.get(index) else { return (index, false) };
        // Of twins one has them: see `settle_twins`.
        for prefix in peer.config.allowed_ips.iter().filter(|_| peer.config.twin().is_none()) {
            self.allowed.insert(*prefix, index);
        }
        peer.timers.persistent_changed(peer.config.keepalive, now);
        schedule(&mut self.deadlines, peer);
        (index, is_eager(peer))
    }

    /// Changes a peer; gives whether a handshake is to begin.
    fn change_peer(&mut self, index: PeerIndex, wanted: PeerConfig, now: Instant) -> bool {
        let Some(peer) = self.peers.get(index) else { return false };
        let was_eager = is_eager(peer);
        let mut start = false;
        let old = std::mem::replace(&mut peer.config, wanted);
        let wanted = &peer.config;
        if wanted.twin().is_none() {
            peer.has_yielded = false;
            if old.allowed_ips != wanted.allowed_ips {
                for prefix in &wanted.allowed_ips {
                    self.allowed.insert(*prefix, index);
                }
            }
        }
        if let Some(endpoint) = peer.config.endpoint.filter(|it| old.endpoint != Some(*it)) {
            peer.move_to(endpoint, now);
            // It answers to where it last heard of us.
            if peer.can_send(now) {
                peer.owed.keepalive = true;
                enqueue(&mut self.queue, peer);
            }
        }
        if peer.endpoint.is_none() {
            peer.endpoint = peer.config.last_endpoint;
        }
        match preshared(&old, peer.made_with, &peer.config) {
            Some(made_with) if old.overlap == peer.config.overlap => peer.made_with = made_with,
            Some(made_with) => {
                peer.made_with = made_with;
                let new = std::mem::take(&mut peer.config);
                retain_sessions(peer, &mut self.indices, |it| preshared(&old, it, &new));
                peer.config = new;
            }
            None => {
                start = is_wanted(peer);
                begin_anew(peer, &mut self.indices);
                peer.cookies = Stamper::default();
            }
        }
        if old.keepalive != peer.config.keepalive {
            peer.timers.persistent_changed(peer.config.keepalive, now);
        }
        schedule(&mut self.deadlines, peer);
        start
            || !was_eager && is_eager(peer)
            || is_eager(peer) && old.endpoint != peer.config.endpoint
    }

    /// Begins handshakes: all at once if they are few, else a batch after the
    /// other, so that packets of others find their way in between.
    fn begin_handshakes(&mut self, starts: Vec<PeerIndex>, now: Instant) {
        for (at, index) in starts.into_iter().enumerate() {
            let Some(peer) = self.peers.get(index) else { continue };
            if peer.endpoint.is_none() || peer.can_send(now) {
                continue;
            }
            let turn = u32::try_from(at / SPREAD_BATCH).unwrap_or(u32::MAX);
            if turn == 0 {
                peer.attempts = 0;
                peer.owed.initiation = true;
                enqueue(&mut self.queue, peer);
            } else {
                peer.timers.begin_at(now + SPREAD_INTERVAL * turn);
                schedule(&mut self.deadlines, peer);
            }
        }
    }
}

/// Ends what there is of sessions and handshakes.
fn begin_anew(peer: &mut Peer, indices: &mut IndexTable) {
    forget_sessions(peer, indices);
    forget_begun(peer, indices);
    peer.made_with = MadeWith::default();
    peer.owed.response = None;
    peer.handshake_sent = None;
    peer.timers.reset();
}

/// What a handshake with a peer as `old` says was made with, in the words of `new`;
/// `None` when its preshared key is not good any more.
fn preshared(old: &PeerConfig, made_with: MadeWith, new: &PeerConfig) -> Option<MadeWith> {
    let key: Option<&PresharedKey> = match made_with.next_preshared_key {
        true => old.next_preshared_key(),
        false => old.preshared_key.as_ref(),
    };
    let next_preshared_key = key != new.preshared_key.as_ref();
    let is_good = !next_preshared_key || (key.is_some() && key == new.next_preshared_key());
    is_good.then_some(MadeWith { next_preshared_key, ..made_with })
}

/// Whether a handshake is to begin without anything to send.
const fn is_eager(peer: &Peer) -> bool {
    (peer.config.initiate || peer.config.keepalive.is_some()) && peer.endpoint.is_some()
}

/// Whether a session that is ended is to be followed by another at once.
const fn is_wanted(peer: &Peer) -> bool {
    peer.current.is_some() || peer.initiation.is_some() || is_eager(peer)
}
