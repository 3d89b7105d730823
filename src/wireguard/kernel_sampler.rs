//! What the kernel tells of its device, in the words of [`Sample`].
//!
//! The kernel counts bytes by peer and knows when the last handshake was; the
//! rest is read off from how these change between two looks. Feed it with
//! [`KernelSampler::sample`], at least every few seconds.

use super::constants::REKEY_TIMEOUT;
use super::messages::{INITIATION_LEN, KEEPALIVE_LEN, RESPONSE_LEN};
use super::{KernelDevice, KernelPeer, PeerSample, Sample};
use crate::net::{Instant, Now, PublicKey, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of an initiation, of a response, and of a datagram with an empty packet.
const INITIATION: u64 = INITIATION_LEN as u64;
const RESPONSE: u64 = RESPONSE_LEN as u64;
const KEEPALIVE: u64 = KEEPALIVE_LEN as u64;

/// Remembers one device from look to look.
#[derive(Clone, Debug, Default)]
pub struct KernelSampler {
    peers: BTreeMap<PublicKey, Tally>,
    looked: Option<Instant>,
}

/// What was seen of one peer.
#[derive(Clone, Debug, Default)]
struct Tally {
    sample: PeerSample,
    /// Initiations sent since anything was heard.
    initiations: u64,
}

impl KernelSampler {
    /// Takes how the device is at `now`.
    ///
    /// Of an adopted device a peer was last heard no later than its last
    /// handshake, until it is heard again.
    pub fn sample(&mut self, device: &KernelDevice, now: Now) -> Sample {
        let since = self.looked.replace(now.mono).map(|at| now.mono.since(at));
        self.peers.retain(|key, _| device.peers.contains_key(key));
        for (key, peer) in &device.peers {
            let tally = self.peers.entry(*key).or_default();
            let is_another = peer.received_bytes < tally.sample.received_bytes
                || peer.sent_bytes < tally.sample.sent_bytes;
            if is_another {
                // Removed and made again meanwhile.
                *tally = Tally::default();
            }
            tally.take(peer, since, now.wall);
        }
        Sample {
            peers: self.peers.iter().map(|(key, tally)| (*key, tally.sample)).collect(),
            drops: BTreeMap::new(),
            // Stamps are the kernel's own matter.
            last_initiation: Timestamp::default(),
        }
    }
}

impl Tally {
    /// Takes how the peer is, `since` after the last look at its device.
    fn take(&mut self, peer: &KernelPeer, since: Option<Duration>, now: Timestamp) {
        let before = self.sample;
        let received = peer.received_bytes - before.received_bytes;
        let sent = peer.sent_bytes - before.sent_bytes;
        let sample = &mut self.sample;
        sample.endpoint = peer.endpoint;
        (sample.received_bytes, sample.sent_bytes) = (peer.received_bytes, peer.sent_bytes);
        sample.last_handshake = peer.last_handshake;
        let shook_hands = before.last_handshake < peer.last_handshake;
        sample.handshakes += u64::from(shook_hands);
        let Some(since) = since else {
            // The first look, at what was before us.
            sample.last_received = peer.last_handshake;
            return;
        };
        if received != 0 {
            sample.last_received = Some(now);
            self.initiations = 0;
        }
        if shook_hands {
            self.initiations = 0;
        }
        // An initiation of the peer's is answered, with a datagram of its own length.
        let beside_response = sent.checked_sub(RESPONSE).filter(|_| received != 0);
        let all_sent = [Some(sent), beside_response].into_iter().flatten();
        let begun = all_sent.filter_map(|sent| initiations(sent, peer.keepalive, since)).next();
        if begun.is_none() {
            sample.last_sent = Some(now);
        }
        if received == 0 && !shook_hands {
            // Each but the first follows one that nobody answered in time.
            let unanswered = |begun: u64| begun.saturating_sub(1);
            let all = self.initiations + begun.unwrap_or(0);
            sample.handshake_timeouts += unanswered(all) - unanswered(self.initiations);
            self.initiations = all;
        }
    }
}

/// How many initiations are all that was sent, keepalives aside; `None` when
/// there was data, too.
///
/// A datagram with a packet in it has 64 bytes or more, in steps of 16 up to
/// the tunnel's MTU, and an initiation has 148: the two cannot be mixed up for
/// as few of each as go out between two looks.
fn initiations(sent: u64, keepalive: u16, since: Duration) -> Option<u64> {
    let times = |every: Duration| {
        let whole = since.as_millis().checked_div(every.as_millis()).unwrap_or(0);
        1 + u64::try_from(whole).unwrap_or(u64::MAX)
    };
    let most_keepalives = match keepalive {
        0 => 1,
        seconds => times(Duration::from_secs(u64::from(seconds))),
    };
    (0..=times(REKEY_TIMEOUT)).find(|begun| {
        let rest = sent.checked_sub(begun.saturating_mul(INITIATION));
        rest.is_some_and(|rest| rest % KEEPALIVE == 0 && rest / KEEPALIVE <= most_keepalives)
    })
}
