//! `lockgate gather`: what somebody who was not there needs to find out what happened, in
//! one file. Secrets are left out ([`redact`]).
//!
//! It changes nothing and needs no gateway: what cannot be had is said in its place.

mod redact;

use super::args::Directories;
use super::client;
use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::http::render_metrics;
use crate::status::Snapshot;
use anyhow::Context;
use clap::Args;
use redact::Secrets;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Arguments of `gather`.
#[derive(Debug, Args)]
pub struct GatherArguments {
    /// The file to make, a tar archive (mode 0600); it must not be there
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Take the documents along: the file or directory that `run` was given
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR")]
    documents: Option<PathBuf>,
    /// Take the end of a log along; may be given several times
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
}

/// The most of one text, its end.
const MAX_TEXT: u64 = 8 << 20;

/// Seconds that a program may take to answer.
const PATIENCE: &str = "10";

/// Tenants that are looked at; the snapshot has all.
const MAX_TENANTS: usize = 200;

/// What is asked of the machine: a file's name, and the command.
const MACHINE: [(&str, &str); 7] = [
    ("uname", "uname -a"),
    ("links", "ip -details -statistics link"),
    ("addresses", "ip address"),
    ("routes", "ip route show table all"),
    ("rules", "ip rule"),
    ("namespaces", "ip netns list"),
    ("sockets", "ss -lnptu"),
];

/// What is asked in a tenant's namespace.
const TENANT: [(&str, &str); 9] = [
    ("links", "ip -details -statistics link"),
    ("addresses", "ip address"),
    ("routes", "ip route show table all"),
    ("routes6", "ip -6 route show table all"),
    ("rules", "ip rule"),
    ("neighbours", "ip -statistics neighbour"),
    ("ruleset", "nft list ruleset"),
    ("wireguard", "wg show"),
    ("conntrack", "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"),
];

pub(super) fn run(
    arguments: &GatherArguments,
    directories: &Directories,
) -> Result<Verdict, Failure> {
    let secrets = Secrets::read(arguments.documents.as_deref(), &directories.state_dir);
    let mut bundle = Bundle::make(&arguments.out, secrets)?;
    bundle.add("version", env!("CARGO_PKG_VERSION"))?;
    let answer = client::ask(&directories.socket());
    match &answer {
        Ok(answer) => {
            bundle.add_snapshot(&answer.snapshot)?;
            if !answer.is_alive {
                bundle.add("hangs", "The control loop hangs; the status is old.")?;
            }
        }
        Err(error) => bundle.add("no-gateway", &error.to_string())?,
    }
    for (name, command) in MACHINE {
        bundle.add(&format!("machine/{name}"), &said(command, None))?;
    }
    if let Ok(answer) = &answer {
        for tenant in answer.snapshot.tenants.iter().take(MAX_TENANTS) {
            for (name, command) in TENANT {
                let place = format!("tenants/{}/{name}", tenant.name);
                bundle.add(&place, &said(command, Some(&tenant.netns)))?;
            }
        }
    }
    if let Some(documents) = &arguments.documents {
        for path in documents_in(documents) {
            let name = path.strip_prefix(documents).ok().filter(|rest| *rest != Path::new(""));
            let name = name.map_or_else(|| "document".into(), |rest| rest.to_string_lossy());
            bundle.add(&format!("documents/{name}"), &read(&path))?;
        }
    }
    for (place, log) in arguments.log.iter().enumerate() {
        bundle.add(&format!("logs/{place}"), &read(log))?;
    }
    bundle.end()?;
    terminal::print(&format!(
        "{} holds status, metrics, links, routes and rules of {}. Secrets are left out; \
         addresses, names and public keys of customers are in it.\n",
        arguments.out.display(),
        answer.map_or_else(
            |_| "this machine; no gateway answered".to_owned(),
            |answer| format!("{} tenants", answer.snapshot.tenants.len())
        )
    ))?;
    Ok(Verdict::Good)
}

/// A tar archive under construction, which no secret gets into.
struct Bundle {
    archive: tar::Builder<fs::File>,
    secrets: Secrets,
}

impl Bundle {
    fn make(path: &Path, secrets: Secrets) -> anyhow::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { archive: tar::Builder::new(file), secrets })
    }

    fn add(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let text = self.secrets.left_out_of(text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        let name = format!("lockgate/{name}.txt");
        self.archive.append_data(&mut header, name, text.as_bytes()).context("cannot write")
    }

    fn add_snapshot(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(snapshot).context("cannot write JSON")?;
        self.add("status.json", &json)?;
        self.add("metrics", &render_metrics(snapshot).unwrap_or_else(|error| error.to_string()))
    }

    fn end(self) -> anyhow::Result<()> {
        let mut file = self.archive.into_inner().context("cannot write")?;
        file.flush().context("cannot write")
    }
}

/// What a command says, or why it says nothing.
fn said(command: &str, netns: Option<&str>) -> String {
    let within = netns.map(|name| ["ip", "netns", "exec", name]);
    let words = ["timeout", PATIENCE]
        .into_iter()
        .chain(within.into_iter().flatten())
        .chain(command.split(' '));
    let words: Vec<&str> = words.collect();
    let Some((program, arguments)) = words.split_first() else { return String::new() };
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => format!(
            "$ {command}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => format!("$ {command}\n{error}\n"),
    }
}

/// The end of a file, or why it cannot be read.
fn read(path: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(path)?;
        let size = file.metadata()?.len();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(size.saturating_sub(MAX_TEXT)))?;
        let mut bytes = Vec::new();
        file.take(MAX_TEXT).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("cannot be read: {error}\n"))
}

/// The documents at `path`, as `run` reads them: of a directory its YAML files.
fn documents_in(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let is_document = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        path.is_file() && matches!(extension, Some("yaml" | "yml"))
    };
    let mut paths: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(is_document).collect();
    paths.sort();
    paths
}
