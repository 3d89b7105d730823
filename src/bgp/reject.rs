//! Why a route that was heard is not used.

use std::fmt;

/// Whether a route may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes part in the choice of the best path.
    Accept,
    /// It is kept to be looked at, and not used.
    Reject(Reject),
}

/// Why a route is refused on import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// It meets a network that is never anybody's ([`crate::net::ALWAYS_FORBIDDEN`]).
    Martian,
    /// It meets a network that the tenant's class forbids.
    Forbidden,
    /// It is the default route, which the class does not allow.
    DefaultRoute,
    /// It lies in a network that one of our own links stands in.
    OwnNetwork,
    /// It is of the fabric, and lies in what a site of the tenant declares.
    SitePrefix,
    /// It is of a customer, and lies in the applications' networks.
    AppPrefix,
    /// It is of a customer, and in none of the site's declared prefixes.
    NotDeclared,
    /// It is of a customer, and another site serves that network.
    OtherSite,
    /// No list names it (RFC 8212).
    NotListed,
    /// A list names its network, and not prefixes of this length.
    Length,
    /// It carries none of the communities asked for.
    Community,
    /// It is a VPN route for none of the tenant's route targets. Such are
    /// counted and not kept: on a session for many tenants they are most.
    RouteTarget,
    /// Our own AS is in its path (RFC 4271 §9.1.2).
    AsLoop,
    /// We are its originator (RFC 4456 §8), or in its cluster list.
    ReflectionLoop,
    /// Of an external neighbor whose AS is not the first of the path (RFC 4271 §6.3).
    FirstAs,
    /// An AS_SET is in its path (RFC 9774 §3).
    AsSet,
    /// AS 0 is in its path or its Only to Customer attribute (RFC 7607, RFC 9234).
    AsZero,
    /// Its next hop is no address a router can have.
    NextHopMartian,
    /// Its next hop is an address of ours (RFC 4271 §5.1.3).
    NextHopOwn,
    /// Its next hop is not on the neighbor's side of the gateway.
    NextHopElsewhere,
    /// More different next hops than are kept track of
    /// ([`crate::model::limits::NEXT_HOPS_PER_TENANT`]).
    NextHops,
}

impl Reject {
    /// The name as logs, metrics and status have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Martian => "martian",
            Self::Forbidden => "forbidden",
            Self::DefaultRoute => "default_route",
            Self::OwnNetwork => "own_network",
            Self::SitePrefix => "site_prefix",
            Self::AppPrefix => "app_prefix",
            Self::NotDeclared => "not_declared",
            Self::OtherSite => "other_site",
            Self::NotListed => "not_listed",
            Self::Length => "length",
            Self::Community => "community",
            Self::RouteTarget => "route_target",
            Self::AsLoop => "as_loop",
            Self::ReflectionLoop => "reflection_loop",
            Self::FirstAs => "first_as",
            Self::AsSet => "as_set",
            Self::AsZero => "as_zero",
            Self::NextHopMartian => "next_hop_martian",
            Self::NextHopOwn => "next_hop_own",
            Self::NextHopElsewhere => "next_hop_elsewhere",
            Self::NextHops => "next_hops",
        }
    }

    /// It as a person reads it, after “refused: ”.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Martian => "nobody has such a network",
            Self::Forbidden => "the class forbids this network",
            Self::DefaultRoute => "the class allows no default route",
            Self::OwnNetwork => "the gateway's own link stands in this network",
            Self::SitePrefix => "it lies in what a site declares",
            Self::AppPrefix => "it lies in the applications' networks",
            Self::NotDeclared => "the site does not declare it",
            Self::OtherSite => "another site serves this network",
            Self::NotListed => "no import prefix names it",
            Self::Length => "import prefixes name its network, and not this length",
            Self::Community => "it carries none of the communities asked for",
            Self::RouteTarget => "it is for none of the tenant's route targets",
            Self::AsLoop => "our own AS is in its path more often than it may be",
            Self::ReflectionLoop => "we are its originator, or in its cluster list",
            Self::FirstAs => "its path does not begin with the neighbor's AS",
            Self::AsSet => "an AS_SET is in its path",
            Self::AsZero => "AS 0 is in its path",
            Self::NextHopMartian => "its next hop is no router's address",
            Self::NextHopOwn => "its next hop is our own address",
            Self::NextHopElsewhere => "its next hop is not on the neighbor's side",
            Self::NextHops => "there are too many different next hops",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}
