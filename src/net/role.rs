//! What two neighbors of BGP are to each other.

use std::fmt;

/// What one end of a session is to the other (RFC 9234 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It gives transit.
    Provider,
    /// It passes routes on without being in their path (RFC 7947).
    RouteServer,
    /// It speaks with a route server.
    RouteServerClient,
    /// It buys transit.
    Customer,
    /// Neither gives the other transit.
    Peer,
}

impl Role {
    /// As documents write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provider => "Provider",
            Self::RouteServer => "RouteServer",
            Self::RouteServerClient => "RouteServerClient",
            Self::Customer => "Customer",
            Self::Peer => "Peer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
