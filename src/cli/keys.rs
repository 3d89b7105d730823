//! `lockgate keys`: makes keys, as `wg genkey`, `wg pubkey` and `wg genpsk` do.
//!
//! A secret goes to stdout, or to a file that is its owner's alone and was not
//! there before. It never goes to stderr or into an error.

use super::verdict::{Failure, Verdict};
use super::{secret, terminal};
use crate::net::{PresharedKey, PrivateKey};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

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
    let text = secret::read_key(std::io::stdin().lock());
    let text = text.context("cannot read a private key from stdin")?;
    text.trim().parse().map_err(|error| anyhow!("the key on stdin {error}"))
}

fn write_secret(key: &Zeroizing<String>, out: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = out else {
        secret::warn_if_others_can_read();
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(key.as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
        return Ok(());
    };
    if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        secret::make_directory(directory)?;
    }
    secret::write_new(path, 0o600, &[key.as_bytes(), b"\n"])
}
