//! Puts it together: reads the clock, the documents and the signals, starts the
//! packet threads, and runs the loop that feeds the gateway.
//!
//! It introduces the shells to one another and decides nothing itself.
//!
//! In reading order: [`run()`], `event_loop`, `task` and `look`, `bgp`, [`pace`] and
//! `bgp_connection`, `bfd`, [`probe`], `test_page`, `kernel_devices`, `reload` and
//! `load` ([`load::Loaded`]), `first_set`, [`source`] and [`document_file`], `journal`,
//! [`publishing`], `serving` and [`credentials`], [`keys`] and [`key_rotation`],
//! [`memory`] and [`accepted`], `nmaas`, `envelope`, `file`, [`Clock`].

pub mod accepted;
mod bfd;
mod bgp;
mod bgp_connection;
mod clock;
pub mod credentials;
pub mod document_file;
mod envelope;
mod event_loop;
mod file;
mod first_set;
mod journal;
mod kernel_devices;
pub mod key_rotation;
pub mod keys;
pub mod load;
mod look;
pub mod memory;
mod nmaas;
pub mod pace;
pub mod probe;
pub mod publishing;
mod reload;
mod run;
mod serving;
pub mod source;
mod task;
mod test_page;
mod turns;

pub use clock::Clock;
pub use nmaas::NmaasOptions;
pub use run::{RunOptions, SOCKET, run};
