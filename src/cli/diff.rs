//! `lockgate diff`: the steps that applying documents would take, as a plan.

use super::documents::DocumentArguments;
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::model::Placement;
use crate::reconcile::{KernelState, desired, plan};
use anyhow::{Context, anyhow};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    #[command(flatten)]
    documents: DocumentArguments,
    /// What the kernel holds, in the text form of a bug report; nothing when not given
    #[arg(long, value_name = "FILE")]
    observed: Option<PathBuf>,
}

pub(super) fn run(arguments: &DiffArguments) -> Result<Verdict, Failure> {
    let outcome = arguments.documents.load()?;
    if !outcome.errors.is_empty() {
        // A gateway would refuse the set, so there is nothing it would do.
        return Err(anyhow!(
            "the documents have {} errors; see `lockgate check`",
            outcome.errors.count()
        )
        .into());
    }
    let observed = match &arguments.observed {
        Some(path) => read(path)?,
        None => KernelState::default(),
    };
    let placement = Placement::PerTenant;
    let plan = plan(&desired(&outcome.config, placement), &observed, placement);
    terminal::print(&plan.to_string())?;
    Ok(Verdict::finding_if(!plan.is_empty()))
}

fn read(path: &Path) -> anyhow::Result<KernelState> {
    let failed = || format!("cannot read {}", path.display());
    fs::read_to_string(path).with_context(failed)?.parse().with_context(failed)
}
