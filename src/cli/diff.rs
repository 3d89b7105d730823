//! `lockgate diff`: the steps that applying would take.

use super::args::Directories;
use super::documents::DocumentArguments;
use super::verdict::{Failure, Verdict};
use anyhow::anyhow;
use clap::Args;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    #[command(flatten)]
    documents: DocumentArguments,
}

pub(super) fn run(
    arguments: &DiffArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let _ = (arguments, directories);
    Err(anyhow!("this build cannot do that yet").into())
}
