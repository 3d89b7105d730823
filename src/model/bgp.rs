//! What BGP is asked to do, towards the fabric and towards a customer.
//!
//! Policies are default deny in both directions (RFC 8212): what is not named
//! is refused and counted.

use crate::net::{Asn, Community, LargeCommunity, Prefix, Role, RouteTarget, TcpPassword};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The tenant's speaker on the fabric side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FabricBgp {
    /// Our AS.
    pub local_asn: Asn,
    /// Our BGP identifier (RFC 6286), not zero.
    pub router_id: Ipv4Addr,
    /// Whom to speak with.
    pub neighbors: Vec<BgpNeighbor>,
    /// What to accept.
    pub import: BgpImport,
    /// What to attach to what we advertise.
    pub export: BgpExport,
}

/// One neighbor on the fabric, or all those that connect out of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpNeighbor {
    /// What it is called in status and metrics.
    pub name: String,
    /// Where it is.
    pub at: NeighborAt,
    /// Its AS.
    pub remote_asn: Asn,
    /// Whether BFD watches it (RFC 5880): over one hop where it is in a network of
    /// the fabric link, else over several. Of a range, whoever of it has come up.
    pub bfd: bool,
    /// Hops it may be away with GTSM (RFC 5082); `None` checks nothing.
    pub ttl_security: Option<u8>,
    /// What we are to it (RFC 9234), if that is said. Never to one of our own AS.
    pub role: Option<Role>,
    /// Whether it has to say what it is; only with `role`.
    pub strict_role: bool,
    /// How often our own AS may stand in the path of a route that is taken (RFC 4271
    /// §9.1.2 takes none), 0–10.
    pub allow_own_asn: u8,
    /// How long at most its routes are kept past its restart time, where it asks for that
    /// (LLGR, RFC 9494); zero keeps none so.
    pub long_lived: Duration,
    /// What its segments are signed with (TCP-MD5, RFC 2385); `None` signs nothing.
    pub password: Option<TcpPassword>,
}

/// Where a neighbor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborAt {
    /// At this address.
    Address(IpAddr),
    /// Anywhere in a network: whoever connects from there is a neighbor, and nobody
    /// is dialed. Who is named by address is not of the range.
    Range {
        /// The network, within one of the fabric link's.
        prefix: Prefix,
        /// The most neighbors at one time, 1 or more.
        maximum: usize,
    },
}

impl BgpNeighbor {
    /// Its address; `None` of a range.
    pub const fn address(&self) -> Option<IpAddr> {
        match self.at {
            NeighborAt::Address(address) => Some(address),
            NeighborAt::Range { .. } => None,
        }
    }

    /// The addresses it may have.
    pub fn network(&self) -> Prefix {
        match self.at {
            NeighborAt::Address(address) => Prefix::host(address),
            NeighborAt::Range { prefix, .. } => prefix,
        }
    }
}

/// A route reflector in the underlay that has the VPN routes of many tenants (RFC 4364):
/// the tenants of a class share one session with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpnReflector {
    /// What it is called in status and metrics, within its class.
    pub name: String,
    /// Where it is.
    pub address: IpAddr,
    /// Our AS.
    pub local_asn: Asn,
    /// Our BGP identifier (RFC 6286), not zero.
    pub router_id: Ipv4Addr,
    /// Its AS.
    pub remote_asn: Asn,
    /// Hops it may be away with GTSM (RFC 5082); `None` checks nothing.
    pub ttl_security: Option<u8>,
    /// What its segments are signed with (TCP-MD5, RFC 2385); `None` signs nothing.
    pub password: Option<TcpPassword>,
}

/// What to accept from the fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpImport {
    /// Networks to accept. Empty accepts nothing.
    pub prefixes: Vec<ImportPrefix>,
    /// Communities of which, or of `large_communities`, a route must carry one;
    /// both empty ask for none.
    pub communities: Vec<Community>,
    /// Large communities, as `communities`.
    pub large_communities: Vec<LargeCommunity>,
    /// Route targets of which a VPN route must carry one. Empty accepts no VPN
    /// route: one that is nobody's is never anybody's.
    pub route_targets: Vec<RouteTarget>,
    /// More prefixes than this end the session (Cease/1, RFC 4486).
    pub maximum_prefixes: u32,
    /// How long it then stays down.
    pub restart_after: Duration,
}

/// A network to accept, and how long prefixes inside it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportPrefix {
    /// The network.
    pub prefix: Prefix,
    /// The shortest length accepted, not below the network's own.
    pub ge: u8,
    /// The longest length accepted, not below `ge`.
    pub le: u8,
}

/// What to attach to what we advertise to the fabric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpExport {
    /// Communities.
    pub communities: Vec<Community>,
    /// Large communities.
    pub large_communities: Vec<LargeCommunity>,
    /// The multi-exit discriminator.
    pub med: Option<u32>,
}

/// BGP with the customer's router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteBgp {
    /// Its AS.
    pub remote_asn: Asn,
    /// Its address, inside the tunnel or on the VLAN.
    pub neighbor: IpAddr,
    /// What its segments are signed with (TCP-MD5, RFC 2385); `None` signs nothing.
    pub password: Option<TcpPassword>,
    /// More prefixes than this end the session.
    pub maximum_prefixes: u32,
    /// How long it then stays down.
    pub restart_after: Duration,
    /// Silence for this long ends the session (RFC 4271 §6.5); 3 s or more.
    pub hold_time: Duration,
    /// What we are to it (RFC 9234), if that is said. Never to one of our own AS.
    pub role: Option<Role>,
    /// Whether it has to say what it is; only with `role`.
    pub strict_role: bool,
}
