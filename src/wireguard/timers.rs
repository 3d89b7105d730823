//! A peer's timers (WireGuard paper §6, in the manner of the Linux kernel).
//!
//! This is only what is due when; what is done then is the device's. Timers are
//! armed and put off with every packet, so both are a comparison and a store:
//! the device keeps the earliest deadline it knows of and looks again when that
//! comes.

use super::constants::{KEEPALIVE_TIMEOUT, MAX_JITTER, REKEY_TIMEOUT, ZERO_KEYS_AFTER};
use super::random::Random;
use crate::net::Instant;
use std::time::Duration;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A handshake that had to wait for its turn.
    Begin,
    /// Our initiation was not answered.
    Retransmit,
    /// We received and had nothing to say for 10 s.
    Keepalive,
    /// We sent and nothing came back for 15 s.
    Silence,
    /// The configured keepalive.
    Persistent,
    /// The keys are of no use to anyone any more.
    ZeroKeys,
}

/// When what is due.
#[derive(Default)]
pub(super) struct Timers {
    begin: Option<Instant>,
    retransmit: Option<Instant>,
    keepalive: Option<Instant>,
    silence: Option<Instant>,
    persistent: Option<Instant>,
    zero_keys: Option<Instant>,
}

impl Timers {
    /// Takes what is due, one after the other.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Due> {
        let all = [
            (&mut self.begin, Due::Begin),
            (&mut self.retransmit, Due::Retransmit),
            (&mut self.keepalive, Due::Keepalive),
            (&mut self.silence, Due::Silence),
            (&mut self.persistent, Due::Persistent),
            (&mut self.zero_keys, Due::ZeroKeys),
        ];
        for (timer, due) in all {
            if timer.is_some_and(|at| at <= now) {
                *timer = None;
                return Some(due);
            }
        }
        None
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        let all = [
            self.begin,
            self.retransmit,
            self.keepalive,
            self.silence,
            self.persistent,
            self.zero_keys,
        ];
        all.into_iter().flatten().min()
    }

    /// A handshake is to begin then, unless one is under way.
    pub(super) fn begin_at(&mut self, at: Instant) {
        if self.retransmit.is_none() {
            self.begin = Some(at);
        }
    }

    /// Whether an answer to a handshake is being waited for.
    pub(super) const fn awaits_answer(&self) -> bool {
        self.retransmit.is_some()
    }

    /// Packets were sent, keepalives not among them.
    pub(super) fn data_sent(&mut self, random: &mut Random, now: Instant) {
        if self.silence.is_none() {
            let patience = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
            self.silence = Some(now + patience + random.jitter(MAX_JITTER));
        }
    }

    /// A packet was received, not a keepalive.
    pub(super) fn data_received(&mut self, now: Instant) {
        if self.keepalive.is_none() {
            self.keepalive = Some(now + KEEPALIVE_TIMEOUT);
        }
    }

    /// Anything authenticated was sent.
    pub(super) fn sent(&mut self, persistent: Option<Duration>, now: Instant) {
        self.keepalive = None;
        self.passed(persistent, now);
    }

    /// Anything authenticated was received.
    pub(super) fn received(&mut self, persistent: Option<Duration>, now: Instant) {
        self.silence = None;
        self.passed(persistent, now);
    }

    fn passed(&mut self, persistent: Option<Duration>, now: Instant) {
        self.persistent = persistent.map(|interval| now + interval);
    }

    /// We began a handshake.
    pub(super) fn handshake_begun(&mut self, random: &mut Random, now: Instant) {
        self.begin = None;
        self.retransmit = Some(now + REKEY_TIMEOUT + random.jitter(MAX_JITTER));
    }

    /// A handshake is done, on both sides.
    pub(super) fn handshake_done(&mut self) {
        self.begin = None;
        self.retransmit = None;
    }

    /// There are new keys.
    pub(super) fn keys_made(&mut self, now: Instant) {
        self.zero_keys = Some(now + ZERO_KEYS_AFTER);
    }

    /// We gave up; what keys there are end in time.
    pub(super) fn gave_up(&mut self, now: Instant) {
        self.keepalive = None;
        if self.zero_keys.is_none() {
            self.keys_made(now);
        }
    }

    /// The configured keepalive is another one.
    pub(super) fn persistent_changed(&mut self, persistent: Option<Duration>, now: Instant) {
        self.passed(persistent, now);
    }

    /// Everything begins anew, save the configured keepalive.
    pub(super) fn reset(&mut self) {
        *self = Self { persistent: self.persistent, ..Self::default() };
    }
}
