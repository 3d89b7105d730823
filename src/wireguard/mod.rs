//! WireGuard without sockets.

mod config;

pub use config::{DeviceConfig, PeerConfig, PeerSample, Sample, Translation};
