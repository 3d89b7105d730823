//! [`inventory`]: all that a namespace holds, as text, to see that nothing of it
//! changed: links with their numbers, addresses, routes, rules with their
//! handles, settings. What counts or ages is left out.

use crate::lab::{At, Lab, PATIENCE, wait_until};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

/// Everything at `at`, a line for each thing.
pub(crate) fn inventory<'a>(lab: &Lab, at: impl Into<At<'a>> + Copy) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut note = |what: &str, text: &str| {
        let mut within = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // Indented lines are of the line before that is not.
            if !line.starts_with([' ', '\t']) {
                within = line.trim().to_owned();
                lines.insert(format!("{what}: {within}"));
            } else {
                lines.insert(format!("{what}: {within}: {}", line.trim()));
            }
        }
    };
    note("link", &lab.ip(at, "-o link"));
    for family in ["-4", "-6"] {
        note("address", &lab.ip(at, &format!("{family} -o address")));
        note("route", &lab.ip(at, &format!("{family} route show table all")));
        note("rule", &lab.ip(at, &format!("{family} rule")));
    }
    let rules = lab.command_output(at, &["nft", "-a", "-s", "list", "ruleset"]);
    note("nft", &rules);
    lab.within(at, || settings(Path::new("/proc/sys/net"), &mut lines));
    lines
}

/// Waits until no address at any of these places is being checked for a double
/// any more, for an inventory would be of a moment on the way.
pub(crate) fn wait_settled(lab: &Lab, places: &[At<'_>]) {
    wait_until("addresses to be settled", PATIENCE, || {
        let tentative: Vec<String> =
            places.iter().map(|at| lab.ip(*at, "-6 -o address show tentative")).collect();
        if tentative.iter().all(String::is_empty) { Ok(()) } else { Err(tentative) }
    });
}

/// Waits until the only changes at `at` are those with one of these words.
pub(crate) fn wait_changes<'a>(
    lab: &Lab,
    at: impl Into<At<'a>> + Copy + Debug,
    before: &BTreeSet<String>,
    words: &[&str],
) {
    wait_until(&format!("{at:?} to be as before"), PATIENCE, || {
        let expected = |change: &String| words.iter().any(|word| change.contains(word));
        let mut changes = changes(before, &inventory(lab, at));
        changes.retain(|change| !expected(change));
        if changes.is_empty() { Ok(()) } else { Err(changes) }
    });
}

/// What one has and the other has not.
pub(crate) fn changes(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let gone = before.difference(after).map(|line| format!("- {line}"));
    let new = after.difference(before).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

/// Every setting of each link and of all.
fn settings(directory: &Path, lines: &mut BTreeSet<String>) {
    for family in ["ipv4", "ipv6"] {
        let conf = directory.join(family).join("conf");
        for scope in fs::read_dir(&conf).unwrap() {
            // A link may go at this moment.
            let Ok(settings) = fs::read_dir(scope.unwrap().path()) else { continue };
            for setting in settings {
                let path = setting.unwrap().path();
                // Some may not be read, or not any more.
                if let Ok(value) = fs::read_to_string(&path) {
                    lines.insert(format!("{}: {}", path.display(), value.trim()));
                }
            }
        }
    }
}
