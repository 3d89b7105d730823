//! WireGuard without sockets: bytes and time in, bytes out.
//!
//! A [`Device`] is one tenant's: its key, its peers, their handshakes, sessions
//! and timers. A shell hands it datagrams, packets and the time, and sends what
//! it gives back. Nothing here does input or output, reads a clock, or makes
//! random numbers; the last come from a seed that is handed in.
//!
//! # Why an engine of our own
//! `boringtun::noise` was to be used as it is. Read closely, it cannot do what
//! a gateway of thousands of sites needs:
//! - its replay window holds 1,024 numbers, so that it loses packets on paths
//!   that reorder more; the kernel's, and ours, holds 8,192;
//! - it stamps initiations by the system clock, where a gateway that starts
//!   again, or whose clock was set back, has to go on after the last stamp it
//!   sent, or its peers ignore it;
//! - it reads clock and random numbers itself, so that no test can move time;
//! - it does not end a session whose numbers run out;
//! - an idle peer takes 11 KB, a twentieth of that here;
//! - it does not pad, so that lengths tell what is inside.
//!
//! What is ours is the protocol around the cryptography. The handshake's
//! pattern is run by `snow`, sessions are sealed by `ring`, MACs and cookies by
//! RustCrypto's BLAKE2 and XChaCha20-Poly1305. `boringtun` stays as a test's
//! independent peer, beside one that is written from the paper's formulas.
//!
//! # Files, in reading order
//! - `config`: what is wanted and how it is, the seam to the control plane;
//!   `seam`: the words between a packet thread and a device; `reason`: why
//!   something was dropped; `constants`: the protocol's numbers
//! - `messages`: the wire; `handshake`: keys out of keys; `cookie`: MACs;
//!   `stamp`: TAI64N; `session`: sealing and opening; `replay`: what came before
//! - `inner`: the packet in a datagram; `alias`: its addresses' other names; `allowed_ips`: whose it is; `staging`:
//!   packets that wait
//! - `timers`, `limiter`, `index`, `random`: what is due, how much is too much,
//!   where an index leads, bytes nobody can guess
//! - `peer`, and `device/`, which puts all this together
//! - `health`: what samples say of a peer
//! - `kernel`: a kernel's device and what to change of it, with `kernel_sampler`:
//!   the seam's two types for a device that is not ours; `kernel_preshared`: a key that
//!   it has one of, and customers two

mod alias;
mod allowed_ips;
mod config;
mod constants;
mod cookie;
mod device;
mod handshake;
mod health;
mod index;
mod inner;
mod kernel;
mod kernel_preshared;
mod kernel_sampler;
mod limiter;
mod messages;
mod peer;
mod random;
mod reason;
mod replay;
mod seam;
mod session;
mod staging;
mod stamp;
mod timers;
mod x25519;

pub use allowed_ips::AllowedIps;
pub use config::{DeviceConfig, Overlap, PeerConfig, PeerSample, Sample, Translation};
pub use device::Device;
pub use health::{Health, PeerReason, PeerState};
pub use kernel::{
    KernelChanges, KernelDevice, KernelPeer, KernelPeerChange, KernelPeerSettings, is_changeover,
    kernel_changes,
};
pub use kernel_preshared::PresharedTrials;
pub use kernel_sampler::KernelSampler;
pub use messages::HEADER_LEN;
pub use reason::DropReason;
pub use replay::{ReplayWindow, WINDOW as REPLAY_WINDOW};
pub use seam::{Destination, PeerIndex, Received, SendState, Transmit};
