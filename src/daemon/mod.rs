//! Puts it together: reads the clock, the documents and the signals, starts the
//! packet threads, and runs the loop that feeds the gateway.
//!
//! It introduces the shells to one another and decides nothing itself.
//!
//! In reading order: [`run()`], `event_loop`, `task` and `look`, `kernel_devices`, `reload` and
//! `load` ([`load::Loaded`]), [`source`], `journal`, [`keys`], [`memory`], `file`,
//! [`Clock`].

mod clock;
mod event_loop;
mod file;
mod journal;
mod kernel_devices;
pub mod keys;
pub mod load;
mod look;
pub mod memory;
mod reload;
mod run;
mod serving;
pub mod source;
mod task;

pub use clock::Clock;
pub use run::{RunOptions, SOCKET, run};
