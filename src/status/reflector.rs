//! The sessions with route reflectors that several tenants hear.

use super::{Count, FlawCount, NeighborState, NotificationCount, text};
use crate::net::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One session in the underlay with a route reflector of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReflectorSnapshot {
    /// The class it is of.
    pub class: String,
    /// Its name there. Tenants hear it as the neighbor `reflector/` and this.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    #[serde(rename = "remoteASN")]
    pub remote_asn: u32,
    /// What the session carries while it is up: `VPNv4`, `VPNv6`, `RTC`.
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
    /// Tenants that hear it.
    #[serde(default)]
    pub tenants: u64,
    /// Routes of none of their route targets, each time one was said. They are not held.
    #[serde(default)]
    pub not_kept: Count,
    /// NOTIFICATIONs, by kind.
    #[serde(default)]
    pub notifications: Vec<NotificationCount>,
    /// What was not taken as it was said, by reason; what never happened is left out.
    #[serde(default)]
    pub flaws: Vec<FlawCount>,
    /// Times it went down after it was up.
    #[serde(default)]
    pub flaps: Count,
}
