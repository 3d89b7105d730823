//! Named network namespaces, as `ip netns` keeps them: one file for each in
//! `/run/netns`, with the namespace mounted on it.
//!
//! So `ip netns exec`, `ip -n` and `nsenter` work on a tenant's namespace, and
//! it outlives this process.
//! Only namespaces whose name is a tenant's are ever listed, opened or removed.
//! Nothing here changes the namespace the calling thread is in.

use crate::net::TenantName;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where `ip netns` looks.
pub(super) const DIRECTORY: &str = "/run/netns";

/// The namespace of the calling thread. (`/proc/self` is the main thread's.)
const OF_THIS_THREAD: &str = "/proc/thread-self/ns/net";

/// What `statfs` says of a mounted namespace (`NSFS_MAGIC`, `<linux/magic.h>`).
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;

/// What could not be done with a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The directory of names cannot be made, or not be shared between mount namespaces.
    #[error("cannot prepare {DIRECTORY} (CAP_SYS_ADMIN is needed)")]
    Directory(#[source] io::Error),
    /// The names cannot be read.
    #[error("cannot list {DIRECTORY}")]
    List(#[source] io::Error),
    /// The namespace cannot be opened.
    #[error("cannot open network namespace {netns}")]
    Open {
        /// Its name in `/run/netns`.
        netns: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The namespace cannot be given its name.
    #[error("cannot create network namespace {netns}")]
    Create {
        /// Its name in `/run/netns`.
        netns: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The namespace cannot be removed.
    #[error("cannot delete network namespace {netns}")]
    Delete {
        /// Its name in `/run/netns`.
        netns: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn path(tenant: &TenantName) -> PathBuf {
    Path::new(DIRECTORY).join(tenant.netns())
}

/// The namespace the calling thread is in.
///
/// # Errors
/// When `/proc` is not mounted.
pub(super) fn current() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(OF_THIS_THREAD, flags, Mode::empty())?)
}

/// Makes the directory of names, shared between mount namespaces.
///
/// A mount made in a directory that is not shared stays unseen elsewhere, and
/// one that another mount namespace copied could never be removed by us.
pub(super) fn prepare() -> Result<(), NetnsError> {
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    fs::create_dir_all(DIRECTORY).map_err(NetnsError::Directory)?;
    let outcome = match rustix::mount::mount_change(DIRECTORY, shared) {
        // Only a mount point can be shared, so it is made one first.
        Err(Errno::INVAL) => rustix::mount::mount_bind_recursive(DIRECTORY, DIRECTORY)
            .and_then(|()| rustix::mount::mount_change(DIRECTORY, shared)),
        outcome => outcome,
    };
    outcome.map_err(|errno| NetnsError::Directory(errno.into()))
}

/// Whether a namespace is mounted at `path`. A process killed while it made one
/// leaves an empty file, which is none.
fn is_mounted(path: &Path) -> io::Result<bool> {
    match rustix::fs::statfs(path) {
        Ok(found) => Ok(found.f_type == NSFS_MAGIC),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The tenants that have a namespace, in order of name.
pub(super) fn list() -> Result<Vec<TenantName>, NetnsError> {
    let entries = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(NetnsError::List(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(NetnsError::List)?.file_name();
        let Some(tenant) = name.to_str().and_then(TenantName::from_netns) else { continue };
        if is_mounted(&path(&tenant)).map_err(NetnsError::List)? {
            found.push(tenant);
        }
    }
    found.sort();
    Ok(found)
}

/// The tenant's namespace; `None` when it has none.
pub(super) fn open(tenant: &TenantName) -> Result<Option<OwnedFd>, NetnsError> {
    let path = path(tenant);
    let error = |source: io::Error| NetnsError::Open { netns: tenant.netns(), source };
    if !is_mounted(&path).map_err(error)? {
        return Ok(None);
    }
    match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(netns) => Ok(Some(netns)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(error(errno.into())),
    }
}

/// Gives the namespace of the calling thread the tenant's name.
pub(super) fn name_current(tenant: &TenantName) -> Result<(), NetnsError> {
    let path = path(tenant);
    let error = |errno: Errno| NetnsError::Create { netns: tenant.netns(), source: errno.into() };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
    match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(error(errno)),
    }
    rustix::mount::mount_bind(OF_THIS_THREAD, &path).map_err(error)
}

/// Takes the tenant's name from its namespace. The kernel removes it, with all
/// that is in it, once no thread and no descriptor is left inside.
pub(super) fn delete(tenant: &TenantName) -> Result<(), NetnsError> {
    let path = path(tenant);
    let error = |source: io::Error| NetnsError::Delete { netns: tenant.netns(), source };
    loop {
        // More than one when two processes named one at the same moment.
        match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(errno) => return Err(error(errno.into())),
        }
    }
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(error(source)),
        Ok(()) | Err(_) => Ok(()),
    }
}
