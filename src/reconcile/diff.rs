//! The one comparison everything here is made of.

use std::collections::BTreeMap;

/// What to add, change, remove and leave, each in key order.
pub(super) struct Diff<'a, K, V> {
    /// Only desired.
    pub(super) add: Vec<(&'a K, &'a V)>,
    /// Both, and different: the desired value, then the observed one.
    pub(super) change: Vec<(&'a K, &'a V, &'a V)>,
    /// Only observed.
    pub(super) remove: Vec<(&'a K, &'a V)>,
    /// Both, and equal.
    pub(super) equal: Vec<(&'a K, &'a V)>,
}

/// Compares two maps.
pub(super) fn diff<'a, K: Ord, V: PartialEq>(
    desired: &'a BTreeMap<K, V>,
    observed: &'a BTreeMap<K, V>,
) -> Diff<'a, K, V> {
    let mut diff =
        Diff { add: Vec::new(), change: Vec::new(), remove: Vec::new(), equal: Vec::new() };
    for (key, value) in desired {
        match observed.get(key) {
            None => diff.add.push((key, value)),
            Some(before) if before == value => diff.equal.push((key, value)),
            Some(before) => diff.change.push((key, value, before)),
        }
    }
    diff.remove = observed.iter().filter(|(key, _)| !desired.contains_key(*key)).collect();
    diff
}
