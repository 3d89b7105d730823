//! Memory that this process took to begin and does not take to go on.

use super::syscall;
use std::ops::Range;

/// Gives it back: what is free of the heap, and the pages of code that were
/// run to read documents and to set up a box. Half of a small gateway's
/// resident memory is code it will not run again; what it does run comes back
/// from the page cache, 16 pages at a time.
pub fn give_back() {
    syscall::trim_heap();
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for code in maps.lines().filter_map(code) {
        if let Err(error) = syscall::forget_code(code) {
            tracing::debug!(%error, "code stays resident");
        }
    }
}

/// Where a mapping lies that is a file's code (`man 5 proc_pid_maps`).
fn code(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let is_code = words.next()? == "r-xp";
    let is_file = words.nth(3)?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_code && is_file).then_some(address(begin)?..address(end)?)
}
