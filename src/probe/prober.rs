//! All probes of one tenant, and which of them is due.

use super::outcome::Outcome;
use super::session::{Change, Session};
use super::target::Target;
use super::verdict::Verdict;
use crate::model::limits::PROBES_UNDER_WAY_PER_TENANT;
use crate::net::{Instant, Jitter, Now, SiteName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Who finds as many under way as may be looks again at the next beat of this: a beat of
/// the clock, so that a thousand crowded tenants do not wake the loop by turns.
const BEAT_NANOS: u64 = 200_000_000;

/// A probe of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId {
    /// The site it is about.
    pub site: SiteName,
    /// What it asks.
    pub target: Target,
}

/// What a probe is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often it asks.
    pub interval: Duration,
}

/// A device that is to be asked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Which probe asks.
    pub probe: Arc<ProbeId>,
    /// The number of the shot, never used twice by one prober. An answer names it.
    pub number: u64,
}

/// The probes of one tenant.
#[derive(Debug)]
pub struct Prober {
    probes: BTreeMap<Arc<ProbeId>, Session>,
    /// When something is due of which, one entry for each that waits for something.
    schedule: BTreeSet<(Instant, Arc<ProbeId>)>,
    /// Whether anything may be asked now.
    is_open: bool,
    under_way: usize,
    /// When those are looked after that were due and found no room.
    crowded_until: Option<Instant>,
    last_number: u64,
    chance: Jitter,
    shots: VecDeque<Shot>,
}

impl Prober {
    /// One without probes. `seed` is a random number: it spreads shots, and whoever
    /// cannot see one does not know its number, without which no answer is one.
    pub const fn new(seed: u64) -> Self {
        let mut chance = Jitter::new(seed);
        // Room for as many shots as there may ever be, and a start nobody can guess.
        let last_number = chance.number() >> 1;
        Self {
            probes: BTreeMap::new(),
            schedule: BTreeSet::new(),
            is_open: false,
            under_way: 0,
            crowded_until: None,
            last_number,
            chance,
            shots: VecDeque::new(),
        }
    }

    /// There are to be these probes and no others. One that was there goes on.
    pub fn configure(&mut self, wanted: &BTreeMap<ProbeId, Settings>, now: Instant) {
        let gone: Vec<Arc<ProbeId>> =
            self.probes.keys().filter(|id| !wanted.contains_key(&***id)).cloned().collect();
        for id in gone {
            if let Some(session) = self.probes.remove(&id) {
                self.forget(&id, session.poll_timeout(), session.is_under_way());
            }
        }
        for (id, settings) in wanted {
            match self.probes.get_mut(id) {
                Some(_) => self.change(id, |session, chance| {
                    session.set_interval(settings.interval, chance, now);
                }),
                None => {
                    let session = Session::new(settings.interval, &mut self.chance, now);
                    let id = Arc::new(id.clone());
                    self.schedule.extend(session.poll_timeout().map(|at| (at, Arc::clone(&id))));
                    self.probes.insert(id, session);
                }
            }
        }
    }

    /// Whether something may be asked from now on: as long as its links are not there
    /// the tenant's silence says nothing.
    pub const fn set_open(&mut self, is_open: bool) {
        self.is_open = is_open;
    }

    /// What a probe would ask is reached by another site from now on, or no longer.
    pub fn stand_by(&mut self, id: &ProbeId, is_standing_by: bool, now: Instant) {
        self.change(id, |session, chance| session.stand_by(is_standing_by, chance, now));
    }

    /// An earlier process found no device of this site: so it is until one answers.
    pub fn begin_lost(&mut self, site: &SiteName) {
        self.each_of(site, Session::begin_lost);
    }

    /// A site has just come up: its probes are judged anew.
    pub fn begin_anew(&mut self, site: &SiteName, now: Instant) {
        self.each_of(site, |session| session.begin_anew(now));
    }

    fn each_of(&mut self, site: &SiteName, change: impl Fn(&mut Session)) {
        let targets: Vec<Target> = self.of_site(site).map(|(target, _)| *target).collect();
        for target in targets {
            let id = ProbeId { site: site.clone(), target };
            self.change(&id, |session, _| change(session));
        }
    }

    /// When [`Prober::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (at, _) = self.schedule.first().filter(|_| self.is_open)?;
        Some(self.crowded_until.map_or(*at, |until| until.max(*at)))
    }

    /// Does what is due. At most `room` shots are begun: what is more waits a little, and
    /// comes before what is due later.
    /// Gives the sites of which the verdict may be another.
    pub fn handle_timeout(&mut self, room: usize, now: Instant) -> BTreeSet<SiteName> {
        let mut changed = BTreeSet::new();
        if !self.is_open {
            return changed;
        }
        let mut room = room.min(PROBES_UNDER_WAY_PER_TENANT.saturating_sub(self.under_way));
        self.crowded_until = None;
        let due = self.schedule.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<Arc<ProbeId>> = due.map(|(_, id)| Arc::clone(id)).collect();
        for id in due {
            let (mut is_changed, mut is_begun) = (false, false);
            let number = self.last_number.wrapping_add(1);
            self.change(&id, |session, chance| {
                is_changed = session.handle_timeout(chance, now);
                is_begun = session.is_due(now) && 0 < room;
                if is_begun {
                    session.begin(number, now);
                }
            });
            if is_begun {
                room -= 1;
                self.last_number = number;
                self.shots.push_back(Shot { probe: Arc::clone(&id), number });
            }
            if is_changed {
                changed.insert(id.site.clone());
            }
        }
        if self.schedule.first().is_some_and(|(at, _)| *at <= now) {
            self.crowded_until = Some(next_beat(now));
        }
        changed
    }

    /// Takes what became of a shot. Gives what that means for the probe, where it is
    /// new; of a shot that nobody waits for nothing.
    pub fn handle_outcome(
        &mut self,
        id: &ProbeId,
        number: u64,
        outcome: Outcome,
        now: Now,
    ) -> Option<Change> {
        let mut change = None;
        self.change(id, |session, chance| {
            change = session.handle_outcome(number, outcome, chance, now);
        });
        change.flatten()
    }

    /// The next device to ask.
    pub fn poll_output(&mut self) -> Option<Shot> {
        self.shots.pop_front()
    }

    /// Shots of which the outcome is awaited.
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// The probes of a site.
    pub fn of_site<'a>(
        &'a self,
        site: &SiteName,
    ) -> impl Iterator<Item = (&'a Target, &'a Session)> + use<'a> {
        let first = Target { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), tcp_port: None };
        let site = site.clone();
        let from = ProbeId { site: site.clone(), target: first };
        let probes = self.probes.range::<ProbeId, _>(&from..);
        let probes = probes.take_while(move |(id, _)| id.site == site);
        probes.map(|(id, session)| (&id.target, session))
    }

    /// What the probes of a site say together; `None` where there are none.
    pub fn verdict(&self, site: &SiteName) -> Option<Verdict> {
        Verdict::of(self.of_site(site).map(|(_, session)| session.health()))
    }

    /// Changes a session, and when it is due with it.
    fn change(&mut self, id: &ProbeId, change: impl FnOnce(&mut Session, &mut Jitter)) {
        let Some((id, _)) = self.probes.get_key_value(id) else { return };
        let id = Arc::clone(id);
        let Some(session) = self.probes.get_mut(&id) else { return };
        let (was_at, was_under_way) = (session.poll_timeout(), session.is_under_way());
        change(session, &mut self.chance);
        let (at, is_under_way) = (session.poll_timeout(), session.is_under_way());
        self.forget(&id, was_at, was_under_way);
        self.under_way += usize::from(is_under_way);
        self.schedule.extend(at.map(|at| (at, id)));
    }

    fn forget(&mut self, id: &Arc<ProbeId>, at: Option<Instant>, is_under_way: bool) {
        self.under_way -= usize::from(is_under_way);
        if let Some(at) = at {
            self.schedule.remove(&(at, Arc::clone(id)));
        }
    }
}

fn next_beat(now: Instant) -> Instant {
    Instant::from_nanos((now.as_nanos() / BEAT_NANOS + 1) * BEAT_NANOS)
}
