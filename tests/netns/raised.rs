//! A flag that whoever goes on until then waits for.

use std::sync::atomic::{AtomicBool, Ordering};

/// Raises a flag when it goes, also where its test fails: a scope waits for its threads,
/// and one that waits for the flag would keep a failed test from ever ending.
pub(crate) struct Raised<'flag>(pub(crate) &'flag AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
