//! Two sessions and the pipes between them: nothing is lost, nothing takes time,
//! and time passes when a test says so.

use super::bytes::*;
use lockgate::bgp::proto::{MessageKind, Negotiated, Notification, Offer, next_message};
use lockgate::bgp::session::{
    ConnectionId, DownReason, Event, Output, Session, SessionConfig, SessionState,
};
use lockgate::net::Instant;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One session with what it has said.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) address: IpAddr,
    pub(crate) events: Vec<Event>,
    /// Dials that nobody answered yet.
    pub(crate) dials: VecDeque<ConnectionId>,
    /// What was closed, with the last words.
    pub(crate) closed: Vec<(ConnectionId, Vec<u8>)>,
}

/// A connection between two ends.
pub(crate) struct Pipe {
    pub(crate) ids: [ConnectionId; 2],
    /// Bytes at once; 0 lets nothing through.
    pub(crate) piece: usize,
    is_open: bool,
}

pub(crate) struct Pair {
    pub(crate) ends: [End; 2],
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) now: Instant,
}

impl End {
    pub(crate) fn new(offer: Offer, address: IpAddr, now: Instant) -> Self {
        let mut config = SessionConfig::new(offer);
        config.connect_retry = Duration::from_secs(5);
        Self::of(config, address, now)
    }

    pub(crate) fn of(config: SessionConfig, address: IpAddr, now: Instant) -> Self {
        Self {
            session: Session::new(config, 7, now),
            address,
            events: Vec::new(),
            dials: VecDeque::new(),
            closed: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Dial(id) => self.dials.push_back(id),
                Output::Write(_) => {}
                Output::Close { connection, last } => {
                    self.dials.retain(|dial| *dial != connection);
                    self.closed.push((connection, last));
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// The end of the session, of which there was one.
    #[track_caller]
    pub(crate) fn down(&self) -> (&DownReason, bool) {
        let downs: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| {
                if let Event::Down { reason, keeps_routes } = event {
                    Some((reason, *keeps_routes))
                } else {
                    None
                }
            })
            .collect();
        let [down] = &downs[..] else { panic!("{:?}", self.events) };
        *down
    }

    #[track_caller]
    pub(crate) fn negotiated(&self) -> Arc<Negotiated> {
        Arc::clone(self.session.negotiated().expect("it is up"))
    }
}

impl Pair {
    pub(crate) fn new(ours: Offer, theirs: Offer) -> Self {
        let now = Instant::from_secs(1_000);
        let ends = [End::new(ours, OUR_ADDRESS, now), End::new(theirs, THEIR_ADDRESS, now)];
        Self { ends, pipes: Vec::new(), now }
    }

    pub(crate) fn start(&mut self) {
        for end in &mut self.ends {
            end.session.start(self.now);
            end.drain();
        }
    }

    /// Lets the oldest dial of one end reach the other.
    #[track_caller]
    pub(crate) fn connect(&mut self, from: usize) {
        let to = 1 - from;
        let dial = self.ends[from].dials.pop_front().expect("it dials");
        let addresses = [self.ends[from].address, self.ends[to].address];
        let accepted = self.ends[to].session.handle_incoming(addresses[1], addresses[0], self.now);
        self.ends[from].session.handle_connected(dial, addresses[0], addresses[1], self.now);
        let ids = if from == 0 { [dial, accepted] } else { [accepted, dial] };
        self.pipes.push(Pipe { ids, piece: usize::MAX, is_open: true });
    }

    /// Moves bytes until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        while self.step() {}
    }

    /// Moves a piece each way of each pipe; gives whether anything moved.
    pub(crate) fn step(&mut self) -> bool {
        let mut moved = false;
        for end in &mut self.ends {
            end.drain();
        }
        for pipe in 0..self.pipes.len() {
            for from in [0, 1] {
                moved |= self.move_piece(pipe, from, self.pipes[pipe].piece);
            }
        }
        moved
    }

    /// Moves so many bytes of one pipe one way, or its end behind the last of them;
    /// gives whether there was anything to move.
    pub(crate) fn move_piece(&mut self, pipe: usize, from: usize, most: usize) -> bool {
        let to = 1 - from;
        let pipe = &mut self.pipes[pipe];
        let (from_id, to_id) = (pipe.ids[from], pipe.ids[to]);
        let unsent = self.ends[from].session.unsent(from_id);
        let piece = unsent[..unsent.len().min(most)].to_vec();
        if pipe.is_open && !piece.is_empty() {
            self.ends[from].session.handle_written(from_id, piece.len(), self.now);
            deliver(&mut self.ends[to], to_id, &piece, self.now);
            return true;
        }
        let closed = self.ends[from].closed.iter().find(|(id, _)| *id == from_id);
        if let Some((_, last)) = closed
            && std::mem::take(&mut pipe.is_open)
        {
            let last = last.clone();
            if most != 0 {
                deliver(&mut self.ends[to], to_id, &last, self.now);
            }
            self.ends[to].session.handle_closed(to_id, "closed at the far end", self.now);
            self.ends[to].drain();
            return true;
        }
        false
    }

    /// Breaks a pipe; both ends see that.
    pub(crate) fn cut(&mut self, pipe: usize) {
        self.pipes[pipe].is_open = false;
        for (end, id) in self.ends.iter_mut().zip(self.pipes[pipe].ids) {
            end.session.handle_closed(id, "reset", self.now);
            end.drain();
        }
    }

    /// Lets time pass, waking each end whenever it wants to be woken.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let next = self.ends.iter().filter_map(|end| end.session.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            for end in &mut self.ends {
                end.session.handle_timeout(self.now);
                end.drain();
            }
            self.settle();
        }
        self.now = until;
    }

    /// Two sessions that are up over one connection, which `from` dialed.
    pub(crate) fn established(ours: Offer, theirs: Offer) -> Self {
        let mut pair = Self::new(ours, theirs);
        pair.start();
        pair.connect(0);
        pair.settle();
        pair.check_up();
        pair
    }

    #[track_caller]
    pub(crate) fn check_up(&self) {
        for end in &self.ends {
            assert_eq!(
                end.session.state(),
                SessionState::Established,
                "{:?}",
                end.session.sample()
            );
        }
    }
}

fn deliver(end: &mut End, id: ConnectionId, mut bytes: &[u8], now: Instant) {
    while !bytes.is_empty() {
        let taken = end.session.handle_bytes(id, bytes, now);
        bytes = &bytes[taken..];
        end.drain();
    }
}

/// One session, the other end of which is written by hand.
pub(crate) struct Alone {
    pub(crate) end: End,
    pub(crate) id: ConnectionId,
    pub(crate) now: Instant,
}

impl Alone {
    /// A connection has just come in; our OPEN is on its way.
    pub(crate) fn connected(offer: Offer) -> Self {
        Self::of(SessionConfig { passive: true, ..SessionConfig::new(offer) })
    }

    pub(crate) fn of(config: SessionConfig) -> Self {
        let now = Instant::from_secs(1_000);
        let mut end = End::of(config, OUR_ADDRESS, now);
        end.session.start(now);
        let id = end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, now);
        end.drain();
        Self { end, id, now }
    }

    /// Up, with a neighbor that said this OPEN.
    #[track_caller]
    pub(crate) fn established(offer: Offer, open: &[u8]) -> Self {
        let mut alone = Self::connected(offer);
        alone.receive(open);
        alone.receive(&keepalive());
        assert_eq!(alone.end.session.state(), SessionState::Established, "{:?}", alone.end.closed);
        alone.sent();
        alone
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        deliver(&mut self.end, self.id, bytes, self.now);
    }

    /// Takes every message that waits to be sent.
    pub(crate) fn sent(&mut self) -> Vec<(MessageKind, Vec<u8>)> {
        let bytes = self.end.session.unsent(self.id).to_vec();
        self.end.session.handle_written(self.id, bytes.len(), self.now);
        self.end.drain();
        split(&bytes)
    }

    /// The NOTIFICATION the connection was ended with.
    #[track_caller]
    pub(crate) fn notification(&self) -> Notification {
        let [(_, last)] = &self.end.closed[..] else { panic!("{:?}", self.end.closed) };
        last_words(last)
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.end.session.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.end.session.handle_timeout(self.now);
            self.end.drain();
        }
        self.now = until;
    }
}

/// The messages in `bytes`, all of them whole.
#[track_caller]
pub(crate) fn split(mut bytes: &[u8]) -> Vec<(MessageKind, Vec<u8>)> {
    let mut messages = Vec::new();
    while let Some((kind, length)) = next_message(bytes, 65_535).unwrap() {
        messages.push((kind, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    messages
}

/// The NOTIFICATION at the end of `last`.
#[track_caller]
pub(crate) fn last_words(last: &[u8]) -> Notification {
    let messages = split(last);
    let Some((MessageKind::Notification, message)) = messages.last() else {
        panic!("{messages:?}")
    };
    Notification::new(message[19], message[20], message[21..].to_vec())
}
