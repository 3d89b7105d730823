//! `lockgate customer-config`: the customer's end of a site.

use super::args::Directories;
use super::verdict::{Failure, Verdict};
use anyhow::anyhow;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Arguments of `customer-config`.
#[derive(Debug, Args)]
pub struct CustomerConfigArguments {
    /// The site: its name, or NAMESPACE/NAME
    site: String,
    /// File or directory of documents; may be given several times
    #[arg(short, long, value_name = "PATH", required = true)]
    file: Vec<PathBuf>,
    /// The dialect
    #[arg(long, value_enum, default_value_t)]
    format: Dialect,
}

pub(super) fn run(
    arguments: &CustomerConfigArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let _ = (arguments, directories);
    Err(anyhow!("this build cannot do that yet").into())
}

/// A dialect of configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Dialect {
    /// A file for wg-quick(8)
    #[default]
    WgQuick,
}
