//! The command line, as the built program shows it.

mod gather;
mod keys;
pub(crate) mod program;
mod rib;
mod running;
mod terminal;
mod token;
mod without;
