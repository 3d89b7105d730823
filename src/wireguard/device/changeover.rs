//! A customer that changes its key is two peers for a while, twins: which of them
//! has the prefixes of both, and that nothing is lost when they change hands.
//!
//! What is sent there goes to the one that shook hands last; what comes is let in
//! from either, for what was on its way when the other one took over is as good as
//! ever.

use super::{Device, ask_handshake, enqueue, schedule};
use crate::net::{Instant, PublicKey};
use crate::wireguard::PeerIndex;

impl Device {
    /// The twin of the peer with this handle.
    pub(super) fn twin(&mut self, index: PeerIndex) -> Option<PeerIndex> {
        let twin = self.peers.get(index)?.config.twin()?;
        self.peers.find(&twin)
    }

    /// Gives each pair of twins' prefixes to one of the two: where one has them it
    /// keeps them; of two new ones the first gets them.
    pub(super) fn settle_twins(&mut self, keys: &[(PublicKey, bool)]) {
        for (key, is_new) in keys {
            let Some(index) = self.peers.find(key) else { continue };
            let Some(twin) = self.twin(index) else { continue };
            let twin = self.peers.get(twin).map(|twin| twin.key);
            let is_twin_new = keys.iter().any(|(other, is_new)| *is_new && Some(*other) == twin);
            let Some(peer) = self.peers.get(index) else { continue };
            let is_second = peer.config.is_second();
            match (*is_new, is_twin_new) {
                (true, true) => peer.has_yielded = is_second,
                (true, false) => peer.has_yielded = true,
                (false, _) => {}
            }
            if !peer.has_yielded {
                for prefix in &peer.config.allowed_ips {
                    self.allowed.insert(*prefix, index);
                }
            }
        }
    }

    /// A handshake of the peer's is done: if its twin has their prefixes, it gets
    /// them, and what waits for a session of the twin's.
    pub(super) fn take_over(&mut self, index: PeerIndex) {
        let Some(peer) = self.peers.get(index).filter(|peer| peer.has_yielded) else { return };
        peer.has_yielded = false;
        for prefix in &peer.config.allowed_ips {
            self.allowed.insert(*prefix, index);
        }
        let Some(twin) = self.twin(index).and_then(|twin| self.peers.get(twin)) else { return };
        twin.has_yielded = true;
        let staged = std::mem::take(&mut twin.staging);
        if let Some(peer) = self.peers.get(index) {
            peer.staging.append(staged);
            enqueue(&mut self.queue, peer);
            schedule(&mut self.deadlines, peer);
        }
    }

    /// Calls the twins of peers that did not answer: they may have changed over.
    pub(super) fn call_twins(&mut self, silent: &[PeerIndex], now: Instant) {
        for index in silent {
            let Some(twin) = self.twin(*index) else { continue };
            let endpoint = self.peers.get(*index).and_then(|peer| peer.endpoint);
            let Some(twin) = self.peers.get(twin) else { continue };
            twin.endpoint = twin.endpoint.or(endpoint);
            if !twin.timers.awaits_answer() {
                ask_handshake(twin, &mut self.queue, now);
                schedule(&mut self.deadlines, twin);
            }
        }
    }
}
