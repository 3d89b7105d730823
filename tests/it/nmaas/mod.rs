//! Where a tenant meets NMaaS: domain requests, and telling it that a domain is connected.

mod annotation;
mod client;
mod confirm;
mod confirmations;
mod import;
mod server;
