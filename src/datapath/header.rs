//! The headers of a packet that is taken apart or put together: IP, then TCP or
//! UDP, and the virtio header a TUN puts before them.
//!
//! Never reads past the end; what cannot be read is no such packet.

use super::sum;

/// Bytes of a virtio header without a buffer count.
pub(super) const VIRTIO_LEN: usize = 10;

// <linux/virtio_net.h>
const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// TCP.
pub(super) const TCP: u8 = 6;
/// UDP.
pub(super) const UDP: u8 = 17;

/// What a TUN says about a packet, numbers in the machine's own order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Virtio {
    flags: u8,
    gso_type: u8,
    header_len: u16,
    /// Payload bytes of each segment.
    pub(super) gso_size: u16,
    /// Where the checksum's coverage begins.
    pub(super) csum_start: u16,
    /// Where it stands, from there.
    pub(super) csum_offset: u16,
}

impl Virtio {
    pub(super) fn read(bytes: &[u8; VIRTIO_LEN]) -> Self {
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flags: bytes[0],
            gso_type: bytes[1],
            header_len: half(2),
            gso_size: half(4),
            csum_start: half(6),
            csum_offset: half(8),
        }
    }

    pub(super) fn write(self) -> [u8; VIRTIO_LEN] {
        let mut bytes = [0; VIRTIO_LEN];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        let halves = [self.header_len, self.gso_size, self.csum_start, self.csum_offset];
        for (to, half) in bytes[2..].chunks_exact_mut(2).zip(halves) {
            to.copy_from_slice(&half.to_ne_bytes());
        }
        bytes
    }

    /// The checksum is begun only: the pseudo-header's sum stands in its place.
    pub(super) fn needs_checksum(self) -> bool {
        self.flags & NEEDS_CSUM != 0
    }

    /// Whether it is a superpacket, of the protocol it says; `None` when it is
    /// of a kind that was never asked for.
    pub(super) fn segments(self) -> Option<Option<u8>> {
        match self.gso_type & !GSO_ECN {
            GSO_NONE => Some(None),
            GSO_TCPV4 | GSO_TCPV6 => Some(Some(TCP)),
            GSO_UDP_L4 => Some(Some(UDP)),
            _ => None,
        }
    }

    /// The header of a superpacket of segments of `gso_size` bytes.
    pub(super) fn superpacket(ip: &Ip, header_len: usize, gso_size: usize) -> Self {
        let (gso_type, csum_offset) = match (ip.protocol, ip.v6) {
            (UDP, _) => (GSO_UDP_L4, 6),
            (_, false) => (GSO_TCPV4, 16),
            (_, true) => (GSO_TCPV6, 16),
        };
        let small = |len| u16::try_from(len).unwrap_or(u16::MAX);
        Self {
            flags: NEEDS_CSUM,
            gso_type,
            header_len: small(header_len),
            gso_size: small(gso_size),
            csum_start: small(ip.len),
            csum_offset,
        }
    }
}

/// An IP header without anything between it and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip {
    pub(super) v6: bool,
    /// Bytes of the header.
    pub(super) len: usize,
    pub(super) protocol: u8,
}

impl Ip {
    /// Reads the header; `None` for a fragment, too, of which nothing beyond
    /// the header can be said.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => {
                let header = packet.first_chunk::<20>()?;
                let len = usize::from(header[0] & 15) * 4;
                let is_fragment = (header[6] & 0x3f, header[7]) != (0, 0);
                let fits = (20..=packet.len()).contains(&len);
                (fits && !is_fragment).then_some(Self { v6: false, len, protocol: header[9] })
            }
            6 => {
                let header = packet.first_chunk::<40>()?;
                Some(Self { v6: true, len: 40, protocol: header[6] })
            }
            _ => None,
        }
    }
}

/// Bytes of the IP header itself; `None` if it is none.
pub(super) fn network_len(packet: &[u8]) -> Option<usize> {
    let len = match packet.first()? >> 4 {
        4 => (usize::from(packet.first()? & 15) * 4).max(20),
        6 => 40,
        _ => return None,
    };
    (len <= packet.len()).then_some(len)
}

/// Source and destination, one after the other.
pub(super) fn addresses(packet: &[u8]) -> &[u8] {
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    packet.get(if is_v6 { 8..40 } else { 12..20 }).unwrap_or_default()
}

/// Writes how long an IP packet is and, for IPv4, its identification and the
/// header's checksum.
pub(super) fn write_length(packet: &mut [u8], len: usize, id: u16) {
    if packet.first().is_some_and(|first| first >> 4 == 6) {
        put(packet, 4, (len - 40) as u16);
        return;
    }
    put(packet, 2, len as u16);
    put(packet, 4, id);
    put(packet, 10, 0);
    let header_len = network_len(packet).unwrap_or_default();
    let sum = !sum::fold(sum::add(0, packet.get(..header_len).unwrap_or_default()));
    put(packet, 10, sum);
}

/// The big-endian number at `at`; 0 beyond the end.
pub(super) fn half(packet: &[u8], at: usize) -> u16 {
    match packet.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// The big-endian number at `at`; 0 beyond the end.
pub(super) fn word(packet: &[u8], at: usize) -> u32 {
    packet.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_be_bytes(*word))
}

/// Writes a big-endian number at `at`, unless that is beyond the end.
pub(super) fn put(packet: &mut [u8], at: usize, value: u16) {
    if let Some(place) = packet.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
