//! Everything that needs no privilege, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
mod cli;
mod config_documents;
mod config_schema;
mod customer_config;
mod http;
mod sample;
mod status;
mod tidy;
mod wireguard;
