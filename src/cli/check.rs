//! `lockgate check`: documents, without a gateway.

use super::output::Format;
use super::verdict::{Failure, Verdict};
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// File or directory of documents; may be given several times
    #[arg(short, long, value_name = "PATH", required = true)]
    file: Vec<PathBuf>,
    /// Look for every pair that could meet and must not
    #[arg(long)]
    leaks: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

pub(super) fn run(arguments: &CheckArguments) -> Result<Verdict, Failure> {
    let _ = arguments;
    Err(anyhow!("this build cannot do that yet").into())
}
