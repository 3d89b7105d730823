//! The calls of probes that need `unsafe`, each behind a function that does not.
//!
//! Nothing here decides anything: arguments in, the kernel's answer out.
#![allow(unsafe_code, reason = "control messages and some socket options have no safe form")]

use super::probe::icmp_error;
use crate::probe::IcmpError;
use rustix::fd::{AsFd, AsRawFd};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Room for the control messages of one packet, aligned as the kernel has it.
#[repr(C)]
struct ControlRoom {
    _aligned: [libc::cmsghdr; 0],
    bytes: [u8; 256],
}

/// A packet that came.
pub(super) struct Received {
    /// Its length, as far as there was room.
    pub(super) length: usize,
    /// Who sent it.
    pub(super) from: Option<IpAddr>,
    /// When the kernel had it, on its wall clock.
    pub(super) at: Option<Duration>,
}

/// The kernel's wall clock, since 1970.
pub(super) fn wall_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Has ICMP errors about what the socket sends kept for it (`IP_RECVERR`).
pub(super) fn report_errors(socket: impl AsFd, is_v4: bool) -> io::Result<()> {
    let on: libc::c_int = 1;
    match is_v4 {
        true => set_option(socket, libc::IPPROTO_IP, libc::IP_RECVERR, on),
        false => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, on),
    }
}

/// Has each packet told with when it came.
pub(super) fn stamp(socket: impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

fn set_option(
    socket: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads `len` bytes from `value`, which is that long.
    let answer = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The round trip of a connection, as the kernel has measured it.
pub(super) fn round_trip(socket: impl AsFd) -> Option<Duration> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: both pointers are to locals, and `len` is the size of the first.
    let answer = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    let micros = (answer == 0 && info.tcpi_rtt != 0).then_some(info.tcpi_rtt)?;
    Some(Duration::from_micros(micros.into()))
}

/// Receives one packet with when it came.
pub(super) fn receive_stamped(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut at = None;
    let (length, from) = receive(socket, buffer, 0, |header, data| {
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: what this tells is a `timespec` behind the header.
            let stamp = unsafe { data.cast::<libc::timespec>().read_unaligned() };
            let (seconds, nanos) = (u64::try_from(stamp.tv_sec), u32::try_from(stamp.tv_nsec));
            at = seconds.ok().zip(nanos.ok()).map(|(s, n)| Duration::new(s, n));
        }
    })?;
    Ok(Received { length, from, at })
}

/// The oldest ICMP error that is kept for the socket, if there is any.
pub(super) fn error_of(socket: impl AsFd, is_v4: bool) -> io::Result<Option<IcmpError>> {
    let mut error = None;
    let outcome = receive(socket, &mut [0; 1], libc::MSG_ERRQUEUE, |header, data| {
        let is_error = matches!(
            (header.cmsg_level, header.cmsg_type),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        );
        if !is_error {
            return;
        }
        // SAFETY: what this tells is a `sock_extended_err` behind the header, and behind
        // that the address of who said it, of which the room beyond has the bytes.
        let (told, offender) = unsafe {
            let told = data.cast::<libc::sock_extended_err>();
            (told.read_unaligned(), told.add(1).cast::<libc::sockaddr_in6>())
        };
        let is_icmp = [libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6].contains(&told.ee_origin);
        if is_icmp {
            // SAFETY: `sockaddr_in6` is the longest that the kernel writes there, and the
            // room is longer than a header, an error and such an address together.
            let from = unsafe { offender.read_unaligned() };
            error = Some(icmp_error(is_v4, told.ee_type, told.ee_code, address(&from)));
        }
    });
    match outcome {
        Ok(_) => Ok(error),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Receives one packet and hands each of its control messages to `take`: the header,
/// and what is behind it.
fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: libc::c_int,
    mut take: impl FnMut(&libc::cmsghdr, *const u8),
) -> io::Result<(usize, Option<IpAddr>)> {
    let mut control = ControlRoom { _aligned: [], bytes: [0; 256] };
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all of it are numbers, for which zero is a value.
    let mut from: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    // SAFETY: all of it are numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control.bytes).cast();
    message.msg_controllen = control.bytes.len() as _;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: every pointer in `message` is to a local that outlives the call, or to
    // `buffer`, with the length of each beside it.
    let received = unsafe { libc::recvmsg(fd, &raw mut message, flags | libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(received) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has filled `message` in, whose control room is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: it is null or points to a whole header within the control room.
    while let Some(told) = unsafe { header.as_ref() } {
        // SAFETY: `header` is a header within the control room.
        take(told, unsafe { libc::CMSG_DATA(header) }.cast_const());
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok((length, address(&from)))
}

/// The address, where it is of a family that has one. A `sockaddr_in` begins alike.
fn address(from: &libc::sockaddr_in6) -> Option<IpAddr> {
    match i32::from(from.sin6_family) {
        libc::AF_INET => {
            let v4 = std::ptr::from_ref(from).cast::<libc::sockaddr_in>();
            // SAFETY: the family says which it is, and it is the shorter of the two.
            let bits = unsafe { (*v4).sin_addr.s_addr };
            Some(Ipv4Addr::from_bits(u32::from_be(bits)).into())
        }
        libc::AF_INET6 => Some(Ipv6Addr::from(from.sin6_addr.s6_addr).into()),
        _ => None,
    }
}
