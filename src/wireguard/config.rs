//! The two types by which the control plane and a device touch:
//! [`DeviceConfig`] goes down, [`Sample`] comes up.
//!
//! A kernel device is described by the same two, so nothing above needs to know
//! which kind is in force.

use crate::net::{Mtu, Prefix, PresharedKey, PrivateKey, PublicKey, Timestamp};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What one tenant's WireGuard device is to be. Applying the same one again
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Who we are to every peer.
    pub private_key: PrivateKey,
    /// The UDP port in the underlay.
    pub listen_port: u16,
    /// The MTU inside the tunnel.
    pub mtu: Mtu,
    /// The peers by public key. A key that is absent is forgotten at once, its
    /// sessions with it.
    pub peers: BTreeMap<PublicKey, PeerConfig>,
}

/// What one peer is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerConfig {
    /// Mixed into the handshake (WireGuard paper §5.2). A change ends the
    /// running session, for the new key is meant to be needed.
    pub preshared_key: Option<PresharedKey>,
    /// Where to send. `Some` other than the one configured before moves the peer
    /// there; the same value leaves a learned endpoint alone.
    pub endpoint: Option<SocketAddr>,
    /// Where it was last seen by an earlier process; used when neither
    /// `endpoint` is given nor another one learned.
    pub last_endpoint: Option<SocketAddr>,
    /// Silence after which an empty packet is sent; 1–65,535 s.
    pub keepalive: Option<Duration>,
    /// What may come from it and goes to it, as seen on our side of the tunnel
    /// (aliases, not the customer's own addresses). No prefix is two peers'.
    pub allowed_ips: Vec<Prefix>,
    /// Networks the customer knows under other addresses than we do.
    pub translations: Vec<Translation>,
    /// Whether to start a handshake as soon as there is an endpoint, without
    /// waiting for something to send.
    pub initiate: bool,
}

/// One network under two addresses of the same length, one on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Translation {
    /// As the customer has it.
    pub real: Prefix,
    /// As we have it.
    pub alias: Prefix,
}

/// How one device is, all counters since the device was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The peers by public key.
    pub peers: BTreeMap<PublicKey, PeerSample>,
    /// Packets and datagrams dropped, by the reason's name in snake_case.
    pub drops: BTreeMap<&'static str, u64>,
    /// The latest TAI64N stamp sent in an initiation, as wall time; a later
    /// process must not send one that is not after it (WireGuard paper §5.1).
    pub last_initiation: Timestamp,
}

/// How one peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerSample {
    /// Where it was last authenticated from, or where we are to send.
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake was completed, absolute.
    pub last_handshake: Option<Timestamp>,
    /// When the last authenticated datagram came, absolute.
    pub last_received: Option<Timestamp>,
    /// When the last datagram with a packet in it was sent, absolute.
    pub last_sent: Option<Timestamp>,
    /// Datagram bytes received and authenticated.
    pub received_bytes: u64,
    /// Datagram bytes sent.
    pub sent_bytes: u64,
    /// Packets received through the tunnel; the kernel does not count them.
    pub received_packets: Option<u64>,
    /// Packets sent through the tunnel; the kernel does not count them.
    pub sent_packets: Option<u64>,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Handshakes begun by us that no answer came to in time.
    pub handshake_timeouts: u64,
}
