//! Sealed datagrams of one peer that leave in one call.
//!
//! They lie one after the other, all of one length but the last, as
//! `UDP_SEGMENT` wants them. They keep their order: what does not fit behind the
//! others sends them off first, it is never sorted into another batch.

use super::buffer::bytes;
use super::udp::Flow;
use crate::wireguard::PeerIndex;

/// Bytes of sealed datagrams. A superpacket of 64 KB in segments of 536 bytes
/// grows by a tenth; the rest is for what waits before it.
const LEN: usize = 256 << 10;

/// What waits to be sent.
pub(super) struct Batch {
    bytes: Box<[u8]>,
    len: usize,
    /// Length of every datagram but the last; 0 when there is none yet.
    segment: usize,
    /// Whether the last one is shorter, so that none may follow it.
    closed: bool,
    to: Option<(PeerIndex, Flow)>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { bytes: bytes(LEN), len: 0, segment: 0, closed: false, to: None }
    }

    /// Whether a datagram of `len` bytes of this peer's may be put behind the others.
    pub(super) fn fits(&self, peer: PeerIndex, flow: &Flow, len: usize) -> bool {
        match &self.to {
            None => true,
            Some((waiting, waiting_flow)) => {
                *waiting == peer
                    && waiting_flow == flow
                    && !self.closed
                    && len <= self.segment
                    && self.len + len <= self.bytes.len()
            }
        }
    }

    /// Where the next datagram is to be made.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// Takes in the datagram of `len` bytes that was made in [`Batch::room`],
    /// after [`Batch::fits`] said that it may.
    pub(super) fn push(&mut self, peer: PeerIndex, flow: Flow, len: usize) {
        if self.to.is_none() {
            self.to = Some((peer, flow));
            self.segment = len;
        }
        self.closed = len < self.segment;
        self.len += len;
    }

    /// What waits, for whom, and the length of each datagram but the last.
    pub(super) fn waiting(&self) -> Option<(PeerIndex, Flow, &[u8], usize)> {
        let (peer, flow) = self.to?;
        Some((peer, flow, self.bytes.get(..self.len)?, self.segment))
    }

    /// Forgets what was sent.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.segment = 0;
        self.closed = false;
        self.to = None;
    }
}
