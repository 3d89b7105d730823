//! How one tenant's path is, for whoever asks.

use crate::wireguard::Sample;

/// How one tenant is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantSample {
    /// Its WireGuard device, with the drops of the whole path.
    pub device: Sample,
    /// How its packets are moved.
    pub path: PathSample,
}

/// How one tenant's packets are moved: which offloads are in force, and by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathSample {
    /// The packet thread that has it, from 0.
    pub thread: usize,
    /// The UDP port it listens on.
    pub port: u16,
    /// Whether its socket speaks IPv6, too.
    pub ipv6: bool,
    /// Whether many datagrams are handed to the kernel in one call.
    pub udp_gso: bool,
    /// Whether the kernel may hand over many datagrams as one.
    pub udp_gro: bool,
    /// Whether TCP segments pass its TUN as superpackets.
    pub tso: bool,
    /// Whether UDP datagrams do.
    pub uso: bool,
    /// Whether its TUN was lost; see [`Event::TunLost`](super::Event::TunLost).
    pub tun_lost: bool,
}
