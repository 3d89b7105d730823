//! The status endpoint, over real sockets, asked well and badly.

mod bad;
mod server;
mod views;
