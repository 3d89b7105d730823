//! WireGuard without sockets.

mod config;
mod device;
mod reason;
mod seam;

pub use config::{DeviceConfig, PeerConfig, PeerSample, Sample, Translation};
pub use device::{Device, HEADER_LEN};
pub use reason::DropReason;
pub use seam::{Destination, PeerIndex, Received, SendState, Transmit};
