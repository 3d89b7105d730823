//! Everything that needs root and network namespaces, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
mod datapath;
mod kernel;
mod lab;
