//! What a probe asks.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A device, and how it is asked: by an ICMP echo request, or by a TCP connection to
/// one of its ports, which is closed as soon as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The device, as the applications see it.
    pub address: IpAddr,
    /// The TCP port; `None` is an echo request.
    pub tcp_port: Option<u16>,
}

impl fmt::Display for Target {
    /// `192.0.2.1` or `2001:db8::1`, and with a port `192.0.2.1:22` or
    /// `[2001:db8::1]:22`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tcp_port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}
