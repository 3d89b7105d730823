//! The kernel's settings under `/proc/sys/net`, of the namespace the calling
//! thread is in.
//!
//! Which settings there are to write is the closed list of
//! [`Sysctl`]; nothing else is reached from here.

use crate::reconcile::{Scope, Sysctl};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/proc/sys/net";

/// What could not be done with a setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// This kernel has no such setting.
    #[error("the kernel has no setting {0}")]
    Unknown(Sysctl),
    /// The setting cannot be read.
    #[error("cannot read {sysctl}")]
    Read {
        /// The setting.
        sysctl: Sysctl,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The setting cannot be written.
    #[error("cannot set {sysctl} to {value} (/proc/sys may be mounted read-only)")]
    Write {
        /// The setting.
        sysctl: Sysctl,
        /// What it was to be.
        value: i32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn path(sysctl: &Sysctl) -> PathBuf {
    Path::new(ROOT).join(sysctl.path())
}

/// Every setting we hold for `scope`, as it is. Left out is what this kernel
/// does not have, and all of a link that has just gone.
pub(super) fn read(scope: &Scope, into: &mut BTreeMap<Sysctl, i32>) -> Result<(), SettingError> {
    for sysctl in Sysctl::of(scope) {
        match fs::read_to_string(path(&sysctl)) {
            // What is no number is not as we set it, and so is not listed.
            Ok(text) => into.extend(text.trim_end().parse().ok().map(|value| (sysctl, value))),
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(SettingError::Read { sysctl, source }),
        }
    }
    Ok(())
}

/// Some settings exist but answer EINVAL or EIO while their link goes.
fn is_absent(error: &io::Error) -> bool {
    let gone = [libc::ENOENT, libc::ENODEV, libc::EINVAL, libc::EIO];
    error.raw_os_error().is_some_and(|errno| gone.contains(&errno))
}

/// Sets `sysctl` to `value`.
pub(super) fn write(sysctl: &Sysctl, value: i32) -> Result<(), SettingError> {
    fs::write(path(sysctl), value.to_string()).map_err(|source| {
        let sysctl = sysctl.clone();
        if source.kind() == io::ErrorKind::NotFound {
            SettingError::Unknown(sysctl)
        } else {
            SettingError::Write { sysctl, value, source }
        }
    })
}
