//! Another key of the gateway's for a tenant, in two strokes with the customers'
//! change-over between them.
//!
//! ```text
//!              T.key   T.next.key   T.retired.key
//!   before      A          –             –
//!   rotate      A          B             –         both are the gateway's
//!   keep        A          B             A         (the same file by two names)
//!   retire      B          –             A         one rename: done or not done
//! ```
//! At no moment is a key without a name, and every state is one that a gateway starts
//! from: whoever is interrupted does it again. Nothing here talks to a running gateway,
//! which watches the files.

use super::file;
use super::keys::{self, KeyFileError};
use crate::net::{PrivateKey, PublicKey, TenantName};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a key could not be rotated or retired.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// There is no key yet to be followed by another.
    #[error("tenant {0} has no key in {1}: the gateway makes one when it first serves the tenant")]
    NoKey(TenantName, PathBuf),
    /// The old key cannot be kept.
    #[error("cannot keep the old key as {0}; nothing has changed")]
    Keep(PathBuf, #[source] io::Error),
    /// The next key cannot take its place.
    #[error("cannot put the next key in the place of {0}; both are still there")]
    Replace(PathBuf, #[source] io::Error),
}

/// A tenant's keys by their public halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that customers had.
    pub current: PublicKey,
    /// The key they change over to.
    pub next: PublicKey,
    /// Whether it was there already.
    pub was_there: bool,
}

/// Where the key that was retired last is kept.
pub fn retired_path(state: &Path, tenant: &TenantName) -> PathBuf {
    let name = format!("{}.{}.retired.key", tenant.namespace(), tenant.name());
    state.join("keys").join(name)
}

/// Makes the next key from `random`, unless there is one.
///
/// # Errors
/// When there is no key to be followed by it, or it cannot be written.
pub fn rotate(
    state: &Path,
    tenant: &TenantName,
    random: [u8; 32],
) -> Result<Rotated, RotationError> {
    let (path, next_path) = (keys::path(state, tenant), keys::next_path(state, tenant));
    let current = keys::load(&path)?.ok_or_else(|| RotationError::NoKey(tenant.clone(), path))?;
    let key = PrivateKey::from_random(random);
    let mut text = Zeroizing::new(key.to_base64().to_string());
    text.push('\n');
    let made = file::create_once(&next_path, text.as_bytes());
    let made = made.map_err(|error| KeyFileError::Create(next_path.clone(), error))?;
    let next = if made { Some(key) } else { keys::load(&next_path)? };
    let next = next.ok_or_else(|| RotationError::NoKey(tenant.clone(), next_path))?;
    Ok(Rotated { current: current.public(), next: next.public(), was_there: !made })
}

/// One stroke of [`retire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetireStep {
    /// Gives the old key a second name.
    Keep,
    /// Gives the next key the old one's name, and takes its own.
    Replace,
}

impl RetireStep {
    /// All of them, in the order they are to be done in. Each may be done again.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Replace];

    /// Does it, and has it on disk.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn carry_out(self, state: &Path, tenant: &TenantName) -> Result<(), RotationError> {
        let (path, next) = (keys::path(state, tenant), keys::next_path(state, tenant));
        match self {
            Self::Keep => {
                let kept = retired_path(state, tenant);
                keep(&path, &kept).map_err(|error| RotationError::Keep(kept, error))
            }
            Self::Replace => {
                let replaced = fs::rename(&next, &path).and_then(|()| file::sync_directory(&path));
                replaced.map_err(|error| RotationError::Replace(path, error))
            }
        }
    }
}

/// Puts the next key in the place of the current one, which is kept beside it. `None`
/// when there is no next key: it was done before, or never begun.
///
/// # Errors
/// When a key cannot be used or the directory not be written. No key is lost then.
pub fn retire(state: &Path, tenant: &TenantName) -> Result<Option<Rotated>, RotationError> {
    let (path, next) = (keys::path(state, tenant), keys::next_path(state, tenant));
    // One that is no key is not put in the place of one that is.
    let Some(next) = keys::load(&next)? else { return Ok(None) };
    let current = keys::load(&path)?.ok_or_else(|| RotationError::NoKey(tenant.clone(), path))?;
    for step in RetireStep::ALL {
        step.carry_out(state, tenant)?;
    }
    Ok(Some(Rotated { current: current.public(), next: next.public(), was_there: true }))
}

/// Gives a file a second name, whoever had that before.
fn keep(path: &Path, kept: &Path) -> io::Result<()> {
    let beside = kept.with_extension(format!("new.{}", std::process::id()));
    let _ = fs::remove_file(&beside);
    fs::hard_link(path, &beside)?;
    let renamed = fs::rename(&beside, kept);
    // Of two names of one file `rename` leaves both, and one that fails leaves this one.
    let _ = fs::remove_file(&beside);
    renamed?;
    file::sync_directory(kept)
}
