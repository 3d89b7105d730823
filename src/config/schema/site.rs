//! `SiteAttachment`: one customer site.
#![allow(unreachable_pub, reason = "KubeSchema repeats the struct inside a function")]
#![allow(clippy::duplicated_attributes, reason = "each printer column has a type of its own")]

use super::fabric::maximum_prefixes_restart_seconds;
use super::{Condition, RoleName, SecretKeyRef, VlanProtocolName};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One customer site: how it reaches the gateway, and its networks.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "lockgate.dev",
    version = "v1alpha1",
    kind = "SiteAttachment",
    namespaced,
    shortname = "site",
    category = "lockgate",
    doc = "One customer site: how it reaches the gateway, and its networks.",
    status = "SiteAttachmentStatus",
    derive = "PartialEq",
    cel,
    printcolumn(name = "Gateway", type_ = "string", json_path = ".spec.gatewayRef.name"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Handshake", type_ = "date", json_path = ".status.lastHandshakeTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    cel,
    validation = ("has(self.wireGuard) == (self.type == 'WireGuard')", "wireGuard is there when type is WireGuard, and only then"),
    validation = ("has(self.vlan) == (self.type == 'VLAN')", "vlan is there when type is VLAN, and only then"),
    validation = ("self.gatewayRef.name == oldSelf.gatewayRef.name", "gatewayRef cannot be changed; make another site"),
    validation = ("self.type == oldSelf.type", "type cannot be changed; make another site"),
    validation = ("!has(self.vlan) || !has(oldSelf.vlan) || (has(self.vlan.parent) == has(oldSelf.vlan.parent) && (!has(self.vlan.parent) || self.vlan.parent == oldSelf.vlan.parent))", "vlan.parent cannot be changed; make another site"),
    validation = ("!has(self.vlan) || !has(oldSelf.vlan) || (has(self.vlan.id) == has(oldSelf.vlan.id) && (!has(self.vlan.id) || self.vlan.id == oldSelf.vlan.id))", "vlan.id cannot be changed; make another site")
)]
#[serde(rename_all = "camelCase")]
pub struct SiteAttachmentSpec {
    /// The tenant it is of, in the same namespace.
    pub gateway_ref: GatewayRef,

    /// Which kind of attachment this is; the field of that name describes it.
    #[serde(rename = "type")]
    pub type_: AttachmentType,

    /// The customer's end of a WireGuard tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire_guard: Option<WireGuardSpec>,

    /// A VLAN handed over on a trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<SiteVlanSpec>,

    /// Its networks: allowed IPs, routes and the list of what it may advertise, in one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10000))]
    pub prefixes: Vec<PrefixSpec>,

    /// BGP with the customer's router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp: Option<SiteBgpSpec>,

    /// What may pass between applications and site. Absent is every protocol,
    /// an empty list none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub allow: Option<Vec<AllowSpec>>,

    /// Devices of the customer's to ask whether they are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub probes: Vec<ProbeSpec>,

    /// Of two sites with the same prefix the one with the higher value serves, the other is its backup.
    #[serde(default = "priority")]
    #[schemars(range(min = 0, max = 65535))]
    pub priority: u32,
}

const fn priority() -> u32 {
    100
}

/// A `TenantGateway` of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// A kind of attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AttachmentType {
    /// A WireGuard tunnel.
    WireGuard,
    /// A tagged VLAN.
    #[serde(rename = "VLAN")]
    Vlan,
}

/// The customer's end of a WireGuard tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WireGuardSpec {
    /// The customer's public key, 44 characters of base64. Never a private key.
    pub public_key: String,
    /// The customer's next public key, accepted beside the first while it rotates. The
    /// one that shook hands last is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_public_key: Option<String>,
    /// Where to dial. Absent waits for the customer to dial in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointSpec>,
    /// The Secret that holds the preshared key, 44 characters of base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preshared_key_secret_ref: Option<SecretKeyRef>,
    /// The Secret that holds the next preshared key. With `nextPublicKey` it is that
    /// key's, and absent that key has the same as the first. Without it, it is accepted
    /// beside the first while the customer changes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_preshared_key_secret_ref: Option<SecretKeyRef>,
    /// Silence after which an empty packet keeps NATs on the way open, in seconds; 0 sends none.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65535))]
    pub persistent_keepalive_seconds: u32,
    /// Our addresses inside the tunnel, each with the length of its network:
    /// at most one of each family. The customer's is the other one of that network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub tunnel_addresses: Vec<String>,
}

/// A UDP address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSpec {
    /// An address or a DNS name, without port.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// The UDP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
}

/// A VLAN handed over on a trunk: `parent` and `id`, or an `interface` that is made of it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    cel,
    validation = ("has(self.interface) != (has(self.parent) && has(self.id))", "either interface, or parent and id"),
    validation = ("!has(self.interface) || !(has(self.parent) || has(self.id) || has(self.innerId))", "an interface has its tags already: no parent, id or innerId beside it"),
    validation = ("has(self.nextHop) != has(self.nextHops)", "either nextHop or nextHops")
)]
pub struct SiteVlanSpec {
    /// The trunk's interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub parent: Option<String>,
    /// The outer tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub id: Option<u32>,
    /// The outer tag's protocol.
    #[serde(default)]
    pub protocol: VlanProtocolName,
    /// The inner 802.1Q tag, for QinQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub inner_id: Option<u32>,
    /// An interface handed in by somebody else, instead of parent and id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub interface: Option<String>,
    /// Our addresses on it, each with the length of its network.
    #[schemars(length(min = 1, max = 16))]
    pub addresses: Vec<String>,
    /// The customer's router; or `nextHops`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<String>,
    /// The customer's routers where there are networks of both families: one of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub next_hops: Vec<String>,
    /// The link's MTU in bytes. Absent is 1500; of an interface, what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 65535))]
    pub mtu: Option<u32>,
}

/// A network of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrefixSpec {
    /// As the customer has it.
    pub cidr: String,
    /// As the applications see it instead, of the same length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// BGP with the customer's router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteBgpSpec {
    /// Its AS.
    #[serde(rename = "remoteASN")]
    #[schemars(range(min = 1, max = 4294967294_u32))]
    pub remote_asn: u32,
    /// Its address, inside the tunnel or on the VLAN.
    pub neighbor: String,
    /// The Secret that holds the TCP-MD5 password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
    /// More prefixes than this end the session. Absent is the class's maximumPrefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub maximum_prefixes: Option<u32>,
    /// How long the session stays down when it ended for that, in seconds.
    #[serde(default = "maximum_prefixes_restart_seconds")]
    #[schemars(range(min = 1, max = 65535))]
    pub maximum_prefixes_restart_seconds: u32,
    /// Silence that ends the session, in seconds.
    #[serde(default = "hold_time_seconds")]
    #[schemars(range(min = 3, max = 65535))]
    pub hold_time_seconds: u32,
    /// What we are to it (RFC 9234): a neighbor that says it is no match for that gets no
    /// session, and routes that leak are refused (Only to Customer). Absent says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Whether it has to say what it is; without that there is no session then.
    #[serde(default)]
    pub strict_role: bool,
}

/// RFC 4271 §10 suggests it.
const fn hold_time_seconds() -> u32 {
    90
}

/// Lets some traffic pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowSpec {
    /// Who may begin.
    pub direction: DirectionName,
    /// The protocol.
    pub protocol: ProtocolName,
    /// Destination ports or ranges such as 8000-8010, for TCP, UDP and SCTP only. Empty is every port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub ports: Vec<IntOrString>,
}

/// Who begins a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DirectionName {
    /// The site, towards the applications.
    FromSite,
    /// The applications, towards the site.
    ToSite,
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProtocolName {
    /// Every protocol.
    Any,
    /// Echo requests, ICMP or ICMPv6.
    #[serde(rename = "ICMP")]
    Icmp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
}

/// A device to ask whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpec {
    /// Its address as the applications see it, in one of the site's prefixes; or the
    /// customer's end of the tunnel, or a host of the VLAN's own network. It is asked from
    /// our address in the tunnel or on the VLAN.
    pub address: String,
    /// The TCP port to connect to. Absent sends an ICMP echo request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub tcp_port: Option<u32>,
    /// How often to ask, in seconds.
    #[serde(default = "interval_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub interval_seconds: u32,
}

const fn interval_seconds() -> u32 {
    30
}

/// How a site is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteAttachmentStatus {
    /// The generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `NeverConnected`, `Up`, `Stale`, `Blackholed` or `Down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is in that state, in CamelCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is in that state, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the last handshake was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handshake_time: Option<Time>,
    /// Its networks, named and learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<PrefixStatus>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Connected`, `Reachable`, `BGPEstablished`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How a network of a site is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrefixStatus {
    /// As the customer has it.
    pub cidr: String,
    /// As the applications see it instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// `Static` or `BGP`.
    pub source: String,
    /// Whether its route is in the kernel.
    pub installed: bool,
}
