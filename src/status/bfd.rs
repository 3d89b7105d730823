//! A BFD session as everyone may see it.

use super::text::{self, Count};
use crate::net::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a session stands (RFC 5880 §6.2).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum BfdState {
    /// Someone has it down on purpose.
    AdminDown,
    /// The neighbor is not heard.
    #[default]
    Down,
    /// The neighbor is heard, and is not known to hear us.
    Init,
    /// Each end hears the other.
    Up,
}

impl BfdState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }
}

impl fmt::Display for BfdState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Packets that changed nothing, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdDiscard {
    /// Why, in snake_case.
    pub reason: String,
    /// How many.
    pub count: Count,
}

/// The BFD session that watches a neighbor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdSnapshot {
    /// Where it stands.
    pub state: BfdState,
    /// Since when.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub since: Timestamp,
    /// Why it came there, in the words of RFC 5880 §4.1.
    pub diagnostic: String,
    /// Where it stands for the neighbor; `Down` while nothing is heard of it.
    pub remote_state: BfdState,
    /// Why it came there, as the neighbor says.
    pub remote_diagnostic: String,
    /// Milliseconds between two packets of ours, at most; none are sent by themselves
    /// where this is not there.
    #[serde(default)]
    pub interval_millis: Option<u64>,
    /// Milliseconds of silence that are a failure, while the neighbor is heard.
    #[serde(default)]
    pub detection_millis: Option<u64>,
    /// Times it went down after it was up.
    #[serde(default)]
    pub flaps: Count,
    /// Packets that were taken.
    #[serde(default)]
    pub received: Count,
    /// Packets that were sent.
    #[serde(default)]
    pub sent: Count,
    /// Packets from the neighbor's address that changed nothing, by reason.
    #[serde(default)]
    pub discarded: Vec<BfdDiscard>,
}
