//! What is inside a datagram: IP packets, read, taken apart, put together,
//! translated and answered.
//!
//! Nothing here panics on any input, reads past an end or allocates for a
//! packet. Nothing here knows of tenants, peers or sockets.
//!
//! In reading order: [`View`] (what an IP header says), [`checksum`], [`ecn`]
//! (congestion marks), [`VirtioHeader`] (what a TUN says about a packet),
//! [`Superpacket`] (taken apart), [`Gro`] (put together; `flow` is what it reads
//! of each packet), [`translate()`] (alias networks), [`icmp`] (answers),
//! [`Malformed`] (why not).

mod bytes;
pub mod checksum;
pub mod ecn;
mod flow;
mod gro;
mod gso;
pub mod icmp;
mod ip;
mod reason;
mod translate;
mod virtio;

pub use ecn::Ecn;
pub use gro::{GRO_SEGMENTS, Gro, Offload};
pub use gso::{Segment, Superpacket};
pub use ip::{View, protocol};
pub use reason::Malformed;
pub use translate::{Side, translate};
pub use virtio::{Gso, VIRTIO_LEN, VirtioHeader};
