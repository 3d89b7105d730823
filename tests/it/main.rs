//! Everything that needs no privilege, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
mod allocation;
mod bfd_packet;
mod bfd_session;
mod bgp_counts;
mod bgp_differential;
mod bgp_export;
mod bgp_next_hop;
mod bgp_policy;
mod bgp_properties;
mod bgp_range;
mod bgp_restart;
mod bgp_rib;
mod bgp_rules;
mod bgp_scene;
mod bgp_session;
mod bgp_shared;
mod bgp_speaker;
mod bgp_treated;
mod bgp_vpn_messages;
mod cli;
mod config_again;
mod config_documents;
mod config_keys;
mod config_schema;
mod config_validate;
mod config_vlans;
mod converge;
mod customer_config;
mod daemon_credentials;
mod daemon_files;
mod datapath;
mod fuzz;
mod gateway;
mod http;
mod import;
mod isolation;
mod key_rotation;
mod netlink_answer;
mod nmaas;
mod pace;
mod packet;
mod plan;
mod probe;
mod publishing;
mod random_config;
mod sample;
mod sim_kernel;
mod status;
mod tidy;
mod wireguard;
