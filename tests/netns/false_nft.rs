//! A program in the place of `nft`, for what the real one does not do when it is asked.

use crate::lab::{At, Lab};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Where the real one is.
pub(crate) const REAL: &str = "/run/nft";

/// Puts the shell script in the place of `nft`, for the programs of this lab alone.
pub(crate) fn replace_nft(lab: &Lab, script: &str) {
    let path = lab.command_output(At::Underlay, &["sh", "-c", "command -v nft"]);
    let path = path.trim();
    fs::write(REAL, "").unwrap();
    lab.command_output(At::Underlay, &["mount", "--bind", path, REAL]);
    let stand_in = "/run/stand-in-for-nft";
    fs::write(stand_in, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    lab.command_output(At::Underlay, &["mount", "--bind", stand_in, path]);
}
