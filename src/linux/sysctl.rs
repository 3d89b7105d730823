//! The kernel's settings under `/proc/sys/net`, of one namespace.
//!
//! Which settings there are to write is the closed list of
//! [`Sysctl`]; nothing else is reached from here.

use crate::reconcile::{Family, Scope, Sysctl};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;

/// Where the settings of links are, of IPv4 and of IPv6.
const CONF: [&str; 2] = ["/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"];

/// The settings are short numbers.
const LONGEST: usize = 32;

/// What could not be done with a setting.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// This kernel has no such setting.
    #[error("the kernel has no setting {0}")]
    Unknown(Sysctl),
    /// There is no way to them.
    #[error("cannot open /proc/sys/net")]
    Open(#[source] io::Error),
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

/// The settings of the links of one namespace.
///
/// To the kernel's table of names every namespace has its own `ipv4` and `ipv6`
/// in one and the same place, and it looks through all of them: with a thousand
/// namespaces that takes longer than anything else about a setting. So it is
/// done once for each family, and names are looked up from there.
#[derive(Debug)]
pub(super) struct Settings {
    /// `None`: this kernel, or this namespace, has not the family.
    conf: [Option<OwnedFd>; 2],
}

impl Settings {
    /// Those of the namespace the calling thread is in, to be used by it alone
    /// while it is there.
    ///
    /// # Errors
    /// When `/proc/sys` is there and cannot be opened.
    pub(super) fn here() -> Result<Self, SettingError> {
        let open = |path| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(directory) => Ok(Some(directory)),
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(SettingError::Open(errno.into())),
            }
        };
        let [v4, v6] = CONF;
        Ok(Self { conf: [open(v4)?, open(v6)?] })
    }

    fn open(&self, sysctl: &Sysctl, access: OFlags) -> Result<OwnedFd, Errno> {
        let conf = match sysctl.family {
            Family::V4 => &self.conf[0],
            Family::V6 => &self.conf[1],
        };
        let conf = conf.as_ref().ok_or(Errno::NOENT)?;
        let flags = access | OFlags::CLOEXEC;
        rustix::fs::openat(conf.as_fd(), sysctl.path_in_conf(), flags, Mode::empty())
    }

    /// Every setting we hold for `scope`, as it is. Left out is what this kernel
    /// does not have, and all of a link that has just gone.
    pub(super) fn read(
        &self,
        scope: &Scope,
        into: &mut BTreeMap<Sysctl, i32>,
    ) -> Result<(), SettingError> {
        for sysctl in Sysctl::of(scope) {
            let mut buffer = [MaybeUninit::uninit(); LONGEST];
            let read = self.open(&sysctl, OFlags::RDONLY);
            match read.and_then(|file| Ok(number(rustix::io::read(file, &mut buffer)?.0))) {
                // What is no number is not as we set it, and so is not listed.
                Ok(value) => into.extend(value.map(|value| (sysctl, value))),
                Err(errno) if is_absent(errno) => {}
                Err(errno) => return Err(SettingError::Read { sysctl, source: errno.into() }),
            }
        }
        Ok(())
    }

    /// Sets `sysctl` to `value`.
    pub(super) fn write(&self, sysctl: &Sysctl, value: i32) -> Result<(), SettingError> {
        let text = value.to_string();
        // The kernel takes a number whole or not at all.
        let written = self.open(sysctl, OFlags::WRONLY);
        match written.and_then(|file| rustix::io::write(file, text.as_bytes())) {
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => Err(SettingError::Unknown(sysctl.clone())),
            Err(errno) => {
                let (sysctl, source) = (sysctl.clone(), errno.into());
                Err(SettingError::Write { sysctl, value, source })
            }
        }
    }
}

fn number(bytes: &[u8]) -> Option<i32> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}

/// Some settings exist but answer EINVAL or EIO while their link goes.
const fn is_absent(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV | Errno::INVAL | Errno::IO)
}
