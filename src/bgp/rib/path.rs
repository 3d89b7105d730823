//! A route as it is held: sixteen bytes of it, and the network it leads to.

use super::interner::Slot;
use crate::bgp::Reject;

/// One way to a network, of one neighbor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) attributes: Slot,
    pub(super) key: PathKey,
    /// Why it is not used, if it is not.
    pub(super) reject: Option<Reject>,
    marks: u8,
}

/// What tells the paths to one network apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathKey {
    pub(super) source: Source,
    /// RFC 7911.
    pub(super) path_id: u32,
    /// Index of the distinguisher, from 1; 0 without.
    pub(super) distinguisher: u16,
}

/// Of which neighbor a path is, and whether it was heard under another name of
/// its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source(u16);

impl Source {
    pub(super) const fn new(neighbor: u16, renamed: bool) -> Self {
        Self(neighbor << 1 | renamed as u16)
    }

    /// Index of the neighbor.
    pub(super) const fn neighbor(self) -> u16 {
        self.0 >> 1
    }

    pub(super) const fn is_renamed(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What a path is marked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// Kept past its session (RFC 4724).
    Stale = 1,
    /// Kept for long (RFC 9494).
    LongLived = 2,
    /// Not said again since the refresh began (RFC 7313).
    Unrefreshed = 4,
    /// Chosen.
    Best = 8,
    /// Chosen beside the best.
    Multipath = 16,
}

impl Path {
    pub(super) const fn new(key: PathKey, attributes: Slot, reject: Option<Reject>) -> Self {
        Self { attributes, key, reject, marks: 0 }
    }

    pub(super) const fn has(&self, mark: Mark) -> bool {
        self.marks & mark as u8 != 0
    }

    pub(super) const fn set(&mut self, mark: Mark, on: bool) {
        if on {
            self.marks |= mark as u8;
        } else {
            self.marks &= !(mark as u8);
        }
    }

    /// Whether it serves.
    pub(super) const fn serves(&self) -> bool {
        self.has(Mark::Best) || self.has(Mark::Multipath)
    }
}

/// The paths to one network: nearly always one.
#[derive(Clone, Debug)]
pub(super) enum Paths {
    One(Path),
    /// In the order of their keys.
    Many(Vec<Path>),
}

impl Paths {
    pub(super) fn as_slice(&self) -> &[Path] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Path] {
        match self {
            Self::One(path) => std::slice::from_mut(path),
            Self::Many(paths) => paths,
        }
    }

    /// Puts a path in the place of the one with its key, which is returned.
    pub(super) fn put(&mut self, path: Path) -> Option<Path> {
        match self.as_slice().binary_search_by_key(&path.key, |it| it.key) {
            Ok(at) => self.as_mut_slice().get_mut(at).map(|it| std::mem::replace(it, path)),
            Err(at) => {
                let mut paths = self.as_slice().to_vec();
                paths.insert(at.min(paths.len()), path);
                *self = Self::Many(paths);
                None
            }
        }
    }
}

/// A network and a path take less than a hundred bytes in the table: twenty-four
/// and eighteen, in nodes that are two thirds full at the least.
const _: () = assert!(size_of::<Paths>() == 24 && size_of::<Path>() == 16);
