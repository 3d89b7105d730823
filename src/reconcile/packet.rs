//! A packet to ask about, and what becomes of it.
//!
//! [`trace`](super::trace()) and [`expected`](super::expected) answer in the same
//! words and share nothing else: one reads rules, the other documents.

use super::{DropReason, Family, Transport};
use crate::model::Tenant;
use std::fmt;
use std::net::IpAddr;

/// A packet as it comes to a tenant's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from, as the gateway sees it (an alias, where there is one).
    pub source: IpAddr,
    /// Where it goes, as the gateway sees it. Of the source's family.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Payload,
    /// What came before it.
    pub conversation: Conversation,
    /// By which link it comes in.
    pub leg: Leg,
}

/// One of the two links of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The tunnels.
    Tunnel,
    /// The fabric.
    Fabric,
}

impl Leg {
    /// By which link packets from `source` come: the fabric when it is an
    /// application's or on the fabric link, else the tunnels.
    pub fn of(tenant: &Tenant, source: IpAddr) -> Self {
        let app = tenant.app_prefixes.iter().any(|prefix| prefix.contains(source));
        let near = tenant.fabric.addresses.iter().any(|own| own.network().contains(source));
        if app || near { Self::Fabric } else { Self::Tunnel }
    }
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A protocol with ports.
    Ports {
        /// Which.
        transport: Transport,
        /// Of the sender.
        source: u16,
        /// Of the receiver.
        destination: u16,
    },
    /// An ICMP or ICMPv6 echo request.
    Echo,
    /// An ICMP or ICMPv6 echo reply.
    EchoReply,
    /// An ICMP or ICMPv6 error.
    IcmpError,
    /// Another protocol, by its number; not one of those above.
    Other(u8),
}

/// What came before a packet, as connection tracking would know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversation {
    /// Nothing: it begins one.
    New,
    /// It answers one that was let through.
    Reply,
    /// It is an ICMP error about one that was let through.
    Related,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It leaves by the tenant's other link.
    Forwarded,
    /// It is the gateway's own and taken.
    Delivered,
    /// It ends here.
    Dropped(Cause),
}

/// Why a packet ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A rule says so.
    Rule(DropReason),
    /// No rule says anything, and a chain that lets nothing pass is at its end.
    Policy,
    /// There are no rules of ours, so nothing is known to hold.
    NoRules,
    /// There is no route, or one that says unreachable.
    NoRoute,
    /// The link it came by does not forward.
    NotForwarding,
    /// The way back to its source is not the one it came (`rp_filter`).
    ReversePath,
}

impl Cause {
    /// The name as logs and metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule(reason) => reason.as_str(),
            Self::Policy => "policy",
            Self::NoRules => "no_rules",
            Self::NoRoute => "no_route",
            Self::NotForwarding => "not_forwarding",
            Self::ReversePath => "reverse_path",
        }
    }
}

impl Packet {
    /// The family of its addresses.
    pub const fn family(&self) -> Family {
        Family::of(self.destination)
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leg = match self.leg {
            Leg::Tunnel => "the tunnels",
            Leg::Fabric => "the fabric",
        };
        write!(f, "{} → {} {} from {leg}", self.source, self.destination, self.payload)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { transport, source, destination } => {
                write!(f, "{transport} {source} → {destination}")
            }
            Self::Echo => f.write_str("icmp echo"),
            Self::EchoReply => f.write_str("icmp echo-reply"),
            Self::IcmpError => f.write_str("icmp error"),
            Self::Other(protocol) => write!(f, "protocol {protocol}"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forwarded => f.write_str("forwarded"),
            Self::Delivered => f.write_str("delivered to the gateway"),
            Self::Dropped(cause) => write!(f, "dropped: {}", cause.name()),
        }
    }
}
