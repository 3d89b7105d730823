//! Where documents and secrets are read from: a file or a directory.
//!
//! ```text
//! DIR/*.yaml, DIR/*.yml                   documents, in the order of their names
//! SECRETS/<namespace>/<name>/<key>        secrets, laid out as Kubernetes
//!                                         projects them into a pod
//! ```
//!
//! It reads bytes and judges nothing; [`crate::config`] does.

use super::document_file::DocumentFile;
use crate::config::Secrets;
use crate::model::limits;
use crate::net::Timestamp;
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Largest secret read. A key is 45 bytes with its newline, a password fewer.
const MAX_SECRET_BYTES: u64 = 4 << 10;

/// Why the documents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// Something of a document's name is no file; reading it might never end.
    #[error("{0} is no file")]
    NotAFile(PathBuf),
    /// A file is larger than any set of documents.
    #[error("{0} is larger than {limit} MiB", limit = limits::DOCUMENT_FILE_BYTES >> 20)]
    TooLarge(PathBuf),
    /// A directory without a single document: more likely a wrong path than
    /// the wish to remove every tenant.
    #[error("{0} holds no .yaml or .yml file")]
    Empty(PathBuf),
    /// The directory cannot be watched.
    #[error("cannot watch {0} for changes; reload with SIGHUP")]
    Watch(PathBuf, #[source] notify::Error),
}

/// What was read.
#[derive(Debug)]
pub struct Reading {
    /// The files, in the order of their names.
    pub files: Vec<DocumentFile>,
    /// The secrets.
    pub secrets: Secrets,
}

/// Where to read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file or directory of the documents.
    pub documents: PathBuf,
    /// The directory of the secrets.
    pub secrets: PathBuf,
}

impl Source {
    /// Documents at `documents`, secrets at `secrets` or in the directory of
    /// that name beside the documents.
    pub fn new(documents: PathBuf, secrets: Option<PathBuf>) -> Self {
        let secrets = secrets.unwrap_or_else(|| {
            let beside =
                if documents.is_dir() { Some(documents.as_path()) } else { documents.parent() };
            beside.unwrap_or_else(|| Path::new("")).join("secrets")
        });
        Self { documents, secrets }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When a file cannot be read; secrets that are not there are no error here.
    pub fn read(&self) -> Result<Reading, SourceError> {
        self.read_after(&[], Timestamp::default())
    }

    /// Reads what has changed since `before` was read, and all secrets. `now` is
    /// the present time.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub fn read_after(
        &self,
        before: &[DocumentFile],
        now: Timestamp,
    ) -> Result<Reading, SourceError> {
        let mut paths = vec![self.documents.clone()];
        if self.documents.is_dir() {
            paths = list(&self.documents)?
                .into_iter()
                .filter(|path| {
                    path.extension().is_some_and(|extension| {
                        extension.eq_ignore_ascii_case("yaml")
                            || extension.eq_ignore_ascii_case("yml")
                    })
                })
                .collect();
            if paths.is_empty() {
                return Err(SourceError::Empty(self.documents.clone()));
            }
        }
        let before: BTreeMap<&str, &DocumentFile> =
            before.iter().map(|file| (file.name.as_str(), file)).collect();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let known = before.get(&*path.to_string_lossy()).copied();
            files.push(DocumentFile::read(&path, known, now)?);
        }
        Ok(Reading { files, secrets: self.read_secrets()? })
    }

    /// Reads the secrets; that there are none is no error here.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read_secrets(&self) -> Result<Secrets, SourceError> {
        let mut secrets = Secrets::default();
        if !self.secrets.is_dir() {
            return Ok(secrets);
        }
        for namespace in list(&self.secrets)?.iter().filter(|path| path.is_dir()) {
            for secret in list(namespace)?.iter().filter(|path| path.is_dir()) {
                for key in list(secret)?.iter().filter(|path| path.is_file()) {
                    let value = read_secret(key)?;
                    let [namespace, secret, key] = [namespace, secret, key].map(|path| name(path));
                    secrets.insert(&namespace, &secret, &key, value);
                }
            }
        }
        Ok(secrets)
    }

    /// Watches for changes: each is told by an empty message, several may be
    /// told by one. Stops when the watcher is dropped.
    ///
    /// What is watched are the directories there are now, so this is done anew
    /// with each reading.
    ///
    /// # Errors
    /// When the kernel cannot watch.
    pub fn watch(&self, notices: mpsc::Sender<()>) -> Result<RecommendedWatcher, SourceError> {
        let watch = |error| SourceError::Watch(self.documents.clone(), error);
        let tell = move |event: notify::Result<notify::Event>| {
            if event.as_ref().map_or(true, is_change) {
                // A full channel has a notice in it already.
                let _ = notices.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(tell).map_err(watch)?;
        // Editors put a new file in the old one's place, so it is the directory
        // that is watched.
        let directory = if self.documents.is_dir() {
            self.documents.as_path()
        } else {
            self.documents
                .parent()
                .filter(|path| !path.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."))
        };
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(watch)?;
        if self.secrets.is_dir() {
            watcher.watch(&self.secrets, RecursiveMode::Recursive).map_err(watch)?;
        }
        Ok(watcher)
    }
}

/// Whether there is something new to read. A file that is being written is not
/// yet: half of it may well be a sound set of documents that lacks a tenant, or a
/// site's rules. When its writer closes it, that is told too.
pub(super) fn is_change(event: &notify::Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Data(_)) => false,
        // Links are whole as soon as they are there.
        EventKind::Create(CreateKind::File) => event.paths.iter().any(|path| {
            let found = path.symlink_metadata();
            !found.is_ok_and(|found| found.is_file() && found.nlink() == 1)
        }),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// What is in a directory, in the order of names; hidden entries left out, as
/// Kubernetes keeps its own (`..data`) among projected files.
fn list(directory: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let read = |error| SourceError::Read(directory.to_owned(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if !name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let read = |error| SourceError::Read(path.to_owned(), error);
    // The room is made at once: growing would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES as usize + 1));
    let file = File::open(path).map_err(read)?;
    file.take(MAX_SECRET_BYTES).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}
