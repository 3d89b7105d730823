//! The whole tree of arguments.

use super::terminal::ColorChoice;
use super::{
    check, check_site, completions, customer_config, demo, diff, gather, import, keys, nmaas,
    probe, run, show, status, token, trace,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A per-tenant connectivity gateway: each customer's network, over WireGuard
/// or a VLAN, into that customer's namespace and nowhere else.
#[derive(Debug, Parser)]
#[command(
    name = "lockgate",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 good, 1 a finding, 2 usage or another failure, 3 cannot reach the gateway."
)]
pub struct Arguments {
    /// Where a gateway keeps its things.
    #[command(flatten)]
    pub directories: Directories,
    /// When to use colour; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Where a gateway keeps its things.
#[derive(Clone, Debug, Args)]
pub struct Directories {
    /// Directory of the socket a running gateway answers on
    #[arg(
        long,
        global = true,
        env = "LOCKGATE_RUNTIME_DIR",
        default_value = "/run/lockgate",
        value_name = "DIR"
    )]
    pub runtime_dir: PathBuf,
    /// Directory of what outlives a gateway: keys and last endpoints
    #[arg(
        long,
        global = true,
        env = "LOCKGATE_STATE_DIR",
        default_value = "/var/lib/lockgate",
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
}

impl Directories {
    /// The socket a running gateway answers on.
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir.join("lockgate.sock")
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the gateway
    Run(run::RunArguments),
    /// Check documents; exit 1 when something is wrong
    Check(check::CheckArguments),
    /// Show the steps that applying documents would take; exit 1 when there are some
    Diff(diff::DiffArguments),
    /// Follow one packet: rule, route, alias, peer, verdict
    Trace(trace::TraceArguments),
    /// Show how a running gateway and its sites are
    Status(status::StatusArguments),
    /// Check one site for a monitoring system, as a Nagios plugin does
    CheckSite(check_site::CheckSiteArguments),
    /// Show tables of a running gateway
    Show(show::ShowArguments),
    /// Ask a customer's device whether it is there, from its tenant's namespace
    Probe(probe::ProbeArguments),
    /// Gather what is needed to find out what happened, in one file, secrets left out
    Gather(gather::GatherArguments),
    /// Make keys, and change them
    #[command(subcommand)]
    Keys(keys::KeysVerb),
    /// Make tokens for the status endpoint
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Write the configuration of the customer's end of a site
    CustomerConfig(customer_config::CustomerConfigArguments),
    /// Make documents of a file for wg-quick
    Import(import::ImportArguments),
    /// Take a domain request of NMaaS, or tell NMaaS that a domain is connected
    #[command(subcommand)]
    Nmaas(nmaas::NmaasVerb),
    /// Print the custom resource definitions
    Crds,
    /// Print the JSON schema of the documents
    Schema,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArguments),
    /// Try it: two tenants with the same network, on this machine
    Demo(demo::DemoArguments),
}
