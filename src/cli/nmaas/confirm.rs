//! `lockgate nmaas confirm`: tells NMaaS that a domain is connected, after looking whether
//! it is.
//!
//! Whether sites are connected says the running gateway, as to `status`. That a domain is
//! not connected any more is said with `--remove` alone, by a person who means it: NMaaS
//! removes what stands on it, so no outage may say so.

use super::connect::{ConnectArguments, client};
use crate::cli::args::Directories;
use crate::cli::client::{self as gateway, Answer};
use crate::cli::import::parse_tenant;
use crate::cli::terminal;
use crate::cli::verdict::{Failure, Verdict};
use crate::dcn::{Readiness, judge};
use crate::model::DomainId;
use crate::net::SiteName;
use crate::nmaas::{Client, ClientError, Token};
use crate::status::{Snapshot, TenantSnapshot, Visible};
use anyhow::{Context, anyhow};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Where the token is taken from when no file is named.
const TOKEN_VARIABLE: &str = "LOCKGATE_NMAAS_TOKEN";

/// How long after the first failure it is tried again; twice as long after each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Arguments of `nmaas confirm`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ConfirmArguments {
    /// The tenant: NAMESPACE/NAME, or its namespace when it has one gateway there
    tenant: String,
    #[command(flatten)]
    connect: ConnectArguments,
    /// The domain's number in NMaaS; that of the annotation lockgate.dev/nmaas-domain-id of the
    /// TenantGateway when not given
    #[arg(long, value_name = "ID")]
    domain: Option<DomainId>,
    /// File of the access token of an operator; the variable LOCKGATE_NMAAS_TOKEN when not given
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How often NMaaS is asked while it cannot be reached
    #[arg(
        long,
        default_value_t = 4,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10)
    )]
    attempts: u32,
    /// Say that the domain is not connected any more, however its sites are: NMaaS then removes
    /// what stands on its connection
    #[arg(long)]
    remove: bool,
}

const AFTER_HELP: &str = "\
Exit codes: 0 confirmed, 1 not connected yet (nothing was sent), 2 usage, 3 the gateway or NMaaS \
cannot be reached or refused. Confirming again changes nothing.";

pub(super) fn run(
    arguments: &ConfirmArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let client = client(&arguments.connect)?;
    let token = token(arguments)?;
    let domain = match (arguments.domain, arguments.remove) {
        (Some(domain), true) => domain,
        (given, is_removal) => {
            let Answer { snapshot, is_alive } = gateway::ask(&directories.socket())?;
            if !is_alive {
                let taken = snapshot.taken;
                let error = anyhow!("the gateway's control loop hangs; its status is of {taken}");
                return Err(Failure::Unreachable(error));
            }
            let tenant = find(&snapshot, &arguments.tenant)?;
            let domain = given.or_else(|| annotated(tenant)).ok_or_else(|| {
                anyhow!(
                    "{} names no domain: say --domain, or annotate its TenantGateway with {}",
                    tenant.name,
                    DomainId::ANNOTATION
                )
            })?;
            if !is_removal && !is_ready(tenant)? {
                return Ok(Verdict::Finding);
            }
            domain
        }
    };
    let told = gateway::runtime()?.block_on(tell(arguments, &client, domain, &token));
    told.map_err(|error| Failure::Unreachable(error.into()))?;
    let what = if arguments.remove { "is not connected any more" } else { "is connected" };
    terminal::print(&format!("{}: NMaaS knows that domain {domain} {what}\n", arguments.tenant))?;
    Ok(Verdict::Good)
}

fn annotated(tenant: &TenantSnapshot) -> Option<DomainId> {
    tenant.nmaas_domain.and_then(|id| DomainId::new(id.0).ok())
}

fn token(arguments: &ConfirmArguments) -> anyhow::Result<Token> {
    if let Some(path) = &arguments.token_file {
        return Ok(Token::read(path)?);
    }
    let text = std::env::var(TOKEN_VARIABLE).map(zeroize::Zeroizing::new);
    let text = text.with_context(|| format!("no token: say --token-file, or set {TOKEN_VARIABLE}"));
    let text = text?;
    Token::new(&text).with_context(|| format!("{TOKEN_VARIABLE} holds no token"))
}

/// The one tenant that is meant.
fn find<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<&'a TenantSnapshot, Failure> {
    let exact = parse_tenant(wanted).ok().and_then(|name| snapshot.tenant(&name));
    if let Some(tenant) = exact {
        return Ok(tenant);
    }
    let of_namespace = snapshot.tenants.iter().filter(|it| it.name.namespace() == wanted);
    match of_namespace.collect::<Vec<_>>().as_slice() {
        [only] => Ok(only),
        [] => {
            let error = anyhow!(
                "the gateway has no tenant {wanted:?}; `lockgate status` shows those it has"
            );
            Err(error.into())
        }
        several => {
            let names: Vec<String> = several.iter().map(|it| it.name.to_string()).collect();
            let names = names.join(", ");
            Err(anyhow!("namespace {wanted:?} has several tenants; say which: {names}").into())
        }
    }
}

/// Whether NMaaS may be told; says why not, and what is not known.
fn is_ready(tenant: &TenantSnapshot) -> anyhow::Result<bool> {
    let mut out = String::new();
    let is_ready = match judge(tenant) {
        Readiness::Ready { without_probes } => {
            if !without_probes.is_empty() {
                let names: Vec<&str> = without_probes.iter().map(SiteName::as_str).collect();
                let names = names.join(", ");
                // Writing to a `String` cannot fail.
                let _ = writeln!(
                    out,
                    "{}: connected; without probes nobody has looked whether devices answer \
                     ({names})",
                    tenant.name
                );
            }
            true
        }
        Readiness::NotYet(obstacles) => {
            let _ = writeln!(out, "{}: not connected yet, and NMaaS was not told:", tenant.name);
            for obstacle in obstacles {
                let _ = writeln!(out, "  {}", Visible(&obstacle.to_string()));
            }
            false
        }
    };
    terminal::print(&out)?;
    Ok(is_ready)
}

/// Tells it, and again while nobody is there.
async fn tell(
    arguments: &ConfirmArguments,
    client: &Client,
    domain: DomainId,
    token: &Token,
) -> Result<(), ClientError> {
    let mut wait = FIRST_WAIT;
    for left in (0..arguments.attempts).rev() {
        match client.tell(domain, !arguments.remove, token).await {
            Err(error) if error.is_passing() && 0 < left => {
                eprintln!("lockgate: {error}; asking again in {} s", wait.as_secs());
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            other => return other,
        }
    }
    // There is at least one attempt, and the last one returns.
    client.tell(domain, !arguments.remove, token).await
}
