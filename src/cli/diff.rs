//! `lockgate diff`: the steps that applying documents would take, as a plan.

use super::args::Directories;
use super::client;
use super::documents::DocumentArguments;
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::linux::{Kernel, KernelOptions};
use crate::model::{Config, Placement};
use crate::net::TenantName;
use crate::reconcile::{KernelState, Learnable, Namespace, Said, desired, plan};
use anyhow::{Context, anyhow};
use clap::Args;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    #[command(flatten)]
    documents: DocumentArguments,
    /// Take this for what the kernel holds, in the text form of a bug report; the
    /// kernel itself is looked at when not given, which takes root
    #[arg(long, value_name = "FILE")]
    observed: Option<PathBuf>,
}

pub(super) fn run(
    arguments: &DiffArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let placement = arguments.documents.netns.into();
    let outcome = arguments.documents.load(directories)?;
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
        None => client::runtime()?.block_on(observe(&outcome.config, placement))?,
    };
    let mut config = outcome.config;
    for (name, tenant) in &mut config.tenants {
        // What neighbors say is in no document.
        let nothing = Namespace::default();
        let said = Said::held(tenant, observed.tenants.get(name).unwrap_or(&nothing));
        *tenant = said.bound(tenant);
    }
    let mut desired = desired(&config, placement);
    for (name, namespace) in &mut desired.tenants {
        let (tenant, held) = (config.tenants.get(name), observed.tenants.get(name));
        let (Some(tenant), Some(held)) = (tenant, held) else { continue };
        let learnable = Learnable::of(tenant, namespace);
        let learned = learnable.of_held(held).map(|(key, route)| (*key, route.clone()));
        namespace.routes.extend(learned);
    }
    let plan = plan(&desired, &observed, placement);
    terminal::print(&plan.to_string())?;
    Ok(Verdict::finding_if(!plan.is_empty()))
}

/// What the kernel holds of the tenants that are asked for, and of those that
/// have a namespace though nobody asks for them.
async fn observe(config: &Config, placement: Placement) -> anyhow::Result<KernelState> {
    let kernel =
        Kernel::new(placement, KernelOptions::default()).context("cannot look at the kernel")?;
    let present = kernel.tenants().await.context("cannot list the tenants' namespaces")?;
    let names: BTreeSet<TenantName> =
        present.into_iter().chain(config.tenants.keys().cloned()).collect();
    let mut state = KernelState::default();
    for name in names {
        let observed = kernel.observe(&name).await;
        let observed =
            observed.with_context(|| format!("cannot look at tenant {name}; try as root"))?;
        if let Some(namespace) = observed {
            state.tenants.insert(name, namespace);
        }
    }
    Ok(state)
}

fn read(path: &Path) -> anyhow::Result<KernelState> {
    let failed = || format!("cannot read {}", path.display());
    fs::read_to_string(path).with_context(failed)?.parse().with_context(failed)
}
