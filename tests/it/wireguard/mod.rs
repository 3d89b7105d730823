//! The WireGuard engine, in memory, with time moved by hand.

mod clocks;
mod configuring;
mod health;
mod hostile;
mod interop;
mod kernel;
mod load;
mod net;
mod paper;
mod preshared;
mod rotation;
mod sessions;
mod tables;
