//! The facts of a BGP session as the customer's router has them.

use super::Connection;
use crate::model::{Attachment, Site, Tenant};
use crate::net::{Asn, InterfaceAddress, Prefix, Role};
use std::fmt;
use std::net::IpAddr;

/// The customer's end of a BGP session with the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpSession {
    /// The customer's AS.
    pub local_asn: Asn,
    /// The gateway's.
    pub remote_asn: Asn,
    /// The customer's address.
    pub local: IpAddr,
    /// The gateway's.
    pub remote: IpAddr,
    /// Whether both sign what they say with a password (TCP-MD5), which is not told here.
    pub is_signed: bool,
    /// Seconds of silence that end the session, 3 or more.
    pub hold_seconds: u64,
    /// More prefixes than this end the session.
    pub maximum_prefixes: u32,
    /// What the customer is to the gateway (RFC 9234), where it is to say that.
    pub role: Option<Role>,
    /// Whether there is no session without that.
    pub is_role_strict: bool,
    /// The families it carries.
    pub families: Vec<CarriedFamily>,
}

/// A family that a session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedFamily {
    /// Whether it is IPv4; else it is IPv6.
    pub is_v4: bool,
    /// The customer's address of the family, where the session is one of the other:
    /// networks are to be said with it as their next hop.
    pub next_hop: Option<IpAddr>,
}

impl BgpSession {
    /// The session of `site`, whose gateway has the addresses `gateway` on the link;
    /// `None` when it has no BGP.
    pub(super) fn of(tenant: &Tenant, site: &Site, gateway: &[InterfaceAddress]) -> Option<Self> {
        let bgp = site.bgp.as_ref()?;
        let own = gateway.iter().find(|own| own.network().contains(bgp.neighbor))?;
        let local_asn = bgp.remote_asn;
        let remote_asn = tenant.fabric.bgp.as_ref()?.local_asn;
        let is_used = |is_v4: bool| {
            let apps = tenant.app_prefixes.iter().copied();
            let mut all = apps.chain(site.prefixes.iter().map(|it| it.real));
            all.any(|prefix| prefix.is_v4() == is_v4)
        };
        let families = [true, false].into_iter().filter(|is_v4| is_used(*is_v4));
        let families = families.filter_map(|is_v4| {
            if bgp.neighbor.is_ipv4() == is_v4 {
                return Some(CarriedFamily { is_v4, next_hop: None });
            }
            // Without an address of the family there is no next hop, and the gateway
            // says nothing of it either.
            let address = gateway.iter().find(|own| own.address().is_ipv4() == is_v4)?;
            Some(CarriedFamily { is_v4, next_hop: Some(next_hop(site, *address)?) })
        });
        Some(Self {
            local_asn,
            remote_asn,
            local: bgp.neighbor,
            remote: own.address(),
            is_signed: bgp.password.is_some(),
            hold_seconds: bgp.hold_time.as_secs(),
            maximum_prefixes: bgp.maximum_prefixes,
            role: bgp.role.map(facing),
            is_role_strict: bgp.strict_role,
            families: families.collect(),
        })
    }

    /// Seconds between two KEEPALIVE messages: a third of the hold time (RFC 4271 §10).
    pub(super) fn keepalive_seconds(&self) -> u64 {
        (self.hold_seconds / 3).max(1)
    }

    /// What the customer is to the gateway, in lower case with `-`, as RFC 9234's words
    /// are written on most command lines.
    pub(super) fn role_text(&self) -> Option<&'static str> {
        self.role.map(|role| match role {
            Role::Provider => "provider",
            Role::RouteServer => "rs-server",
            Role::RouteServerClient => "rs-client",
            Role::Customer => "customer",
            Role::Peer => "peer",
        })
    }
}

/// The customer's address of the family of `own`, on the link where `own` is ours.
fn next_hop(site: &Site, own: InterfaceAddress) -> Option<IpAddr> {
    match &site.attachment {
        Attachment::WireGuard(_) => own.other_end(),
        Attachment::Vlan(vlan) => vlan.next_hop_for(own.address()),
    }
}

/// What the other end is when one end is `role` (RFC 9234 §4.2, Table 2).
const fn facing(role: Role) -> Role {
    match role {
        Role::Provider => Role::Customer,
        Role::Customer => Role::Provider,
        Role::RouteServer => Role::RouteServerClient,
        Role::RouteServerClient => Role::RouteServer,
        Role::Peer => Role::Peer,
    }
}

/// What a list of prefixes says of one of them. Written with its number first, as `frr`,
/// IOS XE and EOS have it: `seq 10 permit 192.168.1.0/24 le 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PrefixRule {
    /// Its number, by which they are ordered.
    pub(super) number: usize,
    /// Whether what it is about passes.
    pub(super) is_permitted: bool,
    /// The network.
    pub(super) prefix: Prefix,
    /// The longest length of what is about it, where that is not its own.
    pub(super) le: Option<u8>,
}

impl PrefixRule {
    /// What is taken of the gateway: where the applications are, and nothing else.
    pub(super) fn import(connection: &Connection<'_>, is_v4: bool) -> Vec<Self> {
        Self::list(is_v4, connection.apps_of(is_v4).map(|prefix| (prefix, None)))
    }

    /// What is said to the gateway: the customer's networks and parts of them.
    pub(super) fn export(connection: &Connection<'_>, is_v4: bool) -> Vec<Self> {
        let longest = if is_v4 { 32 } else { 128 };
        let parts = |prefix: Prefix| (prefix.length() < longest).then_some(longest);
        let networks = connection.networks_of(is_v4);
        Self::list(is_v4, networks.map(|prefix| (prefix, parts(prefix))))
    }

    fn list(is_v4: bool, passing: impl Iterator<Item = (Prefix, Option<u8>)>) -> Vec<Self> {
        let rule =
            |(at, (prefix, le))| Self { number: (at + 1) * 10, is_permitted: true, prefix, le };
        let mut rules: Vec<Self> = passing.enumerate().map(rule).collect();
        // A list that is not there lets everything pass on some systems.
        if rules.is_empty()
            && let Ok(prefix) = (if is_v4 { "0.0.0.0/0" } else { "::/0" }).parse()
        {
            let le = Some(if is_v4 { 32 } else { 128 });
            rules.push(Self { number: 10, is_permitted: false, prefix, le });
        }
        rules
    }

    /// `permit` or `deny`.
    pub(super) const fn action(self) -> &'static str {
        if self.is_permitted { "permit" } else { "deny" }
    }
}

impl fmt::Display for PrefixRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seq {} {} {}", self.number, self.action(), self.prefix)?;
        match self.le {
            Some(le) => write!(f, " le {le}"),
            None => Ok(()),
        }
    }
}
