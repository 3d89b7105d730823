//! The status endpoint, over real sockets, asked well and badly.

mod bad;
pub(crate) mod certificates;
mod clock;
mod etag;
mod live;
mod openapi;
mod page;
mod probes;
mod refused;
mod secure;
pub(crate) mod server;
mod slow;
mod tenants;
mod tokens;
mod views;
mod watchers;
