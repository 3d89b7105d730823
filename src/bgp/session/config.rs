//! What a session is to be, and what can be done to it.

use crate::bgp::Family;
use crate::bgp::proto::Offer;
use std::time::Duration;

/// What a session with one neighbor is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// What our OPEN says.
    pub offer: Offer,
    /// Whether the neighbor is waited for and never dialed.
    pub passive: bool,
    /// How long to wait after a connection that could not be made, or that went
    /// away by itself (RFC 4271 §8.2.1's ConnectRetryTime), a quarter more or less.
    pub connect_retry: Duration,
    /// How long to wait after the first error; each one that follows doubles it, up
    /// to [`crate::model::limits::BGP_IDLE_HOLD_SECONDS`].
    pub idle_hold: Duration,
    /// Ends a session whose neighbor takes nothing for this long (RFC 9687): more
    /// than the hold time; `None` waits for ever.
    pub send_hold: Option<Duration>,
}

impl SessionConfig {
    /// With the waits that are usual: 5 s after a connection and after the first
    /// error, 8 minutes for a neighbor that takes nothing (RFC 9687 §6).
    pub const fn new(offer: Offer) -> Self {
        Self {
            offer,
            passive: false,
            connect_retry: Duration::from_secs(5),
            idle_hold: Duration::from_secs(5),
            send_hold: Some(Duration::from_secs(480)),
        }
    }
}

/// Why a session is stopped by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Someone wants it down (6/2); it stays down.
    Shutdown {
        /// For the people at the other end (RFC 9003).
        text: String,
    },
    /// Someone wants it anew (6/4); it comes back.
    Reset {
        /// For the people at the other end (RFC 9003).
        text: String,
    },
    /// The neighbor is no longer configured (6/3); it stays down.
    Deconfigured,
    /// What it is to be changed (6/6); it comes back.
    ConfigurationChange,
    /// The neighbor said more networks than it may (6/1).
    MaximumPrefixes {
        /// Of which family.
        family: Family,
        /// How many it may.
        maximum: u32,
        /// When it comes back; `None` when someone starts it.
        restart_after: Option<Duration>,
    },
    /// There is no memory for it (6/8); it comes back after an idle hold.
    OutOfResources,
    /// We restart: the connection is closed without a word, so that a neighbor that
    /// helps (RFC 4724) keeps our routes. It stays down.
    Release,
}
