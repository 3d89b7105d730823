//! Documents a verb is given, read and checked as a gateway would.

use crate::config::{Allocations, Documents, Options, Outcome, Secrets, validate};
use crate::model::{Placement, limits};
use anyhow::{Context, bail};
use clap::Args;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest secret read. A key is 45 bytes with its newline, a password fewer.
const MAX_SECRET_BYTES: u64 = 4 << 10;

/// Where documents are.
#[derive(Debug, Args)]
pub(super) struct DocumentArguments {
    /// File or directory of documents
    #[arg(short, long, value_name = "PATH")]
    pub(super) file: PathBuf,
    /// Directory of secrets, NAMESPACE/NAME/KEY; `secrets` beside the documents when not given
    #[arg(long, value_name = "DIR")]
    pub(super) secrets: Option<PathBuf>,
}

impl DocumentArguments {
    /// Reads and checks them, each tenant in a namespace of its own.
    pub(super) fn load(&self) -> anyhow::Result<Outcome> {
        let files = self.read_files()?;
        let files = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let documents = Documents::parse(files);
        let secrets = self.read_secrets()?;
        let options = Options { placement: Placement::PerTenant, ..Options::default() };
        Ok(validate(&documents, &secrets, &Allocations::new(), &options))
    }

    fn read_files(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut paths = vec![self.file.clone()];
        if self.file.is_dir() {
            let is_yaml = |path: &PathBuf| {
                let extension = path.extension().unwrap_or_default();
                extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
            };
            paths = entries(&self.file)?.into_iter().filter(is_yaml).collect();
            if paths.is_empty() {
                bail!("{} holds no .yaml or .yml file", self.file.display());
            }
        }
        let named = |path: PathBuf| {
            Ok((path.display().to_string(), read(&path, limits::DOCUMENT_FILE_BYTES)?.to_vec()))
        };
        paths.into_iter().map(named).collect()
    }

    fn read_secrets(&self) -> anyhow::Result<Secrets> {
        let beside =
            if self.file.is_dir() { Some(self.file.as_path()) } else { self.file.parent() };
        let directory = match &self.secrets {
            Some(directory) => directory.clone(),
            None => beside.unwrap_or_else(|| Path::new("")).join("secrets"),
        };
        let mut secrets = Secrets::default();
        if self.secrets.is_none() && !directory.is_dir() {
            return Ok(secrets);
        }
        for namespace in entries(&directory)?.iter().filter(|path| path.is_dir()) {
            for secret in entries(namespace)?.iter().filter(|path| path.is_dir()) {
                for key in entries(secret)?.iter().filter(|path| path.is_file()) {
                    let value = read(key, MAX_SECRET_BYTES)?;
                    secrets.insert(&name(namespace), &name(secret), &name(key), value);
                }
            }
        }
        Ok(secrets)
    }
}

/// What is in a directory, in the order of names; hidden entries left out, as
/// Kubernetes keeps its own (`..data`) among projected files.
fn entries(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || format!("cannot read {}", directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
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

fn read(path: &Path, limit: u64) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let failed = || format!("cannot read {}", path.display());
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).with_context(failed)?;
    // One byte more, so that what is too long is seen to be.
    file.take(limit + 1).read_to_end(&mut bytes).with_context(failed)?;
    if limit < bytes.len() as u64 {
        bail!("{} is larger than {limit} bytes", path.display());
    }
    Ok(bytes)
}
