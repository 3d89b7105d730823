//! `lockgate completions`: a script that completes our arguments in a shell.

use super::args::Arguments;
use super::terminal;
use super::verdict::{Failure, Verdict};
use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell it is for
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> Result<Verdict, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "lockgate", &mut script);
    let script = String::from_utf8(script).context("the script is no text")?;
    terminal::print(&script)?;
    Ok(Verdict::Good)
}
