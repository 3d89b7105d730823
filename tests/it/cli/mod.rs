//! The command line, as the built program shows it.

mod check_site;
mod gather;
mod key_change;
mod keys;
pub(crate) mod program;
mod rib;
mod running;
mod show;
mod status;
mod terminal;
mod token;
mod watching;
mod without;
