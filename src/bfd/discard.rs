//! Why a packet changed nothing.

use super::packet::Malformed;

/// Why a packet was discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Discard {
    /// It is none.
    Malformed(Malformed),
    /// It has come farther than its neighbor is away (GTSM, RFC 5881 §5).
    Ttl,
    /// It came to the port of neighbors on a link and its own is routers away, or the
    /// other way round.
    Port,
    /// It names a session that is not its neighbor's, as one from before a restart.
    Session,
    /// It came while we have the session down ourselves.
    AdminDown,
}

impl Discard {
    /// Its name in metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Version) => "version",
            Self::Malformed(Malformed::Length) => "length",
            Self::Malformed(Malformed::DetectMultiplier) => "detect_multiplier",
            Self::Malformed(Malformed::Multipoint) => "multipoint",
            Self::Malformed(Malformed::Discriminator) => "discriminator",
            Self::Malformed(Malformed::State) => "state",
            Self::Malformed(Malformed::Authentication) => "authentication",
            Self::Ttl => "ttl",
            Self::Port => "port",
            Self::Session => "session",
            Self::AdminDown => "admin_down",
        }
    }
}
