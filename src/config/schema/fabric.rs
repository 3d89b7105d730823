//! The cluster's side of a tenant, as a `TenantGateway` writes it.
#![allow(unreachable_pub, reason = "KubeSchema repeats the struct inside a function")]

use super::SecretKeyRef;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a tenant meets the applications: at most one link, and BGP over it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    cel,
    validation = ("[has(self.interface), has(self.veth), has(self.vlan)].filter(x, x).size() <= 1", "at most one of interface, veth and vlan")
)]
pub struct FabricSpec {
    /// An existing interface, moved into the tenant's namespace and given back when the tenant goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<FabricInterfaceSpec>,
    /// A veth pair: one end in the tenant's namespace, the other in the gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veth: Option<FabricVethSpec>,
    /// A tagged VLAN of a trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<FabricVlanSpec>,
    /// IPIP tunnels to the nodes, for what is learned by `bgp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipip: Option<FabricIpipSpec>,
    /// BGP with the fabric's routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp: Option<FabricBgpSpec>,
}

/// IP in IP (RFC 2003) between our first IPv4 address on the fabric link and the nodes, as
/// Calico's pools with `ipipMode` have it among themselves. Felix takes it of us where
/// `externalNodesList` names that address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricIpipSpec {
    /// Where the nodes are, IPv4. What is learned with such a next hop goes into a tunnel
    /// to it, and what comes out of one from there is taken; packets without a tunnel are
    /// taken as well.
    #[schemars(length(min = 1, max = 64))]
    pub nodes: Vec<String>,
}

/// An existing interface as the fabric link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricInterfaceSpec {
    /// The interface.
    #[schemars(length(min = 1, max = 15))]
    pub name: String,
    /// Our addresses on it, each with the length of its network. Empty leaves
    /// the interface as somebody else configures it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addresses: Vec<String>,
    /// Where to send what is for an app prefix that is not on the link: at most one of each family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub next_hops: Vec<String>,
    /// The link's MTU in bytes. Absent leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 65535))]
    pub mtu: Option<u32>,
}

/// A veth pair as the fabric link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricVethSpec {
    /// The name of the end outside the tenant's namespace.
    #[schemars(length(min = 1, max = 15))]
    pub peer: String,
    /// Our addresses on it, each with the length of its network.
    #[schemars(length(min = 1, max = 16))]
    pub addresses: Vec<String>,
    /// Where to send what is for an app prefix that is not on the link: at most one of each family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub next_hops: Vec<String>,
    /// The link's MTU in bytes. Absent leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 65535))]
    pub mtu: Option<u32>,
}

/// A tagged VLAN as the fabric link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricVlanSpec {
    /// The trunk's interface.
    #[schemars(length(min = 1, max = 15))]
    pub parent: String,
    /// The outer tag.
    #[schemars(range(min = 1, max = 4094))]
    pub id: u32,
    /// The outer tag's protocol.
    #[serde(default)]
    pub protocol: VlanProtocolName,
    /// The inner 802.1Q tag, for QinQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub inner_id: Option<u32>,
    /// Our addresses on it, each with the length of its network.
    #[schemars(length(min = 1, max = 16))]
    pub addresses: Vec<String>,
    /// Where to send what is for an app prefix that is not on the link: at most one of each family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub next_hops: Vec<String>,
    /// The link's MTU in bytes. Absent is 1500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 65535))]
    pub mtu: Option<u32>,
}

/// The protocol of an outer VLAN tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VlanProtocolName {
    /// Ethertype 0x8100.
    #[default]
    #[serde(rename = "802.1Q")]
    Dot1q,
    /// Ethertype 0x88a8.
    #[serde(rename = "802.1ad")]
    Dot1ad,
}

/// BGP with the fabric's routers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricBgpSpec {
    /// Our AS.
    #[serde(rename = "localASN")]
    #[schemars(range(min = 1, max = 4294967294_u32))]
    pub local_asn: u32,
    /// Our BGP identifier, written as an IPv4 address.
    #[serde(rename = "routerID")]
    pub router_id: String,
    /// Whom to speak with; nobody only where the class has `vpnReflectors` and the import
    /// `routeTargets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub neighbors: Vec<NeighborSpec>,
    /// What to accept. What is not named is refused and counted.
    #[serde(default)]
    pub import: FabricImportSpec,
    /// What to attach to what we advertise.
    #[serde(default)]
    pub export: FabricExportSpec,
}

/// A router of the fabric, or all those that connect out of a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    cel,
    validation = ("has(self.address) != has(self.range)", "either address or range"),
    validation = ("!has(self.maximum) || has(self.range)", "maximum is of a range")
)]
pub struct NeighborSpec {
    /// What it is called in status and metrics.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45))]
    pub address: Option<String>,
    /// Instead of an address: a network within the fabric link's. Who connects from
    /// there is a neighbor for as long as its session lasts and its routes are kept
    /// after that, and is called by this name and its address. Nobody is dialed. Who
    /// is named by address is not of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 49))]
    pub range: Option<String>,
    /// The most neighbors out of the range at one time; who connects then is refused.
    /// Absent is 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub maximum: Option<u32>,
    /// Its AS.
    #[serde(rename = "remoteASN")]
    #[schemars(range(min = 1, max = 4294967294_u32))]
    pub remote_asn: u32,
    /// The Secret that holds the TCP-MD5 password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
    /// Whether BFD watches it (RFC 5880), with 3 packets in a row, 300 ms apart: a
    /// neighbor that was there and is silent for 0.9 s is taken for gone, and its
    /// session ended. Over one hop where it is in a network of the fabric link
    /// (RFC 5881), else over several (RFC 5883). Of a range each is watched from when
    /// its session comes up until it is forgotten.
    #[serde(default)]
    pub bfd: bool,
    /// Hops it may be away, checked on every packet (GTSM). Absent checks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub ttl_security: Option<u32>,
    /// What we are to it (RFC 9234): a neighbor that says it is no match for that gets no
    /// session, and routes that leak are refused (Only to Customer). Absent says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Whether it has to say what it is; without that there is no session then.
    #[serde(default)]
    pub strict_role: bool,
    /// How often our own AS may stand in the path of a route that is taken: where racks
    /// or nodes share one AS, what one says of another has it (`allowas-in`).
    #[serde(default, rename = "allowOwnASN")]
    #[schemars(range(min = 0, max = 10))]
    pub allow_own_asn: u32,
    /// How many seconds at most its routes are kept once its restart time is over, where
    /// it asks for that (LLGR, RFC 9494): every other route is preferred to them. 0 does
    /// not offer it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 16777215))]
    pub long_lived_stale_seconds: u32,
}

/// What we are to a neighbor (RFC 9234 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleName {
    /// We give it transit.
    Provider,
    /// We pass routes on to it without being in their path (RFC 7947).
    RouteServer,
    /// It is a route server.
    RouteServerClient,
    /// It gives us transit.
    Customer,
    /// Neither gives the other transit.
    Peer,
}

/// What to accept from the fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricImportSpec {
    /// Networks, each with the lengths of prefixes accepted inside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub prefixes: Vec<ImportPrefixSpec>,
    /// Communities of which a route must carry one, `ASN:value` or, large ones,
    /// `ASN:value:value`. Empty asks for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub communities: Vec<String>,
    /// Route targets of which a VPN route must carry one, `ASN:value` or
    /// `address:value`; an AS of four bytes below 65536 is written `0.ASN:value`.
    /// Empty takes no VPN route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub route_targets: Vec<String>,
    /// More prefixes than this end the session. Absent is 100000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub maximum_prefixes: Option<u32>,
    /// How long a session stays down that ended for that, in seconds.
    #[serde(default = "maximum_prefixes_restart_seconds")]
    #[schemars(range(min = 1, max = 65535))]
    pub maximum_prefixes_restart_seconds: u32,
}

impl Default for FabricImportSpec {
    fn default() -> Self {
        Self {
            prefixes: Vec::new(),
            communities: Vec::new(),
            route_targets: Vec::new(),
            maximum_prefixes: None,
            maximum_prefixes_restart_seconds: maximum_prefixes_restart_seconds(),
        }
    }
}

/// Time for somebody to look at it.
pub(super) const fn maximum_prefixes_restart_seconds() -> u32 {
    300
}

/// A network to accept, and what inside it. Without `ge` and `le` the network itself only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportPrefixSpec {
    /// The network.
    pub cidr: String,
    /// The shortest prefix length accepted inside it. Absent is the network's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 128))]
    pub ge: Option<u32>,
    /// The longest prefix length accepted inside it. Absent is the network's own
    /// or, with `ge`, the family's longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 128))]
    pub le: Option<u32>,
}

/// What to attach to what we advertise to the fabric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FabricExportSpec {
    /// Communities, `ASN:value` or, large ones, `ASN:value:value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub communities: Vec<String>,
    /// The multi-exit discriminator. Absent sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}
