//! The WireGuard engine, in memory, with time moved by hand.

mod hostile;
mod net;
mod paper;

mod sessions;
