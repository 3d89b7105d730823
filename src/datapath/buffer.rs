//! The memory packets are in while they pass: one set for each thread, used by
//! all its tenants in turn.
//!
//! Made once; pages that are never used are never there.

use super::batch::Batch;
use super::incoming::TRAINS;
use super::{pages, udp};
use crate::packet::Gro;

/// The longest packet there is, and a virtio header before it.
const TUN_LEN: usize = 65_535 + 64;

/// Room for one received datagram or train of datagrams.
pub(super) const PIECE_LEN: usize = 65_536;

/// One thread's buffers.
pub(super) struct Buffers {
    /// What was read from a TUN.
    pub(super) packet: Box<[u8]>,
    /// Datagrams on their way out.
    pub(super) batch: Batch,
    /// Datagrams on their way in, [`PIECE_LEN`] bytes for each message.
    pub(super) received: Box<[u8]>,
    /// What came with them.
    pub(super) receiver: Box<udp::Receiver>,
    /// Packets waiting to be put together and written to a TUN.
    pub(super) gro: Gro,
    /// A datagram the device itself has to send, or a packet on its way to it.
    pub(super) transmit: Box<[u8]>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            packet: bytes(TUN_LEN),
            batch: Batch::new(),
            received: bytes(udp::BATCH * PIECE_LEN),
            receiver: udp::Receiver::new(),
            gro: Gro::default(),
            transmit: bytes(TUN_LEN),
        }
    }

    /// Gives back the room that only bursts of many messages take. Done once a
    /// second it costs a burst no more than its first touch of each page.
    pub(super) fn give_back(&mut self) {
        pages::give_back(self.received.get_mut(TRAINS * PIECE_LEN..).unwrap_or_default());
    }
}

/// Zeroed by the system, page by page, when they are first used.
pub(super) fn bytes(len: usize) -> Box<[u8]> {
    vec![0; len].into_boxed_slice()
}
