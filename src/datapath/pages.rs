//! Memory that was used and is given back.
#![allow(unsafe_code, reason = "madvise has no safe binding")]

use rustix::mm::{Advice, madvise};

/// The least and usual size of a page; where pages are larger, nothing is given
/// back that begins or ends inside one.
const PAGE: usize = 4_096;

/// Gives the pages that lie inside `bytes` back to the system; what was in them
/// reads as zeros, or as it was.
pub(super) fn give_back(bytes: &mut [u8]) {
    let begin = bytes.as_ptr().align_offset(PAGE);
    let Some(inside) = bytes.get_mut(begin..) else { return };
    let len = inside.len() / PAGE * PAGE;
    // SAFETY: the range lies inside a slice that is ours alone, of bytes for
    // which every value is one, zero too; and it is of anonymous memory of this
    // process, which is what the allocator hands out.
    let _ = unsafe { madvise(inside.as_mut_ptr().cast(), len, Advice::LinuxDontNeed) };
}
