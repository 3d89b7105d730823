//! `lockgate token`: makes what shows the status endpoint who asks.
//!
//! A token goes to stdout, once; what is kept of it is a line with its checksum.

use super::verdict::{Failure, Verdict};
use super::{secret, terminal};
use crate::http;
use crate::net::TenantName;
use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Begins every token, so that one that is left lying about is found by what looks for
/// secrets.
const PREFIX: &str = "lockgate_";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token, and the line that lets its bearer see the status
    New(NewArguments),
}

/// Whose it is and what it is for.
#[derive(Debug, Args)]
pub struct NewArguments {
    /// A name for it: who has it
    name: String,
    /// A tenant its bearer sees (namespace/name), and no other; may be given several times
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<TenantName>,
    /// Add the line to this file (made with mode 0600) instead of printing it to stderr
    #[arg(long, value_name = "FILE")]
    add_to: Option<PathBuf>,
}

pub(super) fn run(verb: &TokenVerb) -> Result<Verdict, Failure> {
    let TokenVerb::New(arguments) = verb;
    let token = token()?;
    let line = http::token_line(&arguments.name, &arguments.tenant, &token)
        .with_context(|| format!("cannot call it {:?}", arguments.name))?;
    match &arguments.add_to {
        Some(path) => add(path, &line)?,
        None => eprintln!("lockgate: add this line to the file of --status-tokens:\n{line}"),
    }
    secret::warn_if_others_can_read();
    // Once the line is kept, for a token of which none is would be of no use.
    terminal::print(&Zeroizing::new(format!("{}\n", *token)))?;
    Ok(Verdict::Good)
}

/// 256 random bits.
fn token() -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    let filled = SystemRandom::new().fill(bytes.as_mut_slice());
    filled.map_err(|_| anyhow!("the kernel gives no random numbers"))?;
    let mut token = Zeroizing::new(String::with_capacity(64));
    token.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut token);
    Ok(token)
}

/// Adds a line in one write, so that who reads the file meanwhile finds it or does not.
fn add(path: &Path, line: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().append(true).create(true).read(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let found = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(anyhow!("{} may be read or written by others; `chmod 600` it", path.display()));
    }
    let before = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let end = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    let written = file.write_all(format!("{end}{line}\n").as_bytes());
    let written = written.and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}
