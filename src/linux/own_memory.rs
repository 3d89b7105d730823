//! Memory that this process took to begin and does not take to go on.

use super::syscall;
use std::ops::Range;

/// Has every thread use the same heap. Each would else have one of its own, and
/// a config that one thread makes and another drops leaves holes in all of them:
/// after 100 changes of one tenant in a hundred, 71 MB were resident instead of 46.
/// No thread allocates for packets, so none waits for another.
pub fn share_heap() {
    syscall::share_heap();
}

/// Gives it back: what is free of the heap, and the pages of code and constants
/// that were used to read documents and to set up a box. Half of a small
/// gateway's resident memory is what it will not use again; what it does use
/// comes back from the page cache, 16 pages at a time.
pub fn give_back() {
    syscall::trim_heap();
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for unwritten in maps.lines().filter_map(unwritten) {
        if let Err(error) = syscall::forget_pages(unwritten) {
            tracing::debug!(%error, "code stays resident");
        }
    }
}

/// Where a mapping lies that is a program's or library's code, or begins with
/// its header, before its constants (`man 5 proc_pid_maps`, `man 5 elf`). The
/// linker has nothing to fill in there. What it fills in and makes read-only
/// then lies elsewhere in the file, and is nobody's to forget.
fn unwritten(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let (access, offset, _device, _inode) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_unwritten = access == "r-xp" || access == "r--p" && offset == "00000000";
    let is_file = words.next()?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_unwritten && is_file).then_some(address(begin)?..address(end)?)
}
