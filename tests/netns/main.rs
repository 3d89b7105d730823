//! Everything that needs root and network namespaces, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
mod aging;
mod answerer;
mod asymmetric;
mod bgp_bfd;
mod bgp_bfd_frr;
mod bgp_bfd_range;
mod bgp_calico;
mod bgp_cluster;
mod bgp_collision;
mod bgp_exabgp;
mod bgp_flood;
mod bgp_frr;
mod bgp_frr_restart;
mod bgp_gobgp;
mod bgp_hops;
mod bgp_odd_stage;
mod bgp_password;
mod bgp_range;
mod bgp_raw;
mod bgp_restart;
mod bgp_roles;
mod bgp_routes;
mod bgp_silence;
mod bgp_sites;
mod bgp_stage;
mod bgp_tcp;
mod bgp_tenants;
mod bgp_untracked;
mod bgp_vpn;
mod bgp_vpn_frr;
mod bgp_why;
mod bgp_words;
mod bgp_workload;
mod bird;
mod canary;
mod capture;
mod crash;
mod customer_bgp;
mod customer_network_manager;
mod customer_networkd;
mod customer_stage;
mod daemon_reload;
mod datapath;
mod demo;
mod exabgp;
mod false_nft;
mod flow;
mod forged_answers;
mod frr;
mod gateway;
mod gobgp;
mod hygiene;
mod inventory;
mod isolation;
mod kernel;
mod lab;
mod many_routes;
mod matrix;
mod namespace_removed;
mod neighbours;
mod nmaas;
mod no_kernel_arp;
mod no_kernel_vlan;
mod no_kernel_wireguard;
mod other_transactions;
mod path_mtu;
mod probes;
#[path = "../it/random_config.rs"]
mod random_config;
mod raised;
mod raw_speaker;
mod reconcile_converge;
mod reconcile_foreign;
mod reconcile_lost;
mod reload;
mod removal;
mod replaced_links;
mod restart;
#[path = "../it/sim_kernel.rs"]
#[allow(dead_code, reason = "the other suite uses all of it")]
mod sim_kernel;
mod sniffer;
mod status_access;
mod status_crowd;
mod tenants;
mod test_page;
mod traffic;
mod trespass;
mod wireguard_conformance;
mod wireguard_errors;
mod wireguard_flow;
mod wireguard_hostile;
mod wireguard_inner;
mod wireguard_keys;
mod wireguard_loops;
mod wireguard_many;
mod wireguard_marks;
mod wireguard_mtu;
mod wireguard_nested;
mod wireguard_paths;
mod wireguard_quick;
mod wireguard_raw;
mod wireguard_reordering;
mod wireguard_roaming;
mod wireguard_rotation;
mod wireguard_router;
mod wireguard_scene;
mod wireguard_stage;
mod wireguard_stamp;
mod wireguard_wire;
