//! A packet to ask about, and what becomes of it.
//!
//! [`trace`](super::trace()) and [`expected`](super::expected) answer in the same
//! words and share nothing else: one reads rules, the other documents.

use super::serving::{serving, vlans};
use super::{DropReason, Family, Transport};
use crate::model::{Attachment, Site, Tenant, VlanAttachment};
use crate::net::SiteName;
use std::fmt;
use std::net::IpAddr;

/// A packet as it comes to a tenant's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A link of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The tunnels.
    Tunnel,
    /// The VLAN of this site.
    Vlan(SiteName),
    /// The fabric.
    Fabric,
}

impl Leg {
    /// By which link packets from `source` come: the fabric when it is an
    /// application's or on the fabric link, else that of the site it is of, or
    /// on whose VLAN it is, else the tunnels.
    pub fn of(tenant: &Tenant, source: IpAddr) -> Self {
        let app = tenant.app_prefixes.iter().any(|prefix| prefix.contains(source));
        let near = tenant.fabric.addresses.iter().any(|own| own.network().contains(source));
        if app || near {
            return Self::Fabric;
        }
        let real = |site: &Site| site.prefixes.iter().any(|prefix| prefix.real.contains(source));
        let sites = serving(tenant).into_iter().filter(|(prefix, _)| prefix.contains(source));
        let serving = sites.max_by_key(|(prefix, _)| prefix.length()).map(|(_, site)| site);
        let on_vlan = |(_, vlan): &(&Site, &VlanAttachment)| {
            vlan.networks().any(|network| network.contains(source))
        };
        let site = serving
            .or_else(|| vlans(tenant).find(on_vlan).map(|(site, _)| site))
            .or_else(|| tenant.sites.values().find(|site| real(site)));
        site.map_or(Self::Tunnel, Self::to)
    }

    /// The link to `site`.
    pub fn to(site: &Site) -> Self {
        match site.attachment {
            Attachment::WireGuard(_) => Self::Tunnel,
            Attachment::Vlan(_) => Self::Vlan(site.name.clone()),
        }
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

impl Payload {
    /// IP in IP (RFC 2003).
    pub const IPIP: Self = Self::Other(4);
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
        write!(f, "{} → {} {} from ", self.source, self.destination, self.payload)?;
        match &self.leg {
            Leg::Tunnel => f.write_str("the tunnels"),
            Leg::Vlan(site) => write!(f, "the VLAN of {site}"),
            Leg::Fabric => f.write_str("the fabric"),
        }
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
