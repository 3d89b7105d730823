//! What happened lately, with an end.

use super::text::{self, Count};
use crate::net::{SiteName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;

/// What kind of thing happened. Written in snake_case in every view.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EventReason {
    /// The gateway began to serve the tenant.
    TenantAdded,
    /// The gateway stopped serving the tenant.
    TenantRemoved,
    /// A new config is in force.
    ConfigApplied,
    /// Documents were refused; the config before stays in force.
    ConfigRefused,
    /// A site went from one state to another.
    SiteStateChanged,
    /// A device does not answer its probe any more, or refuses it.
    ProbeFailed,
    /// A device answers its probe, or answers again.
    ProbeAnswered,
    /// A peer is reached at another address than before.
    EndpointMoved,
    /// A BGP session came up.
    SessionEstablished,
    /// A BGP session that was up is over.
    SessionDown,
    /// BFD hears a neighbor, and the neighbor us.
    BfdUp,
    /// BFD took a neighbor that was there for gone.
    BfdDown,
    /// A BGP neighbor has come near its maximum of networks, or over it.
    PrefixLimit,
    /// A tenant's connection tracking is nearly full, or full, or has room again.
    ConntrackLimit,
    /// A BGP neighbor was not taken: there are as many out of its range as may be.
    RangeFull,
    /// A step of a plan failed.
    StepFailed,
    /// The kernel was not as it was left, and was put right.
    DriftRepaired,
    /// Something not ours is where ours should be.
    ForeignObject,
}

impl EventReason {
    /// Its name in snake_case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TenantAdded => "tenant_added",
            Self::TenantRemoved => "tenant_removed",
            Self::ConfigApplied => "config_applied",
            Self::ConfigRefused => "config_refused",
            Self::SiteStateChanged => "site_state_changed",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeAnswered => "probe_answered",
            Self::EndpointMoved => "endpoint_moved",
            Self::SessionEstablished => "session_established",
            Self::SessionDown => "session_down",
            Self::BfdUp => "bfd_up",
            Self::BfdDown => "bfd_down",
            Self::PrefixLimit => "prefix_limit",
            Self::ConntrackLimit => "conntrack_limit",
            Self::RangeFull => "range_full",
            Self::StepFailed => "step_failed",
            Self::DriftRepaired => "drift_repaired",
            Self::ForeignObject => "foreign_object",
        }
    }
}

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Something that happened, perhaps several times running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Counts up within one history; never used again.
    pub id: Count,
    /// When it happened first.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub first: Timestamp,
    /// When it happened last.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub last: Timestamp,
    /// How many times running it happened.
    pub count: Count,
    /// At which site, when it was at one.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub site: Option<SiteName>,
    /// What happened.
    pub reason: EventReason,
    /// The same for a person. Never a secret.
    pub message: String,
}

/// The latest events, oldest first. At its limit the oldest goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    limit: usize,
    next_id: u64,
    events: VecDeque<Event>,
}

impl History {
    /// A history of at most `limit` events.
    pub const fn new(limit: usize) -> Self {
        Self { limit, next_id: 0, events: VecDeque::new() }
    }

    /// Adds what happened at `now`. The same thing again, with nothing else in
    /// between, is counted and not added.
    pub fn push(
        &mut self,
        reason: EventReason,
        site: Option<SiteName>,
        message: String,
        now: Timestamp,
    ) {
        if let Some(last) = self.events.back_mut()
            && (last.reason, &last.site, &last.message) == (reason, &site, &message)
        {
            last.last = now;
            last.count += 1;
            return;
        }
        if self.limit == 0 {
            return;
        }
        if self.events.len() == self.limit {
            self.events.pop_front();
        }
        let id = Count(self.next_id);
        self.next_id += 1;
        self.events.push_back(Event {
            id,
            first: now,
            last: now,
            count: Count(1),
            site,
            reason,
            message,
        });
    }

    /// The events, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// A copy for a snapshot, oldest first.
    pub fn to_vec(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }
}
