//! The state machine of one session (RFC 5880 §6.8), without its socket.
//!
//! ```text
//!             hears Down                  hears Init or Up
//!    ┌────▶ Down ─────────────▶ Init ────────────────────────▶ Up
//!    │        │                  │                             │ ▲
//!    │        └── hears Init ────┼─────────────────────────────┼─┘
//!    │                           │ silence, hears AdminDown    │ silence, hears Down
//!    └───────────────────────────┴─────────────────────────────┘ or AdminDown
//! ```
//! Feed with `handle_*`, drain [`Session::poll_output`] until `None` after each, wake it
//! at [`Session::poll_timeout`]. Before it is woken, what lies in the socket should be
//! handed in: a neighbor is not silent because we were.

use super::packet::{Diagnostic, Packet, State};
use super::timing::{SLOW, Timing};
use crate::net::{Instant, Jitter};
use std::collections::VecDeque;
use std::time::Duration;

/// What periodic packets are sent on: a thirtieth of the usual interval.
const BEAT_NANOS: u64 = 10_000_000;

/// What a session has for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// Send this to the neighbor.
    Send(Packet),
    /// Something to know.
    Event(Event),
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Each end hears the other.
    Up,
    /// A session that was up is not any more.
    Down {
        /// Why.
        reason: DownReason,
        /// Whether the neighbor's BFD does not die with its control plane: its C bit
        /// (RFC 5880 §4.1).
        control_plane_independent: bool,
    },
}

/// Why a session that was up is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// Nothing was heard for the detection time.
    DetectionTimeExpired,
    /// The neighbor does not hear us, or began anew.
    NeighborDown(Diagnostic),
    /// Someone at the neighbor took the session down, which says nothing about the
    /// path (RFC 5882 §3.2).
    NeighborAdminDown,
}

/// What is known of the other end.
#[derive(Clone, Copy, Debug)]
struct Remote {
    /// Its number of the session; 0 while it is not known.
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    desired_min_tx: Duration,
    required_min_rx: Duration,
    detect_multiplier: u8,
    demand: bool,
    control_plane_independent: bool,
}

impl Default for Remote {
    /// Nothing heard yet (RFC 5880 §6.8.1).
    fn default() -> Self {
        Self {
            discriminator: 0,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            desired_min_tx: Duration::ZERO,
            required_min_rx: Duration::from_micros(1),
            detect_multiplier: 0,
            demand: false,
            control_plane_independent: false,
        }
    }
}

/// Whether our newest times are being made known (RFC 5880 §6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    None,
    Running,
    /// They changed while it ran: the answer to it does not mean the newest.
    Again,
}

/// A session with one neighbor.
#[derive(Debug)]
pub struct Session {
    timing: Timing,
    /// Our number of it.
    discriminator: u32,
    state: State,
    since: Instant,
    diagnostic: Diagnostic,
    remote: Remote,
    poll: Poll,
    /// The shorter interval that is kept until the neighbor knows of a longer one.
    tx_held: Option<Duration>,
    /// The longer one that packets may come in until it knows of a shorter one.
    rx_held: Option<Duration>,
    heard_at: Option<Instant>,
    sent_at: Option<Instant>,
    /// When the next periodic packet is due, and of which interval that was drawn.
    send_at: Option<Instant>,
    interval: Option<Duration>,
    jitter: Jitter,
    flaps: u64,
    received: u64,
    sent: u64,
    outputs: VecDeque<SessionOutput>,
}

impl Session {
    /// A session that begins down. `discriminator` is our number of it, not 0 and that
    /// of no other; `seed` is a random number, with which packets are spread.
    pub fn new(timing: Timing, discriminator: u32, seed: u64, now: Instant) -> Self {
        Self {
            timing,
            discriminator,
            state: State::Down,
            since: now,
            diagnostic: Diagnostic::NONE,
            remote: Remote::default(),
            poll: Poll::None,
            tx_held: None,
            rx_held: None,
            heard_at: None,
            sent_at: None,
            send_at: Some(now),
            interval: Some(SLOW),
            jitter: Jitter::new(seed),
            flaps: 0,
            received: 0,
            sent: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The next thing that is to be done, or to be known.
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`Session::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.send_at, self.silent_at()].into_iter().flatten().min()
    }

    /// Our number of it.
    pub const fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes a packet of the neighbor's (RFC 5880 §6.8.6, from where the session is
    /// found). Gives whether it was of any use: while we have the session down it is not.
    pub fn handle_packet(&mut self, packet: &Packet, now: Instant) -> bool {
        self.remote = Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
            detect_multiplier: packet.detect_multiplier,
            demand: packet.demand,
            control_plane_independent: packet.control_plane_independent,
        };
        if packet.is_final {
            self.end_poll();
        }
        if self.state == State::AdminDown {
            self.schedule(now);
            return false;
        }
        self.received += 1;
        self.heard_at = Some(now);
        let was = self.state;
        match (self.state, packet.state) {
            (State::Init, State::AdminDown) => {
                self.enter(State::Down, Diagnostic::NEIGHBOR_SIGNALED_DOWN, now);
            }
            (State::Up, State::AdminDown) => self.fall(DownReason::NeighborAdminDown, now),
            (State::Up, State::Down) => {
                self.fall(DownReason::NeighborDown(packet.diagnostic), now);
            }
            (State::Down, State::Down) => self.enter(State::Init, self.diagnostic, now),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.enter(State::Up, Diagnostic::NONE, now);
                self.outputs.push_back(SessionOutput::Event(Event::Up));
            }
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up)
            | (State::AdminDown, _) => {}
        }
        if packet.poll {
            self.send(true, now);
        } else if was != self.state && self.interval().is_some() {
            // What is new is said at once (RFC 5880 §6.8.7).
            self.send(false, now);
        }
        self.schedule(now);
        true
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.silent_at().is_some_and(|at| at <= now) {
            self.heard_at = None;
            let was = self.state;
            match self.state {
                State::Up => self.fall(DownReason::DetectionTimeExpired, now),
                State::Init => self.enter(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, now),
                State::Down | State::AdminDown => {}
            }
            // Whoever comes next may be another.
            self.remote = Remote::default();
            if was != self.state {
                self.send(false, now);
            }
            self.schedule(now);
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send(false, now);
        }
    }

    /// Takes it down from this end, and says so at once and from time to time as long
    /// as the session is there (RFC 5880 §6.8.16).
    pub fn admin_down(&mut self, now: Instant) {
        if self.state == State::AdminDown {
            return;
        }
        self.enter(State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, now);
        self.send(false, now);
        self.schedule(now);
    }

    /// From now on it is this fast. What could be taken for a failure holds once the
    /// neighbor knows of it (RFC 5880 §6.8.3).
    pub fn set_timing(&mut self, timing: Timing, now: Instant) {
        if self.timing == timing {
            return;
        }
        if self.state == State::Up {
            let tx = self.tx_held.unwrap_or(self.timing.desired_min_tx);
            self.tx_held = (tx < timing.desired_min_tx).then_some(tx);
            let rx = self.rx_held.unwrap_or(self.timing.required_min_rx);
            self.rx_held = (timing.required_min_rx < rx).then_some(rx);
            self.timing = timing;
            self.begin_poll();
        }
        self.timing = timing;
        self.schedule(now);
    }

    /// How long the neighbor may be silent (RFC 5880 §6.8.4); `None` while it was not
    /// heard.
    pub fn detection_time(&self) -> Option<Duration> {
        self.heard_at?;
        let rx = self.rx_held.unwrap_or(self.timing.required_min_rx);
        Some(rx.max(self.remote.desired_min_tx) * self.remote.detect_multiplier.into())
    }

    /// How long the neighbor waits for us before it takes us for dead.
    pub(super) fn detection_time_of_remote(&self) -> Duration {
        let interval = self.desired_min_tx().max(self.remote.required_min_rx);
        interval * self.timing.detect_multiplier.into()
    }

    fn silent_at(&self) -> Option<Instant> {
        Some(self.heard_at? + self.detection_time()?)
    }

    /// What we say of how often we would send.
    fn desired_min_tx(&self) -> Duration {
        match self.state {
            State::Up => self.timing.desired_min_tx,
            State::AdminDown | State::Down | State::Init => self.timing.desired_min_tx.max(SLOW),
        }
    }

    /// The time between two periodic packets before chance shortens it (RFC 5880
    /// §6.8.7); `None` where there are to be none.
    fn interval(&self) -> Option<Duration> {
        let is_both_up = self.state == State::Up && self.remote.state == State::Up;
        let is_on_demand = self.remote.demand && is_both_up && self.poll == Poll::None;
        if is_on_demand || self.remote.required_min_rx.is_zero() {
            return None;
        }
        let tx = self.tx_held.unwrap_or_else(|| self.desired_min_tx());
        Some(tx.max(self.remote.required_min_rx))
    }

    /// One that was up is not.
    fn fall(&mut self, reason: DownReason, now: Instant) {
        let diagnostic = match reason {
            DownReason::DetectionTimeExpired => Diagnostic::DETECTION_TIME_EXPIRED,
            DownReason::NeighborDown(_) | DownReason::NeighborAdminDown => {
                Diagnostic::NEIGHBOR_SIGNALED_DOWN
            }
        };
        let control_plane_independent = self.remote.control_plane_independent;
        self.enter(State::Down, diagnostic, now);
        let event = Event::Down { reason, control_plane_independent };
        self.outputs.push_back(SessionOutput::Event(event));
    }

    fn enter(&mut self, state: State, diagnostic: Diagnostic, now: Instant) {
        if self.state == State::Up {
            self.flaps += 1;
        }
        (self.state, self.diagnostic, self.since) = (state, diagnostic, now);
        (self.poll, self.tx_held, self.rx_held) = (Poll::None, None, None);
        if state == State::Up {
            // We are faster now than what was said so far.
            self.begin_poll();
        }
    }

    const fn begin_poll(&mut self) {
        self.poll = match self.poll {
            Poll::None => Poll::Running,
            Poll::Running | Poll::Again => Poll::Again,
        };
    }

    const fn end_poll(&mut self) {
        match self.poll {
            Poll::None => {}
            Poll::Running => {
                (self.poll, self.tx_held, self.rx_held) = (Poll::None, None, None);
            }
            Poll::Again => self.poll = Poll::Running,
        }
    }

    /// Sends what is to be said now; `is_final` is the answer to a poll, which asks
    /// nothing itself and counts for no periodic one.
    fn send(&mut self, is_final: bool, now: Instant) {
        let packet = Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.poll != Poll::None && !is_final,
            is_final,
            // BFD and BGP are one process here.
            control_plane_independent: false,
            demand: false,
            detect_multiplier: self.timing.detect_multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: self.timing.required_min_rx,
            required_min_echo_rx: Duration::ZERO,
        };
        self.sent += 1;
        self.outputs.push_back(SessionOutput::Send(packet));
        if !is_final {
            self.sent_at = Some(now);
            self.interval = self.interval();
            self.send_at = self.interval.map(|interval| self.next_after(now, interval));
        }
    }

    /// Draws anew when the next periodic packet is due, where its interval has changed.
    fn schedule(&mut self, now: Instant) {
        let interval = self.interval();
        if interval != self.interval {
            self.interval = interval;
            let after = self.sent_at.unwrap_or(now);
            self.send_at = interval.map(|it| now.max(self.next_after(after, it)));
        }
    }

    /// When to send after `sent`: a part of the interval later by chance, so that many
    /// sessions do not send at once. At most a quarter is taken off, and at least a tenth
    /// where one lost packet is a failure (RFC 5880 §6.8.7).
    fn next_after(&mut self, sent: Instant, interval: Duration) -> Instant {
        let (shortest, longest) = match self.timing.detect_multiplier {
            1 => (interval / 4 * 3, interval / 10 * 9),
            _ => (interval / 4 * 3, interval),
        };
        let drawn = sent + shortest + self.jitter.part(longest - shortest);
        // On a beat that all sessions have, as far as what is allowed has room for one:
        // whoever has thousands of them is woken once for many.
        let beat = Instant::from_nanos(drawn.as_nanos() / BEAT_NANOS * BEAT_NANOS);
        if sent + shortest <= beat { beat } else { drawn.min(sent + longest) }
    }

    /// How it is.
    pub fn sample(&self) -> SessionSample {
        SessionSample {
            state: self.state,
            since: self.since,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            interval: self.interval,
            detection_time: self.detection_time(),
            flaps: self.flaps,
            received: self.received,
            sent: self.sent,
        }
    }
}

/// How a session is, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSample {
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why it came there.
    pub diagnostic: Diagnostic,
    /// Where it stands for the neighbor; down while that is not heard.
    pub remote_state: State,
    /// Why it came there, as the neighbor says.
    pub remote_diagnostic: Diagnostic,
    /// The time between two packets of ours, at most; `None` sends none by itself.
    pub interval: Option<Duration>,
    /// Silence of the neighbor for this long is a failure; `None` while it is not heard.
    pub detection_time: Option<Duration>,
    /// Times it went down after it was up.
    pub flaps: u64,
    /// Packets that were taken.
    pub received: u64,
    /// Packets that were sent.
    pub sent: u64,
}
