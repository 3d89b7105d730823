//! `lockgate run`: the gateway itself.

use super::args::Directories;
use super::verdict::{Failure, Verdict};
use anyhow::anyhow;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// File or directory of documents
    #[arg(short, long, value_name = "PATH")]
    pub file: PathBuf,
    /// Directory of secrets, NAMESPACE/NAME/KEY; `secrets` beside the documents when not given
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Where tenants are put
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub netns: NetnsMode,
    /// Address of the status endpoint; may be given several times
    #[arg(long, default_value = "127.0.0.1:9586", value_name = "ADDRESS:PORT")]
    pub status: Vec<SocketAddr>,
    /// Serve the status on the unix socket only
    #[arg(long, conflicts_with = "status")]
    pub no_status: bool,
    /// Another name the status endpoint answers to; may be given several times
    #[arg(long, value_name = "NAME")]
    pub status_host: Vec<String>,
    /// Leave everything in the kernel when stopped
    #[arg(long)]
    pub keep: bool,
    /// Packet threads; one for each processor when not given
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
    /// Do without an offload; may be given several times
    #[arg(long, value_enum, value_delimiter = ',', value_name = "OFFLOAD")]
    pub without: Vec<Offload>,
    /// Form of the log
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub log_format: LogFormat,
}

/// Where tenants are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NetnsMode {
    /// Each in a network namespace of its own
    #[default]
    PerTenant,
    /// The only one in the namespace this process is in
    Current,
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
    drop((arguments, directories));
    Err(anyhow!("this build cannot run a gateway yet").into())
}
