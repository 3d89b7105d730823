//! A superpacket as a TUN hands it over, taken apart into the packets it stands
//! for, each laid out where it will be sealed.

use super::header::{self, TCP, UDP, Virtio, half, put, word};
use super::sum;

/// A superpacket, read once, written segment by segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Superpacket<'a> {
    packet: &'a [u8],
    protocol: u8,
    /// Where TCP or UDP begins; IPv6 may have other headers before it.
    at: usize,
    /// Bytes of all headers.
    header_len: usize,
    /// Payload bytes of every segment but the last.
    size: usize,
}

impl<'a> Superpacket<'a> {
    /// Reads a packet that its header says is to be segmented as `protocol`;
    /// `None` when they contradict each other.
    pub(super) fn read(virtio: Virtio, protocol: u8, packet: &'a [u8]) -> Option<Self> {
        let at = usize::from(virtio.csum_start);
        let transport = packet.get(at..)?;
        if at < header::network_len(packet)? || virtio.gso_size == 0 {
            return None;
        }
        let (least, len) = match protocol {
            TCP => (20, usize::from(transport.get(12)? >> 4) * 4),
            _ => (8, 8),
        };
        if len < least || transport.len() < len {
            return None;
        }
        let size = usize::from(virtio.gso_size);
        Some(Self { packet, protocol, at, header_len: at + len, size })
    }

    /// It as it was read.
    pub(super) fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// How many segments there are; at least one.
    pub(super) fn count(&self) -> usize {
        (self.packet.len() - self.header_len).div_ceil(self.size).max(1)
    }

    /// Bytes of segment `index` with its headers.
    pub(super) fn len(&self, index: usize) -> usize {
        let payload = self.packet.len() - self.header_len;
        let begin = (index * self.size).min(payload);
        self.header_len + self.size.min(payload - begin)
    }

    /// Writes segment `index` to `out`, which is as long as [`Superpacket::len`]
    /// says.
    pub(super) fn write(&self, index: usize, out: &mut [u8]) {
        let len = self.len(index);
        let begin = self.header_len + index * self.size;
        let end = begin + len - self.header_len;
        let is_last = self.count() == index + 1;
        let (Some(header), Some(payload)) =
            (self.packet.get(..self.header_len), self.packet.get(begin..end))
        else {
            return;
        };
        if out.len() != len {
            return;
        }
        let (out_header, out_payload) = out.split_at_mut(self.header_len);
        out_header.copy_from_slice(header);
        out_payload.copy_from_slice(payload);
        let id = half(self.packet, 4).wrapping_add(index as u16);
        header::write_length(out, len, id);

        let at = self.at;
        let checksum = if self.protocol == UDP {
            put(out, at + 4, (len - at) as u16);
            at + 6
        } else {
            let sequence = word(out, at + 4).wrapping_add((index * self.size) as u32);
            if let Some(place) = out.get_mut(at + 4..at + 8) {
                place.copy_from_slice(&sequence.to_be_bytes());
            }
            if let Some(flags) = out.get_mut(at + 13) {
                // FIN and PSH belong to the last one, CWR to the first (RFC 3168 §6.1.2).
                if !is_last {
                    *flags &= !0x09;
                }
                if index != 0 {
                    *flags &= !0x80;
                }
            }
            at + 16
        };
        put(out, checksum, 0);
        let pseudo = sum::pseudo_header(header::addresses(self.packet), self.protocol, len - at);
        let sum = !sum::fold(sum::add(pseudo, out.get(at..).unwrap_or_default()));
        // A UDP checksum of zero means that there is none (RFC 768).
        put(out, checksum, if sum == 0 && self.protocol == UDP { 0xffff } else { sum });
    }
}

/// Completes the checksum of a packet whose header says it is begun only; false
/// when they contradict each other.
pub(super) fn complete_checksum(virtio: Virtio, packet: &mut [u8]) -> bool {
    let start = usize::from(virtio.csum_start);
    let at = start + usize::from(virtio.csum_offset);
    if packet.len() < at + 2 {
        return false;
    }
    // The begun sum is part of what is covered.
    let sum = !sum::fold(sum::add(0, packet.get(start..).unwrap_or_default()));
    let is_udp = virtio.csum_offset == 6;
    put(packet, at, if sum == 0 && is_udp { 0xffff } else { sum });
    true
}
