//! How a VLAN's link and the customer's routers on it are, as the kernel says.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A link to a site, looked at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegSample {
    /// Whether the link and what it stands on carry frames (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Bytes received, headers of the frames included.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// The routers that were asked for.
    pub routers: BTreeMap<IpAddr, Answer>,
}

/// Whether a neighbour answers ARP or neighbour solicitation (RFC 4861 §7.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has answered since it was last asked.
    Answers,
    /// It is being asked.
    Asked,
    /// It was asked as often as the kernel asks, and did not answer.
    Silent,
}
