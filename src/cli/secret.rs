//! What is secret goes to its owner alone: files of mode 0600, and a word when stdout
//! is a file that others can read.

use anyhow::Context;
use rustix::fs::{FileType, Mode};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes to read of a key: 44 characters, and room for blanks around them.
const MAX_KEY_INPUT: u64 = 4_096;

/// Writes a new file, whose mode is `mode`, less what the umask takes. A file that is
/// there is never overwritten: a key that is in use must not be lost to a typing error.
pub(super) fn write_new(path: &Path, mode: u32, parts: &[&[u8]]) -> anyhow::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(
            || format!("cannot make {}; a file that is there is never overwritten", path.display()),
        )?;
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    let written = written.and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory and those it is in, as far as they are not there, its owner's alone.
pub(super) fn make_directory(directory: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| format!("cannot make the directory {}", directory.display()))
}

/// Reads the text of a key.
pub(super) fn read_key(from: impl Read) -> std::io::Result<Zeroizing<String>> {
    // All the room at once, for a buffer that moves leaves its bytes behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_INPUT as usize));
    from.take(MAX_KEY_INPUT).read_to_string(&mut text)?;
    Ok(text)
}

/// A shell's `>` makes files that everyone can read, unless the umask says otherwise.
pub(super) fn warn_if_others_can_read() {
    let Ok(stat) = rustix::fs::fstat(std::io::stdout()) else { return };
    let others = Mode::RGRP | Mode::ROTH;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if is_file && Mode::from_raw_mode(stat.st_mode).intersects(others) {
        eprintln!(
            "lockgate: others can read the file this secret goes to; use --out if there is one, or `umask 077`"
        );
    }
}
