//! The inside: one tenant's TUN, whose every packet has a virtio header.

use rustix::io::Errno;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A TUN in a tenant's namespace, opened with `IFF_NO_PI` and `IFF_VNET_HDR`
/// (a header of 10 bytes).
#[derive(Debug)]
pub struct Tun {
    /// The descriptor.
    pub fd: OwnedFd,
    /// Whether TCP superpackets pass it (`TUN_F_CSUM`, `TUN_F_TSO4`, `TUN_F_TSO6`).
    pub tso: bool,
    /// Whether UDP superpackets do (`TUN_F_USO4`, `TUN_F_USO6`).
    pub uso: bool,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Whole,
    /// The kernel did not take this packet: it is malformed, or the link is
    /// down, or there is no memory.
    Refused,
    /// The descriptor is of no use any more.
    Lost(Errno),
}

impl Tun {
    /// Reads one packet with its header; `None` when there is none.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                // What a socket says when the other side is gone; a TUN never does.
                Ok(0) => return Err(Errno::BADFD),
                result => return result.map(Some),
            }
        }
    }

    /// Writes one packet, header first.
    pub(super) fn write(&self, parts: &[IoSlice<'_>]) -> Written {
        loop {
            match rustix::io::writev(&self.fd, parts) {
                Ok(_) => return Written::Whole,
                Err(Errno::INTR) => {}
                // EIO is also what a TUN says whose link is down, which may be
                // up again; only reading tells for good.
                Err(error @ (Errno::BADF | Errno::BADFD | Errno::PIPE)) => {
                    return Written::Lost(error);
                }
                Err(_) => return Written::Refused,
            }
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
