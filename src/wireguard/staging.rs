//! Packets of one peer that wait for a session.

use crate::model::limits::{STAGED_BYTES, STAGED_PACKETS};
use std::collections::VecDeque;

/// Packets in the order they came, few and small enough for ten thousand peers
/// that are away.
#[derive(Default)]
pub(super) struct Staging {
    packets: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Staging {
    /// Keeps a copy of `packet`, and says how many old ones went for it.
    pub(super) fn push(&mut self, packet: &[u8]) -> u64 {
        let mut dropped = 0;
        self.packets.push_back(packet.into());
        self.bytes += packet.len();
        while STAGED_PACKETS < self.packets.len() || STAGED_BYTES < self.bytes {
            if self.pop().is_none() {
                break;
            }
            dropped += 1;
        }
        dropped
    }

    /// The oldest packet.
    pub(super) fn pop(&mut self) -> Option<Box<[u8]>> {
        let packet = self.packets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(packet.len());
        if self.packets.is_empty() {
            // An idle peer keeps no memory for the burst it once had.
            self.packets = VecDeque::new();
        }
        Some(packet)
    }

    /// Takes another peer's packets, which came before those here. There is room: a
    /// peer keeps none while it has a session.
    pub(super) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            std::mem::swap(self, &mut other);
        }
        for packet in other.packets {
            self.push(&packet);
        }
    }

    /// Forgets all, and says how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.packets.len() as u64;
        *self = Self::default();
        count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}
