//! The packet threads, with a pair of datagram sockets for each TUN and
//! loopback for the underlay.
#![allow(clippy::disallowed_methods, reason = "real sockets are waited for, with a bound")]

mod ecn;
mod nobody;
mod packets;
mod passing;
mod stage;
mod tenants;
