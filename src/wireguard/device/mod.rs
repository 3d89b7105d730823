//! One tenant's WireGuard device, without its sockets.
//!
//! ```text
//!           customers' side                        tenant's side
//!   datagrams ──▶ handle_datagram ──▶ Received::Packet ──▶ TUN
//!   datagrams ◀── seal ◀── begin_send ◀── route ◀───────── TUN
//!             ◀── poll_transmit ◀── stage ◀───┘
//!   time ───────▶ handle_timeout        configure ◀── what is wanted
//!   time ◀─────── poll_timeout             sample ──▶ how it is
//! ```
//!
//! Feed it with `handle_*`, drain `poll_transmit` until `None` after every
//! batch, and wake it at `poll_timeout`. Nothing here allocates, locks or reads
//! a clock for a packet.
//!
//! In reading order: this file (what a device is, what is due when), `configure`
//! (becoming what is wanted), `identity` (who we are), `changeover` (a customer with
//! two keys), `send`, `receive`, `answer` (handshakes that come),
//! `transmit` (handshakes and all else that goes), `peers`.

mod answer;
mod changeover;
mod configure;
mod identity;
mod peers;
mod receive;
mod send;
mod transmit;

use super::allowed_ips::AllowedIps;
use super::constants::{MAX_ATTEMPTS, REKEY_TIMEOUT};
use super::index::IndexTable;
use super::limiter::Limiter;
use super::messages::{COOKIE_LEN, HEADER_LEN, INITIATION_LEN, TAG_LEN};
use super::peer::{Initiation, Peer};
use super::random::Random;
use super::reason::COUNT;
use super::session::{MadeWith, Session};
use super::timers::Due;
use super::{Destination, DeviceConfig, DropReason, PeerIndex, Sample};
use crate::net::{Instant, Mtu, Now, PublicKey, Timestamp};
use identity::Identities;
use peers::Peers;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// One tenant's WireGuard device.
pub struct Device {
    own: Identities,
    listen_port: u16,
    mtu: Mtu,
    peers: Peers,
    allowed: AllowedIps,
    indices: IndexTable,
    random: Random,
    limiter: Limiter,
    /// Cookie replies to send.
    replies: VecDeque<([u8; COOKIE_LEN], Destination)>,
    /// Slots of peers that are owed something.
    queue: VecDeque<u32>,
    /// For each peer with timers a moment that is not after its earliest one.
    deadlines: BTreeSet<(Instant, u32)>,
    /// No stamp may be sent that is not after this one.
    stamp_floor: Timestamp,
    last_initiation: Timestamp,
    drops: [u64; COUNT],
}

impl Device {
    /// Bytes of memory a peer without sessions takes, its prefixes not counted.
    pub const IDLE_PEER_BYTES: usize =
        size_of::<Peer>() + Peers::SLOT_BYTES + size_of::<(PublicKey, PeerIndex)>();

    /// A device as `config` describes it.
    ///
    /// `seed` is 32 random bytes from the system, used once.
    /// `last_initiation` is the latest stamp an earlier process sent with this
    /// key (see [`Sample::last_initiation`]), the epoch if there was none.
    pub fn new(config: DeviceConfig, seed: [u8; 32], last_initiation: Timestamp, now: Now) -> Self {
        let own = Identities::new(config.private_key.clone(), config.next_private_key.clone());
        let mut device = Self {
            listen_port: config.listen_port,
            mtu: config.mtu,
            peers: Peers::default(),
            allowed: AllowedIps::default(),
            indices: IndexTable::default(),
            random: Random::new(seed),
            own,
            limiter: Limiter::default(),
            replies: VecDeque::new(),
            queue: VecDeque::new(),
            deadlines: BTreeSet::new(),
            stamp_floor: last_initiation,
            last_initiation,
            drops: [0; COUNT],
        };
        device.configure(config, now);
        device
    }

    /// The UDP port to listen on.
    pub const fn listen_port(&self) -> u16 {
        self.listen_port
    }

    /// The MTU inside the tunnel.
    pub const fn mtu(&self) -> Mtu {
        self.mtu
    }

    /// Who we are to every peer that has not changed over to our next key.
    pub const fn public_key(&self) -> PublicKey {
        self.own.public()
    }

    /// The room [`Device::poll_transmit`] needs, in bytes.
    pub fn transmit_len(&self) -> usize {
        INITIATION_LEN.max(usize::from(self.mtu.bytes()) + HEADER_LEN + TAG_LEN)
    }

    /// The peer with this key.
    pub fn peer(&self, key: &PublicKey) -> Option<PeerIndex> {
        self.peers.find(key)
    }

    /// The peer that packets to `destination` are for: longest prefix match
    /// among the allowed IPs of all peers.
    pub fn route(&self, destination: IpAddr) -> Option<PeerIndex> {
        self.allowed.longest_match(destination)
    }

    /// Counts `packets` the caller dropped before they came here.
    pub const fn count_drops(&mut self, reason: DropReason, packets: u64) {
        let count = &mut self.drops[reason as usize];
        *count = count.saturating_add(packets);
    }

    /// How the device is.
    pub fn sample(&self, now: Now) -> Sample {
        let drops = DropReason::ALL.iter().zip(self.drops);
        let drops = drops.filter(|(_, count)| *count != 0);
        Sample {
            peers: self.peers.iter().map(|peer| (peer.key, peer.sample(now))).collect(),
            drops: drops.map(|(reason, count)| (reason.name(), count)).collect(),
            last_initiation: self.last_initiation,
        }
    }

    /// Leaves out `messages` numbers of the session in use, as if so many
    /// messages had been sent and lost. No number is used twice by this; it is
    /// there to see what happens when they run out.
    pub fn skip_messages(&mut self, peer: PeerIndex, messages: u64) {
        if let Some(session) = self.peers.get(peer).and_then(|peer| peer.current.as_mut()) {
            session.skip(messages);
        }
    }

    /// When to call [`Device::handle_timeout`] next. It may turn out then that
    /// there is nothing to do yet.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let mut silent = Vec::new();
        while let Some((at, slot)) = self.deadlines.first().copied() {
            if now.mono < at {
                break;
            }
            self.deadlines.pop_first();
            let Some(peer) = self.peers.at(slot) else { continue };
            peer.scheduled = None;
            let mut gave_up = 0;
            while let Some(due) = peer.timers.take_due(now.mono) {
                if due == Due::Retransmit && !peer.has_yielded && peer.config.twin().is_some() {
                    silent.push(peer.index);
                }
                gave_up += do_due(peer, due, &mut self.queue, &mut self.indices, now.mono);
            }
            schedule(&mut self.deadlines, peer);
            self.count_drops(DropReason::HandshakeGaveUp, gave_up);
        }
        self.call_twins(&silent, now.mono);
    }

    const fn dropped(&mut self, reason: DropReason) -> DropReason {
        self.count_drops(reason, 1);
        reason
    }
}

/// Does one thing that is due; gives how many packets were dropped over it.
fn do_due(
    peer: &mut Peer,
    due: Due,
    queue: &mut VecDeque<u32>,
    indices: &mut IndexTable,
    now: Instant,
) -> u64 {
    match due {
        Due::Begin => {
            if !peer.can_send(now) {
                ask_handshake(peer, queue, now);
            }
        }
        Due::Retransmit => {
            peer.counters.handshake_timeouts += 1;
            peer.attempts += 1;
            if MAX_ATTEMPTS <= peer.attempts {
                peer.timers.gave_up(now);
                forget_begun(peer, indices);
                return peer.staging.clear();
            }
            peer.local = None;
            let attempts = peer.attempts;
            ask_handshake(peer, queue, now);
            peer.attempts = attempts;
        }
        // Its twin keeps the way open; nobody is to be called at every interval who
        // does not use this key any more.
        Due::Persistent if peer.has_yielded && !peer.can_send(now) => {}
        Due::Keepalive | Due::Persistent => {
            peer.owed.keepalive = true;
            enqueue(queue, peer);
        }
        Due::Silence => {
            // The address of ours we send from may be what no longer works.
            peer.local = None;
            ask_handshake(peer, queue, now);
        }
        Due::ZeroKeys => {
            forget_sessions(peer, indices);
            if !peer.timers.awaits_answer() {
                forget_begun(peer, indices);
            }
        }
    }
    0
}

/// Sees to it that the device wakes for the peer in time.
fn schedule(deadlines: &mut BTreeSet<(Instant, u32)>, peer: &mut Peer) {
    let Some(next) = peer.timers.next() else { return };
    if peer.scheduled.is_some_and(|scheduled| scheduled <= next) {
        return;
    }
    let slot = peer.index.slot;
    if let Some(old) = peer.scheduled.replace(next) {
        deadlines.remove(&(old, slot));
    }
    deadlines.insert((next, slot));
}

/// Puts the peer among those that are owed something.
fn enqueue(queue: &mut VecDeque<u32>, peer: &mut Peer) {
    if !std::mem::replace(&mut peer.owed.is_queued, true) {
        queue.push_back(peer.index.slot);
    }
}

/// Asks for a handshake, if it is known where, and none was sent a moment ago.
fn ask_handshake(peer: &mut Peer, queue: &mut VecDeque<u32>, now: Instant) {
    peer.attempts = 0;
    if peer.endpoint.is_none() {
        return;
    }
    match peer.handshake_sent.filter(|_| !may_initiate(peer, now)) {
        // What we sent may have been an answer that got lost, after which the
        // peer says no more: then it is for us to begin.
        Some(sent) if !peer.can_send(now) => peer.timers.begin_at(sent + REKEY_TIMEOUT),
        Some(_) => {}
        None => {
            peer.owed.initiation = true;
            enqueue(queue, peer);
        }
    }
}

/// Whether no message of a handshake was sent a moment ago.
fn may_initiate(peer: &Peer, now: Instant) -> bool {
    peer.handshake_sent.is_none_or(|sent| REKEY_TIMEOUT <= now.since(sent))
}

/// Whether the last call back is long enough ago.
fn may_call_back(peer: &Peer, now: Instant) -> bool {
    peer.called_back.is_none_or(|called| REKEY_TIMEOUT <= now.since(called))
}

/// Ends the handshakes we began.
fn forget_begun(peer: &mut Peer, indices: &mut IndexTable) {
    for begun in [&mut peer.initiation, &mut peer.call_back] {
        forget(begun, indices);
    }
}

fn forget(begun: &mut Option<Box<Initiation>>, indices: &mut IndexTable) {
    if let Some(begun) = begun.take() {
        indices.free(begun.index);
    }
}

fn forget_sessions(peer: &mut Peer, indices: &mut IndexTable) {
    retain_sessions(peer, indices, |_| None);
}

/// Ends the sessions of which `keep` says so, and notes of the others what they were
/// made with in today's words.
fn retain_sessions(
    peer: &mut Peer,
    indices: &mut IndexTable,
    keep: impl Fn(MadeWith) -> Option<MadeWith>,
) {
    let mut stays = |session: &mut Session| match keep(session.made_with) {
        Some(made_with) => {
            session.made_with = made_with;
            true
        }
        None => {
            indices.free(session.local);
            false
        }
    };
    for session in [&mut peer.previous, &mut peer.current, &mut peer.next] {
        session.take_if(|session| !stays(session));
    }
    peer.spare.take_if(|spare| !stays(&mut spare.session));
}
