//! The status endpoint, over real sockets, asked well and badly.

mod bad;
pub(crate) mod certificates;
mod etag;
mod live;
mod openapi;
mod page;
mod secure;
pub(crate) mod server;
mod tenants;
mod tokens;
mod views;
mod watchers;
