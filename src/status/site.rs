//! One site as everyone may see it.

use super::text::{self, Count};
use super::{Conditions, KeySnapshot, ProbeSnapshot, SiteReason, SiteState};
use crate::net::{Prefix, PublicKey, SiteName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// How a site reaches the gateway.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AttachmentKind {
    /// A WireGuard tunnel.
    WireGuard,
    /// A VLAN.
    #[serde(rename = "VLAN")]
    Vlan,
}

impl fmt::Display for AttachmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WireGuard => "WireGuard",
            Self::Vlan => "VLAN",
        })
    }
}

/// Where a prefix comes from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum PrefixSource {
    /// The site's document.
    Static,
    /// The customer's router, over BGP.
    #[serde(rename = "BGP")]
    Bgp,
}

/// A network of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SitePrefixStatus {
    /// As the customer has it.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub cidr: Prefix,
    /// As the apps see it instead.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub alias: Option<Prefix>,
    /// Where it comes from.
    pub source: PrefixSource,
    /// Whether its route is in the kernel.
    pub installed: bool,
}

/// One site. The counters are since the gateway started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteSnapshot {
    /// Its name within the tenant's namespace.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub name: SiteName,
    /// How it reaches the gateway.
    #[serde(rename = "type")]
    pub kind: AttachmentKind,
    /// How it is.
    pub state: SiteState,
    /// Why.
    pub reason: SiteReason,
    /// Why, for a person.
    pub message: String,
    /// When it came into this state.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub since: Timestamp,
    /// The customer's public key, of two the one that shook hands last; none for a VLAN.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub public_key: Option<PublicKey>,
    /// The customer's keys; while it changes over there are two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySnapshot>,
    /// The gateway's key that the last handshake was made with; none before the first of
    /// this process.
    #[serde(with = "text::display_option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub gateway_public_key: Option<PublicKey>,
    /// Whether the last handshake was made with the next preshared key; absent where there
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_next_preshared_key: Option<bool>,
    /// Its link in the tenant's namespace, of a VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Where the peer was last heard, or where we send.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake completed, absolute.
    #[serde(with = "text::time_option", default)]
    #[schemars(with = "Option<text::Moment>")]
    pub last_handshake_time: Option<Timestamp>,
    /// When something authentic was last received.
    #[serde(with = "text::time_option", default)]
    #[schemars(with = "Option<text::Moment>")]
    pub last_received_time: Option<Timestamp>,
    /// When a packet was last sent.
    #[serde(with = "text::time_option", default)]
    #[schemars(with = "Option<text::Moment>")]
    pub last_sent_time: Option<Timestamp>,
    /// Bytes received, headers of the tunnel included.
    #[serde(default)]
    pub received_bytes: Count,
    /// Bytes sent, headers of the tunnel included.
    #[serde(default)]
    pub sent_bytes: Count,
    /// Bits received in a second, over the last five seconds or more; none yet for a site
    /// that is new.
    #[serde(default)]
    pub received_bits_per_second: Option<u64>,
    /// Bits sent in a second.
    #[serde(default)]
    pub sent_bits_per_second: Option<u64>,
    /// Packets received, where they are counted: the kernel's WireGuard does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_packets: Option<Count>,
    /// Packets sent, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_packets: Option<Count>,
    /// Handshakes completed.
    #[serde(default)]
    pub handshakes: Count,
    /// Handshakes of ours that nobody answered in time.
    #[serde(default)]
    pub handshake_timeouts: Count,
    /// Its networks.
    #[serde(default)]
    pub prefixes: Vec<SitePrefixStatus>,
    /// Its probes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeSnapshot>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Conditions,
}

impl SiteSnapshot {
    /// A site nothing is known of yet.
    pub fn starting(name: SiteName, kind: AttachmentKind, now: Timestamp) -> Self {
        Self {
            name,
            kind,
            state: SiteState::NeverConnected,
            reason: SiteReason::Starting,
            message: SiteReason::Starting.message().to_owned(),
            since: now,
            public_key: None,
            keys: Vec::new(),
            gateway_public_key: None,
            uses_next_preshared_key: None,
            link: None,
            endpoint: None,
            last_handshake_time: None,
            last_received_time: None,
            last_sent_time: None,
            received_bytes: Count(0),
            sent_bytes: Count(0),
            received_bits_per_second: None,
            sent_bits_per_second: None,
            received_packets: None,
            sent_packets: None,
            handshakes: Count(0),
            handshake_timeouts: Count(0),
            prefixes: Vec::new(),
            probes: Vec::new(),
            conditions: Conditions::default(),
        }
    }
}
