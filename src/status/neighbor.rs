//! A tenant's BGP as everyone may see it.

use super::bfd::BfdSnapshot;
use super::text::{self, Count};
use crate::net::{Asn, Prefix, SiteName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Where a session stands (RFC 4271 §8.2.2).
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
pub enum NeighborState {
    /// Nothing is tried: it waits after an error, or is not to be up.
    #[default]
    Idle,
    /// It dials.
    Connect,
    /// It waits for the neighbor to connect, or to dial again.
    Active,
    /// A connection stands, and nothing was heard on it yet.
    OpenSent,
    /// Both ends have said who they are.
    OpenConfirm,
    /// It is up.
    Established,
}

impl NeighborState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

impl fmt::Display for NeighborState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a neighbor is to us.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum NeighborKind {
    /// A router of the fabric of another AS.
    #[serde(rename = "fabric, external")]
    FabricExternal,
    /// A router of the fabric of our AS.
    #[serde(rename = "fabric, internal")]
    FabricInternal,
    /// A customer's router of another AS.
    #[serde(rename = "site, external")]
    SiteExternal,
    /// A customer's router of our AS.
    #[serde(rename = "site, internal")]
    SiteInternal,
}

impl NeighborKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FabricExternal => "fabric, external",
            Self::FabricInternal => "fabric, internal",
            Self::SiteExternal => "site, external",
            Self::SiteInternal => "site, internal",
        }
    }
}

impl fmt::Display for NeighborKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many networks were said in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrefixCounts {
    /// By the neighbor, whatever became of them; each path counts.
    pub received: u64,
    /// Of these the import policy takes.
    pub accepted: u64,
    /// Of these serve, alone or with others.
    pub serving: u64,
    /// Of the received are kept past their session (RFC 4724).
    pub stale: u64,
    /// By us.
    pub advertised: u64,
    /// By the neighbor for other tenants or nobody: VPN routes of none of this tenant's
    /// route targets, each time one was said. They are not held, nor among the received.
    pub not_kept: u64,
}

impl PrefixCounts {
    /// These and `other` together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            accepted: self.accepted + other.accepted,
            serving: self.serving + other.serving,
            stale: self.stale + other.stale,
            advertised: self.advertised + other.advertised,
            not_kept: self.not_kept + other.not_kept,
        }
    }
}

/// NOTIFICATIONs of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationCount {
    /// Whether we said it.
    pub is_sent: bool,
    /// The error code (RFC 4271 §4.5).
    pub code: u8,
    /// The error subcode.
    pub subcode: u8,
    /// How many.
    pub count: Count,
}

/// Networks and attributes that were not taken as the neighbor said them, for one
/// reason (RFC 7606).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlawCount {
    /// Why: `malformed_attribute`, `attribute_discarded`, `as_loop` and so on.
    pub reason: String,
    /// How many.
    pub count: Count,
}

/// One neighbor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeighborSnapshot {
    /// Its name in the documents; of a site's router `site/` and the site's, of one that
    /// connected out of a range the range's, `/` and its address.
    pub name: String,
    /// The site it is at, when it is a customer's.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub site: Option<SiteName>,
    /// The range it connected out of, when it did.
    #[serde(default)]
    pub range: Option<String>,
    /// What it is to us.
    #[serde(rename = "type")]
    pub kind: NeighborKind,
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    #[serde(rename = "remoteASN")]
    pub remote_asn: u32,
    /// What we are to it (RFC 9234), when that is said.
    #[serde(default)]
    pub role: Option<String>,
    /// What it said it is to us, in the session that is up.
    #[serde(default)]
    pub remote_role: Option<String>,
    /// What the session carries while it is up: `IPv4`, `IPv6`, `VPNv4`, `VPNv6`, `RTC`.
    #[serde(default)]
    pub families: Vec<String>,
    /// Where the session stands.
    pub state: NeighborState,
    /// Since when.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub since: Timestamp,
    /// What went wrong last, for a person.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(with = "text::time_option", default)]
    #[schemars(with = "Option<text::Moment>")]
    pub last_error_time: Option<Timestamp>,
    /// Networks.
    #[serde(default)]
    pub prefixes: PrefixCounts,
    /// NOTIFICATIONs, by kind.
    #[serde(default)]
    pub notifications: Vec<NotificationCount>,
    /// What was not taken as it was said, by reason; what never happened is left out.
    #[serde(default)]
    pub flaws: Vec<FlawCount>,
    /// Times it went down after it was up.
    #[serde(default)]
    pub flaps: Count,
    /// Milliseconds that it took, from when its session came up, to say everything (to
    /// the last End-of-RIB); absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_millis: Option<u64>,
    /// The BFD session that watches it, where one does.
    #[serde(default)]
    pub bfd: Option<BfdSnapshot>,
}

/// A range that neighbors connect out of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RangeSnapshot {
    /// Its name in the documents.
    pub name: String,
    /// The network.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub range: Prefix,
    /// The AS of its neighbors.
    #[serde(rename = "remoteASN")]
    pub remote_asn: u32,
    /// The most neighbors at one time.
    pub maximum: u64,
    /// How many there are, up or not: each is among the tenant's neighbors.
    pub neighbors: u64,
    /// Connections that were not taken for want of room.
    #[serde(default)]
    pub refused: Count,
    /// NOTIFICATIONs, by kind; this and what follows is of all its neighbors, those
    /// that are gone among them.
    #[serde(default)]
    pub notifications: Vec<NotificationCount>,
    /// What was not taken as it was said, by reason; what never happened is left out.
    #[serde(default)]
    pub flaws: Vec<FlawCount>,
    /// Times a session went down after it was up.
    #[serde(default)]
    pub flaps: Count,
}

/// A tenant's BGP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpSnapshot {
    /// Our AS.
    #[serde(rename = "localASN")]
    pub local_asn: u32,
    /// Our BGP identifier.
    #[serde(rename = "routerID")]
    pub router_id: Ipv4Addr,
    /// Its neighbors, those of the fabric first.
    #[serde(default)]
    pub neighbors: Vec<NeighborSnapshot>,
    /// The ranges that neighbors connect out of.
    #[serde(default)]
    pub ranges: Vec<RangeSnapshot>,
    /// Learned routes that the kernel is to hold; the first of them are among the
    /// tenant's routes.
    #[serde(default)]
    pub learned_routes: u64,
    /// Milliseconds from what was heard last to the kernel's table; absent before the
    /// first route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convergence_millis: Option<u64>,
    /// Whether routes of an earlier process are kept for neighbors that have not said
    /// everything yet (RFC 4724 §4.1).
    #[serde(default)]
    pub awaits_neighbors: bool,
    /// Packets that came to BFD from nobody it watches.
    #[serde(default)]
    pub bfd_strangers: Count,
}

impl BgpSnapshot {
    /// A tenant's BGP of which nothing is known yet.
    pub const fn starting(local_asn: Asn, router_id: Ipv4Addr) -> Self {
        Self {
            local_asn: local_asn.value(),
            router_id,
            neighbors: Vec::new(),
            ranges: Vec::new(),
            learned_routes: 0,
            convergence_millis: None,
            awaits_neighbors: false,
            bfd_strangers: Count(0),
        }
    }
}
