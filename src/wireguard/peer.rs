//! One peer: its sessions, its handshake, where it is, what it is owed.
//!
//! A device may have ten thousand of them, most of them idle, so what is large
//! (keys, a running handshake) is boxed and goes with its use.

use super::constants::{LATE, REKEY_TIMEOUT};
use super::cookie::Stamper;
use super::handshake::{Initiator, STAMP_LEN};
use super::messages::RESPONSE_LEN;
use super::session::{MadeWith, Session};
use super::staging::Staging;
use super::timers::Timers;
use super::x25519::StaticSecretShared;
use super::{Destination, PeerConfig, PeerIndex, PeerSample};
use crate::net::{Instant, Now, PublicKey, Timestamp};
use std::net::{IpAddr, SocketAddr};

/// A handshake we began.
pub(super) struct Initiation {
    pub(super) index: u32,
    pub(super) noise: Initiator,
    /// It was begun with our next key.
    pub(super) by_next_key: bool,
    /// Answers that turned out to be no answer.
    pub(super) forged: u8,
}

/// A second answer to an initiation, made with the next preshared key: who began
/// did not say which it has. It takes the one it can read.
pub(super) struct Spare {
    pub(super) session: Session,
    pub(super) response: Option<[u8; RESPONSE_LEN]>,
}

/// What is to be sent to a peer apart from packets.
#[derive(Default)]
pub(super) struct Owed {
    pub(super) response: Option<Box<[u8; RESPONSE_LEN]>>,
    pub(super) initiation: bool,
    /// An initiation to where one came from that could be a replay.
    pub(super) call_back: Option<Destination>,
    pub(super) keepalive: bool,
    /// The peer is in the device's queue.
    pub(super) is_queued: bool,
}

/// The counters and moments of [`PeerSample`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) last_handshake: Option<Timestamp>,
    pub(super) last_received: Option<Instant>,
    pub(super) last_sent: Option<Instant>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_packets: u64,
    pub(super) sent_packets: u64,
    pub(super) handshakes: u64,
    pub(super) handshake_timeouts: u64,
}

/// One peer.
pub(super) struct Peer {
    pub(super) index: PeerIndex,
    pub(super) key: PublicKey,
    /// What its static key shares with ours, once that was asked for.
    pub(super) shared: Option<StaticSecretShared>,
    pub(super) config: PeerConfig,
    pub(super) endpoint: Option<SocketAddr>,
    /// The address of ours it last wrote to.
    pub(super) local: Option<IpAddr>,
    /// Where it was when its document last said that it is elsewhere, and when that was.
    pub(super) left: Option<Box<(SocketAddr, Instant)>>,

    /// The session before the one in use; what was on its way still arrives.
    pub(super) previous: Option<Box<Session>>,
    /// The session we send in.
    pub(super) current: Option<Box<Session>>,
    /// A session the peer began and did not use yet.
    pub(super) next: Option<Box<Session>>,
    /// Until then packets wait for that session: see [`Peer::hold`].
    pub(super) held_until: Option<Instant>,
    /// The other one that may come of the same initiation.
    pub(super) spare: Option<Box<Spare>>,
    /// What the last handshake was made with.
    pub(super) made_with: MadeWith,
    /// Its twin shook hands after it, and has the prefixes of both.
    pub(super) has_yielded: bool,
    pub(super) initiation: Option<Box<Initiation>>,
    /// The initiation that went to where a possible replay came from. It has no
    /// part in the timers: whoever replays is not to hold up our own handshakes.
    pub(super) call_back: Option<Box<Initiation>>,
    pub(super) called_back: Option<Instant>,
    pub(super) cookies: Stamper,

    /// The latest stamp of an initiation taken of it.
    pub(super) greatest_stamp: [u8; STAMP_LEN],
    pub(super) initiation_taken: Option<Instant>,
    /// The latest stamp we sent it.
    pub(super) last_stamp: Timestamp,
    pub(super) handshake_sent: Option<Instant>,
    pub(super) attempts: u32,
    /// A late handshake was asked for in the session at hand; once is enough.
    pub(super) asked_late: bool,

    pub(super) timers: Timers,
    /// The deadline the device knows of for it.
    pub(super) scheduled: Option<Instant>,
    pub(super) staging: Staging,
    pub(super) owed: Owed,
    pub(super) counters: Counters,
    /// The inner source its last packet had, which was found to be its own.
    pub(super) last_source: Option<IpAddr>,
}

impl Peer {
    pub(super) fn new(index: PeerIndex, key: PublicKey, config: PeerConfig) -> Self {
        Self {
            index,
            key,
            shared: None,
            endpoint: config.endpoint.or(config.last_endpoint),
            config,
            local: None,
            left: None,
            previous: None,
            current: None,
            next: None,
            held_until: None,
            spare: None,
            made_with: MadeWith::default(),
            has_yielded: false,
            initiation: None,
            call_back: None,
            called_back: None,
            cookies: Stamper::default(),
            greatest_stamp: [0; STAMP_LEN],
            initiation_taken: None,
            last_stamp: Timestamp::default(),
            handshake_sent: None,
            attempts: 0,
            asked_late: false,
            timers: Timers::default(),
            scheduled: None,
            staging: Staging::default(),
            owed: Owed::default(),
            counters: Counters::default(),
            last_source: None,
        }
    }

    /// Where to send, if that is known.
    pub(super) fn destination(&self) -> Option<Destination> {
        self.endpoint.map(|to| Destination { to, from: self.local })
    }

    /// Takes the source of something authenticated for where the peer is.
    ///
    /// Not where it was until a document said something else: what had been on its way
    /// from there would take the peer back, and as it answers to where it is written to,
    /// it would stay.
    pub(super) fn roam(&mut self, from: SocketAddr, to: Option<IpAddr>, now: Instant) {
        match self.left.as_deref() {
            Some((left, at)) if *left == from && now.since(*at) < LATE => return,
            Some(_) => self.left = None,
            None => {}
        }
        self.endpoint = Some(from);
        self.local = to;
    }

    /// Takes where its document says it is now.
    pub(super) fn move_to(&mut self, endpoint: SocketAddr, now: Instant) {
        let left = self.endpoint.replace(endpoint).filter(|left| *left != endpoint);
        self.left = left.map(|left| Box::new((left, now)));
        self.local = None;
    }

    /// The handshake we began with our index `local`. Of a call back no answer
    /// is awaited for longer than of any other.
    pub(super) fn begun(&mut self, local: u32, now: Instant) -> Option<&mut Initiation> {
        if self.called_back.is_some_and(|called| REKEY_TIMEOUT <= now.since(called))
            && self.call_back.as_ref().is_some_and(|begun| begun.index == local)
        {
            return None;
        }
        let all = [&mut self.initiation, &mut self.call_back];
        all.into_iter().flatten().map(|begun| &mut **begun).find(|begun| begun.index == local)
    }

    /// The session with our index `local`.
    pub(super) fn session(&mut self, local: u32) -> Option<&mut Session> {
        let all = [&mut self.current, &mut self.previous, &mut self.next];
        let all = all.into_iter().flatten().map(|session| &mut **session);
        let spare = self.spare.as_mut().map(|spare| &mut spare.session);
        all.chain(spare).find(|session| session.local == local)
    }

    /// Whether what is sent to it goes by the session with our index `local`.
    pub(super) fn uses(&self, local: u32) -> bool {
        self.current.as_ref().is_some_and(|session| session.local == local)
    }

    /// With which of our keys it is written to: as whom it knew us last, and where
    /// nobody answers to that, as the other one. It may be the customer that has
    /// changed over and waits to be called.
    pub(super) const fn calls_by_next_key(&self) -> bool {
        self.made_with.next_key ^ (self.attempts % 2 == 1)
    }

    /// Whether a packet can be sent now.
    pub(super) fn can_send(&self, now: Instant) -> bool {
        let is_held = self.held_until.is_some_and(|until| now < until);
        !is_held && self.current.as_ref().is_some_and(|session| session.can_send(now))
    }

    /// It has begun a session by the other one of our keys. Who replaced us for it has
    /// forgotten the session at hand, and drops what it is sent there: that waits for the
    /// new one, which is in use a moment later. It does not wait for longer than an
    /// attempt takes, nor when something comes in the session at hand.
    pub(super) fn hold(&mut self, by_next_key: bool, now: Instant) {
        let is_other = |current: &Session| current.made_with.next_key != by_next_key;
        if self.current.as_deref().is_some_and(is_other) {
            self.held_until = Some(now + REKEY_TIMEOUT);
        }
    }

    /// Takes up a session whose handshake we began: the peer is ready for it.
    /// Gives the indices of those that are of no use any more.
    pub(super) fn install_begun(&mut self, session: Session) -> [Option<u32>; 3] {
        self.held_until = None;
        let current = self.current.replace(Box::new(session));
        let spare = self.spare.take().map(|spare| spare.session.local);
        // A session the peer began at the same time may already be in its use.
        if let Some(next) = self.next.take() {
            return [local(&self.previous.replace(next)), local(&current), spare];
        }
        [local(&std::mem::replace(&mut self.previous, current)), None, spare]
    }

    /// Takes up a session whose handshake the peer began; it is used once the
    /// peer has shown that it got our answer. Gives the indices of those that are of
    /// no use any more.
    pub(super) fn install_answered(
        &mut self,
        session: Session,
        spare: Option<Spare>,
    ) -> [Option<u32>; 3] {
        let spare = std::mem::replace(&mut self.spare, spare.map(Box::new));
        let spare = spare.map(|spare| spare.session.local);
        let next = self.next.replace(Box::new(session));
        [local(&next), local(&self.previous.take()), spare]
    }

    /// The peer used the session `index`. If that was the first sign of it, gives
    /// the indices that are of no use any more.
    pub(super) fn confirm(&mut self, index: u32) -> Option<[Option<u32>; 2]> {
        let is_spare = self.spare.as_ref().is_some_and(|spare| spare.session.local == index);
        if !is_spare && self.next.as_ref().is_none_or(|next| next.local != index) {
            return None;
        }
        self.held_until = None;
        let (next, spare) = (self.next.take(), self.spare.take());
        let spare = spare.map(|spare| Box::new(spare.session));
        let (used, other) = if is_spare { (spare, next) } else { (next, spare) };
        let current = std::mem::replace(&mut self.current, used);
        Some([local(&std::mem::replace(&mut self.previous, current)), local(&other)])
    }

    /// Every index in its use.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        let sessions = [&self.previous, &self.current, &self.next];
        let sessions = sessions.into_iter().flatten().map(|session| session.local);
        let sessions = sessions.chain(self.spare.iter().map(|spare| spare.session.local));
        let begun = [&self.initiation, &self.call_back].into_iter().flatten();
        sessions.chain(begun.map(|begun| begun.index))
    }

    pub(super) fn sample(&self, now: Now) -> PeerSample {
        let counters = &self.counters;
        PeerSample {
            endpoint: self.endpoint,
            last_handshake: counters.last_handshake,
            last_received: counters.last_received.map(|at| now.wall_of(at)),
            last_sent: counters.last_sent.map(|at| now.wall_of(at)),
            received_bytes: counters.received_bytes,
            sent_bytes: counters.sent_bytes,
            received_packets: Some(counters.received_packets),
            sent_packets: Some(counters.sent_packets),
            handshakes: counters.handshakes,
            by_next_key: self.made_with.next_key,
            by_next_preshared_key: self.made_with.next_preshared_key,
            handshake_timeouts: counters.handshake_timeouts,
        }
    }
}

/// Our index of a session.
fn local(session: &Option<Box<Session>>) -> Option<u32> {
    session.as_ref().map(|session| session.local)
}
