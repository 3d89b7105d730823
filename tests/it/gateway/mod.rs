//! The gateway's machine in a world made up: a simulated kernel, devices that
//! only remember what they were told, and time that a test moves.

mod bfd;
mod bfd_range;
mod bgp;
mod bgp_looks;
mod bgp_said;
mod conntrack;
mod devices;
mod failures;
mod kernel;
mod probe_memory;
mod probes;
mod random;
mod secrets;
mod shared;
mod sites;
mod vlans;
mod world;
