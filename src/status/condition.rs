//! Conditions in the manner of Kubernetes: each known type once, with a status,
//! a reason, a message and the time its status last changed.
//!
//! Types and reasons follow the Gateway API where it has the word.

use super::text;
use crate::net::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a condition is about, in the order they are shown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum ConditionType {
    /// The document is valid and was taken.
    Accepted,
    /// Everything it refers to (class, gateway, secrets) is there.
    ResolvedRefs,
    /// The kernel and the datapath hold what was asked for.
    Programmed,
    /// Nothing can pass from or to another tenant, as far as was checked.
    Isolated,
    /// A site's attachment is up.
    Connected,
    /// A site's probes are answered.
    Reachable,
    /// A site's BGP session is established.
    #[serde(rename = "BGPEstablished")]
    BgpEstablished,
    /// All of the above that matter, in one.
    Ready,
    /// NMaaS was told that the tenant's domain is connected; carried while the gateway
    /// tells it and the tenant has a domain there.
    #[serde(rename = "NMaaSConfirmed")]
    NmaasConfirmed,
}

impl ConditionType {
    /// What a tenant carries.
    pub const TENANT: [Self; 5] =
        [Self::Accepted, Self::ResolvedRefs, Self::Programmed, Self::Isolated, Self::Ready];

    /// What a site carries.
    pub const SITE: [Self; 6] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::Programmed,
        Self::Connected,
        Self::Reachable,
        Self::BgpEstablished,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Isolated => "Isolated",
            Self::Connected => "Connected",
            Self::Reachable => "Reachable",
            Self::BgpEstablished => "BGPEstablished",
            Self::Ready => "Ready",
            Self::NmaasConfirmed => "NMaaSConfirmed",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a condition holds.
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
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It was not found out yet.
    #[default]
    Unknown,
}

impl ConditionStatus {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a condition has its status: one word, in CamelCase as Kubernetes wants.
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
pub enum ConditionReason {
    /// Not found out yet.
    #[default]
    Pending,
    /// Accepted: it is valid.
    Accepted,
    /// Accepted is false: the document is not valid.
    Invalid,
    /// Accepted is false: it collides with an older document.
    Conflict,
    /// Accepted is false: what it asks for lies outside what its class allows.
    NotAllowed,
    /// `ResolvedRefs`: everything is there.
    ResolvedRefs,
    /// `ResolvedRefs` is false: the class is not there.
    ClassNotFound,
    /// `ResolvedRefs` is false: the gateway is not there.
    GatewayNotFound,
    /// `ResolvedRefs` is false: a secret or its key is not there.
    SecretNotFound,
    /// Programmed: everything is in place.
    Programmed,
    /// Programmed is false: steps are still to be taken.
    Programming,
    /// Programmed is false: a step failed and is tried again.
    ApplyFailed,
    /// Programmed is false: its link is not there.
    LinkMissing,
    /// Programmed is false: the datapath has not taken it.
    DeviceFailed,
    /// Programmed is false: something foreign is in the way.
    ForeignObject,
    /// Programmed is false: this version does not make it.
    Unsupported,
    /// Isolated: the rules in the kernel were read back and are ours.
    Verified,
    /// Isolated is false: the rules in the kernel are not the ones we want.
    RulesDiffer,
    /// Ready, Connected, Reachable, BGPEstablished: as the type says.
    Established,
    /// The state or probe named in the message says otherwise.
    NotEstablished,
    /// BGPEstablished is false: the session is in the state of this name
    /// (RFC 4271 §8.2.2), as are the next four.
    Idle,
    /// It dials.
    Connect,
    /// It waits for the neighbor, or to dial again.
    Active,
    /// A connection stands, and nothing was heard on it yet.
    OpenSent,
    /// Both ends have said who they are.
    OpenConfirm,
    /// It was not asked for.
    NotConfigured,
    /// Reachable: every probe is answered.
    ProbesAnswered,
    /// Reachable is false: the probes the message names are not answered, others are.
    ProbeFailed,
    /// Reachable is false: no probe is answered.
    ProbesLost,
    /// NMaaSConfirmed: NMaaS was told.
    Confirmed,
    /// NMaaSConfirmed is false: NMaaS cannot be reached or did not take it, and is asked
    /// again.
    ConfirmFailed,
}

impl ConditionReason {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Accepted => "Accepted",
            Self::Invalid => "Invalid",
            Self::Conflict => "Conflict",
            Self::NotAllowed => "NotAllowed",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::ClassNotFound => "ClassNotFound",
            Self::GatewayNotFound => "GatewayNotFound",
            Self::SecretNotFound => "SecretNotFound",
            Self::Programmed => "Programmed",
            Self::Programming => "Programming",
            Self::ApplyFailed => "ApplyFailed",
            Self::LinkMissing => "LinkMissing",
            Self::DeviceFailed => "DeviceFailed",
            Self::ForeignObject => "ForeignObject",
            Self::Unsupported => "Unsupported",
            Self::Verified => "Verified",
            Self::RulesDiffer => "RulesDiffer",
            Self::Established => "Established",
            Self::NotEstablished => "NotEstablished",
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::NotConfigured => "NotConfigured",
            Self::ProbesAnswered => "ProbesAnswered",
            Self::ProbeFailed => "ProbeFailed",
            Self::ProbesLost => "ProbesLost",
            Self::Confirmed => "Confirmed",
            Self::ConfirmFailed => "ConfirmFailed",
        }
    }
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: ConditionReason,
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub last_transition_time: Timestamp,
    /// The generation of the config this was judged with.
    pub observed_generation: u64,
}

impl Condition {
    /// Whether it only waits for what sites' own states and conditions say already.
    pub fn waits_for_sites(&self) -> bool {
        self.kind == ConditionType::NmaasConfirmed && self.reason == ConditionReason::Pending
    }
}

/// The conditions of one tenant or site: each type at most once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// All of `kinds`, not found out yet since `now`.
    pub fn unknown(kinds: &[ConditionType], generation: u64, now: Timestamp) -> Self {
        let mut conditions = Self::default();
        for kind in kinds {
            conditions.set(
                *kind,
                ConditionStatus::Unknown,
                ConditionReason::Pending,
                "",
                generation,
                now,
            );
        }
        conditions
    }

    /// Says how it is with `kind`. The transition time moves only when the
    /// status changes. True when it did.
    pub fn set(
        &mut self,
        kind: ConditionType,
        status: ConditionStatus,
        reason: ConditionReason,
        message: &str,
        generation: u64,
        now: Timestamp,
    ) -> bool {
        let new = Condition {
            kind,
            status,
            reason,
            message: message.to_owned(),
            last_transition_time: now,
            observed_generation: generation,
        };
        match self.0.binary_search_by_key(&kind, |condition| condition.kind) {
            Ok(at) => {
                let Some(old) = self.0.get_mut(at) else { return false };
                let changed = old.status != status;
                let since = if changed { now } else { old.last_transition_time };
                *old = Condition { last_transition_time: since, ..new };
                changed
            }
            Err(at) => {
                self.0.insert(at, new);
                true
            }
        }
    }

    /// Says nothing about `kind` any more.
    pub fn remove(&mut self, kind: ConditionType) {
        self.0.retain(|condition| condition.kind != kind);
    }

    /// The condition `kind`, when it is carried.
    pub fn find(&self, kind: ConditionType) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    /// Whether `kind` is carried and holds.
    pub fn holds(&self, kind: ConditionType) -> bool {
        self.find(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// In the order they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }
}
