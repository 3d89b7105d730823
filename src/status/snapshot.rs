//! The whole gateway at one moment.

use super::text;
use super::{EndpointSnapshot, ReflectorSnapshot, TenantSnapshot};
use crate::model;
use crate::net::{TenantName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The shape of the JSON. Fields are added under the same name; a change that
/// would break a reader gets another.
pub const SCHEMA: &str = "lockgate.dev/status/v1";

/// Everything anyone can see of the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// When it began to run.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub started: Timestamp,
    /// The moment this snapshot is of; ages are counted from here.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub taken: Timestamp,
    /// What carries the tunnels of all tenants; `Userspace` when it is not the
    /// kernel's WireGuard for all. Each tenant has its own.
    pub backend: Backend,
    /// What the kernel does for it in large pieces.
    #[serde(default)]
    pub offloads: Offloads,
    /// Which config is in force.
    #[serde(default)]
    pub config: ConfigSnapshot,
    /// The tenants, by name.
    #[serde(default)]
    pub tenants: Vec<TenantSnapshot>,
    /// The sessions with route reflectors that tenants share.
    #[serde(default)]
    pub reflectors: Vec<ReflectorSnapshot>,
    /// Documents that are not served, and why.
    #[serde(default)]
    pub refused: Vec<RefusedDocument>,
    /// How what shows this is; `null` where that is not for the reader.
    #[serde(default)]
    pub endpoint: Option<EndpointSnapshot>,
}

impl Snapshot {
    /// A gateway that has just begun and serves nobody.
    pub fn starting(version: &str, now: Timestamp) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: version.to_owned(),
            started: now,
            taken: now,
            backend: Backend::Userspace,
            offloads: Offloads::default(),
            config: ConfigSnapshot::default(),
            tenants: Vec::new(),
            reflectors: Vec::new(),
            refused: Vec::new(),
            endpoint: None,
        }
    }

    /// The tenant called `name`.
    pub fn tenant(&self, name: &TenantName) -> Option<&TenantSnapshot> {
        self.tenants.iter().find(|tenant| tenant.name == *name)
    }
}

/// What carries tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Backend {
    /// This process.
    #[default]
    Userspace,
    /// The kernel's WireGuard.
    Kernel,
}

impl Backend {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Userspace => "Userspace",
            Self::Kernel => "Kernel",
        }
    }
}

impl From<model::Backend> for Backend {
    fn from(backend: model::Backend) -> Self {
        match backend {
            model::Backend::Userspace => Self::Userspace,
            model::Backend::Kernel => Self::Kernel,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which offloads are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Offloads {
    /// The TUN hands over and takes TCP segments of up to 64 KiB.
    pub tun_tcp: bool,
    /// The same for UDP datagrams.
    pub tun_udp: bool,
    /// The UDP socket sends many datagrams in one call (`UDP_SEGMENT`).
    pub udp_segment: bool,
    /// The UDP socket receives many datagrams in one call (`UDP_GRO`).
    pub udp_coalesce: bool,
}

/// Which config is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigSnapshot {
    /// Where the documents come from.
    pub source: String,
    /// The generation of the last set that was accepted; 0 before the first.
    pub loaded_generation: u64,
    /// The generation that is programmed in full; 0 before the first.
    pub applied_generation: u64,
    /// When it was programmed in full.
    #[serde(with = "text::time_option")]
    #[schemars(with = "Option<text::Moment>")]
    pub last_applied: Option<Timestamp>,
    /// How long the last apply took, in microseconds.
    pub apply_duration_micros: Option<u64>,
    /// The last reading of the documents.
    pub last_reload: Option<Reload>,
}

/// One reading of the documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reload {
    /// When.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub at: Timestamp,
    /// What came of it.
    pub outcome: ReloadOutcome,
    /// Every error, as `check` prints it.
    #[serde(default)]
    pub errors: Vec<String>,
}

/// What came of a reading of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReloadOutcome {
    /// The set is in force.
    Accepted,
    /// The set before stays in force.
    Refused,
}

/// A document that is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedDocument {
    /// Where it stands, as far as there is such a place: a file.
    #[serde(default)]
    pub origin: Option<String>,
    /// Kind and name: `SiteAttachment/poznan`.
    pub document: String,
    /// The path inside it: `spec.vlan.id`.
    #[serde(default)]
    pub path: Option<String>,
    /// Why, in snake_case.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
}
