//! `lockgate demo`: try it on this machine.

use super::verdict::{Failure, Verdict};
use anyhow::anyhow;
use clap::Args;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Stop after the checks, with an exit code that says how they went
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &DemoArguments) -> Result<Verdict, Failure> {
    let _ = arguments;
    Err(anyhow!("this build cannot do that yet").into())
}
