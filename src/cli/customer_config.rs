//! `lockgate customer-config`: the customer's end of a site, to be sent there.
//!
//! What the documents do not say, the running gateway does: its public key, and
//! the port it was given.

use super::args::Directories;
use super::client;
use super::documents::DocumentArguments;
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::config::{HostProblem, parse_host};
use crate::customer::{Presharing, wg_quick};
use crate::daemon::{keys, memory};
use crate::model::{Config, Endpoint, Host, Site, Tenant};
use crate::net::PublicKey;
use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use std::sync::Arc;

/// Arguments of `customer-config`.
#[derive(Debug, Args)]
pub struct CustomerConfigArguments {
    /// The site: its name, or NAMESPACE/NAME
    site: String,
    #[command(flatten)]
    documents: DocumentArguments,
    /// The dialect
    #[arg(long, value_enum, default_value_t)]
    format: Dialect,
    /// The host the customer dials; the class's advertisedHost when not given
    #[arg(long, value_parser = parse_advertised)]
    host: Option<Host>,
    /// The gateway's public key; asked of the running gateway when not given
    #[arg(long, value_name = "KEY")]
    gateway_key: Option<PublicKey>,
    /// Write the preshared key out; what is printed is a secret then
    #[arg(long)]
    with_psk: bool,
}

/// A dialect of configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Dialect {
    /// A file for wg-quick(8)
    #[default]
    WgQuick,
}

fn parse_advertised(text: &str) -> Result<Host, HostProblem> {
    parse_host(text)
}

pub(super) fn run(
    arguments: &CustomerConfigArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let outcome = arguments.documents.load()?;
    let (tenant, site) = find(&outcome.config, &arguments.site)?;
    let host = match (&arguments.host, &tenant.class.advertised_host) {
        (Some(host), _) => host.clone(),
        (None, Some(host)) => parse_host(host).context("the class's advertisedHost is no host")?,
        (None, None) => Err(anyhow!(
            "class {:?} has no advertisedHost: say with --host what the customer dials",
            tenant.class.name
        ))?,
    };
    let (gateway_key, port) = identify(arguments, tenant, directories)?;
    let presharing = if arguments.with_psk { Presharing::Shown } else { Presharing::Hidden };
    let endpoint = Endpoint { host, port };
    let text = match arguments.format {
        Dialect::WgQuick => wg_quick::render(tenant, site, gateway_key, &endpoint, presharing),
    };
    let text = text.with_context(|| format!("site {} has no such configuration", site.name))?;
    terminal::print(&text)?;
    Ok(Verdict::Good)
}

/// Who the gateway is to its customers, and on which port. What is given or
/// stands in the documents needs no running gateway.
fn identify(
    arguments: &CustomerConfigArguments,
    tenant: &Tenant,
    directories: &Directories,
) -> Result<(PublicKey, u16), Failure> {
    let own = tenant.private_key.as_ref().map(crate::net::PrivateKey::public);
    if let Some(key) = arguments.gateway_key.or(own) {
        return Ok((key, tenant.listen_port));
    }
    let snapshot = match client::ask(&directories.socket()) {
        Ok(answer) => answer.snapshot,
        // A gateway that is stopped has left its key and its ports behind.
        Err(error) => {
            let state = &directories.state_dir;
            return match keys::load(&keys::path(state, &tenant.name)) {
                Ok(Some(key)) => {
                    let ports = memory::read(&state.join(memory::FILE)).unwrap_or_default().ports;
                    let port = ports.get(&tenant.name).copied();
                    Ok((key.public(), port.unwrap_or(tenant.listen_port)))
                }
                Ok(None) | Err(_) => Err(error.into()),
            };
        }
    };
    let found = snapshot.tenant(&tenant.name);
    let known = found.and_then(|found| Some((found.public_key?, found.listen_port)));
    known.ok_or_else(|| {
        Failure::Other(anyhow!("the running gateway does not serve tenant {} yet", tenant.name))
    })
}

/// The one site `wanted` names.
fn find<'a>(config: &'a Config, wanted: &str) -> Result<(&'a Tenant, &'a Site), Failure> {
    let (namespace, name) = match wanted.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, wanted),
    };
    let found: Vec<(&Tenant, &Site)> = config
        .tenants
        .values()
        .map(Arc::as_ref)
        .filter(|tenant| namespace.is_none_or(|wanted| tenant.name.namespace() == wanted))
        .flat_map(|tenant| tenant.sites.values().map(move |site| (tenant, site)))
        .filter(|(_, site)| site.name.as_str() == name)
        .collect();
    match found.as_slice() {
        [found] => Ok(*found),
        [] => Err(anyhow!(
            "the documents have no site {wanted:?} without errors; see `lockgate check`"
        )
        .into()),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|(tenant, site)| format!("{}/{}", tenant.name.namespace(), site.name))
                .collect();
            let names = names.join(", ");
            Err(anyhow!("several sites are called {wanted:?}; say which: {names}").into())
        }
    }
}
