//! Which set of documents a process begins with.

use super::accepted;
use super::load::{self, Earlier, LoadError, Loaded};
use super::run::RunOptions;
use super::task::text;
use anyhow::bail;

/// What it begins with.
pub(super) struct FirstSet {
    /// The set.
    pub(super) loaded: Loaded,
    /// What the documents are now, when that is not the set.
    pub(super) refused: Option<Result<Loaded, LoadError>>,
}

/// Reads the documents. With an error in them it is the set that was accepted
/// last, if there is one and it is still sound; else the tenants without one.
///
/// # Errors
/// When there is nothing to serve.
pub(super) fn choose(options: &RunOptions, earlier: &Earlier) -> anyhow::Result<FirstSet> {
    let read = load::load(&options.source, &options.state, options.placement, earlier);
    if !read.as_ref().is_ok_and(|loaded| loaded.errors.is_empty())
        && let Some(loaded) = kept(options, earlier)
    {
        return Ok(FirstSet { loaded, refused: Some(read) });
    }
    let loaded = read?;
    if loaded.config.tenants.is_empty() && !loaded.errors.is_empty() {
        for error in &loaded.errors {
            tracing::error!("{error}");
        }
        bail!("no tenant is left to serve; `lockgate check` shows the errors");
    }
    Ok(FirstSet { loaded, refused: None })
}

/// The set that was accepted last, if all of it can still be served.
fn kept(options: &RunOptions, earlier: &Earlier) -> Option<Loaded> {
    let path = options.state.join(accepted::FILE);
    let files = match accepted::read(&path, &options.source.documents) {
        Ok(files) => files?,
        Err(error) => {
            tracing::warn!("{}", text(error));
            return None;
        }
    };
    let RunOptions { source, state, placement, .. } = options;
    match load::load_kept(source, files, state, *placement, earlier) {
        Ok(loaded) if loaded.errors.is_empty() => Some(loaded),
        Ok(loaded) => {
            let error = loaded.errors.first().map(String::as_str).unwrap_or_default();
            tracing::warn!("the set that was accepted last is no longer sound: {error}");
            None
        }
        Err(error) => {
            tracing::warn!("{}", text(error));
            None
        }
    }
}
