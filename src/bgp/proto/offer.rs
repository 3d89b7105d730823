//! What our OPEN says and asks for, and what came of it.

use crate::bgp::Family;
use crate::net::{Asn, Role};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What our OPEN says, and what it asks of the neighbor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Our AS.
    pub local_asn: Asn,
    /// The AS the neighbor must have.
    pub remote_asn: Asn,
    /// Our BGP identifier (RFC 6286), not zero.
    pub router_id: Ipv4Addr,
    /// Silence for this long ends the session; the lesser of both ends' counts.
    /// 0 for never, else 3–65,535 s (RFC 4271 §4.2).
    pub hold_time: u16,
    /// The least of the neighbor's that is accepted, in seconds; 0 accepts all.
    pub least_hold_time: u16,
    /// What may be carried.
    pub families: Vec<Family>,
    /// What must be: without one of these there is no session (2/7, RFC 5492).
    pub required_families: Vec<Family>,
    /// Whether the neighbor may say several paths to a network (RFC 7911).
    pub add_path_receive: bool,
    /// Whether messages of up to 65,535 bytes are taken and sent (RFC 8654).
    pub extended_messages: bool,
    /// Whether IPv4 networks may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Graceful restart (RFC 4724), if it is offered.
    pub restart: Option<RestartOffer>,
    /// Whether routes are kept for long past a session (RFC 9494 §3.1), and for how many
    /// seconds the neighbor is asked to keep ours: with 0 we only keep its own. Needs
    /// `restart`. Up to 16,777,215.
    pub long_lived: Option<u32>,
    /// What we are to the neighbor (RFC 9234), if that is said.
    pub role: Option<Role>,
    /// Whether the neighbor must say its role.
    pub strict_role: bool,
    /// How often our AS may stand in a path that is accepted (`allowas-in`).
    pub allowed_own_as: u8,
}

/// What our OPEN says of graceful restart (RFC 4724 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartOffer {
    /// How long we take to come back, 0–4,095 s.
    pub restart_time: u16,
    /// The R bit: we restarted, do not wait for our End-of-RIB. Said until a
    /// session is established.
    pub restarting: bool,
    /// The N bit: routes are kept over a NOTIFICATION as well (RFC 8538).
    pub notification: bool,
    /// The F bit of each of these: forwarding went on all the time. What is not
    /// among them is listed without it.
    pub forwarding_preserved: Vec<Family>,
}

/// What both ends agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Our AS.
    pub local_asn: u32,
    /// The neighbor's AS.
    pub remote_asn: u32,
    /// Our BGP identifier.
    pub local_id: Ipv4Addr,
    /// The neighbor's BGP identifier.
    pub remote_id: Ipv4Addr,
    /// Our end of the connection: the next hop of what we advertise.
    pub local_address: IpAddr,
    /// The neighbor's end.
    pub remote_address: IpAddr,
    /// Silence for this long ends the session; `None` for never.
    pub hold_time: Option<Duration>,
    /// What is carried.
    pub families: Vec<Family>,
    /// Whether systems have four bytes in paths (RFC 6793).
    pub four_octet_as: bool,
    /// The most bytes of a message: 4,096, or 65,535 (RFC 8654).
    pub maximum_message: usize,
    /// Whether the neighbor says everything again when asked (RFC 2918).
    pub route_refresh: bool,
    /// Whether beginning and end of that are marked (RFC 7313).
    pub enhanced_refresh: bool,
    /// Families of which the neighbor may say several paths (RFC 7911).
    pub add_path_receive: Vec<Family>,
    /// IPv4 families whose next hop may be IPv6 (RFC 8950).
    pub extended_next_hop: Vec<Family>,
    /// Graceful restart, if both ends said it.
    pub restart: Option<PeerRestart>,
    /// What is kept for long without the neighbor (RFC 9494): family, F bit, how
    /// long.
    pub long_lived: Vec<(Family, bool, Duration)>,
    /// What we are to the neighbor, if that was said.
    pub local_role: Option<Role>,
    /// What the neighbor said it is.
    pub remote_role: Option<Role>,
    /// How often our AS may stand in a path that is accepted.
    pub allowed_own_as: u8,
}

/// What the neighbor says of graceful restart (RFC 4724 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRestart {
    /// How long it takes to come back, 0–4,095 s.
    pub restart_time: Duration,
    /// The R bit: it restarted, and need not be waited for.
    pub restarting: bool,
    /// Whether both ends set the N bit: routes are kept over a NOTIFICATION that
    /// is no Hard Reset (RFC 8538).
    pub notification: bool,
    /// What it keeps, with the F bit of each.
    pub families: Vec<(Family, bool)>,
}

impl Negotiated {
    /// Whether both ends are of one AS (iBGP).
    pub const fn is_internal(&self) -> bool {
        self.local_asn == self.remote_asn
    }
}
