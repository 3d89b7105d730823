//! What `keys rotate` and `keys retire` are given, and what they learn of a running
//! gateway.

use super::{gateway, site};
use crate::cli::args::Directories;
use crate::cli::client::{self, ClientError};
use crate::cli::verdict::{Failure, Verdict};
use crate::net::{PublicKey, SiteName, TenantName};
use crate::status::{Ago, KeyRole, SiteSnapshot, Snapshot, TenantSnapshot};
use anyhow::anyhow;
use clap::Args;

/// Arguments of `keys rotate`.
#[derive(Debug, Args)]
pub struct RotateArguments {
    /// The tenant, NAMESPACE/NAME
    pub(super) tenant: TenantName,
    /// One of its sites, whose customer is to have another key
    #[arg(long, value_name = "NAME")]
    pub(super) site: Option<SiteName>,
    /// The customer's next public key, where it is known already
    #[arg(long, value_name = "KEY", requires = "site")]
    pub(super) public_key: Option<PublicKey>,
}

/// Arguments of `keys retire`.
#[derive(Debug, Args)]
pub struct RetireArguments {
    /// The tenant, NAMESPACE/NAME
    pub(super) tenant: TenantName,
    /// One of its sites, whose customer has another key
    #[arg(long, value_name = "NAME")]
    pub(super) site: Option<SiteName>,
    /// Do it although the old key is in use, or nobody can tell: who has it only is cut off
    #[arg(long)]
    pub(super) force: bool,
}

pub(super) fn rotate(
    arguments: &RotateArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    match &arguments.site {
        Some(name) => site::rotate(arguments, name, directories),
        None => gateway::rotate(&arguments.tenant, directories),
    }
}

pub(super) fn retire(
    arguments: &RetireArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    match &arguments.site {
        Some(name) => site::retire(arguments, name, directories),
        None => gateway::retire(arguments, directories),
    }
}

/// What a running gateway says; `None` when none runs.
pub(super) fn running(directories: &Directories) -> Result<Option<Snapshot>, ClientError> {
    match client::ask(&directories.socket()) {
        Ok(answer) => Ok(Some(answer.snapshot)),
        Err(ClientError::Connect { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The site of a tenant that a running gateway serves.
pub(super) fn site_of<'a>(
    snapshot: &'a Snapshot,
    tenant: &TenantName,
    name: &SiteName,
) -> anyhow::Result<(&'a TenantSnapshot, &'a SiteSnapshot)> {
    let found = snapshot.tenant(tenant);
    let found = found.ok_or_else(|| anyhow!("the running gateway serves no tenant {tenant}"))?;
    let site = found.sites.iter().find(|site| site.name == *name);
    let site = site.ok_or_else(|| anyhow!("tenant {tenant} has no site {name}"))?;
    Ok((found, site))
}

/// The customer's key of this role.
pub(super) fn key(site: &SiteSnapshot, role: KeyRole) -> Option<PublicKey> {
    site.keys.iter().find(|key| key.role == role).map(|key| key.public_key)
}

/// When the site last shook hands, for a person.
pub(super) fn handshake(snapshot: &Snapshot, site: &SiteSnapshot) -> String {
    match site.last_handshake_time {
        Some(at) => format!("last handshake {}", Ago::between(at, snapshot.taken)),
        None => "no handshake since the gateway started".to_owned(),
    }
}
