//! When the documents are read again, and whether what was read is taken.
//!
//! A set is taken whole or not at all: one with an error leaves the set before
//! in force. One that lacks documents the set before had is read twice: an
//! editor that moves the old file away, or empties it, before it writes the new
//! one is not to cost a tenant its tunnels. SIGHUP says that it is meant so.

use super::document_file::DocumentFile;
use super::load::{LoadError, Loaded};
use super::look::Look;
use super::source::Source;
use crate::config::{Checked, Documents};
use notify::RecommendedWatcher;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long documents have to be gone: longer than an editor takes to write a
/// file and force it to a slow disk.
const GONE_FOR: Duration = Duration::from_secs(1);

/// How soon documents that could not be read are tried again: a directory that
/// is put back has no watch on it yet.
const RETRY: Duration = Duration::from_secs(10);

/// What becomes of a set that was read.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It is the set from now on.
    Take(Box<Loaded>),
    /// It is not taken, for these reasons.
    Refuse(Vec<String>),
    /// It is read again first.
    Wait,
}

/// The documents as the daemon knows them.
pub(super) struct Reload {
    /// Where they are.
    pub(super) source: Source,
    /// Tells the loop that they changed.
    pub(super) changed: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
    look: Look,
    asked: bool,
    doubted: Option<[u8; 32]>,
    again_at: Option<Instant>,
    complaint: Option<String>,
    documents: Arc<Documents>,
    checked: Checked,
    files: Arc<Vec<DocumentFile>>,
}

impl Reload {
    pub(super) fn new(
        source: Source,
        changed: mpsc::Sender<()>,
        watcher: Option<RecommendedWatcher>,
    ) -> Self {
        Self {
            source,
            changed,
            watcher,
            look: Look::Idle,
            asked: false,
            doubted: None,
            again_at: None,
            complaint: None,
            documents: Arc::default(),
            checked: Checked::default(),
            files: Arc::default(),
        }
    }

    /// The set in force.
    pub(super) fn documents(&self) -> Arc<Documents> {
        Arc::clone(&self.documents)
    }

    /// What came of its tenants.
    pub(super) fn checked(&self) -> Checked {
        self.checked.clone()
    }

    /// The files that were read last, to see by them which have changed. None after
    /// SIGHUP: who asks wants them read.
    pub(super) fn files(&self) -> Arc<Vec<DocumentFile>> {
        if self.asked { Arc::default() } else { Arc::clone(&self.files) }
    }

    /// When they are to be read without having changed.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.again_at
    }

    /// They are as they should be, says who sent SIGHUP.
    pub(super) const fn handle_asked(&mut self) {
        self.asked = true;
    }

    /// Whether to begin to read now; if not, that is done when it ends.
    pub(super) fn begin(&mut self) -> bool {
        let begins = self.look.begin();
        if begins {
            self.again_at = None;
        }
        begins
    }

    /// Takes what was read, and what watches it from now on. `first` is whether
    /// there is no set in force.
    pub(super) fn handle_loaded(
        &mut self,
        loaded: Result<Loaded, LoadError>,
        watcher: Option<RecommendedWatcher>,
        first: bool,
    ) -> Judgement {
        if watcher.is_some() {
            self.watcher = watcher;
        }
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return self.handle_unreadable(error),
        };
        self.complaint = None;
        self.files = Arc::clone(&loaded.files);
        for error in &loaded.errors {
            tracing::error!("{error}");
        }
        if !first && !loaded.errors.is_empty() {
            tracing::warn!("the documents have errors; the config before stays in force");
            return Judgement::Refuse(loaded.errors);
        }
        // What changed while it was read is read next, and was asked for too.
        let asked = self.asked && self.look != Look::Again;
        let doubtful = !loaded.gone.is_empty() && self.doubted != Some(loaded.digest);
        if doubtful && !asked && !first {
            let example = loaded.gone.first().map(ToString::to_string).unwrap_or_default();
            let count = loaded.gone.len();
            tracing::info!(count, example, "documents are gone; they are looked for once more");
            self.doubted = Some(loaded.digest);
            self.again_at = Some(Instant::now() + GONE_FOR);
            return Judgement::Wait;
        }
        self.doubted = None;
        Judgement::Take(Box::new(loaded))
    }

    fn handle_unreadable(&mut self, error: LoadError) -> Judgement {
        self.again_at = Some(Instant::now() + RETRY);
        let text = format!("{:#}", anyhow::Error::new(error));
        if self.complaint.as_ref() == Some(&text) && !self.asked {
            return Judgement::Wait;
        }
        tracing::warn!("{text}; the config before stays in force");
        self.complaint = Some(text.clone());
        Judgement::Refuse(vec![text])
    }

    /// `documents` are the set in force, of which `checked` came.
    pub(super) fn handle_taken(&mut self, documents: Documents, checked: Checked) {
        self.documents = Arc::new(documents);
        self.checked = checked;
    }

    /// The reading has ended; whether to begin another at once.
    pub(super) fn end(&mut self) -> bool {
        let again = self.look.end();
        if !again {
            self.asked = false;
        }
        again
    }

    /// Nothing is read any more.
    pub(super) fn stop(&mut self) {
        self.watcher = None;
        self.again_at = None;
    }
}
