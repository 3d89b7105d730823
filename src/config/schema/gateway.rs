//! `TenantGateway`: one tenant.
#![allow(clippy::duplicated_attributes, reason = "each printer column has a type of its own")]

use super::{Condition, FabricSpec};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One tenant: the applications its sites may reach, and how they are reached.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lockgate.dev",
    version = "v1alpha1",
    kind = "TenantGateway",
    namespaced,
    shortname = "tgw",
    category = "lockgate",
    doc = "One tenant: its applications, and how they are reached.",
    status = "TenantGatewayStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Up", type_ = "integer", json_path = ".status.sites.up"),
    printcolumn(name = "Sites", type_ = "integer", json_path = ".status.sites.total"),
    printcolumn(name = "Host", type_ = "string", json_path = ".status.endpoint.host"),
    printcolumn(name = "Port", type_ = "integer", json_path = ".status.endpoint.port"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.active", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TenantGatewaySpec {
    /// The `ConnectivityClass` it is of.
    #[serde(default = "class_name")]
    #[schemars(length(min = 1, max = 63))]
    pub class_name: String,

    /// Gateway pods, of which one is active. Has no meaning in a file.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 8))]
    pub replicas: u32,

    /// The UDP port its WireGuard sites send to. Absent takes the next free one
    /// of the class and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub listen_port: Option<u32>,

    /// The largest packet inside its tunnels, in bytes; 1280 or more when IPv6 is
    /// used in them. Absent is what the gateway's uplink lets through whole,
    /// 1280–1420.
    #[serde(rename = "tunnelMTU", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 65455))]
    pub tunnel_mtu: Option<u32>,

    /// What carries its tunnels. Absent is what its class says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendMode>,

    /// The Secret that holds its private key. Absent lets the gateway make one
    /// once and keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<SecretKeyRef>,

    /// The Secret that holds the private key it will have, beside privateKeySecretRef:
    /// customers may know it by either while they change over. Not with backend Kernel;
    /// Auto is Userspace meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_private_key_secret_ref: Option<SecretKeyRef>,

    /// Whether its sites get a line of text by HTTP from its address in their tunnel or
    /// on their VLAN, TCP port 80, to see that they are connected.
    #[serde(default)]
    pub test_page: bool,

    /// The applications' networks: all that its sites may reach, and what the
    /// customer must route back.
    #[schemars(length(min = 1, max = 1024))]
    pub app_prefixes: Vec<String>,

    /// How application pods are attached. Has no meaning in a file.
    #[serde(default)]
    pub attach: AttachSpec,

    /// How the applications are reached. Absent is the pod's own eth0, with
    /// `--netns current` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fabric: Option<FabricSpec>,
}

fn class_name() -> String {
    "default".to_owned()
}

const fn replicas() -> u32 {
    1
}

/// One value in a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What carries a tenant's tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackendMode {
    /// The kernel's WireGuard where there is one, unless a site has an alias.
    #[default]
    Auto,
    /// The kernel's WireGuard. Without it the tenant has no tunnels.
    Kernel,
    /// The gateway's own WireGuard.
    Userspace,
}

/// How application pods are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachSpec {
    /// Which way.
    #[serde(default)]
    pub mode: AttachMode,
}

/// A way of attaching application pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AttachMode {
    /// The fabric routes between pods and gateway.
    #[default]
    Routed,
    /// A sidecar in each pod leads to the gateway.
    Sidecar,
}

/// How a tenant is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantGatewayStatus {
    /// The generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where its WireGuard sites send to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointStatus>,
    /// Its WireGuard public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The pod that is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// Its sites, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<SiteCounts>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Isolated`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where customers dial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// The host, when the class advertises one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The UDP port.
    pub port: u32,
}

/// Sites, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteCounts {
    /// All of them.
    pub total: u32,
    /// Those that are up.
    pub up: u32,
}
