//! What needs a kernel with 802.1Q, netem and WireGuard, in one binary.
//!
//! `tests/run vm` boots such a kernel. On a machine whose own kernel has them
//! all, `cargo test --test vm` does without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
#[path = "../netns/capture.rs"]
mod capture;
#[path = "../netns/gateway.rs"]
mod gateway;
#[path = "../netns/lab.rs"]
mod lab;
mod links;
mod mixed_sites;
mod netem;
mod vlan;
mod vlan_sites;
mod vlan_stage;
mod wireguard;
