//! The calls that need `unsafe`, each behind a function that does not.
//!
//! Nothing here decides anything: arguments in, the kernel's answer out.
#![allow(unsafe_code, reason = "ioctls of TUN, unshare and one socket option have no safe form")]

use rustix::fd::{AsFd, AsRawFd};
use rustix::io;
use rustix::ioctl::{self, IntegerSetter, Opcode, Setter, opcode};
use rustix::thread::UnshareFlags;

// <linux/if_tun.h>
const TUNSETIFF: Opcode = opcode::write::<libc::c_int>(b'T', 202);
const TUNSETPERSIST: Opcode = opcode::write::<libc::c_int>(b'T', 203);
const TUNSETOFFLOAD: Opcode = opcode::write::<libc::c_uint>(b'T', 208);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<libc::c_int>(b'T', 216);

/// Moves the calling thread into a network namespace made for it alone.
pub(super) fn unshare_network() -> io::Result<()> {
    // SAFETY: only `CLONE_FILES` endangers descriptors; it is not asked for.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Moves the calling thread into a mount and a network namespace made for it.
pub(super) fn unshare_box() -> io::Result<()> {
    // SAFETY: only `CLONE_FILES` endangers descriptors; it is not asked for.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }
}

/// Makes or attaches the TUN `name` to `tun`, an open `/dev/net/tun`.
///
/// `name` has at most 15 bytes; what is beyond is cut off.
pub(super) fn tun_attach(tun: impl AsFd, name: &str, flags: u16) -> io::Result<()> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    for (to, from) in ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let ifru_flags = libc::c_short::from_ne_bytes(flags.to_ne_bytes());
    let request = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags } };
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `Setter` keeps.
    unsafe { ioctl::ioctl(tun, Setter::<TUNSETIFF, libc::ifreq>::new(request)) }
}

/// Lets the TUN outlive its descriptor.
pub(super) fn tun_persist(tun: impl AsFd) -> io::Result<()> {
    // SAFETY: TUNSETPERSIST takes its argument by value.
    unsafe { ioctl::ioctl(tun, IntegerSetter::<TUNSETPERSIST>::new_usize(1)) }
}

/// Says which unfinished packets (`TUN_F_*`) the reader of the TUN accepts.
pub(super) fn tun_set_offload(tun: impl AsFd, mask: u32) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    unsafe { ioctl::ioctl(tun, IntegerSetter::<TUNSETOFFLOAD>::new_usize(mask as usize)) }
}

/// Says how many bytes the header before each packet has.
pub(super) fn tun_set_header_len(tun: impl AsFd, bytes: i32) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which `Setter` keeps.
    unsafe { ioctl::ioctl(tun, Setter::<TUNSETVNETHDRSZ, libc::c_int>::new(bytes)) }
}

/// Gives pages of the heap that hold nothing back to the system.
pub(super) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks and moves nothing.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Forgets which pages of a mapping are in memory that was never written to;
/// each comes back from its file when it is used again.
pub(super) fn forget_pages(unwritten: std::ops::Range<usize>) -> io::Result<()> {
    // SAFETY: its pages are its file's, so what is read later is what was there
    // before.
    unsafe {
        rustix::mm::madvise(
            std::ptr::without_provenance_mut(unwritten.start),
            unwritten.len(),
            rustix::mm::Advice::LinuxDontNeed,
        )
    }
}

/// The number of the network namespace `socket` is in; never used twice
/// between two boots (Linux 5.14).
pub(super) fn netns_cookie(socket: impl AsFd) -> io::Result<u64> {
    let mut cookie: u64 = 0;
    let mut len = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or(8);
    // SAFETY: both pointers are to locals, and `len` is the size of the first.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if answer == 0 {
        Ok(cookie)
    } else {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        Err(io::Errno::from_raw_os_error(errno))
    }
}
