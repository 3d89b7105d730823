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
mod alone;
#[path = "../netns/capture.rs"]
mod capture;
#[path = "../netns/flow.rs"]
mod flow;
mod frames;
#[path = "../netns/gateway.rs"]
mod gateway;
mod interop;
mod kernel_sources;
mod kernel_wireguard;
#[path = "../netns/lab.rs"]
mod lab;
mod links;
mod mixed_sites;
mod netem;
mod netem_wireguard;
#[path = "../netns/path_mtu.rs"]
mod path_mtu;
#[path = "../netns/raw_speaker.rs"]
mod raw_speaker;
mod vlan;
mod vlan_dhcp;
mod vlan_hostile;
mod vlan_mtu;
mod vlan_neighbours;
mod vlan_outer;
mod vlan_scan;
mod vlan_sites;
mod vlan_sources;
mod vlan_stage;
mod vlan_state;
mod vlan_tags;
mod wireguard;
#[path = "../netns/wireguard_flow.rs"]
mod wireguard_flow;
#[path = "../netns/wireguard_router.rs"]
mod wireguard_router;
#[path = "../netns/wireguard_stage.rs"]
mod wireguard_stage;
#[path = "../netns/wireguard_wire.rs"]
mod wireguard_wire;
