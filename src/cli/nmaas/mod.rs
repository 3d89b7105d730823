//! `lockgate nmaas`: where a tenant meets the platform its applications run on.

mod import;

use super::verdict::{Failure, Verdict};
use clap::Subcommand;

/// What to do with NMaaS.
#[derive(Debug, Subcommand)]
pub enum NmaasVerb {
    /// Make documents of a domain request
    Import(Box<import::ImportArguments>),
}

pub(super) fn run(verb: &NmaasVerb) -> Result<Verdict, Failure> {
    match verb {
        NmaasVerb::Import(arguments) => import::run(arguments),
    }
}
