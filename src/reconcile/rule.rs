//! One rule of a chain: a few conditions, all of which must hold, and what then
//! happens.
//!
//! The language is closed and small on purpose: it can be written to nft, read
//! back, walked by [`trace()`](super::trace()) and proved about by
//! [`leaks()`](super::leaks()), all from the same value.

use super::{ChainName, Device, DropReason, Family, SetName};
use crate::model::Ports;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What must hold, in the order the kernel asks it.
    pub matches: Vec<Match>,
    /// What happens then.
    pub verdict: Verdict,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Came in by this link (`iifname`).
    Iif(Device),
    /// Came in by a link that is none of the tenant's (`iifname != @legs`).
    FromElsewhere,
    /// Leaves by this link (`oifname`).
    Oif(Device),
    /// Leaves by a link that is none of the tenant's (`oifname != @legs`).
    ToElsewhere,
    /// The source is in a set, or is not. Never holds for the other family's
    /// packets (`ip saddr` / `ip6 saddr`).
    Source(Membership),
    /// The destination is in a set, or is not; as for the source.
    Destination(Membership),
    /// The destination is an address of ours on any link (`fib daddr type local`).
    Local,
    /// IP in IP, 4 (`ip protocol ipencap`).
    Ipip,
    /// The transport protocol (`meta l4proto`).
    Transport(Transport),
    /// The source port of the transport protocol named before (`th sport`).
    SourcePorts(Vec<Ports>),
    /// The destination port of the transport protocol named before (`th dport`).
    DestinationPorts(Vec<Ports>),
    /// A TCP packet with SYN set and RST not (`tcp flags & (syn | rst) == syn`).
    Syn,
    /// A TCP packet that does not begin a connection (`tcp flags & (syn | ack) != syn`).
    Begun,
    /// An ICMP (v4) or ICMPv6 error about a packet of this protocol, which it quotes
    /// (RFC 792, RFC 4443 §3); asked after the type (`@th,136,8` or `@th,112,8`).
    Quotes(Family, Transport),
    /// An ICMP (v4) or ICMPv6 message of certain types.
    Icmp(Family, Icmp),
    /// The hop limit is 255: no router was passed (`ip6 hoplimit 255`).
    FromLink,
    /// What connection tracking says of the packet.
    Conntrack(Conntrack),
    /// At most so many packets per second, with as many at once
    /// (`limit rate N/second burst N packets`). Last, for asking counts.
    Rate(u32),
}

/// Whether an address is in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The set.
    pub set: SetName,
    /// `true` for in it, `false` for not in it.
    pub inside: bool,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// SCTP, 132.
    Sctp,
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
}

/// Types of ICMP messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// Echo request: v4 8, v6 128.
    Echo,
    /// Echo reply: v4 0, v6 129.
    EchoReply,
    /// What a sender must hear of (RFC 4890 §4.3.1): v4 destination unreachable
    /// 3, time exceeded 11, parameter problem 12; v6 destination unreachable 1,
    /// packet too big 2, time exceeded 3, parameter problem 4.
    Errors,
    /// Neighbour solicitation 135 and advertisement 136; v6 only. Never router
    /// advertisements or redirects.
    Neighbor,
    /// Neighbour solicitation 135 alone; v6 only.
    Solicitation,
    /// Neighbour advertisement 136 alone; v6 only.
    Advertisement,
    /// Multicast listener reports 131, 143; v6 only. Switches that snoop need
    /// them to pass neighbour solicitations on.
    Listener,
}

/// What connection tracking says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conntrack {
    /// Of a conversation that went both ways (`ct state established`).
    Established,
    /// It fits no conversation (`ct state invalid`).
    Invalid,
    /// An ICMP error about a packet of a conversation (`ct state related`).
    Related,
    /// Of a conversation, against the direction it began in
    /// (`ct state established ct direction reply`).
    Reply,
}

/// What happens to a packet for which all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this hook.
    Accept,
    /// It goes on in another chain, and does not come back (`goto`).
    Goto(ChainName),
    /// It goes on in the chain of the site that has its source or destination
    /// (`ip saddr vmap @sites4`), and comes back when nothing there decides
    /// (`jump`), or when no site has it.
    Site(Side, Family),
    /// It is counted in the reason's named counter and dropped.
    Drop(DropReason),
    /// It passes this hook, and connection tracking is not to look at it (`notrack
    /// accept`).
    Untrack,
    /// The destination is noted down in the set, one of [`Ruleset::met`], if there is
    /// room (`update @SET { ip daddr }`); the next rule follows.
    ///
    /// [`Ruleset::met`]: super::Ruleset::met
    Meet(SetName),
    /// TCP's maximum segment size is lowered to what the route's MTU carries
    /// (`tcp option maxseg size set rt mtu`); the next rule follows.
    ClampMss,
    /// A rule that is not ours, or that cannot be read. Only observed.
    Foreign,
}

/// One of a packet's two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}
