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

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
