//! `ConnectivityClass`: what the platform allows and offers to its tenants.
#![allow(clippy::duplicated_attributes, reason = "each printer column has a type of its own")]

use super::{BackendMode, Condition};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Guardrails and defaults for the tenants that name this class.
///
/// A `TenantGateway` that names none has the class `default`; when there is no
/// such document, its fields have their defaults.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lockgate.dev",
    version = "v1alpha1",
    kind = "ConnectivityClass",
    plural = "connectivityclasses",
    shortname = "connclass",
    category = "lockgate",
    doc = "What the platform allows and offers to its tenants.",
    status = "ConnectivityClassStatus",
    derive = "PartialEq",
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.advertisedHost"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ConnectivityClassSpec {
    /// The host customers dial, a DNS name or an address, as printed in their configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub advertised_host: Option<String>,

    /// The UDP ports given to tenants that ask for none, one each.
    #[serde(default = "udp_ports")]
    pub udp_ports: PortRange,

    /// The trunks on which VLANs may be used, and which. Absent allows every
    /// trunk and id; an empty list none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub vlan_parents: Option<Vec<VlanParentSpec>>,

    /// Networks that no site may name and no neighbor may advertise: pod,
    /// service and node networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub forbidden_prefixes: Vec<String>,

    /// The networks every alias must lie in. Empty allows any that is not forbidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub alias_pool: Vec<String>,

    /// The most prefixes one site may name, and may advertise over BGP.
    #[serde(default = "maximum_prefixes")]
    #[schemars(range(min = 1, max = 10000))]
    pub maximum_prefixes: u32,

    /// Whether a site may be the default route, 0.0.0.0/0 or ::/0.
    #[serde(default)]
    pub allow_default_route: bool,

    /// What carries the tunnels of tenants that do not say.
    #[serde(default)]
    pub backend: BackendMode,

    /// Route reflectors that are reached from where the gateway runs and have the VPN
    /// routes of many tenants: one VPNv4 and VPNv6 session with each, shared by the tenants
    /// that name `routeTargets` in their import. Each hears what carries one of its own,
    /// and nothing else. Only where tenants have namespaces of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub vpn_reflectors: Vec<VpnReflectorSpec>,
}

impl Default for ConnectivityClassSpec {
    fn default() -> Self {
        Self {
            advertised_host: None,
            udp_ports: udp_ports(),
            vlan_parents: None,
            forbidden_prefixes: Vec::new(),
            alias_pool: Vec::new(),
            maximum_prefixes: maximum_prefixes(),
            allow_default_route: false,
            backend: BackendMode::Auto,
            vpn_reflectors: Vec::new(),
        }
    }
}

/// A route reflector with the VPN routes of many tenants. It is dialed, and not waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VpnReflectorSpec {
    /// What it is called in status and metrics.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its address.
    #[schemars(length(max = 45))]
    pub address: String,
    /// Our AS.
    #[serde(rename = "localASN")]
    #[schemars(range(min = 1, max = 4294967294_u32))]
    pub local_asn: u32,
    /// Our BGP identifier, written as an IPv4 address.
    #[serde(rename = "routerID")]
    pub router_id: String,
    /// Its AS.
    #[serde(rename = "remoteASN")]
    #[schemars(range(min = 1, max = 4294967294_u32))]
    pub remote_asn: u32,
    /// The Secret that holds the TCP-MD5 password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<PlatformSecretKeyRef>,
    /// Hops it may be away, checked on every packet (GTSM). Absent checks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub ttl_security: Option<u32>,
}

/// One value in a Secret of a namespace that is named, for a class has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformSecretKeyRef {
    /// The Secret's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// One port for each of [`crate::model::limits::TENANTS`], from WireGuard's usual one on.
const fn udp_ports() -> PortRange {
    PortRange { first: 51_820, last: 55_915 }
}

const fn maximum_prefixes() -> u32 {
    1_000
}

/// A range of UDP ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortRange {
    /// The lowest port.
    #[schemars(range(min = 1, max = 65535))]
    pub first: u32,
    /// The highest port, not below the lowest.
    #[schemars(range(min = 1, max = 65535))]
    pub last: u32,
}

/// A trunk and what may be used of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VlanParentSpec {
    /// The trunk's interface.
    #[schemars(length(min = 1, max = 15))]
    pub name: String,
    /// The VLAN ids that may be used on it.
    #[schemars(length(max = 256))]
    pub ids: Vec<IdRange>,
    /// The namespaces that may use them. Absent is every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub namespaces: Option<Vec<String>>,
}

/// A range of VLAN ids, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdRange {
    /// The lowest id.
    #[schemars(range(min = 1, max = 4094))]
    pub first: u32,
    /// The highest id, not below the lowest.
    #[schemars(range(min = 1, max = 4094))]
    pub last: u32,
}

/// What became of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectivityClassStatus {
    /// The generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
