//! Which of two preshared keys a kernel's peer has, while its customer changes over from
//! one to the other.
//!
//! The kernel has one for a peer, and looks at it when it shakes hands: another one costs
//! no session. Which one the customer has nobody says, but a handshake with the wrong one
//! comes to no end. So when one came to none the other key is tried, by turns, each for
//! as long as one attempt of the customer's or ours takes; and what a handshake was done
//! with stays. A customer that takes up its next key in the middle of a session is found
//! out long before that ends; one that starts anew shakes hands at its second attempt.
//!
//! Feed it with [`PresharedTrials::look`] at every look at the device.

use super::constants::{KEEPALIVE_TIMEOUT, REKEY_AFTER_TIME, REKEY_TIMEOUT};
use super::kernel::keys_of;
use super::messages::INITIATION_LEN;
use super::{DeviceConfig, KernelDevice, KernelPeer, KernelPeerChange, KernelPeerSettings, Sample};
use crate::net::{Instant, Now, PresharedKey, PublicKey, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// An initiation; no datagram with a packet in it has this length.
const INITIATION: u64 = INITIATION_LEN as u64;

/// A handshake that was seen in its middle is done after this.
const CONFIRMED: Duration = Duration::from_millis(500);

/// Each key is tried for so long: the next attempt comes after [`REKEY_TIMEOUT`] and a
/// third of a second at most.
const TURN: Duration = Duration::from_secs(7);

/// A session that is in use and older than this has seen two attempts at the next one:
/// who began it tries at [`REKEY_AFTER_TIME`] when it sends, which it does at the latest
/// so long after it received something.
const OVERDUE: Duration = Duration::from_secs(
    REKEY_AFTER_TIME.as_secs() + KEEPALIVE_TIMEOUT.as_secs() + 2 * REKEY_TIMEOUT.as_secs(),
);

/// Who is sent packets and says nothing for so long is called anew (paper §6.5).
const UNHEARD: Duration =
    Duration::from_secs(KEEPALIVE_TIMEOUT.as_secs() + REKEY_TIMEOUT.as_secs());

/// The peers of one device that have two.
#[derive(Debug, Default)]
pub struct PresharedTrials {
    peers: BTreeMap<PublicKey, Trial>,
}

/// What is known of one of them.
#[derive(Debug)]
struct Trial {
    received_bytes: u64,
    sent_bytes: u64,
    last_handshake: Option<Timestamp>,
    /// When something came of it last.
    heard: Instant,
    /// A handshake seems to come to no end: the other key's turn comes then.
    due: Option<Instant>,
    /// When this key's turn began, if it has one.
    since: Option<Instant>,
    /// The last handshake that was seen was made with the next key.
    by_next: bool,
}

impl PresharedTrials {
    /// Takes how the device is that is to be as `wanted` says, and gives what to change.
    pub fn look(
        &mut self,
        wanted: &DeviceConfig,
        device: &KernelDevice,
        now: Now,
    ) -> Vec<KernelPeerChange> {
        let has_two = |key: &PublicKey| {
            wanted.peers.get(key).is_some_and(|peer| peer.next_preshared_key().is_some())
        };
        self.peers.retain(|key, _| has_two(key) && device.peers.contains_key(key));
        let mut changes = Vec::new();
        for (key, peer) in wanted.peers.iter().filter(|(key, _)| has_two(key)) {
            let Some(found) = device.peers.get(key) else { continue };
            let [first, next] = keys_of(peer);
            let trial = self.peers.entry(*key).or_insert_with(|| Trial::new(found, now.mono));
            if trial.is_another_due(found, found.preshared_key == next, now) {
                let other = if found.preshared_key == first { next } else { first };
                let settings = KernelPeerSettings {
                    // One of zeros is none.
                    preshared_key: Some(other.unwrap_or(PresharedKey::from_random([0; 32]))),
                    ..KernelPeerSettings::default()
                };
                changes.push(KernelPeerChange::Set(*key, settings));
            }
        }
        changes
    }

    /// Says in a sample who uses its next key.
    pub fn describe(&self, sample: &mut Sample) {
        for (key, trial) in &self.peers {
            if let Some(peer) = sample.peers.get_mut(key) {
                peer.by_next_preshared_key = trial.by_next;
            }
        }
    }
}

impl Trial {
    fn new(found: &KernelPeer, now: Instant) -> Self {
        Self {
            received_bytes: found.received_bytes,
            sent_bytes: found.sent_bytes,
            last_handshake: found.last_handshake,
            heard: now,
            due: None,
            since: None,
            // Of a device that was adopted nobody knows; the old one is not to be retired
            // for a guess.
            by_next: false,
        }
    }

    /// Takes how the peer is; whether the other key is to be tried now.
    fn is_another_due(&mut self, found: &KernelPeer, is_next: bool, now: Now) -> bool {
        let received = found.received_bytes.saturating_sub(self.received_bytes);
        let sent = found.sent_bytes.saturating_sub(self.sent_bytes);
        (self.received_bytes, self.sent_bytes) = (found.received_bytes, found.sent_bytes);
        if received != 0 {
            self.heard = now.mono;
        }
        if self.last_handshake != found.last_handshake {
            self.last_handshake = found.last_handshake;
            (self.due, self.since, self.by_next) = (None, None, is_next);
            return false;
        }
        let is_used = INITIATION <= received || INITIATION <= sent;
        let is_overdue = found.last_handshake.is_none_or(|at| OVERDUE <= now.wall.since(at));
        let is_unheard = INITIATION <= sent && UNHEARD <= now.mono.since(self.heard);
        if received == INITIATION || is_used && is_overdue || is_unheard {
            let turn = self.since.map(|since| since + TURN);
            let due = (now.mono + CONFIRMED).max(turn.unwrap_or(now.mono));
            self.due.get_or_insert(due);
        }
        let is_due = self.due.is_some_and(|due| due <= now.mono);
        if is_due {
            (self.due, self.since) = (None, Some(now.mono));
        }
        is_due
    }
}
