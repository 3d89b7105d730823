//! The sessions of one tenant, and whose a packet is (RFC 5880 §6.3).
//!
//! There is one session for each neighbor's address. A packet belongs to the session
//! of the address it came from; where it names a session, it has to be that one, so
//! that no neighbor speaks for another.

use super::discard::Discard;
use super::packet::{PACKET_LENGTH, Packet};
use super::session::{Event, Session, SessionOutput, SessionSample};
use super::timing::Timing;
use crate::model::limits;
use crate::net::{Instant, Jitter};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// A session that is taken away says so for at least this long: the first word of it
/// may be lost.
const LINGER: Duration = Duration::from_secs(2);

/// How far away a neighbor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hops {
    /// On a link of ours (RFC 5881).
    Single,
    /// Routers away (RFC 5883).
    Multiple,
}

impl Hops {
    /// The UDP port that packets go to (RFC 5881 §4, RFC 5883 §5).
    pub const fn port(self) -> u16 {
        match self {
            Self::Single => 3_784,
            Self::Multiple => 4_784,
        }
    }
}

/// What a session is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How far away the neighbor is.
    pub hops: Hops,
    /// The least TTL, or hop limit, that its packets arrive with. On a link it is 255,
    /// which no router lets through (RFC 5881 §5).
    pub minimum_ttl: u8,
    /// How fast.
    pub timing: Timing,
}

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub remote: IpAddr,
    /// To which port.
    pub hops: Hops,
    /// With this TTL, or hop limit, left.
    pub ttl: u8,
}

/// What sessions have for their owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the neighbor.
    Send(IpAddr, [u8; PACKET_LENGTH]),
    /// Something happened to the session with it.
    Event(IpAddr, Event),
}

/// How one session is.
#[derive(Clone, Debug)]
pub struct NeighborSample {
    /// The session.
    pub session: SessionSample,
    /// Packets from its address that changed nothing, by why.
    pub discarded: BTreeMap<Discard, u64>,
}

/// One neighbor.
#[derive(Debug)]
struct Neighbor {
    settings: Settings,
    session: Session,
    discarded: BTreeMap<Discard, u64>,
    /// Until when it only says that it is down; nobody wants it any more.
    leaving: Option<Instant>,
}

/// The sessions of one tenant.
#[derive(Debug)]
pub struct Sessions {
    neighbors: BTreeMap<IpAddr, Neighbor>,
    /// Packets of nobody we have a session with.
    strangers: u64,
    chance: Jitter,
    outputs: VecDeque<Output>,
}

impl Sessions {
    /// None yet. `seed` is a random number: discriminators are drawn with it, which
    /// nobody is to guess who cannot see them.
    pub const fn new(seed: u64) -> Self {
        Self {
            neighbors: BTreeMap::new(),
            strangers: 0,
            chance: Jitter::new(seed),
            outputs: VecDeque::new(),
        }
    }

    /// There is to be a session with each of these neighbors and nobody else. One
    /// about which nothing changed goes on; one that is not wanted any more is said to
    /// be down, and is gone a little later.
    pub fn configure(&mut self, wanted: &BTreeMap<IpAddr, Settings>, now: Instant) {
        for (address, neighbor) in &mut self.neighbors {
            if !wanted.contains_key(address) && neighbor.leaving.is_none() {
                let linger = neighbor.session.detection_time_of_remote().max(LINGER);
                neighbor.session.admin_down(now);
                neighbor.leaving = Some(now + linger);
            }
        }
        for (address, settings) in wanted {
            match self.neighbors.get_mut(address) {
                Some(known) if known.leaving.is_none() && known.settings.hops == settings.hops => {
                    known.settings = *settings;
                    known.session.set_timing(settings.timing, now);
                }
                Some(_) | None => {
                    let discriminator = self.discriminator();
                    let seed = self.chance.number();
                    let session = Session::new(settings.timing, discriminator, seed, now);
                    let discarded = BTreeMap::new();
                    let neighbor =
                        Neighbor { settings: *settings, session, discarded, leaving: None };
                    self.neighbors.insert(*address, neighbor);
                }
            }
        }
        self.forget_beyond(limits::BFD_LEAVING);
        self.pump();
    }

    /// Says no more to those that leave, the first to be done first, where they are more
    /// than `most`.
    fn forget_beyond(&mut self, most: usize) {
        let all = self.neighbors.iter();
        let mut leaving: Vec<(Instant, IpAddr)> =
            all.filter_map(|(address, it)| Some((it.leaving?, *address))).collect();
        leaving.sort_unstable();
        let beyond = leaving.len().saturating_sub(most);
        for (_, address) in leaving.into_iter().take(beyond) {
            self.neighbors.remove(&address);
        }
    }

    /// A number that no session here has, and not 0.
    fn discriminator(&mut self) -> u32 {
        loop {
            let number = (self.chance.number() >> 32) as u32;
            let is_taken = |it: &Neighbor| it.session.discriminator() == number;
            if number != 0 && !self.neighbors.values().any(is_taken) {
                return number;
            }
        }
    }

    /// All of them are said to be down, because whoever holds them ends as planned.
    pub fn admin_down(&mut self, now: Instant) {
        for neighbor in self.neighbors.values_mut() {
            neighbor.session.admin_down(now);
        }
        self.pump();
    }

    /// Takes a datagram.
    pub fn handle_packet(&mut self, arrival: &Arrival, bytes: &[u8], now: Instant) {
        let Some(neighbor) = self.neighbors.get_mut(&arrival.remote) else {
            self.strangers += 1;
            return;
        };
        if let Err(why) = neighbor.handle_packet(arrival, bytes, now) {
            *neighbor.discarded.entry(why).or_default() += 1;
        }
        // Of a thousand neighbors one has always just said something.
        Self::pump_one(arrival.remote, neighbor, &mut self.outputs);
    }

    /// When [`Sessions::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |it: &Neighbor| [it.session.poll_timeout(), it.leaving];
        self.neighbors.values().flat_map(due).flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.neighbors.retain(|_, neighbor| neighbor.leaving.is_none_or(|until| now < until));
        for neighbor in self.neighbors.values_mut() {
            if neighbor.session.poll_timeout().is_some_and(|at| at <= now) {
                neighbor.session.handle_timeout(now);
            }
        }
        self.pump();
    }

    /// The next thing that is to be done, or to be known.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whom something may be said to, those among them that are on their way out.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.neighbors.keys().copied()
    }

    /// How the session with a neighbor is.
    pub fn sample(&self, address: IpAddr) -> Option<NeighborSample> {
        let neighbor = self.neighbors.get(&address).filter(|it| it.leaving.is_none())?;
        let discarded = neighbor.discarded.clone();
        Some(NeighborSample { session: neighbor.session.sample(), discarded })
    }

    /// Packets of nobody there is a session with.
    pub const fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Brings up what the sessions have.
    fn pump(&mut self) {
        for (address, neighbor) in &mut self.neighbors {
            Self::pump_one(*address, neighbor, &mut self.outputs);
        }
    }

    fn pump_one(address: IpAddr, neighbor: &mut Neighbor, outputs: &mut VecDeque<Output>) {
        while let Some(output) = neighbor.session.poll_output() {
            outputs.push_back(match output {
                SessionOutput::Send(packet) => Output::Send(address, packet.encode()),
                SessionOutput::Event(event) => Output::Event(address, event),
            });
        }
    }
}

impl Neighbor {
    fn handle_packet(
        &mut self,
        arrival: &Arrival,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Discard> {
        if arrival.hops != self.settings.hops {
            return Err(Discard::Port);
        }
        // Before anything in it is looked at (RFC 5082 §3).
        if arrival.ttl < self.settings.minimum_ttl {
            return Err(Discard::Ttl);
        }
        let packet = Packet::decode(bytes).map_err(Discard::Malformed)?;
        if packet.your_discriminator != 0
            && packet.your_discriminator != self.session.discriminator()
        {
            return Err(Discard::Session);
        }
        match self.session.handle_packet(&packet, now) {
            true => Ok(()),
            false => Err(Discard::AdminDown),
        }
    }
}
