//! The cluster's side of a tenant: how its applications are reached.

use super::FabricBgp;
use crate::net::{InterfaceAddress, LinkName, ManagedName, Mtu, Prefix, VlanId};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The link to the applications and what is spoken over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fabric {
    /// The link itself.
    pub link: FabricLink,
    /// Our addresses on it. Empty for a link somebody else has configured.
    pub addresses: Vec<InterfaceAddress>,
    /// Where to send what is for an app prefix that is not on the link itself:
    /// at most one of each family.
    pub next_hops: Vec<IpAddr>,
    /// The link's MTU; `None` leaves it as it is.
    pub mtu: Option<Mtu>,
    /// The tunnels to the nodes, when pods' packets go through such.
    pub ipip: Option<Ipip>,
    /// The tenant's BGP speaker, when it has one.
    pub bgp: Option<FabricBgp>,
}

/// IP in IP (RFC 2003) to the nodes that the applications' pods are on, where the
/// network between does not know pods' addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipip {
    /// Our end of all of them: our first IPv4 address on the fabric link.
    pub local: Ipv4Addr,
    /// Where the nodes are, IPv4: what is learned with such a next hop goes into a
    /// tunnel to it, and what comes out of one from there is taken.
    pub nodes: Vec<Prefix>,
}

impl Ipip {
    /// What the outer header takes of a packet, in bytes.
    pub const OVERHEAD: u16 = 20;
}

/// What the fabric link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FabricLink {
    /// An existing link of the underlay, moved into the tenant's namespace.
    /// It is given back when the tenant goes.
    Interface(LinkName),
    /// The link the pod came with, configured by its CNI and left as it is
    /// (`--netns current` only).
    Pod(LinkName),
    /// A veth pair: our end in the tenant's namespace, the other in the underlay
    /// under this name, for whoever attaches the applications there.
    Veth {
        /// The name of the other end.
        peer: LinkName,
    },
    /// A tagged VLAN of a trunk in the underlay.
    Vlan(Vlan),
}

/// Where tenants are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Each in a network namespace of its own, made by us (`--netns per-tenant`).
    #[default]
    PerTenant,
    /// The only one in the namespace we are in, as in a pod (`--netns current`).
    Current,
}

/// A tagged VLAN of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The trunk, in the underlay.
    pub parent: LinkName,
    /// The outer tag.
    pub id: VlanId,
    /// The outer tag's protocol.
    pub protocol: VlanProtocol,
    /// The inner 802.1Q tag, for QinQ.
    pub inner_id: Option<VlanId>,
}

/// The protocol of a VLAN tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VlanProtocol {
    /// IEEE 802.1Q, ethertype 0x8100.
    #[default]
    Dot1q,
    /// IEEE 802.1ad, ethertype 0x88a8.
    Dot1ad,
}

impl VlanProtocol {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Dot1q, Self::Dot1ad];

    /// As documents and `ip link` write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dot1q => "802.1Q",
            Self::Dot1ad => "802.1ad",
        }
    }
}

impl Vlan {
    /// What its link in a tenant's namespace is called.
    pub fn link_name(&self) -> ManagedName {
        ManagedName::vlan(self.inner_id.unwrap_or(self.id), &self.to_string())
    }

    /// The outer tag by itself: the VLAN that an inner one stands on.
    pub fn outer(&self) -> Option<Self> {
        self.inner_id.map(|_| Self { inner_id: None, ..self.clone() })
    }

    /// What the link of an outer tag is called in the underlay.
    pub fn outer_link_name(&self) -> ManagedName {
        ManagedName::outer_vlan(self.id, &self.to_string())
    }
}

impl fmt::Display for Vlan {
    /// `eth2 802.1Q 30`, `eth2 802.1ad 100 30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.parent, self.protocol.as_str(), self.id)?;
        match self.inner_id {
            Some(inner) => write!(f, " {inner}"),
            None => Ok(()),
        }
    }
}
