//! The status endpoint, over real sockets, asked well and badly.

mod bad;
mod live;
mod openapi;
mod page;
pub(crate) mod server;
mod views;
mod watchers;
