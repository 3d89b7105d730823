//! `lockgate schema`: the documents' shape, for an editor.

use super::output::{self, Format};
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::config;

pub(super) fn run() -> Result<Verdict, Failure> {
    terminal::print(&output::serialize(&config::json_schema(), Format::Json)?)?;
    Ok(Verdict::Good)
}
