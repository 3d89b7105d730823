//! The gateway's private keys, one a tenant, each in a 0600 file; and beside it the
//! next one, while customers change over to it.
//!
//! A key is made once and never again: the customer's router holds its public
//! half. So a key file that cannot be read stops that tenant with a reason; it
//! is never replaced, but by the next key when somebody says so (see `key_rotation`).

use super::file;
use crate::config::OwnKeys;
use crate::gateway::{GatewayKey, Identity};
use crate::net::{KeyError, PrivateKey, TenantName, Timestamp};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// What the next key's file ends in, after the tenant's name. Names have no dot in them,
/// so no tenant's own key is called that.
const NEXT: &str = ".next.key";

/// Why a tenant has no private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is there and cannot be read.
    #[error("cannot read the private key {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The file cannot be made.
    #[error("cannot make the private key {0}")]
    Create(PathBuf, #[source] io::Error),
    /// The system gives no random bytes to make one of.
    #[error("the system gives no random bytes")]
    NoRandom,
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

/// Where the next key of `tenant` is kept below `state`, while there is one.
pub fn next_path(state: &Path, tenant: &TenantName) -> PathBuf {
    state.join("keys").join(format!("{}.{}{NEXT}", tenant.namespace(), tenant.name()))
}

/// Who the gateway is to the customers of `tenant`: its keys as they are kept, the
/// first made from `random` when there is none. What is `known` is not read again while
/// its file is the same.
///
/// # Errors
/// When there is a key that cannot be used, or none can be written.
pub fn identity(
    state: &Path,
    tenant: &TenantName,
    known: Option<&Identity>,
    random: impl FnOnce() -> Result<[u8; 32], KeyFileError>,
) -> Result<Identity, KeyFileError> {
    // The next one first: should it take the place of the current one in between, it is
    // found there.
    let next_path = next_path(state, tenant);
    let next = load(&next_path)?.map(|key| kept(key, &next_path));
    let path = path(state, tenant);
    let found = stamp(&path);
    let known = known.map(|known| &known.current);
    let is_same = |known: &&GatewayKey| {
        found.is_none_or(|(made, file)| known.made == made && known.file == Some(file))
    };
    let current = match known.filter(is_same) {
        Some(known) => known.clone(),
        None => {
            let key = match load(&path)? {
                Some(key) => key,
                None => load_or_create(state, tenant, random()?)?,
            };
            kept(key, &path)
        }
    };
    let next = next.filter(|next| next.public != current.public);
    Ok(Identity { current, next })
}

/// The public keys of `tenant`, as they are kept below `state`: of a gateway that may
/// run or not, for who only looks. `None` where there are none that can be read.
pub fn look(state: &Path, tenant: &TenantName) -> Option<OwnKeys> {
    let read = |path: &Path| Some(load(path).ok()??.public());
    let next = read(&next_path(state, tenant));
    let current = read(&path(state, tenant))?;
    Some(OwnKeys { current, next: next.filter(|next| *next != current) })
}

/// A key with what is known of its file.
fn kept(key: PrivateKey, path: &Path) -> GatewayKey {
    let stamp = stamp(path);
    GatewayKey::new(key, stamp.and_then(|(made, _)| made)).in_file(stamp.map(|(_, file)| file))
}

/// When the key in this file was made, and which file it is: nobody writes to it again,
/// and moving it changes neither.
fn stamp(path: &Path) -> Option<(Option<Timestamp>, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    let seconds = u64::try_from(metadata.mtime()).ok();
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).ok();
    let made = seconds.zip(nanoseconds).map(|(whole, part)| Timestamp::new(whole, part));
    Some((made, metadata.ino()))
}

/// Tells `changed` when a next key comes or goes, until the watcher is dropped.
///
/// # Errors
/// When the kernel cannot watch.
pub fn watch(state: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        let is_next = |path: &PathBuf| path.to_string_lossy().ends_with(NEXT);
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_next)) {
            // A full channel has a notice in it already.
            let _ = changed.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(&state.join("keys"), RecursiveMode::NonRecursive)?;
    Ok(watcher)
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
