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
    /// Who we are as well, while customers change over to our next key: each is
    /// answered as whom it writes to. A kernel's device has one key, and takes no
    /// notice of this.
    pub next_private_key: Option<PrivateKey>,
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
    /// running session, for the new key is meant to be needed; unless that one
    /// was made with a key that is still good.
    pub preshared_key: Option<PresharedKey>,
    /// What holds while the customer changes over to other keys.
    pub overlap: Option<Box<Overlap>>,
    /// Where to send. `Some` other than the one configured before moves the peer
    /// there; the same value leaves a learned endpoint alone.
    pub endpoint: Option<SocketAddr>,
    /// Where it was last seen by an earlier process; used when neither
    /// `endpoint` is given nor another one learned.
    pub last_endpoint: Option<SocketAddr>,
    /// Silence after which an empty packet is sent; 1–65,535 s.
    pub keepalive: Option<Duration>,
    /// What may come from it and goes to it, as seen on our side of the tunnel
    /// (aliases, not the customer's own addresses). No prefix is two peers',
    /// unless they are [twins](Overlap::twin).
    pub allowed_ips: Vec<Prefix>,
    /// Networks the customer knows under other addresses than we do.
    pub translations: Vec<Translation>,
    /// Whether to start a handshake as soon as there is an endpoint, without
    /// waiting for something to send.
    pub initiate: bool,
}

/// What of a peer holds while its customer changes over to other keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// The same customer by its other key: a peer that names this one as its twin
    /// and has the same allowed IPs. Of the two the one that shook hands last gets
    /// what is sent there; what comes from either is let in.
    pub twin: Option<PublicKey>,
    /// Of twins that have not shaken hands, the other one is served.
    pub is_second: bool,
    /// A preshared key that is as good as [`PeerConfig::preshared_key`]. A kernel's
    /// device has one for each peer at a time (see `kernel_preshared`).
    pub next_preshared_key: Option<PresharedKey>,
}

impl PeerConfig {
    /// The same customer by its other key.
    pub fn twin(&self) -> Option<PublicKey> {
        self.overlap.as_ref().and_then(|overlap| overlap.twin)
    }

    /// Whether it is the second of twins.
    pub fn is_second(&self) -> bool {
        self.overlap.as_ref().is_some_and(|overlap| overlap.is_second)
    }

    /// The preshared key that is as good as the first.
    pub fn next_preshared_key(&self) -> Option<&PresharedKey> {
        self.overlap.as_ref().and_then(|overlap| overlap.next_preshared_key.as_ref())
    }
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
    /// The last of them was made with our next key.
    pub by_next_key: bool,
    /// The last of them was made with the next preshared key.
    pub by_next_preshared_key: bool,
    /// Handshakes begun by us that no answer came to in time.
    pub handshake_timeouts: u64,
}
