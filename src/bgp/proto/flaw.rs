//! Why part of what a neighbor said is not taken as it was said.

use std::fmt;

/// Why networks of an UPDATE count as withdrawn, or part of it was left out.
/// None of these ends the session (RFC 7606).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// An attribute was malformed and left out: the route does not depend on it
    /// (RFC 7606 §2, attribute discard).
    AttributeDiscarded,
    /// An attribute was malformed (RFC 7606 §7, treat as withdraw).
    MalformedAttribute,
    /// An attribute that everyone must know is known to nobody here.
    UnknownWellKnown,
    /// ORIGIN, AS_PATH or NEXT_HOP is missing (RFC 7606 §3 d).
    MissingAttribute,
    /// More than [`crate::model::limits::BGP_ATTRIBUTE_ENTRIES`] systems,
    /// clusters or communities of one kind.
    TooManyEntries,
    /// The next hop is no address of a host (RFC 4271 §6.3).
    InvalidNextHop,
    /// The next hop is our own address (RFC 4271 §5.1.3).
    OwnNextHop,
    /// An IPv6 next hop of an IPv4 network without RFC 8950 being agreed on.
    NextHopFamily,
    /// An external neighbor's path does not begin with its own system
    /// (RFC 4271 §6.3).
    FirstAs,
    /// Our system is in the path (RFC 4271 §9.1.2).
    AsLoop,
    /// We are the originator, or our cluster is in the list (RFC 4456 §8).
    ReflectionLoop,
    /// The route leaked (RFC 9234 §5).
    RouteLeak,
    /// Its family was not agreed on.
    FamilyNotNegotiated,
    /// An IPv4 network in IPv6 clothes (`::ffff:0:0/96` and inside).
    MappedPrefix,
}

impl Flaw {
    /// Every one of them, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::AttributeDiscarded,
        Self::MalformedAttribute,
        Self::UnknownWellKnown,
        Self::MissingAttribute,
        Self::TooManyEntries,
        Self::InvalidNextHop,
        Self::OwnNextHop,
        Self::NextHopFamily,
        Self::FirstAs,
        Self::AsLoop,
        Self::ReflectionLoop,
        Self::RouteLeak,
        Self::FamilyNotNegotiated,
        Self::MappedPrefix,
    ];

    /// Its name in logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttributeDiscarded => "attribute_discarded",
            Self::MalformedAttribute => "malformed_attribute",
            Self::UnknownWellKnown => "unknown_well_known",
            Self::MissingAttribute => "missing_attribute",
            Self::TooManyEntries => "too_many_entries",
            Self::InvalidNextHop => "invalid_next_hop",
            Self::OwnNextHop => "own_next_hop",
            Self::NextHopFamily => "next_hop_family",
            Self::FirstAs => "first_as",
            Self::AsLoop => "as_loop",
            Self::ReflectionLoop => "reflection_loop",
            Self::RouteLeak => "route_leak",
            Self::FamilyNotNegotiated => "family_not_negotiated",
            Self::MappedPrefix => "mapped_prefix",
        }
    }
}

/// What takes networks away, and in which attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// What.
    pub flaw: Flaw,
    /// The number of the attribute (RFC 4271 §5), where the flaw does not name it.
    pub attribute: Option<u8>,
}

impl From<Flaw> for Fault {
    fn from(flaw: Flaw) -> Self {
        Self { flaw, attribute: None }
    }
}

impl Flaw {
    /// It is in this attribute.
    pub(super) const fn of(self, attribute: u8) -> Fault {
        Fault { flaw: self, attribute: Some(attribute) }
    }

    /// It as a person reads it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::AttributeDiscarded => "is malformed and was left out",
            Self::MalformedAttribute => "is malformed",
            Self::UnknownWellKnown => "is well-known and known to nobody here",
            Self::MissingAttribute => "is missing",
            Self::TooManyEntries => "has more entries than are taken",
            Self::InvalidNextHop => "its next hop is no address of a host",
            Self::OwnNextHop => "its next hop is our own address",
            Self::NextHopFamily => "it has an IPv6 next hop, which was not agreed on",
            Self::FirstAs => "its path does not begin with the neighbor's AS",
            Self::AsLoop => "our own AS is in its path more often than it may be",
            Self::ReflectionLoop => "we are its originator, or in its cluster list",
            Self::RouteLeak => "it leaked: Only to Customer says that it was not for us",
            Self::FamilyNotNegotiated => "its family was not agreed on",
            Self::MappedPrefix => "it is an IPv4 network in an IPv6 address",
        }
    }
}

/// What an attribute is called (IANA's “BGP Path Attributes”).
const fn name_of(attribute: u8) -> Option<&'static str> {
    Some(match attribute {
        1 => "ORIGIN",
        2 => "AS_PATH",
        3 => "NEXT_HOP",
        4 => "MULTI_EXIT_DISC",
        5 => "LOCAL_PREF",
        6 => "ATOMIC_AGGREGATE",
        7 => "AGGREGATOR",
        8 => "COMMUNITIES",
        9 => "ORIGINATOR_ID",
        10 => "CLUSTER_LIST",
        14 => "MP_REACH_NLRI",
        15 => "MP_UNREACH_NLRI",
        16 => "EXTENDED COMMUNITIES",
        17 => "AS4_PATH",
        18 => "AS4_AGGREGATOR",
        25 => "IPv6 EXTENDED COMMUNITIES",
        26 => "AIGP",
        32 => "LARGE_COMMUNITY",
        35 => "ONLY_TO_CUSTOMER",
        _ => return None,
    })
}

impl fmt::Display for Fault {
    /// `AS_PATH (attribute 2) is malformed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attribute.map(|number| (number, name_of(number))) {
            Some((number, Some(name))) => write!(f, "{name} (attribute {number}) ")?,
            Some((number, None)) => write!(f, "attribute {number} ")?,
            None => {}
        }
        f.write_str(self.flaw.message())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
