//! `sendmsg` and `recvmmsg` with the control messages a tunnel needs: segment
//! size, traffic class, and our own address.
//!
//! Here because no safe crate has them without an allocation for each call, and
//! because `quinn-udp` takes the first `EINVAL` (a source address that is gone)
//! as a reason to send without GSO and without ECN for good.
//! Decides nothing: what an error means is read in [`super`].
#![allow(unsafe_code, reason = "sendmsg and recvmmsg with control messages have no safe binding")]

use libc::{c_int, c_void};
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Bytes for control messages. Received: a v6 `pktinfo`, a TOS, a traffic class
/// and a segment size take 112. Sent: the first two and the last take 80.
const CONTROL_LEN: usize = 128;

/// Datagrams (or trains of them) received in one call.
pub(in crate::datapath) const BATCH: usize = 32;

/// Control messages, aligned as the kernel wants them.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_LEN]);

/// The level and name of a socket option that is an `int`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Switch {
    RecvTos,
    RecvTrafficClass,
    RecvPacketInfoV4,
    RecvPacketInfoV6,
    DontFragmentV6,
    Gro,
    Segment,
}

impl Switch {
    const fn name(self) -> (c_int, c_int) {
        match self {
            Self::RecvTos => (libc::IPPROTO_IP, libc::IP_RECVTOS),
            Self::RecvTrafficClass => (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
            Self::RecvPacketInfoV4 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            Self::RecvPacketInfoV6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            Self::DontFragmentV6 => (libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG),
            Self::Gro => (libc::SOL_UDP, libc::UDP_GRO),
            Self::Segment => (libc::SOL_UDP, libc::UDP_SEGMENT),
        }
    }
}

/// Sets an option of `socket`.
pub(super) fn set(socket: BorrowedFd<'_>, switch: Switch, value: c_int) -> io::Result<()> {
    let (level, name) = switch.name();
    // SAFETY: the pointer and the length are those of one live `int`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast::<c_void>(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What goes with the bytes of one `sendmsg`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) to: SocketAddr,
    /// Whether the socket is of `AF_INET6`; a v4 address is then written as a mapped one.
    pub(super) v6_socket: bool,
    pub(super) from: Option<IpAddr>,
    /// The two ECN bits.
    pub(super) ecn: u8,
    /// Length of each datagram but the last; `None` when there is one.
    pub(super) segment: Option<u16>,
}

/// Sends `bytes` as `outgoing` says.
pub(super) fn send(socket: BorrowedFd<'_>, outgoing: &Outgoing, bytes: &[u8]) -> io::Result<()> {
    let (mut name, name_len) = socket_address(outgoing.to, outgoing.v6_socket);
    let mut control = Control([0; CONTROL_LEN]);
    let mut iovec =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(), iov_len: bytes.len() };
    // SAFETY: all zeros is a `msghdr` without name, data and control.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(&mut name).cast::<c_void>();
    header.msg_namelen = name_len;
    header.msg_iov = ptr::from_mut(&mut iovec);
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast::<c_void>();
    header.msg_controllen = CONTROL_LEN as _;

    let mut writer = Writer { header: &header, next: ptr::null_mut(), len: 0 };
    if outgoing.ecn != 0 {
        match outgoing.to.ip().to_canonical() {
            IpAddr::V4(_) => {
                writer.push(libc::IPPROTO_IP, libc::IP_TOS, c_int::from(outgoing.ecn));
            }
            IpAddr::V6(_) => {
                writer.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, c_int::from(outgoing.ecn));
            }
        }
    }
    match outgoing.from.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => writer.push(
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            },
        ),
        Some(IpAddr::V6(ip)) => writer.push(
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: 0,
            },
        ),
        None => {}
    }
    if let Some(segment) = outgoing.segment {
        writer.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    let control_len = writer.len;
    header.msg_controllen = control_len as _;
    if control_len == 0 {
        header.msg_control = ptr::null_mut();
    }
    // SAFETY: name, iovec, control and the bytes live until the call returns,
    // and the kernel only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Appends control messages to a header that has room for [`CONTROL_LEN`] bytes.
struct Writer<'a> {
    header: &'a libc::msghdr,
    next: *mut libc::cmsghdr,
    len: usize,
}

impl Writer<'_> {
    fn push<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) {
        // SAFETY: the control area is aligned for `cmsghdr`, zeroed, and longer
        // than the three messages that are ever pushed (see `CONTROL_LEN`), so
        // both pointers stay inside it or are null.
        unsafe {
            self.next = if self.next.is_null() {
                libc::CMSG_FIRSTHDR(self.header)
            } else {
                libc::CMSG_NXTHDR(self.header, self.next)
            };
            let Some(message) = self.next.as_mut() else { return };
            message.cmsg_level = level;
            message.cmsg_type = kind;
            message.cmsg_len = libc::CMSG_LEN(size_of::<T>() as u32) as _;
            ptr::write_unaligned(libc::CMSG_DATA(message).cast::<T>(), value);
            self.len += libc::CMSG_SPACE(size_of::<T>() as u32) as usize;
        }
    }
}

/// What came with the bytes of one received message.
#[derive(Clone, Copy, Debug)]
pub(in crate::datapath) struct Incoming {
    pub(in crate::datapath) from: SocketAddr,
    /// The address of ours it was sent to.
    pub(in crate::datapath) to: Option<IpAddr>,
    /// The two ECN bits.
    pub(in crate::datapath) ecn: u8,
    /// Bytes received.
    pub(in crate::datapath) len: usize,
    /// Length of each datagram but the last; `len` when there is one. Never 0.
    pub(in crate::datapath) stride: usize,
    /// Whether there was more than the buffer holds.
    pub(in crate::datapath) truncated: bool,
}

/// Room for the names and control messages of one `recvmmsg`, used again and again.
pub(in crate::datapath) struct Receiver {
    names: [libc::sockaddr_in6; BATCH],
    controls: [Control; BATCH],
    iovecs: [libc::iovec; BATCH],
    headers: [libc::mmsghdr; BATCH],
}

impl Receiver {
    pub(in crate::datapath) fn new() -> Box<Self> {
        // SAFETY: every field is plain old data for which all zeros is a value.
        Box::new(unsafe { zeroed() })
    }

    /// Receives into pieces of `buffer` of `piece` bytes each, at most
    /// [`BATCH`], without waiting, and returns how many were filled.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &mut [u8],
        piece: usize,
    ) -> io::Result<usize> {
        let mut count = 0;
        for piece in buffer.chunks_exact_mut(piece).take(BATCH) {
            self.iovecs[count] =
                libc::iovec { iov_base: piece.as_mut_ptr().cast::<c_void>(), iov_len: piece.len() };
            let header = &mut self.headers[count].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[count]).cast::<c_void>();
            header.msg_namelen = size_of_val(&self.names[count]) as libc::socklen_t;
            header.msg_iov = ptr::from_mut(&mut self.iovecs[count]);
            header.msg_iovlen = 1;
            header.msg_control = self.controls[count].0.as_mut_ptr().cast::<c_void>();
            header.msg_controllen = CONTROL_LEN as _;
            header.msg_flags = 0;
            count += 1;
        }
        // SAFETY: the first `count` headers point into `self` and into disjoint
        // pieces of `buffer`, all borrowed for the whole call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    /// What came with message `index` of the last call; `None` when its sender
    /// has no address of the Internet.
    pub(in crate::datapath) fn message(&self, index: usize) -> Option<Incoming> {
        let message = self.headers.get(index)?;
        let header = &message.msg_hdr;
        let len = message.msg_len as usize;
        let mut incoming = Incoming {
            from: sender(&self.names[index])?,
            to: None,
            ecn: 0,
            len,
            stride: len.max(1),
            truncated: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        };
        // SAFETY: `header.msg_control` points into `self.controls[index]` and
        // the kernel set `msg_controllen` to what it wrote there; the CMSG
        // macros stay within that, and each value is read unaligned.
        unsafe {
            let mut next = libc::CMSG_FIRSTHDR(header);
            while let Some(control) = next.as_ref() {
                read_control(control, &mut incoming);
                next = libc::CMSG_NXTHDR(header, control);
            }
        }
        Some(incoming)
    }
}

/// Reads one control message into `incoming`.
///
/// # Safety
/// `control` is one the kernel wrote, followed by as many bytes as it says.
unsafe fn read_control(control: &libc::cmsghdr, incoming: &mut Incoming) {
    // SAFETY: as above; each type is the one the kernel writes for this kind.
    unsafe {
        let value = libc::CMSG_DATA(control);
        match (control.cmsg_level, control.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_TOS) => incoming.ecn = ptr::read_unaligned(value) & 3,
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                incoming.ecn = (ptr::read_unaligned(value.cast::<c_int>()) & 3) as u8;
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info = ptr::read_unaligned(value.cast::<libc::in_pktinfo>());
                let octets = info.ipi_spec_dst.s_addr.to_ne_bytes();
                incoming.to = Some(IpAddr::V4(Ipv4Addr::from(octets)));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = ptr::read_unaligned(value.cast::<libc::in6_pktinfo>());
                let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                incoming.to = Some(IpAddr::V6(ip).to_canonical());
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let stride = ptr::read_unaligned(value.cast::<c_int>());
                if let Ok(stride @ 1..) = usize::try_from(stride) {
                    incoming.stride = stride;
                }
            }
            _ => {}
        }
    }
}

/// An address as the kernel reads it, and its length.
fn socket_address(address: SocketAddr, v6_socket: bool) -> (libc::sockaddr_in6, libc::socklen_t) {
    // SAFETY: all zeros is an address.
    let mut name: libc::sockaddr_in6 = unsafe { zeroed() };
    match address {
        SocketAddr::V4(v4) if !v6_socket => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_in` is the shorter of the two, both plain data.
            unsafe { ptr::write_unaligned(ptr::from_mut(&mut name).cast(), v4) };
            (name, size_of::<libc::sockaddr_in>() as libc::socklen_t)
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => {
            let v6 = match address {
                SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0),
                SocketAddr::V6(v6) => v6,
            };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = v6.port().to_be();
            name.sin6_addr = libc::in6_addr { s6_addr: v6.ip().octets() };
            name.sin6_scope_id = v6.scope_id();
            (name, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
        }
    }
}

/// A sender's address, mapped ones as the v4 address they are.
fn sender(name: &libc::sockaddr_in6) -> Option<SocketAddr> {
    match c_int::from(name.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one, and it fits.
            let v4: libc::sockaddr_in = unsafe { ptr::read_unaligned(ptr::from_ref(name).cast()) };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(match IpAddr::V6(ip).to_canonical() {
                IpAddr::V4(v4) => SocketAddr::from((v4, port)),
                IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, name.sin6_scope_id).into(),
            })
        }
        _ => None,
    }
}
