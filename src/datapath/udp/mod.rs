//! One tenant's UDP socket in the underlay: both families, many datagrams in
//! one call, ECN, and an answer from the address that was asked.
//!
//! What the kernel or a path cannot do is found when it is first tried, sent
//! another way at once, and remembered for this socket.
//! Never closes for an error of a single datagram.

mod raw;

use super::Options;
use arrayvec::ArrayVec;
use raw::{Outgoing, Switch};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(super) use raw::{BATCH, Incoming, Receiver};

/// Most datagrams in one call (`UDP_MAX_SEGMENTS` of Linux before 6.9).
pub(super) const MAX_SEGMENTS: usize = 64;

/// Most bytes in one call: an IPv4 packet less its header and the one of UDP.
pub(super) const MAX_SEND: usize = 65_507;

/// What the socket's buffers are to hold: 2 ms of 10 Gb/s, twice over. The
/// default of 212 KB is three trains of 64 datagrams.
const BUFFER_LEN: usize = 4 << 20;

/// Paths remembered to be narrower than our datagrams.
const NARROW_PATHS: usize = 16;

/// Where a batch goes, where it comes from, and its two ECN bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) to: SocketAddr,
    pub(super) from: Option<IpAddr>,
    pub(super) ecn: u8,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
    /// Not sent: the socket's buffer, or the queue of the link, was full.
    pub(super) no_room: u64,
    /// Not sent: the kernel refused (no route, a filter, a link that is down).
    pub(super) refused: u64,
}

/// One tenant's UDP socket.
pub(super) struct Socket {
    fd: OwnedFd,
    port: u16,
    v6: bool,
    gso: bool,
    gro: bool,
    /// Receivers a train was too big for, and its segment size.
    narrow: ArrayVec<(SocketAddr, usize), NARROW_PATHS>,
}

impl Socket {
    /// A socket on `port` of every address, 0 for any free one; v4 only where
    /// IPv6 is off.
    pub(super) fn bind(port: u16, options: &Options) -> io::Result<Self> {
        let (fd, v6) = match open(AddressFamily::INET6, port) {
            Ok(fd) => (fd, true),
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
                (open(AddressFamily::INET, port)?, false)
            }
            Err(error) => return Err(error.into()),
        };
        let fd_ref = fd.as_fd();
        raw::set(fd_ref, Switch::RecvTos, 1)?;
        if v6 {
            raw::set(fd_ref, Switch::RecvTrafficClass, 1)?;
            raw::set(fd_ref, Switch::RecvPacketInfoV6, 1)?;
        } else {
            raw::set(fd_ref, Switch::RecvPacketInfoV4, 1)?;
        }
        let gro = options.udp_gro && raw::set(fd_ref, Switch::Gro, 1).is_ok();
        let gso = options.udp_gso && raw::set(fd_ref, Switch::Segment, 0).is_ok();
        let port = match SocketAddr::try_from(getsockname(&fd)?) {
            Ok(address) => address.port(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { fd, port, v6, gso, gro, narrow: ArrayVec::new() })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it speaks IPv6, too.
    pub(super) fn v6(&self) -> bool {
        self.v6
    }

    /// Whether it hands many datagrams to the kernel in one call.
    pub(super) fn gso(&self) -> bool {
        self.gso
    }

    /// Whether the kernel may hand over many datagrams as one.
    pub(super) fn gro(&self) -> bool {
        self.gro
    }

    /// Receives without waiting; see [`Receiver::receive`].
    pub(super) fn receive(
        &self,
        receiver: &mut Receiver,
        buffer: &mut [u8],
        piece: usize,
    ) -> io::Result<usize> {
        receiver.receive(self.fd.as_fd(), buffer, piece)
    }

    /// Sends `bytes`, which are datagrams of `segment` bytes each, the last one
    /// perhaps shorter, in as few calls as may be.
    pub(super) fn send(&mut self, flow: &Flow, bytes: &[u8], segment: usize) -> Sent {
        let mut sent = Sent::default();
        let segment = segment.max(1);
        let in_train = if self.gso && !self.is_narrow(flow.to, segment) {
            MAX_SEGMENTS.min(MAX_SEND / segment).max(1)
        } else {
            1
        };
        for train in bytes.chunks(segment * in_train) {
            if train.len() <= segment {
                self.send_one(flow, train, &mut sent);
            } else {
                self.send_train(flow, train, segment, &mut sent);
            }
        }
        sent
    }

    fn send_train(&mut self, flow: &Flow, train: &[u8], segment: usize, sent: &mut Sent) {
        let datagrams = train.len().div_ceil(segment) as u64;
        let Err(error) = self.call(flow, train, u16::try_from(segment).ok()) else {
            sent.datagrams += datagrams;
            sent.bytes += train.len() as u64;
            return;
        };
        if !matches!(error, Errno::INVAL | Errno::IO | Errno::MSGSIZE | Errno::OPNOTSUPP) {
            return sent.failed(error, datagrams);
        }
        // Either this socket cannot segment, or this path is narrower than the
        // segments, or it is not about segments at all. One by one tells.
        let before = sent.datagrams;
        for datagram in train.chunks(segment) {
            self.send_one(flow, datagram, sent);
        }
        if sent.datagrams == before {
            return;
        }
        if matches!(error, Errno::IO | Errno::OPNOTSUPP) {
            self.gso = false;
        } else {
            // Older kernels say EINVAL for a segment that is longer than the MTU.
            self.remember_narrow(flow.to, segment);
        }
    }

    fn send_one(&self, flow: &Flow, datagram: &[u8], sent: &mut Sent) {
        match self.call(flow, datagram, None) {
            Ok(()) => {
                sent.datagrams += 1;
                sent.bytes += datagram.len() as u64;
            }
            Err(error) => sent.failed(error, 1),
        }
    }

    fn call(&self, flow: &Flow, bytes: &[u8], segment: Option<u16>) -> Result<(), Errno> {
        let mut outgoing =
            Outgoing { to: flow.to, v6_socket: self.v6, from: flow.from, ecn: flow.ecn, segment };
        for _ in 0..4 {
            match raw::send(self.fd(), &outgoing, bytes).map_err(|error| errno(&error)) {
                Err(Errno::INTR) => {}
                // The address the peer wrote to is no longer ours: let the
                // kernel choose, as it does for its own WireGuard.
                Err(Errno::INVAL | Errno::ADDRNOTAVAIL | Errno::NETUNREACH)
                    if outgoing.from.is_some() =>
                {
                    outgoing.from = None;
                }
                // An ICMP error for an earlier datagram; this one was not tried.
                Err(Errno::CONNREFUSED) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    fn is_narrow(&self, to: SocketAddr, segment: usize) -> bool {
        self.narrow.iter().any(|&(address, refused)| address == to && segment >= refused)
    }

    fn remember_narrow(&mut self, to: SocketAddr, segment: usize) {
        self.narrow.retain(|&mut (address, _)| address != to);
        if self.narrow.is_full() {
            self.narrow.remove(0);
        }
        self.narrow.push((to, segment));
    }

    /// Forgets which paths were narrow, for they may have changed.
    pub(super) fn forget_narrow(&mut self) {
        self.narrow.clear();
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

impl Sent {
    fn failed(&mut self, error: Errno, datagrams: u64) {
        match error {
            Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM => self.no_room += datagrams,
            _ => self.refused += datagrams,
        }
    }
}

fn open(family: AddressFamily, port: u16) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    // As the kernel's WireGuard: what is longer than the path is fragmented, v4
    // goes without DF, and no router's word about the path's MTU is believed.
    sockopt::set_ip_mtu_discover(&fd, sockopt::Ipv4PathMtuDiscovery::DONT)?;
    if family == AddressFamily::INET6 {
        sockopt::set_ipv6_v6only(&fd, false)?;
        sockopt::set_ipv6_mtu_discover(&fd, sockopt::Ipv6PathMtuDiscovery::DONT)?;
        let _ = raw::set(fd.as_fd(), Switch::DontFragmentV6, 0);
    }
    // Beyond the system's limit only with CAP_NET_ADMIN.
    if sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER_LEN).is_err() {
        sockopt::set_socket_recv_buffer_size(&fd, BUFFER_LEN)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&fd, BUFFER_LEN).is_err() {
        sockopt::set_socket_send_buffer_size(&fd, BUFFER_LEN)?;
    }
    if family == AddressFamily::INET6 {
        bind(&fd, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
    } else {
        bind(&fd, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    }
    Ok(fd)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
