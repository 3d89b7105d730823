//! `lockgate run`: the gateway itself.

use super::args::Directories;
use super::documents::DocumentArguments;
use super::nmaas::NmaasArguments;
use super::verdict::{Failure, Verdict};
use crate::daemon::credentials::CredentialFiles;
use crate::daemon::{self, RunOptions};
use crate::datapath;
use crate::model::limits;
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Where documents are, and what they are for.
    #[command(flatten)]
    pub documents: DocumentArguments,
    /// Address of the status endpoint; may be given several times
    #[arg(long, default_value = "127.0.0.1:9586", value_name = "ADDRESS:PORT")]
    pub status: Vec<SocketAddr>,
    /// Serve the status on the unix socket only
    #[arg(long, conflicts_with = "status")]
    pub no_status: bool,
    /// Another name the status endpoint answers to; may be given several times
    #[arg(long, value_name = "NAME")]
    pub status_host: Vec<String>,
    /// Serve the status by TLS: the certificate in PEM, and those it hangs on
    #[arg(long, requires = "status_tls_key", conflicts_with = "no_status", value_name = "FILE")]
    pub status_tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM (mode 0600)
    #[arg(long, requires = "status_tls_cert", value_name = "FILE")]
    pub status_tls_key: Option<PathBuf>,
    /// Take certificates of clients that these authorities (PEM) made
    #[arg(long, requires = "status_tls_cert", value_name = "FILE")]
    pub status_client_ca: Option<PathBuf>,
    /// Show the status to those in this file only (mode 0600); see `lockgate token new`
    #[arg(long, conflicts_with = "no_status", value_name = "FILE")]
    pub status_tokens: Option<PathBuf>,
    /// Take tokens without TLS on addresses that are not loopback
    #[arg(long, requires = "status_tokens")]
    pub status_plaintext: bool,
    /// Leave everything in the kernel when stopped
    #[arg(long)]
    pub keep: bool,
    /// Packet threads; one for each processor when not given
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
    /// Keep each packet thread on one processor
    #[arg(long)]
    pub pin: bool,
    /// Do without an offload; may be given several times
    #[arg(long, value_enum, value_delimiter = ',', value_name = "OFFLOAD")]
    pub without: Vec<Offload>,
    #[command(flatten)]
    nmaas: NmaasArguments,
    /// Form of the log
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub log_format: LogFormat,
}

/// What the kernel does in large pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Offload {
    /// TCP segments on the TUN
    TunTcp,
    /// UDP datagrams on the TUN
    TunUdp,
    /// Many datagrams in one send
    UdpSegment,
    /// Many datagrams in one receive
    UdpCoalesce,
}

/// A form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: one object a line
    Json,
}

pub(super) fn run(arguments: RunArguments, directories: &Directories) -> Result<Verdict, Failure> {
    start_log(arguments.log_format);
    let off = |offload| arguments.without.contains(&offload);
    let options = RunOptions {
        source: arguments.documents.source(),
        placement: arguments.documents.netns.into(),
        runtime: directories.runtime_dir.clone(),
        state: directories.state_dir.clone(),
        status: if arguments.no_status { Vec::new() } else { arguments.status.clone() },
        status_hosts: arguments.status_host.clone(),
        status_credentials: CredentialFiles {
            tls: arguments.status_tls_cert.clone().zip(arguments.status_tls_key.clone()),
            client_ca: arguments.status_client_ca.clone(),
            tokens: arguments.status_tokens.clone(),
        },
        status_plaintext: arguments.status_plaintext,
        keep: arguments.keep,
        nmaas: arguments.nmaas.options()?,
        datapath: datapath::Options {
            threads: arguments.threads,
            pin: arguments.pin,
            tun_offload: !off(Offload::TunTcp),
            uso: !off(Offload::TunUdp),
            udp_gso: !off(Offload::UdpSegment),
            udp_gro: !off(Offload::UdpCoalesce),
        },
    };
    // Packets, namespaces and the status have threads of their own; this one
    // has the loop.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(16 + limits::LOOKUPS)
        .enable_all()
        .build()
        .context("cannot begin to run")?;
    runtime.block_on(daemon::run(options))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(Verdict::Good)
}

/// Sends the log to stderr; `RUST_LOG` chooses what, `info` when it does not.
fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(color).with_target(false).init();
        }
        LogFormat::Json => log.json().init(),
    }
}
