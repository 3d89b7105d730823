//! One probe: when it is due, and how it goes.
//!
//! ```text
//!              first soon, then every interval
//!      due ─────────────────────────────────────▶ under way
//!       ▲   sooner after a loss                      │ outcome, or too late
//!       └────────────────────────────────────────────┘
//!
//!      Pending ──answer──▶ Answered ◀──answer── Lost
//!         │                    │                 ▲
//!         └──── three losses ──┴── in a row ─────┘
//! ```
//! One answer is enough to be there again: it cannot come by chance. It takes
//! [`LOST_IN_A_ROW`] losses to be gone, for a single packet may be lost on any way.
//!
//! A probe *stands by* while what it would ask is reached by another site: it would
//! say nothing about its own. One that was lost when that began is tried again later,
//! its site being given the network back for as long as that takes; see [`TRIAL`].

use super::outcome::{Failure, Outcome};
use super::window::{Histogram, Reading, Window};
use crate::net::{Instant, Jitter, Now, Timestamp};
use std::time::Duration;

/// How long an answer is waited for. A geostationary satellite takes 0.6 s, twice.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// So many losses in a row and a device is taken for gone. With 10 % of packets lost by
/// chance, three are lost in a row once in a thousand probes, two once in a hundred.
pub const LOST_IN_A_ROW: u8 = 3;

/// How soon a loss that is not yet believed is looked into.
const RETRY: Duration = Duration::from_secs(1);

/// How often a device that is gone is asked, at least: whoever waits for it to come
/// back would wait for its interval else.
const LOST_INTERVAL: Duration = Duration::from_secs(5);

/// The first shot comes within this: a thousand probes do not begin in one instant.
const FIRST: Duration = Duration::from_millis(500);

/// A shot of which nothing is heard for this long has got lost here: nobody answers for
/// it any more.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A site that lost its networks to another because its probes were lost is given them
/// back on trial after this long, then after twice that, and so on up to
/// [`LONGEST_TRIAL`]. A trial that fails costs its applications the time of three
/// losses: 8 of 128 seconds at worst, and soon 8 in an hour.
pub const TRIAL: Duration = Duration::from_secs(120);

/// The longest wait for a trial.
pub const LONGEST_TRIAL: Duration = Duration::from_secs(3_600);

/// How a probe is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not decided yet, or standing by.
    #[default]
    Pending,
    /// The last shots were answered, but for fewer than [`LOST_IN_A_ROW`].
    Answered,
    /// The device refuses the connection.
    Refused,
    /// The last [`LOST_IN_A_ROW`] shots or more were lost.
    Lost,
}

/// What happened to a probe that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is answered, and nothing was known of it.
    Found,
    /// It is answered, as it was not before.
    Answered,
    /// Its port refuses, as it did not before.
    Refused,
    /// It is taken for lost, for this reason.
    Lost(Failure),
}

/// One probe.
#[derive(Debug)]
pub struct Session {
    interval: Duration,
    /// When it is asked next; `None` while it is under way or stands by.
    due: Option<Instant>,
    /// The shot that is under way, and when it is given up.
    under_way: Option<(u64, Instant)>,
    is_standing_by: bool,
    health: Health,
    /// That is what an earlier process said, and its site has not come up since.
    is_remembered: bool,
    /// Losses since the last answer.
    in_a_row: u8,
    /// When what was lost is tried again, while it stands by.
    trial: Option<Instant>,
    /// How long the next wait for a trial is.
    wait: Duration,
    sample: Sample,
}

/// How a probe went.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Shots of which the outcome is known.
    pub sent: u64,
    /// Those that nobody answered.
    pub lost: u64,
    /// Those that were refused.
    pub refused: u64,
    /// How long the last answer took; a refusal is one.
    pub last_answer: Option<Duration>,
    /// When that came.
    pub last_answered: Option<Timestamp>,
    /// Why the last loss was one, and when.
    pub last_failure: Option<(Failure, Timestamp)>,
    /// The last shots.
    pub window: Window,
    /// All answers.
    pub durations: Histogram,
}

impl Session {
    /// One that is asked soon.
    pub(super) fn new(interval: Duration, chance: &mut Jitter, now: Instant) -> Self {
        Self {
            interval,
            due: Some(now + chance.part(FIRST)),
            under_way: None,
            is_standing_by: false,
            health: Health::Pending,
            is_remembered: false,
            in_a_row: 0,
            trial: None,
            wait: TRIAL,
            sample: Sample::default(),
        }
    }

    /// How it is.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Whether another site reaches what it would ask.
    pub const fn is_standing_by(&self) -> bool {
        self.is_standing_by
    }

    /// How often it is asked.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How it went.
    pub const fn sample(&self) -> &Sample {
        &self.sample
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let given_up = self.under_way.map(|(_, until)| until);
        [self.due, given_up, self.trial].into_iter().flatten().min()
    }

    /// Whether it is to be asked at `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|at| at <= now)
    }

    /// Whether a shot is under way.
    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// It is asked now; `number` is the shot's.
    pub(super) fn begin(&mut self, number: u64, now: Instant) {
        self.due = None;
        self.under_way = Some((number, now + FORGOTTEN));
    }

    /// It is asked this often from now on.
    pub(super) fn set_interval(&mut self, interval: Duration, chance: &mut Jitter, now: Instant) {
        if self.interval == interval {
            return;
        }
        self.interval = interval;
        if self.due.is_some() {
            self.due = Some(now + chance.part(interval));
        }
    }

    /// Whether it is lost by the word of an earlier process.
    pub const fn is_remembered(&self) -> bool {
        self.is_remembered
    }

    /// An earlier process found it lost.
    pub(super) const fn begin_lost(&mut self) {
        (self.health, self.is_remembered) = (Health::Lost, true);
    }

    /// Its site has just come up: what was lost before says nothing about what is behind
    /// it now, unless its site came up for us and had been up before us; and it is asked
    /// at once.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        if !std::mem::take(&mut self.is_remembered) {
            if self.health == Health::Lost {
                self.health = Health::Pending;
            }
            self.trial = None;
        }
        self.in_a_row = 0;
        if !self.is_standing_by {
            self.under_way = None;
            self.due = Some(now);
        }
    }

    /// Another site reaches what it asks from now on, or no longer.
    pub(super) fn stand_by(&mut self, is_standing_by: bool, chance: &mut Jitter, now: Instant) {
        if self.is_standing_by == is_standing_by {
            return;
        }
        self.is_standing_by = is_standing_by;
        self.in_a_row = 0;
        // What is under way may go by either site.
        self.under_way = None;
        if is_standing_by {
            self.due = None;
            if self.health == Health::Lost {
                self.trial = Some(now + chance.around(self.wait));
                self.wait = (self.wait * 2).min(LONGEST_TRIAL);
            } else {
                self.health = Health::Pending;
            }
        } else {
            self.trial = None;
            self.due = Some(now);
        }
    }

    /// Does what is due, but for asking. Gives whether its health is another.
    pub(super) fn handle_timeout(&mut self, chance: &mut Jitter, now: Instant) -> bool {
        if self.under_way.is_some_and(|(_, until)| until <= now) {
            self.under_way = None;
            self.due = Some(now + chance.part(self.interval));
        }
        if self.trial.is_some_and(|at| at <= now) {
            self.trial = None;
            (self.health, self.is_remembered) = (Health::Pending, false);
            return true;
        }
        false
    }

    /// Takes what became of the shot `number`. `None` when nobody waits for that.
    pub(super) fn handle_outcome(
        &mut self,
        number: u64,
        outcome: Outcome,
        chance: &mut Jitter,
        now: Now,
    ) -> Option<Option<Change>> {
        self.under_way.take_if(|(under_way, _)| *under_way == number)?;
        let was = self.health;
        match outcome {
            Outcome::Answered(after) => self.answer(after, Health::Answered, now),
            Outcome::Refused(after) => {
                self.sample.refused += 1;
                self.answer(after, Health::Refused, now);
            }
            Outcome::Lost(failure) if failure.is_of_the_way() => {
                self.sample.sent += 1;
                self.sample.lost += 1;
                self.sample.last_failure = Some((failure, now.wall));
                self.sample.window.push(Reading::LOST);
                self.in_a_row = self.in_a_row.saturating_add(1);
                if LOST_IN_A_ROW <= self.in_a_row {
                    self.health = Health::Lost;
                }
            }
            // Nobody was asked: it is told, and does not count.
            Outcome::Lost(failure) => self.sample.last_failure = Some((failure, now.wall)),
            Outcome::Unsent => {}
        }
        let wait = match self.health {
            _ if outcome == Outcome::Unsent => self.interval.min(LOST_INTERVAL),
            Health::Lost => chance.shortened(self.interval.min(LOST_INTERVAL)),
            _ if 0 < self.in_a_row => self.interval.min(RETRY),
            Health::Pending | Health::Answered | Health::Refused => chance.around(self.interval),
        };
        self.due = Some(now.mono + wait);
        Some(match (was, self.health, outcome) {
            (was, is, _) if was == is => None,
            (_, Health::Lost, Outcome::Lost(failure)) => Some(Change::Lost(failure)),
            (_, Health::Refused, _) => Some(Change::Refused),
            (Health::Pending, Health::Answered, _) => Some(Change::Found),
            (_, Health::Answered, _) => Some(Change::Answered),
            (_, Health::Pending | Health::Lost, _) => None,
        })
    }

    fn answer(&mut self, after: Duration, health: Health, now: Now) {
        self.sample.sent += 1;
        self.sample.last_answer = Some(after);
        self.sample.last_answered = Some(now.wall);
        self.sample.window.push(Reading::answered(after));
        self.sample.durations.push(after);
        (self.health, self.is_remembered) = (health, false);
        self.in_a_row = 0;
        self.wait = TRIAL;
    }
}
