//! Puts it together: reads the clock, the documents and the signals, starts the
//! packet threads, and runs the loop that feeds the gateway.
//!
//! It introduces the shells to one another and decides nothing itself.
//!
//! In reading order: [`run()`], `event_loop`, `task`, `load` ([`load::Loaded`]),
//! [`source`], [`keys`], [`memory`], `file`, [`Clock`].

mod clock;
mod event_loop;
mod file;
pub mod keys;
pub mod load;
pub mod memory;
mod run;
pub mod source;
mod task;

pub use clock::Clock;
pub use run::{RunOptions, SOCKET, run};
