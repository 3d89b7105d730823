//! The header a TUN puts before each packet, and wants before each packet:
//! `struct virtio_net_hdr`, 10 bytes, numbers in the machine's own order.

use super::Malformed;

/// Bytes of the header.
pub const VIRTIO_LEN: usize = 10;

// <linux/virtio_net.h>
const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What a packet stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gso {
    /// Itself.
    None,
    /// Segments of TCP over IPv4.
    TcpV4,
    /// Segments of TCP over IPv6.
    TcpV6,
    /// Datagrams of UDP, all of one length but the last.
    UdpL4,
}

/// What a TUN says about a packet, or is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioHeader {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes of all headers; a hint that is not to be trusted.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksum's coverage begins.
    pub csum_start: u16,
    /// Where the checksum stands, from there.
    pub csum_offset: u16,
}

impl VirtioHeader {
    /// Reads the header.
    pub const fn decode(bytes: &[u8; VIRTIO_LEN]) -> Self {
        let [flags, gso_type, a, b, c, d, e, f, g, h] = *bytes;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([a, b]),
            gso_size: u16::from_ne_bytes([c, d]),
            csum_start: u16::from_ne_bytes([e, f]),
            csum_offset: u16::from_ne_bytes([g, h]),
        }
    }

    /// Writes the header.
    pub const fn encode(&self) -> [u8; VIRTIO_LEN] {
        let [a, b] = self.hdr_len.to_ne_bytes();
        let [c, d] = self.gso_size.to_ne_bytes();
        let [e, f] = self.csum_start.to_ne_bytes();
        let [g, h] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, a, b, c, d, e, f, g, h]
    }

    /// What the packet stands for.
    ///
    /// # Errors
    /// [`Malformed::SuperpacketKind`]: a kind that is never asked of the kernel.
    pub const fn gso(&self) -> Result<Gso, Malformed> {
        match self.gso_type & !GSO_ECN {
            GSO_NONE => Ok(Gso::None),
            GSO_TCPV4 => Ok(Gso::TcpV4),
            GSO_TCPV6 => Ok(Gso::TcpV6),
            GSO_UDP_L4 => Ok(Gso::UdpL4),
            _ => Err(Malformed::SuperpacketKind),
        }
    }

    /// Whether the checksum is begun only: the pseudo-header's sum stands in its
    /// place.
    pub const fn needs_checksum(&self) -> bool {
        self.flags & NEEDS_CSUM != 0
    }

    /// The header of a superpacket whose checksum is begun only: what `gso` says,
    /// TCP or UDP beginning at `transport`, its payload at `header_len`, `size`
    /// bytes of it for each segment.
    pub fn superpacket(gso: Gso, transport: usize, header_len: usize, size: usize) -> Self {
        let (gso_type, csum_offset) = match gso {
            Gso::None => return Self::default(),
            Gso::TcpV4 => (GSO_TCPV4, 16),
            Gso::TcpV6 => (GSO_TCPV6, 16),
            Gso::UdpL4 => (GSO_UDP_L4, 6),
        };
        let small = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        Self {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: small(header_len),
            gso_size: small(size),
            csum_start: small(transport),
            csum_offset,
        }
    }
}
