//! A tenant's TUN: packets in and out of its namespace as a descriptor.
//!
//! It is persistent, so a restarted gateway finds it again with its addresses
//! and routes. A header (`virtio_net_hdr`, 10 bytes) stands before each packet;
//! with it the kernel hands over, and takes, segments of one flow in one piece
//! of up to 64 KiB.
//!
//! The ioctls are made here rather than by `tun-rs`, whose builder offers the
//! offloads all or none and makes a device node that is missing.
//!
//! A limit on the segments of such a piece is deliberately not set on the link.
//! The kernel obeys it for its own sockets, but a *forwarded* piece that is
//! beyond it is cut into single packets in software (`gso_features_check`),
//! and forwarded packets are all that a gateway has. With a limit of 45 the mean
//! piece read of one forwarded TCP stream shrank from 63,405 bytes to 1,656.

use super::syscall;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::thread;
use std::time::Duration;

/// Bytes of the header before each packet: `struct virtio_net_hdr`.
pub const HEADER_LEN: usize = 10;

/// Packets, or pieces of up to 64 KiB, that wait for the reader. The kernel's
/// 500 is too few for small packets while the reader seals a large piece.
pub const QUEUE_LEN: u32 = 1_000;

/// How often a TUN is tried that has a reader, and the time between.
const BUSY_ATTEMPTS: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

const DEVICE: &str = "/dev/net/tun";

// <linux/if_tun.h>
const TUN_F_CSUM: u32 = 0x01;
const TUN_F_TSO4: u32 = 0x02;
const TUN_F_TSO6: u32 = 0x04;
const TUN_F_TSO_ECN: u32 = 0x08;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// What the kernel may leave undone of the packets it hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Checksums, and TCP in pieces (TSO). Without it nothing else is possible.
    pub tcp: bool,
    /// TCP pieces with the CWR bit, which only the first segment may carry (RFC 3168 §6.1.2).
    pub ecn: bool,
    /// UDP in pieces (USO, Linux 6.2).
    pub udp: bool,
}

impl Offload {
    /// All of them.
    pub const ALL: Self = Self { tcp: true, ecn: true, udp: true };
    /// None: every packet whole, its checksum complete.
    pub const NONE: Self = Self { tcp: false, ecn: false, udp: false };

    fn mask(self) -> u32 {
        if !self.tcp {
            return 0;
        }
        let mut mask = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
        if self.ecn {
            mask |= TUN_F_TSO_ECN;
        }
        if self.udp {
            mask |= TUN_F_USO4 | TUN_F_USO6;
        }
        mask
    }
}

/// An open TUN. The link stays when it is dropped.
#[derive(Debug)]
pub struct Tun {
    /// Reads and writes one packet, with its header, at a time; does not block.
    ///
    /// As long as it is open, so is the namespace it was opened in.
    pub fd: OwnedFd,
    /// What was asked for and the kernel grants.
    pub offload: Offload,
}

/// What could not be done with a TUN.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// There is no `/dev/net/tun`.
    #[error("there is no {DEVICE}: load the module `tun`, or give the container that device")]
    Device(#[source] io::Error),
    /// It may not be opened.
    #[error("cannot open {DEVICE}")]
    Open(#[source] io::Error),
    /// Another process reads from it.
    #[error("{0} is in use by another process; is a second lockgate running?")]
    Busy(String),
    /// Somebody else's link of another kind has the name. It is left alone.
    #[error("{0} exists and is no TUN; it is not ours and left alone")]
    Foreign(String),
    /// The TUN cannot be attached.
    #[error("cannot attach to {name} (CAP_NET_ADMIN is needed)")]
    Attach {
        /// The link.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TUN cannot be set up.
    #[error("cannot set up {name}")]
    SetUp {
        /// The link.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes the TUN `name` in the calling thread's namespace, or attaches to it
/// when it is there, with what the kernel grants of `wanted`.
pub(super) fn open(name: &str, wanted: Offload) -> Result<Tun, TunError> {
    let set_up =
        |errno: Errno| TunError::SetUp { name: name.to_owned(), source: io::Error::from(errno) };
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => TunError::Device(errno.into()),
        errno => TunError::Open(errno.into()),
    })?;
    attach(&fd, name).map_err(|errno| match errno {
        Errno::BUSY => TunError::Busy(name.to_owned()),
        Errno::INVAL => TunError::Foreign(name.to_owned()),
        errno => TunError::Attach { name: name.to_owned(), source: errno.into() },
    })?;
    syscall::tun_persist(&fd).map_err(set_up)?;
    let header_len = i32::try_from(HEADER_LEN).unwrap_or(10);
    syscall::tun_set_header_len(&fd, header_len).map_err(set_up)?;
    let offload = grant(wanted, |mask| syscall::tun_set_offload(&fd, mask)).map_err(set_up)?;
    Ok(Tun { fd, offload })
}

/// Attaches, and waits a little for a reader that is just going.
///
/// A descriptor that was closed lives on for a moment in every child that has
/// been forked and not yet become another program, such as an `nft`.
#[expect(clippy::disallowed_methods, reason = "no event tells that a TUN has lost its reader")]
fn attach(tun: &OwnedFd, name: &str) -> Result<(), Errno> {
    for _ in 0..BUSY_ATTEMPTS {
        match syscall::tun_attach(tun, name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR) {
            Err(Errno::BUSY) => thread::sleep(BUSY_PAUSE),
            outcome => return outcome,
        }
    }
    Err(Errno::BUSY)
}

/// Asks for `wanted`, and for less as long as the kernel refuses with EINVAL.
///
/// The mask belongs to the link and outlives the descriptor, so it is always
/// set, also to none.
fn grant(wanted: Offload, set: impl Fn(u32) -> Result<(), Errno>) -> Result<Offload, Errno> {
    let fewer = [
        wanted,
        Offload { udp: false, ..wanted },
        Offload { udp: false, ecn: false, ..wanted },
        Offload::NONE,
    ];
    let mut refused = Errno::INVAL;
    for offload in fewer {
        match set(offload.mask()) {
            Ok(()) if offload.tcp => return Ok(offload),
            Ok(()) => return Ok(Offload::NONE),
            Err(Errno::INVAL) => refused = Errno::INVAL,
            Err(errno) => return Err(errno),
        }
    }
    Err(refused)
}
