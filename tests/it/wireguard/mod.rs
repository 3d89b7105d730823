//! The WireGuard engine, in memory, with time moved by hand.

mod configuring;
mod hostile;
mod load;
mod net;
mod paper;

mod sessions;
