//! `lockgate diff`: the steps that applying would take.

use super::args::Directories;
use super::verdict::{Failure, Verdict};
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// File or directory of documents; may be given several times
    #[arg(short, long, value_name = "PATH", required = true)]
    file: Vec<PathBuf>,
}

pub(super) fn run(
    arguments: &DiffArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let _ = (arguments, directories);
    Err(anyhow!("this build cannot do that yet").into())
}
