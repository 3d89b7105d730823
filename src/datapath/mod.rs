//! The packet threads: TUN ⇄ [`wireguard::Device`](crate::wireguard::Device) ⇄ UDP.
//!
//! A tenant belongs to one thread, with its TUN, its UDP socket and its device.
//! No packet meets a lock, a channel or an allocator, and the clock is read once
//! for each wake. The control plane touches the threads by [`Datapath`] alone:
//! [`DeviceConfig`] goes down, [`TenantSample`] comes up.
//!
//! ```text
//!  TUN ──read: ≤ 64 KB──▶ split, seal in place ──▶ batch ──sendmsg(UDP_SEGMENT)──▶ UDP
//!  TUN ◀──writev: ≤ 64 KB── put together ◀── open in place ◀──recvmmsg(UDP_GRO)── UDP
//! ```
//!
//! It decides nothing about routes, peers or keys, and never leaves the network
//! namespace it was started in. What is done to a packet itself (split, put
//! together, marked, answered) is the room [`packet`](crate::packet)'s.
//!
//! In reading order: [`Datapath`] (the door), `command`, `thread` (the loop),
//! `tenant`, `outgoing` (with `batch` and `unreachable`), `incoming`, `udp`,
//! [`Tun`], `buffer` and `pages`, `deadline`, `clock`; [`Options`], [`Event`], [`PathDrop`],
//! [`DatapathError`].

mod batch;
mod buffer;
mod clock;
mod command;
mod deadline;
mod error;
mod event;
mod front;
mod incoming;
mod options;
mod outgoing;
mod pages;
mod reason;
mod sample;
mod tenant;
mod thread;
mod tun;
mod udp;
mod unreachable;

use crate::net::{TenantName, Timestamp};
use crate::wireguard::DeviceConfig;

pub use error::{DatapathError, StartError};
pub use event::Event;
pub use front::Datapath;
pub use options::Options;
pub use reason::PathDrop;
pub use sample::{PathSample, TenantSample};
pub use tun::Tun;

/// A tenant for [`Datapath::attach`].
#[derive(Debug)]
pub struct Attach {
    /// Whose packets they are.
    pub tenant: TenantName,
    /// Its inside.
    pub tun: Tun,
    /// Its WireGuard device.
    pub config: DeviceConfig,
    /// The latest stamp an earlier process sent in an initiation with this key
    /// (see [`Sample::last_initiation`](crate::wireguard::Sample)), the epoch if
    /// there was none.
    pub last_initiation: Timestamp,
}
