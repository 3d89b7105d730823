//! What can be wrong with a file of wg-quick's.

use crate::config::HostProblem;
use crate::net::{KeyError, PrefixError};
use std::fmt;

/// Something wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The line, from 1 on.
    pub line: u32,
    /// What is wrong.
    pub kind: FlawKind,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// What is wrong. A value is never shown: it may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlawKind {
    /// No section that such files have.
    #[error("[{0}] is no section; there are [Interface] and [Peer]")]
    Section(String),
    /// A line that is neither section nor setting.
    #[error("is neither a [section] nor a `Key = value`")]
    NoSetting,
    /// A setting before any section.
    #[error("{0} stands before the first [Interface] or [Peer]")]
    Outside(String),
    /// A key that the section does not have.
    #[error("[{section}] has no {key}{}", Nearest(nearest))]
    UnknownKey {
        /// The section.
        section: &'static str,
        /// The key as it is written.
        key: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A key or a section that can stand once only stands again.
    #[error("{0} is there a second time")]
    Twice(&'static str),
    /// What is needed is not there.
    #[error("{section} has no {key}")]
    Missing {
        /// The section.
        section: &'static str,
        /// What it needs.
        key: &'static str,
    },
    /// A key that is none.
    #[error("{key} {problem}")]
    Key {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        problem: KeyError,
    },
    /// An address or a network that is none.
    #[error("{key} {problem}")]
    Prefix {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        problem: PrefixError,
    },
    /// A number out of its range.
    #[error("{key} is a number of {min}–{max}")]
    Number {
        /// The setting.
        key: &'static str,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// More addresses than a link has.
    #[error("there are more than {0} addresses; a tunnel has one of each family")]
    TooManyAddresses(usize),
    /// An endpoint without a port.
    #[error("Endpoint is HOST:PORT, an IPv6 address in brackets")]
    Endpoint,
    /// A host that is none.
    #[error("Endpoint: the host {0}")]
    Host(HostProblem),
    /// Two peers with one key.
    #[error("is the public key of the [Peer] at line {0}, too")]
    SameKey(u32),
}

/// `; did you mean X?`, or nothing.
struct Nearest<'a>(&'a Option<&'static str>);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => Ok(()),
        }
    }
}
