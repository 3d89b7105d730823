//! The status endpoint, over real sockets, asked well and badly.

mod bad;
pub(crate) mod server;
mod views;
