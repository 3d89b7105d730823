//! Lockgate: a per-tenant connectivity gateway.
//!
//! Ground floor, pure: no clock, socket, file, environment, thread, lock or
//! randomness; all of these are arguments.
pub mod net;

pub mod model;

pub mod config;
pub mod customer;
pub mod gateway;
pub mod packet;
pub mod reconcile;
pub mod status;
pub mod wireguard;

// Upper floor: shells. Each speaks with one part of the world.
pub mod cli;
pub mod daemon;
pub mod datapath;
pub mod http;
pub mod linux;
