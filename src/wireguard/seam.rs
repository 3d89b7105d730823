//! The types by which a shell that moves packets and a
//! [`Device`](super::Device) touch.

use super::DropReason;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// A peer of one device. It stays the same while the peer exists, and it is
/// never another peer's, even when that one takes the place of a removed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIndex {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Where a datagram goes and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The peer's endpoint.
    pub to: SocketAddr,
    /// The address of ours the peer last wrote to; `None` leaves it to the kernel.
    pub from: Option<IpAddr>,
}

/// What can be done with packets for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendState {
    /// [`seal`](super::Device::seal) them, send them there, then say
    /// [`sent`](super::Device::sent).
    Ready(Destination),
    /// [`stage`](super::Device::stage) them; they come out of
    /// [`poll_transmit`](super::Device::poll_transmit) once there is a session.
    Staging,
    /// Drop them as [`DropReason::NoEndpoint`]; a host unreachable is in order.
    NoEndpoint,
}

/// What a datagram held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet of this peer, at these bytes of the datagram, trimmed to the
    /// length its header says, its source checked.
    Packet {
        /// Who sent it.
        peer: PeerIndex,
        /// Where in the datagram it is.
        range: Range<usize>,
    },
    /// Nothing to hand on. There may be something to transmit.
    Nothing,
    /// It was dropped, and counted.
    Dropped(DropReason),
}

/// A datagram to send, in the buffer that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The receiver.
    pub to: SocketAddr,
    /// The address of ours to send from; `None` leaves it to the kernel.
    pub from: Option<IpAddr>,
    /// How many bytes of the buffer it is.
    pub len: usize,
}
