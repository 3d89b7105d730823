//! What a session wants done, and what it has to tell.

use crate::bgp::proto::{Fault, Negotiated, Notification};
use crate::bgp::{Family, Nlri, Update};
use std::fmt;
use std::sync::Arc;

/// One of a session's connections. The session gives the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

/// What a session wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to the neighbor, then say so with
    /// [`super::Session::handle_connected`] or [`super::Session::handle_closed`].
    Dial(ConnectionId),
    /// There is something to write: [`super::Session::unsent`]. Said once until all
    /// of it is written; nothing is by the time the connection is closed.
    Write(ConnectionId),
    /// Stop dialing, or write as much of `last` as the connection takes at once and
    /// close it. The number is of no use after this.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// What remains of a message that was begun, then a NOTIFICATION.
        last: Vec<u8>,
    },
    /// Something to know.
    Event(Event),
}

/// What happened on a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is up: advertise, family by family, each closed by an End-of-RIB.
    Established(Arc<Negotiated>),
    /// The neighbor said this.
    Update(Update),
    /// These networks, which the update before has among its withdrawn, were announced,
    /// and for this reason count as withdrawn (RFC 7606 §2).
    TreatedAsWithdrawn(Fault, Vec<Nlri>),
    /// That was all of a family: what is stale of it can go (RFC 4724 §4.2).
    EndOfRib(Family),
    /// The neighbor wants a family said again (RFC 2918).
    RefreshAsked(Family),
    /// All of a family is said again from here on (RFC 7313) ...
    RefreshBegun(Family),
    /// ... to here: what was not said can go.
    RefreshEnded(Family),
    /// There is room for more after [`super::Session::advertise`] had none.
    Writable,
    /// It is over.
    Down {
        /// Why.
        reason: DownReason,
        /// Whether the neighbor's routes may be kept while it comes back (RFC 4724
        /// §4.2, RFC 8538 §4): those of the families it named for that, for the
        /// time it said, and those of RFC 9494 after that. Otherwise they go now.
        keeps_routes: bool,
    },
}

/// Why a session that was up is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// We said so.
    Sent(Notification),
    /// The neighbor said so.
    Received(Notification),
    /// The connection went away without a word.
    Lost,
    /// The neighbor connected anew, as one that restarted does (RFC 4724 §4.2).
    Replaced,
    /// The neighbor took nothing for too long (RFC 9687).
    SendHoldExpired,
    /// BFD found it dead (Cease/10 was sent, RFC 9384).
    Bfd {
        /// The C bit of its BFD: its forwarding is gone, not just its BGP.
        control_plane_independent: bool,
    },
    /// We restart.
    Released,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(notification) => write!(f, "sent {notification}"),
            Self::Received(notification) => write!(f, "received {notification}"),
            Self::Lost => f.write_str("the connection was lost"),
            Self::Replaced => f.write_str("the neighbor connected anew"),
            Self::SendHoldExpired => f.write_str("the neighbor takes nothing (send hold timer)"),
            Self::Bfd { .. } => f.write_str("BFD found the neighbor dead"),
            Self::Released => f.write_str("released for our restart"),
        }
    }
}
