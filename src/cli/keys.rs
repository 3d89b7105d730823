//! `lockgate keys`: makes keys, as `wg genkey`, `wg pubkey` and `wg genpsk` do.
//!
//! A secret goes to stdout, or to a file that is its owner's alone and was not
//! there before. It never goes to stderr or into an error.

use super::terminal;
use super::verdict::{Failure, Verdict};
use crate::net::{PresharedKey, PrivateKey};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FileType, Mode};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes to read of a key: 44 characters, and room for blanks around them.
const MAX_INPUT: u64 = 4_096;

/// What to make.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a private key
    New(OutArguments),
    /// Read a private key from stdin and print its public key
    Public,
    /// Make a preshared key
    Psk(OutArguments),
}

/// Where a secret goes.
#[derive(Debug, Args)]
pub struct OutArguments {
    /// Write to a new file (mode 0600) instead of stdout; directories are made (mode 0700)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(verb: &KeysVerb) -> Result<Verdict, Failure> {
    match verb {
        KeysVerb::New(arguments) => {
            let key = PrivateKey::from_random(random()?);
            write_secret(&key.to_base64(), arguments.out.as_deref())?;
            if arguments.out.is_some() {
                // The secret is in the file; what the other end needs is this.
                terminal::print(&format!("{}\n", key.public()))?;
            }
        }
        KeysVerb::Psk(arguments) => {
            let key = PresharedKey::from_random(random()?);
            write_secret(&key.to_base64(), arguments.out.as_deref())?;
        }
        KeysVerb::Public => terminal::print(&format!("{}\n", read_private_key()?.public()))?,
    }
    Ok(Verdict::Good)
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the kernel gives no random numbers"))?;
    Ok(bytes)
}

fn read_private_key() -> anyhow::Result<PrivateKey> {
    // All the room at once, for a buffer that moves leaves its bytes behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_INPUT as usize));
    let read = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
    read.context("cannot read a private key from stdin")?;
    text.trim().parse().map_err(|error| anyhow!("the key on stdin {error}"))
}

fn write_secret(secret: &Zeroizing<String>, out: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = out else {
        warn_if_others_can_read();
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(secret.as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        return Ok(());
    };
    if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    // `create_new`: a key that is in use must not be lost to a typing error. The
    // umask can only take bits from the mode.
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(
            || format!("cannot make {}; a file that is there is never overwritten", path.display()),
        )?;
    let written = file
        .write_all(secret.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A shell's `>` makes files that everyone can read, unless the umask says otherwise.
fn warn_if_others_can_read() {
    let Ok(stat) = rustix::fs::fstat(std::io::stdout()) else { return };
    let others = Mode::RGRP | Mode::ROTH;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if is_file && Mode::from_raw_mode(stat.st_mode).intersects(others) {
        eprintln!(
            "lockgate: others can read the file this secret goes to; use --out, or `umask 077`"
        );
    }
}
