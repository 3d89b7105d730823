//! The gateway's private keys, one a tenant, each in a 0600 file.
//!
//! A key is made once and never again: the customer's router holds its public
//! half. So a key file that cannot be read stops that tenant with a reason; it
//! is never replaced.

use super::file;
use crate::net::{KeyError, PrivateKey, TenantName};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a tenant has no private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is there and cannot be read.
    #[error("cannot read the private key {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The file cannot be made.
    #[error("cannot make the private key {0}")]
    Create(PathBuf, #[source] io::Error),
    /// Others than the owner may read it.
    #[error("{0} may be read by others; `chmod 600` it, and think about a new key")]
    Permissions(PathBuf),
    /// It does not hold a key.
    #[error("{0} holds no private key; restore it from a backup, it is not made anew")]
    Content(PathBuf, #[source] KeyError),
}

/// Where the key of `tenant` is kept below `state`.
pub fn path(state: &Path, tenant: &TenantName) -> PathBuf {
    state.join("keys").join(format!("{}.{}.key", tenant.namespace(), tenant.name()))
}

/// Reads the key of `tenant`, or makes it from `random` when there is none.
///
/// # Errors
/// When there is one that cannot be used, or none can be written.
pub fn load_or_create(
    state: &Path,
    tenant: &TenantName,
    random: [u8; 32],
) -> Result<PrivateKey, KeyFileError> {
    let path = path(state, tenant);
    match load(&path)? {
        Some(key) => Ok(key),
        None => {
            let key = PrivateKey::from_random(random);
            let mut text = Zeroizing::new(key.to_base64().to_string());
            text.push('\n');
            let create = |error| KeyFileError::Create(path.clone(), error);
            if file::create_once(&path, text.as_bytes()).map_err(create)? {
                return Ok(key);
            }
            // Another process made it in between: that one is the key.
            load(&path)?.ok_or_else(|| create(io::Error::from(io::ErrorKind::NotFound)))
        }
    }
}

/// Reads the key at `path`; `None` when there is no file.
///
/// # Errors
/// When there is a file that cannot be used.
pub fn load(path: &Path) -> Result<Option<PrivateKey>, KeyFileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyFileError::Read(path.to_owned(), error)),
    };
    let read = |error| KeyFileError::Read(path.to_owned(), error);
    let mode = std::fs::metadata(path).map_err(read)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions(path.to_owned()));
    }
    let key = text.trim().parse().map_err(|error| KeyFileError::Content(path.to_owned(), error))?;
    Ok(Some(key))
}
