//! Documents read a second time: of a thousand files one has changed, and what came of
//! the others is still so.

use super::document::{Document, Documents, ObjectName, Seen};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Documents {
    /// Reads files as [`Self::parse`] does. When nothing is wrong with any, and
    /// nothing was with those of `earlier`, the documents of a file that is as it was
    /// are taken from there; should there be an error about one of them later, it
    /// names no line ([`Self::lacks_lines`]).
    pub fn parse_after<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a Arc<[u8]>)> + Clone,
        earlier: &Self,
    ) -> Self {
        Self::parse_changed(files.clone(), earlier).unwrap_or_else(|| {
            Self::parse_all(files.into_iter().map(|(name, bytes)| (name, Arc::clone(bytes))))
        })
    }

    /// `None` when something is wrong: of two files that name the same object, the
    /// one that was read before may be the later.
    fn parse_changed<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a Arc<[u8]>)> + Clone,
        earlier: &Self,
    ) -> Option<Self> {
        let is_same = |name: &str, bytes: &Arc<[u8]>| {
            let before = earlier.files.get(name);
            before.is_some_and(|before| Arc::ptr_eq(before, bytes) || before == bytes)
        };
        let same = files.clone().into_iter().filter(|(name, bytes)| is_same(name, bytes));
        let same: HashSet<&str> = same.map(|(name, _)| name).collect();
        if !earlier.errors.is_empty() || same.is_empty() {
            return None;
        }
        let mut documents = Self { seen: earlier.seen.clone(), ..Self::default() };
        let (classes, gateways, sites) =
            (by_file(&earlier.classes), by_file(&earlier.gateways), by_file(&earlier.sites));
        for name in earlier.files.keys().filter(|name| !same.contains(&***name)) {
            forget(&classes, name, &mut documents.seen);
            forget(&gateways, name, &mut documents.seen);
            forget(&sites, name, &mut documents.seen);
        }
        for (name, bytes) in files {
            let Some((name, _)) =
                earlier.files.get_key_value(name).filter(|it| same.contains(&**it.0))
            else {
                documents.take_file(name, bytes);
                continue;
            };
            copy(&classes, name, &mut documents.classes);
            copy(&gateways, name, &mut documents.gateways);
            copy(&sites, name, &mut documents.sites);
            documents.files.insert(Arc::clone(name), Arc::clone(bytes));
        }
        documents.errors.is_empty().then_some(documents)
    }

    /// The documents that `newer` does not name any more.
    pub fn gone_from<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = &'a ObjectName> {
        let changed = |file: &str| match (self.files.get(file), newer.files.get(file)) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
            (Some(_) | None, None) | (None, Some(_)) => true,
        };
        let classes = objects_of(&self.classes, changed);
        let gateways = objects_of(&self.gateways, changed);
        let sites = objects_of(&self.sites, changed);
        classes.chain(gateways).chain(sites).filter(|object| !newer.was_seen(object))
    }
}

/// The documents of each file. Those of one file follow each other.
fn by_file<S>(documents: &[Document<S>]) -> BTreeMap<&str, &[Document<S>]> {
    let files = documents.chunk_by(|a, b| a.file == b.file);
    files.filter_map(|of_file| Some((of_file.first()?.file.as_deref()?, of_file))).collect()
}

/// The objects in those files of which `is_meant` is true, and those in none.
fn objects_of<S>(
    documents: &[Document<S>],
    is_meant: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &ObjectName> {
    let files = documents.chunk_by(|a, b| a.file == b.file);
    let meant = files.filter(move |of_file| {
        let file = of_file.first().and_then(|document| document.file.as_deref());
        file.is_none_or(&is_meant)
    });
    meant.flatten().map(|document| &*document.object)
}

/// Takes over the documents of `file`.
fn copy<S>(from: &BTreeMap<&str, &[Document<S>]>, file: &str, to: &mut Vec<Document<S>>) {
    to.extend(from.get(file).copied().unwrap_or_default().iter().map(Document::without_text));
}

/// Nothing names the objects of `file` any more.
fn forget<S>(from: &BTreeMap<&str, &[Document<S>]>, file: &str, seen: &mut Seen) {
    for document in from.get(file).copied().unwrap_or_default() {
        seen.remove(&document.object);
    }
}
