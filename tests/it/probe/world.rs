//! [`World`]: a prober, and devices that answer as they are told.

use lockgate::net::{Instant, Now, Timestamp};
use lockgate::probe::{
    Change, Failure, Health, Outcome, ProbeId, Prober, Session, Settings, Shot, Target,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Shots in a row that no test has reason for.
const ENDLESS: usize = 100_000;

pub(crate) const NO_ANSWER: Outcome = Outcome::Lost(Failure::Timeout);
pub(crate) const ANSWER: Outcome = Outcome::Answered(Duration::from_millis(7));

pub(crate) struct World {
    pub(crate) prober: Prober,
    pub(crate) now: Now,
    /// What a device does; who is not in it answers.
    pub(crate) devices: BTreeMap<Target, Outcome>,
    /// When who was asked.
    pub(crate) asked: Vec<(Instant, Target)>,
    pub(crate) changes: Vec<(Target, Change)>,
    /// How long an outcome takes to come.
    pub(crate) delay: Duration,
    /// When what becomes of which shot is told.
    waiting: Vec<(Instant, Shot)>,
    /// How many more may be asked by all.
    pub(crate) room: usize,
}

pub(crate) fn target(address: &str) -> Target {
    Target { address: address.parse().unwrap(), tcp_port: None }
}

pub(crate) fn id(site: &str, address: &str) -> ProbeId {
    ProbeId { site: site.parse().unwrap(), target: target(address) }
}

impl World {
    /// One that has these probes of a site `hq`, each with this interval.
    pub(crate) fn new(addresses: &[&str], interval: u64) -> Self {
        let now = Now { mono: Instant::from_secs(100), wall: Timestamp::new(1_800_000_000, 0) };
        let mut world = Self {
            prober: Prober::new(7),
            now,
            devices: BTreeMap::new(),
            asked: Vec::new(),
            changes: Vec::new(),
            delay: Duration::from_millis(7),
            waiting: Vec::new(),
            room: usize::MAX,
        };
        world.configure(addresses, interval);
        world.prober.set_open(true);
        world
    }

    pub(crate) fn configure(&mut self, addresses: &[&str], interval: u64) {
        let settings = Settings { interval: Duration::from_secs(interval) };
        let wanted = addresses.iter().map(|address| (id("hq", address), settings)).collect();
        self.prober.configure(&wanted, self.now.mono);
    }

    /// Time passes; devices are asked and answer meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..ENDLESS {
            let due = self.prober.poll_timeout();
            let answered = self.waiting.iter().map(|(at, _)| *at).min();
            let next = [due, answered].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end.mono) else {
                self.now = end;
                return;
            };
            self.now = self.now + at.since(self.now.mono);
            let waiting = std::mem::take(&mut self.waiting).into_iter();
            let (come, left): (Vec<_>, Vec<_>) = waiting.partition(|(at, _)| *at <= self.now.mono);
            self.waiting = left;
            for (_, shot) in come {
                self.finish(&shot);
            }
            self.prober.handle_timeout(self.room, self.now.mono);
            while let Some(shot) = self.prober.poll_output() {
                self.asked.push((self.now.mono, shot.probe.target));
                self.waiting.push((self.now.mono + self.delay, shot));
            }
        }
        panic!("it is awake all the time");
    }

    fn finish(&mut self, shot: &Shot) {
        let target = shot.probe.target;
        let outcome = self.devices.get(&target).copied().unwrap_or(ANSWER);
        let change = self.prober.handle_outcome(&shot.probe, shot.number, outcome, self.now);
        self.changes.extend(change.map(|change| (target, change)));
    }

    pub(crate) fn session(&self, address: &str) -> &Session {
        let mut found = self.prober.of_site(&self.site());
        found.find(|(it, _)| **it == target(address)).unwrap().1
    }

    pub(crate) fn health(&self, address: &str) -> Health {
        self.session(address).health()
    }

    pub(crate) fn site(&self) -> lockgate::net::SiteName {
        "hq".parse().unwrap()
    }
}
