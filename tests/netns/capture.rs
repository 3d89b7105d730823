//! [`Capture`]: the frames that pass on a link, or on every link of a namespace.
#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    dead_code,
    reason = "packet sockets; a sniffer has a pace; a tool is kept whether or not a test takes it up today"
)]

use crate::lab::{At, Lab};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

/// Bytes that wait for a slow reader of a capture.
const CAPTURE_BYTES: usize = 32 << 20;

/// Frames seen on a link.
pub(crate) struct Capture {
    socket: Socket,
}

impl Lab {
    /// Begins to record every frame on `link` at `at`, both directions.
    pub(crate) fn capture<'a>(&self, at: impl Into<At<'a>>, link: &str) -> Capture {
        self.within(at, || Capture::open(link_index(link)))
    }

    /// Begins to record every frame on every link at `at`, also on links that
    /// come later.
    pub(crate) fn capture_all<'a>(&self, at: impl Into<At<'a>>) -> Capture {
        self.within(at, || Capture::open(0))
    }
}

impl Capture {
    /// On the link with this index in the namespace of the calling thread; 0 is
    /// all of them.
    fn open(index: i32) -> Self {
        // Protocol 0 records nothing until bind names the link.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0))).unwrap();
        // SO_RCVBUFFORCE, which obeys no limit of the machine's.
        set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, CAPTURE_BYTES as libc::c_int);
        set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1);
        socket.bind(&packet_address(index)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket }
    }

    /// The frames that came since the last call, whole, their VLAN tags too.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let mut frames = Vec::new();
        loop {
            match self.receive(&mut buffer) {
                Ok(frame) => frames.push(frame),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return frames,
                // Said once when the link is set down or deleted; what came before is here.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => panic!("capture: {error}"),
            }
        }
    }

    /// The next frame. The kernel takes the outermost tag off before anyone sees
    /// it and says beside the frame what it was; here it is put back.
    fn receive(&self, buffer: &mut [u8]) -> std::io::Result<Vec<u8>> {
        const AFTER_ADDRESSES: usize = 12;
        // Words, for a control message is aligned as one.
        let mut control = [0_u64; 16];
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: zero is a value of all its fields.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the message names the two buffers above, with their lengths.
        let len = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let Ok(len) = usize::try_from(len) else { return Err(std::io::Error::last_os_error()) };
        let mut frame = buffer[..len].to_vec();
        // SAFETY: PACKET_AUXDATA is set, so the kernel wrote a whole
        // `tpacket_auxdata` there, and nothing else was asked for.
        let beside: libc::tpacket_auxdata = unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const message);
            assert!(!first.is_null(), "a frame without PACKET_AUXDATA");
            libc::CMSG_DATA(first).cast::<libc::tpacket_auxdata>().read_unaligned()
        };
        if beside.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
            let ([a, b], [c, d]) =
                (beside.tp_vlan_tpid.to_be_bytes(), beside.tp_vlan_tci.to_be_bytes());
            frame.splice(AFTER_ADDRESSES..AFTER_ADDRESSES, [a, b, c, d]);
        }
        Ok(frame)
    }

    /// How many frames were not recorded since the last call, for want of room.
    pub(crate) fn lost(&self) -> u32 {
        let mut statistics = [0_u32; 2];
        let mut len = size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the kernel writes a `tpacket_stats`, two 32-bit numbers, and no
        // more than `len` bytes.
        let outcome = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                statistics.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        assert_eq!(outcome, 0, "PACKET_STATISTICS");
        statistics[1]
    }
}

/// The index of a link in the namespace of the calling thread.
fn link_index(link: &str) -> i32 {
    // Any socket of the namespace will do to ask with.
    let any = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let index = rustix::net::netdevice::name_to_index(any, link)
        .unwrap_or_else(|errno| panic!("{link}: {errno}"));
    i32::try_from(index).unwrap()
}

/// A socket that puts whole frames on a link in the namespace of the calling
/// thread, and records nothing.
pub(crate) fn frame_socket(link: &str) -> Socket {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0))).unwrap();
    let silent = address_of(link_index(link), 0);
    socket.bind(&silent).unwrap();
    socket
}

fn set(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) {
    // SAFETY: the value is an int and lives through the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    assert_eq!(outcome, 0, "setsockopt {level} {name}");
}

/// All protocols on the link with this index.
fn packet_address(index: i32) -> SockAddr {
    address_of(index, libc::ETH_P_ALL as u16)
}

/// One protocol, or with 0 none, on the link with this index.
fn address_of(index: i32, protocol: u16) -> SockAddr {
    // SAFETY: the storage is zeroed and large enough for a `sockaddr_ll`, and
    // the length given back is that of one.
    unsafe {
        let fill = |storage: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as libc::sa_family_t;
            (*address).sll_protocol = protocol.to_be();
            (*address).sll_ifindex = index;
            *len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        };
        SockAddr::try_init(fill).unwrap().1
    }
}
