//! What may be chosen about the packet threads, and the switches by which each
//! offload is turned off.

use std::num::NonZeroUsize;

/// How packets are moved. The default is every offload the machine has and one
/// thread for each core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many threads; `None` is one for each core this process may run on.
    pub threads: Option<NonZeroUsize>,
    /// Whether each thread stays on one core.
    pub pin: bool,
    /// Whether TCP segments are put together before they are written to a TUN.
    /// Whoever makes the TUN turns its own offload on or off by this, too.
    pub tun_offload: bool,
    /// The same for UDP datagrams (Linux 6.2 and later). Needs `tun_offload`.
    pub uso: bool,
    /// Whether many datagrams are handed to the kernel in one call (`UDP_SEGMENT`).
    pub udp_gso: bool,
    /// Whether the kernel may hand over many datagrams as one (`UDP_GRO`).
    pub udp_gro: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: None,
            pin: false,
            tun_offload: true,
            uso: true,
            udp_gso: true,
            udp_gro: true,
        }
    }
}
