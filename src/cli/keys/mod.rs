//! `lockgate keys`: makes keys, as `wg genkey`, `wg pubkey` and `wg genpsk` do, and
//! leads through their change.
//!
//! A secret goes to stdout, or to a file that is its owner's alone and was not
//! there before. It never goes to stderr or into an error.
//!
//! In reading order: this file (keys made), `rotation` (what a key's change is asked and
//! told of), `gateway` (the gateway's own key), `site` (a customer's).

mod gateway;
mod rotation;
mod site;

use super::args::Directories;
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
    /// Begin to change a key: both are good from then on
    ///
    /// Of a tenant: makes the gateway's next key, beside the one there is; a running
    /// gateway takes it up, and `customer-config` gives it to customers from then on. Of a
    /// site (--site): prints the lines for its document, by which the customer may come
    /// with another key.
    Rotate(rotation::RotateArguments),
    /// End the change of a key: the old one is good no more
    ///
    /// Exit 1, and nothing is done, while a site still uses the old key or it cannot be
    /// told. Of a tenant: puts the gateway's next key in the place of the old one, which is
    /// kept beside it. Of a site (--site): prints the lines for its document.
    Retire(rotation::RetireArguments),
}

/// Where a secret goes.
#[derive(Debug, Args)]
pub struct OutArguments {
    /// Write to a new file (mode 0600) instead of stdout; directories are made (mode 0700)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(verb: &KeysVerb, directories: &Directories) -> Result<Verdict, Failure> {
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
        KeysVerb::Rotate(arguments) => return rotation::rotate(arguments, directories),
        KeysVerb::Retire(arguments) => return rotation::retire(arguments, directories),
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
