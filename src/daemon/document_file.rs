//! A file of documents as it was read, and how to know that it still is so: of a
//! thousand files one changes, and opening the others takes longer than all
//! that is then done with them.

use super::source::SourceError;
use crate::model::limits;
use crate::net::Timestamp;
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long ago a file must have changed for its next change to have another time.
/// Some file systems count whole seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFile {
    /// As it was given, so that an editor finds it from an error.
    pub name: String,
    /// What is in it.
    pub bytes: Arc<[u8]>,
    /// Its checksum.
    pub(super) sum: [u8; 32],
    /// `None` when it may have changed since without showing it.
    stamp: Option<Stamp>,
}

/// What changes with every change of a file. Who sets the time of a file back
/// (`utimes`) still changes the time of that (`ctime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether whatever changes the file after `now` gives it another stamp.
    fn is_settled(&self, now: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return false;
        };
        Timestamp::new(seconds, nanoseconds) + SETTLED < now
    }
}

impl DocumentFile {
    /// A file that was kept elsewhere.
    pub fn kept(name: String, bytes: Vec<u8>) -> Self {
        Self::new(name, bytes, None)
    }

    fn new(name: String, bytes: Vec<u8>, stamp: Option<Stamp>) -> Self {
        let sum = Sha256::digest(&bytes).into();
        Self { name, bytes: bytes.into(), sum, stamp }
    }

    /// Reads the file at `path`, unless it is as it was `before`. `now` is the
    /// time before it is read; zero is a time at which no file is ever settled.
    ///
    /// # Errors
    /// When it cannot be read, is none, or is larger than
    /// [`limits::DOCUMENT_FILE_BYTES`].
    pub(super) fn read(
        path: &Path,
        before: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, SourceError> {
        let read = |error| SourceError::Read(path.to_owned(), error);
        let found = fs::metadata(path).map_err(read)?;
        // Reading a pipe might never end.
        if !found.is_file() {
            return Err(SourceError::NotAFile(path.to_owned()));
        }
        if let Some(same) = before.filter(|before| before.stamp == Some(Stamp::of(&found))) {
            return Ok(same.clone());
        }
        let file = File::open(path).map_err(read)?;
        // Before a byte is read, so that a change meanwhile is seen the next time.
        let found = file.metadata().map_err(read)?;
        // With room for all of it and the end, it is read in one go.
        let size = found.len().min(limits::DOCUMENT_FILE_BYTES);
        let mut bytes = Vec::with_capacity(size as usize + 1);
        file.take(limits::DOCUMENT_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
        if limits::DOCUMENT_FILE_BYTES < bytes.len() as u64 {
            return Err(SourceError::TooLarge(path.to_owned()));
        }
        let stamp = Some(Stamp::of(&found)).filter(|stamp| stamp.is_settled(now));
        Ok(Self::new(path.display().to_string(), bytes, stamp))
    }
}
