//! What a tenant's neighbors said, network by network, and what became of it. Asked
//! for apart from the snapshot, and given in pages.

use super::text;
use crate::net::Prefix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A page of what was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibPage {
    /// Networks in order.
    pub networks: Vec<RibNetwork>,
    /// Where the next page begins: after this network; `None` when there is none.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub next: Option<Prefix>,
    /// Where one network was asked for: those around it of which something was said, the
    /// longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<String>,
}

/// One network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibNetwork {
    /// As the tenant's namespace knows it.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub prefix: Prefix,
    /// The route made of it: `dev lg-fabric via 10.1.0.8`.
    #[serde(default)]
    pub route: Option<String>,
    /// Every path to it.
    pub paths: Vec<RibPath>,
    /// What was announced of it and counts as withdrawn for what was wrong with it
    /// (RFC 7606): the last of them, while the neighbor says nothing else of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub treated_as_withdrawn: Vec<RibWithdrawn>,
}

/// What counts as withdrawn although it was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibWithdrawn {
    /// Who said it.
    pub neighbor: String,
    /// The network as it was heard.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub heard: Prefix,
    /// The path identifier (RFC 7911); 0 where there is none.
    pub path_id: u32,
    /// What was wrong: `AS_PATH (attribute 2) is malformed`.
    pub reason: String,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibPath {
    /// Who said it.
    pub neighbor: String,
    /// The network as it was heard: a customer's own where there is an alias.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub heard: Prefix,
    /// The path identifier (RFC 7911); 0 where there is none.
    pub path_id: u32,
    /// Where to send.
    pub next_hop: IpAddr,
    /// The systems it came through, the last one first.
    #[serde(rename = "asPath")]
    pub as_path: String,
    /// LOCAL_PREF.
    #[serde(default)]
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(default)]
    pub med: Option<u32>,
    /// Communities of every kind.
    #[serde(default)]
    pub communities: Vec<String>,
    /// What became of it and why: `best`, `lost: …`, `refused: …`.
    pub state: String,
    /// Whether it is kept past its session.
    pub is_stale: bool,
    /// Whether it is for long (RFC 9494): only where there is no other.
    #[serde(default)]
    pub is_long_lived: bool,
}
