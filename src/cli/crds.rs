//! `lockgate crds`: the documents' kinds, for a cluster.

use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::config;
use anyhow::Context;

pub(super) fn run() -> Result<Verdict, Failure> {
    terminal::print(&config::crds().context("cannot write the definitions")?)?;
    Ok(Verdict::Good)
}
