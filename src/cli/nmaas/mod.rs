//! `lockgate nmaas`: where a tenant meets the platform its applications run on.
//!
//! In reading order: `import` (a domain request into documents), `connect` (how NMaaS is
//! reached), `confirm` (telling it that a domain is connected), `daemon` (what `run` is told
//! of it).

mod confirm;
mod connect;
mod daemon;
mod import;

pub(super) use daemon::NmaasArguments;

use super::args::Directories;
use super::verdict::{Failure, Verdict};
use clap::Subcommand;

/// What to do with NMaaS.
#[derive(Debug, Subcommand)]
pub enum NmaasVerb {
    /// Make documents of a domain request
    Import(Box<import::ImportArguments>),
    /// Tell NMaaS that a domain is connected, when every site of the tenant is
    Confirm(confirm::ConfirmArguments),
}

pub(super) fn run(verb: &NmaasVerb, directories: &Directories) -> Result<Verdict, Failure> {
    match verb {
        NmaasVerb::Import(arguments) => import::run(arguments),
        NmaasVerb::Confirm(arguments) => confirm::run(arguments, directories),
    }
}
