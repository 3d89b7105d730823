//! Files that are either the old one or the new one, never half of each.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to `path`, readable by the owner alone.
///
/// The bytes go to a file beside it, are forced to the disk, and take the place
/// of the old one by rename; the directory is forced too, so that the new name
/// outlives a power cut.
///
/// # Errors
/// When the directory cannot be written or the disk is full; the old file is
/// then still there, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::from(rustix::fs::open(
        &beside,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::RUSR | Mode::WUSR,
    )?);
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    sync_directory(path)
}

/// Writes `bytes` to `path` only if nothing is there yet; says whether it did.
///
/// # Errors
/// When the directory cannot be written or the disk is full.
pub(super) fn create_once(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let beside = path.with_extension(format!("new.{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let mut file = File::from(rustix::fs::open(
        &beside,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )?);
    file.write_all(bytes)?;
    file.sync_all()?;
    // A hard link fails when the name is taken, so of two writers one wins and
    // neither sees half a file.
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    match linked {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Has the names in the directory of `path` on disk.
///
/// # Errors
/// When the disk fails.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
