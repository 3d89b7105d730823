//! The calls that need `unsafe`, each behind a function that does not.
//!
//! Nothing here decides anything: arguments in, the kernel's answer out.
#![allow(unsafe_code, reason = "ioctls of TUN, unshare and some socket options have no safe form")]

use crate::net::Prefix;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io;
use rustix::ioctl::{self, IntegerSetter, Opcode, Setter, opcode};
use rustix::thread::UnshareFlags;
use std::net::IpAddr;
use zeroize::Zeroize;

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

/// Lets all threads share one heap, those that have begun one before excepted.
pub(super) fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number in the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
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

/// Has TCP packets that arrive at `socket` with a TTL, or hop limit, below `ttl`
/// dropped before anything looks at them (RFC 5082). `is_v4` is the socket's family.
pub(super) fn set_minimum_ttl(socket: impl AsFd, is_v4: bool, ttl: u8) -> io::Result<()> {
    let value = libc::c_int::from(ttl);
    match is_v4 {
        true => set_option(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &value),
        false => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &value),
    }
}

/// Of `<linux/tcp.h>`: as `TCP_MD5SIG`, and what is set is looked at (Linux 4.13).
const TCP_MD5SIG_EXT: libc::c_int = 32;
/// The key is for a network, and not for a host alone.
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;

/// `struct tcp_md5sig` of `<linux/tcp.h>`.
#[repr(C)]
struct TcpMd5 {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: libc::c_int,
    key: [u8; libc::TCP_MD5SIG_MAXKEYLEN],
}

/// Has every segment to and from hosts of `peers` signed with `key` (RFC 2385), of at
/// most 80 bytes; an empty one ends that. Of several networks that a host is in the
/// smallest counts.
pub(super) fn set_tcp_md5(socket: impl AsFd, peers: Prefix, key: &[u8]) -> io::Result<()> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut md5: TcpMd5 = unsafe { std::mem::zeroed() };
    let Some(room) = md5.key.get_mut(..key.len()) else { return Err(io::Errno::INVAL) };
    room.copy_from_slice(key);
    md5.key_length = u16::try_from(key.len()).unwrap_or(0);
    md5.flags = TCP_MD5SIG_FLAG_PREFIX;
    md5.prefix_length = peers.length();
    let storage = &raw mut md5.address;
    match peers.address() {
        IpAddr::V4(address) => {
            // SAFETY: a `sockaddr_storage` has room for, and is aligned as, any of them.
            let peer = unsafe { &mut *storage.cast::<libc::sockaddr_in>() };
            peer.sin_family = libc::AF_INET as libc::sa_family_t;
            peer.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
        }
        IpAddr::V6(address) => {
            // SAFETY: as above.
            let peer = unsafe { &mut *storage.cast::<libc::sockaddr_in6>() };
            peer.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            peer.sin6_addr.s6_addr = address.octets();
        }
    }
    let outcome = set_option(socket, libc::IPPROTO_TCP, TCP_MD5SIG_EXT, &md5);
    md5.key.zeroize();
    outcome
}

/// Sets a socket option whose value is of type `T`, plain data.
fn set_option<T>(socket: impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads `len` bytes from `value`, which is that long.
    let answer = unsafe { libc::setsockopt(fd, level, name, (&raw const *value).cast(), len) };
    match answer {
        0 => Ok(()),
        _ => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            Err(io::Errno::from_raw_os_error(errno))
        }
    }
}

/// Has the TTL, or hop limit, of each datagram told with it. `is_v4` is the socket's
/// family.
pub(super) fn tell_ttl(socket: impl AsFd, is_v4: bool) -> io::Result<()> {
    let on: libc::c_int = 1;
    match is_v4 {
        true => set_option(socket, libc::IPPROTO_IP, libc::IP_RECVTTL, &on),
        false => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, &on),
    }
}

/// Room for one control message with an `int`, aligned as the kernel has it.
#[repr(C)]
struct ControlRoom {
    _aligned: [libc::cmsghdr; 0],
    bytes: [u8; 64],
}

/// Receives one datagram, as far as `buffer` has room: how long that is, who sent it,
/// and the TTL it arrived with, 0 when the kernel did not tell.
pub(super) fn receive_with_ttl(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<std::net::SocketAddr>, u8)> {
    let mut control = ControlRoom { _aligned: [], bytes: [0; 64] };
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all of it are numbers and pointers, for which zero is a value.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut storage).cast();
    message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control.bytes).cast();
    message.msg_controllen = control.bytes.len() as _;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: every pointer in `message` is to a local that outlives the call, or to
    // `buffer`, with the length of each beside it.
    let received = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(received) else {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(io::Errno::from_raw_os_error(errno));
    };
    let mut ttl = 0;
    // SAFETY: the kernel has filled `message` in, whose control room is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: it is null or points to a whole header within the control room.
    while let Some(told) = unsafe { header.as_ref() } {
        let is_ttl = matches!(
            (told.cmsg_level, told.cmsg_type),
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
        );
        if is_ttl {
            // SAFETY: what these two tell is an `int` behind the header.
            let value = unsafe { libc::CMSG_DATA(header).cast::<libc::c_int>().read_unaligned() };
            ttl = u8::try_from(value).unwrap_or(0);
        }
        // SAFETY: `header` is within the control room of `message`.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok((length, sender(&storage), ttl))
}

/// The address in `storage`, where it is of a family that has one.
fn sender(storage: &libc::sockaddr_storage) -> Option<std::net::SocketAddr> {
    let from = std::ptr::from_ref(storage);
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which of the addresses it is.
            let v4 = unsafe { &*from.cast::<libc::sockaddr_in>() };
            let address = std::net::Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some((address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*from.cast::<libc::sockaddr_in6>() };
            let address = std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some((address, u16::from_be(v6.sin6_port)).into())
        }
        _ => None,
    }
}
