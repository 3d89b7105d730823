//! The last set of documents that was accepted, kept on disk: a gateway that
//! starts again while the documents have an error, or cannot be read, goes on
//! with the set it had, as one that was running does.
//!
//! It is kept for the place it was read from, so that a wrong path is still told
//! at once. Secrets are not kept twice: they are read where they are.

use super::document_file::DocumentFile;
use super::{envelope, file};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The file's name in the state directory.
pub const FILE: &str = "accepted.json";

/// The layout below. Another one is not read.
const VERSION: u32 = 1;

/// The body, as it is written: [`Body`] without a copy of each text.
#[derive(Serialize)]
struct Written<'a> {
    documents: &'a Path,
    files: Vec<(&'a str, &'a str)>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    /// Where the set was read from.
    documents: PathBuf,
    /// Name and text of each file.
    files: Vec<(String, String)>,
}

/// Why the set could not be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// It is not what this version writes, or a part of it is missing.
    #[error("{0} is damaged or of another version; it is written again with the next set")]
    Damaged(PathBuf),
    /// It cannot be written.
    #[error(
        "cannot write {0}; after a restart with documents in error there is no set to go on with"
    )]
    Write(PathBuf, #[source] io::Error),
}

/// Keeps the `files` that were read from `documents`.
///
/// # Errors
/// [`AcceptedError::Write`]; the set before is then still whole.
pub fn write(path: &Path, documents: &Path, files: &[DocumentFile]) -> Result<(), AcceptedError> {
    let error = |error| AcceptedError::Write(path.to_owned(), error);
    let mut body = Written { documents, files: Vec::with_capacity(files.len()) };
    for file in files {
        let text = std::str::from_utf8(&file.bytes);
        body.files.push((&file.name, text.map_err(|source| error(io::Error::other(source)))?));
    }
    let bytes = envelope::seal(VERSION, body).map_err(|source| error(source.into()))?;
    file::replace(path, &bytes).map_err(error)
}

/// The set that was accepted last from `documents`, if there was one.
///
/// # Errors
/// [`AcceptedError::Read`] and [`AcceptedError::Damaged`].
pub fn read(path: &Path, documents: &Path) -> Result<Option<Vec<DocumentFile>>, AcceptedError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(AcceptedError::Read(path.to_owned(), error)),
    };
    let body: Body =
        envelope::open(VERSION, &bytes).ok_or_else(|| AcceptedError::Damaged(path.to_owned()))?;
    if body.documents != documents {
        return Ok(None);
    }
    let kept = |(name, text): (String, String)| DocumentFile::kept(name, text.into_bytes());
    let files = body.files.into_iter().map(kept);
    Ok(Some(files.collect()))
}
