//! One probe as everyone may see it.

use super::text::{self, Count};
use crate::net::Timestamp;
use crate::probe::{self, Health};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// How a probe is. Written as its name in every view.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ProbeState {
    /// Not decided yet: it has just begun.
    Pending,
    /// It is answered.
    Answered,
    /// The device is there and refuses the connection: nothing listens on the port.
    Refused,
    /// Nobody answers.
    Lost,
    /// It is not asked, for another site of the tenant reaches its address now.
    StandingBy,
}

impl ProbeState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Answered => "Answered",
            Self::Refused => "Refused",
            Self::Lost => "Lost",
            Self::StandingBy => "StandingBy",
        }
    }

    /// One character that tells it from the others without colour.
    pub const fn icon(self) -> char {
        match self {
            Self::Pending => '○',
            Self::Answered => '●',
            Self::Refused => '◍',
            Self::Lost => '✖',
            Self::StandingBy => '◌',
        }
    }
}

impl fmt::Display for ProbeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One probe. The counters are since it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSnapshot {
    /// The device, as the applications see it.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub address: IpAddr,
    /// The TCP port that is connected to; an echo request has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_port: Option<u16>,
    /// How often it is asked, in seconds.
    pub interval_seconds: u64,
    /// How it is.
    pub state: ProbeState,
    /// Times it was asked.
    pub sent: Count,
    /// Times nobody answered.
    pub lost: Count,
    /// Times the connection was refused, which is an answer, too.
    pub refused: Count,
    /// How long the last answer took, in microseconds.
    #[serde(default)]
    pub last_micros: Option<u32>,
    /// When it came.
    #[serde(with = "text::time_option", default)]
    #[schemars(with = "Option<text::Moment>")]
    pub last_answer_time: Option<Timestamp>,
    /// Why nobody answered when that was last so: a name in `snake_case`.
    #[serde(default)]
    pub last_failure: Option<String>,
    /// The same for a person.
    #[serde(default)]
    pub last_failure_message: Option<String>,
    /// When that was.
    #[serde(with = "text::time_option", default)]
    #[schemars(with = "Option<text::Moment>")]
    pub last_failure_time: Option<Timestamp>,
    /// The last times it was asked.
    pub recent: ProbeWindow,
    /// How long all answers took.
    pub durations: ProbeDurations,
}

/// How a probe went the last times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeWindow {
    /// How long each answer took, in microseconds, oldest first; null is a loss.
    pub micros: Vec<Option<u32>>,
    /// How many of them are losses.
    pub lost: u32,
    /// The shortest answer.
    #[serde(default)]
    pub minimum_micros: Option<u32>,
    /// The mean of the answers.
    #[serde(default)]
    pub mean_micros: Option<u32>,
    /// What 99 of 100 answers are not longer than.
    #[serde(default)]
    pub p99_micros: Option<u32>,
}

/// How long all answers took, as a histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeDurations {
    /// Answers up to each of [`probe::BOUNDS`] microseconds, those of the bounds before
    /// included.
    pub within: Vec<Count>,
    /// All of them.
    pub count: Count,
    /// What they took together, in microseconds.
    pub sum_micros: Count,
}

impl ProbeWindow {
    /// How many of a hundred were lost, to the nearest; `None` when none was asked.
    pub fn loss_percent(&self) -> Option<u32> {
        let all = u32::try_from(self.micros.len()).unwrap_or(u32::MAX);
        (self.lost.saturating_mul(100) + all / 2).checked_div(all)
    }
}

impl ProbeSnapshot {
    /// One of a site, as it is.
    pub fn new(target: &probe::Target, session: &probe::Session) -> Self {
        let sample = session.sample();
        let summary = sample.window.summary();
        let state = match session.health() {
            Health::Pending if session.is_standing_by() => ProbeState::StandingBy,
            Health::Pending => ProbeState::Pending,
            Health::Answered => ProbeState::Answered,
            Health::Refused => ProbeState::Refused,
            Health::Lost => ProbeState::Lost,
        };
        Self {
            address: target.address,
            tcp_port: target.tcp_port,
            interval_seconds: session.interval().as_secs(),
            state,
            sent: Count(sample.sent),
            lost: Count(sample.lost),
            refused: Count(sample.refused),
            last_micros: sample.last_answer.and_then(|it| u32::try_from(it.as_micros()).ok()),
            last_answer_time: sample.last_answered,
            last_failure: sample.last_failure.map(|(failure, _)| failure.name().to_owned()),
            last_failure_message: sample.last_failure.map(|(failure, _)| failure.to_string()),
            last_failure_time: sample.last_failure.map(|(_, at)| at),
            recent: ProbeWindow {
                micros: sample.window.iter().map(probe::Reading::micros).collect(),
                lost: summary.lost,
                minimum_micros: summary.minimum,
                mean_micros: summary.mean,
                p99_micros: summary.p99,
            },
            durations: ProbeDurations {
                within: sample.durations.within.iter().map(|within| Count(*within)).collect(),
                count: Count(sample.durations.count),
                sum_micros: Count(sample.durations.sum_micros),
            },
        }
    }

    /// What is asked, as it is written everywhere: `192.0.2.1`, `192.0.2.1:22`.
    pub fn target(&self) -> probe::Target {
        probe::Target { address: self.address, tcp_port: self.tcp_port }
    }
}

/// How long something took, for a person: three digits and a unit.
#[derive(Clone, Copy, Debug)]
pub struct Latency(pub Option<u32>);

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(micros) = self.0 else { return f.pad("—") };
        let millis = f64::from(micros) / 1e3;
        let text = match micros {
            0..1_000 => format!("{micros} µs"),
            1_000..10_000 => format!("{millis:.2} ms"),
            10_000..100_000 => format!("{millis:.1} ms"),
            100_000..1_000_000 => format!("{millis:.0} ms"),
            _ => format!("{:.2} s", millis / 1e3),
        };
        f.pad(&text)
    }
}
