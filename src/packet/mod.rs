//! What is inside a datagram: IP packets, read, taken apart, put together,
//! translated and answered.
//!
//! Nothing here panics on any input, reads past an end or allocates for a
//! packet. Nothing here knows of tenants, peers or sockets.
//!
//! In reading order: [`View`] (what an IP header says), [`checksum`], [`Ecn`],
//! [`VirtioHeader`] (what a TUN says about a packet), [`gso`] (superpackets
//! taken apart), [`translate()`] (alias networks), [`Malformed`] (why not).

mod bytes;
pub mod checksum;
pub mod ecn;
pub mod gso;
mod ip;
mod reason;
mod translate;
mod virtio;

pub use ecn::Ecn;
pub use gso::{Segments, Superpacket};
pub use ip::{Fragment, View, protocol};
pub use reason::Malformed;
pub use translate::{Side, translate};
pub use virtio::{Gso, VIRTIO_LEN, VirtioHeader};
