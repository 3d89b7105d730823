//! A superpacket as a TUN hands it over, taken apart into the packets it stands
//! for, each copied once, to where it will be sealed.

use super::bytes::{double, put, put_double, word};
use super::checksum::{Sum, pseudo_header_of, udp};
use super::ip::protocol::{TCP, UDP};
use super::{Gso, Malformed, View, VirtioHeader};

/// Flags of TCP that belong to the last segment: FIN and PSH.
const LAST_ONLY: u8 = 0x09;
/// The flag of TCP that belongs to the first segment: CWR (RFC 3168 §6.1.2).
const FIRST_ONLY: u8 = 0x80;

/// How many packets there are, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Packets; at least one.
    pub count: usize,
    /// Bytes of every packet but the last.
    pub len: usize,
    /// Bytes of the last packet, at most `len`.
    pub last_len: usize,
}

impl Segments {
    /// Bytes of packet `index`.
    pub const fn len_of(&self, index: usize) -> usize {
        if index + 1 == self.count { self.last_len } else { self.len }
    }
}

/// A packet as read from a TUN: read once, written packet by packet.
#[derive(Clone, Copy, Debug)]
pub struct Superpacket<'a> {
    packet: &'a [u8],
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// It stands for itself; its checksum may have to be completed.
    One(Option<Begun>),
    /// It stands for several.
    Many(Many),
}

/// A checksum that is begun only.
#[derive(Clone, Copy, Debug)]
struct Begun {
    start: usize,
    at: usize,
    is_udp: bool,
}

#[derive(Clone, Copy, Debug)]
struct Many {
    is_v4: bool,
    protocol: u8,
    /// Bytes of the IP header.
    network_len: usize,
    /// Where TCP or UDP begins.
    transport: usize,
    /// Bytes of all headers.
    header_len: usize,
    /// Payload bytes of every packet but the last.
    size: usize,
    segments: Segments,
    /// What is the same in all pseudo-headers.
    pseudo: Sum,
}

impl<'a> Superpacket<'a> {
    /// Reads `packet` as `header` says. The header's length of all headers is
    /// not used; the packet says it itself.
    ///
    /// # Errors
    /// A [`Malformed`] when they contradict each other.
    pub fn read(header: &VirtioHeader, packet: &'a [u8]) -> Result<Self, Malformed> {
        let protocol = match header.gso()? {
            Gso::None => {
                let shape = Shape::One(begun(header, packet)?);
                return Ok(Self { packet, shape });
            }
            Gso::TcpV4 | Gso::TcpV6 => TCP,
            Gso::UdpL4 => UDP,
        };
        let view = View::parse(packet)?;
        let family = match header.gso()? {
            Gso::TcpV4 => view.is_v4(),
            Gso::TcpV6 => !view.is_v4(),
            Gso::UdpL4 | Gso::None => true,
        };
        if view.protocol() != protocol || !family {
            return Err(Malformed::SuperpacketProtocol);
        }
        if view.fragment().is_some() {
            return Err(Malformed::SuperpacketFragment);
        }
        let size = usize::from(header.gso_size);
        if size == 0 {
            return Err(Malformed::SuperpacketSize);
        }
        if header.needs_checksum() && usize::from(header.csum_start) != view.transport() {
            return Err(Malformed::ChecksumPlace);
        }
        let packet = packet.get(..view.len()).ok_or(Malformed::Truncated)?;
        let transport = packet.get(view.transport()..).ok_or(Malformed::TransportHeader)?;
        let len = transport_len(transport, protocol)?;
        let header_len = view.transport() + len;
        let payload = transport.len() - len;
        let count = payload.div_ceil(size).max(1);
        let last = payload - (count - 1) * size;
        let addresses = addresses(packet, &view)?;
        Ok(Self {
            packet,
            shape: Shape::Many(Many {
                is_v4: view.is_v4(),
                protocol,
                network_len: view.header_len(),
                transport: view.transport(),
                header_len,
                size,
                segments: Segments {
                    count,
                    len: header_len + size.min(payload),
                    last_len: header_len + last,
                },
                pseudo: pseudo_header_of(addresses, protocol, 0),
            }),
        })
    }

    /// It as it was read; padding is cut off a superpacket.
    pub const fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// How many packets it stands for, and how long they are.
    pub const fn segments(&self) -> Segments {
        match self.shape {
            Shape::One(_) => {
                Segments { count: 1, len: self.packet.len(), last_len: self.packet.len() }
            }
            Shape::Many(many) => many.segments,
        }
    }

    /// Writes packet `index` to the beginning of `out`; says how long it is.
    ///
    /// # Errors
    /// [`Malformed::SegmentRoom`] when `out` is too short,
    /// [`Malformed::SegmentCount`] when there is no such packet.
    pub fn write(&self, index: usize, out: &mut [u8]) -> Result<usize, Malformed> {
        let segments = self.segments();
        if segments.count <= index {
            return Err(Malformed::SegmentCount);
        }
        let len = segments.len_of(index);
        let out = out.get_mut(..len).ok_or(Malformed::SegmentRoom)?;
        match &self.shape {
            Shape::One(begun) => {
                out.copy_from_slice(self.packet);
                if let Some(begun) = begun {
                    begun.complete(out);
                }
            }
            Shape::Many(many) => many.write(index, self.packet, out),
        }
        Ok(len)
    }
}

impl Begun {
    fn complete(&self, packet: &mut [u8]) {
        // The sum that was begun is part of what is covered.
        let sum = Sum::default().with(packet.get(self.start..).unwrap_or_default()).checksum();
        put(packet, self.at, if self.is_udp { udp(sum) } else { sum });
    }
}

impl Many {
    /// Writes packet `index` to `out`, which has its length.
    fn write(&self, index: usize, packet: &[u8], out: &mut [u8]) {
        let begin = self.header_len + index * self.size;
        let payload_len = out.len() - self.header_len;
        let (Some(header), Some(payload)) =
            (packet.get(..self.header_len), packet.get(begin..begin + payload_len))
        else {
            return;
        };
        let (out_header, out_payload) = out.split_at_mut(self.header_len);
        out_header.copy_from_slice(header);
        out_payload.copy_from_slice(payload);
        self.write_network(index, out);

        let at = self.transport;
        let covered = out.len() - at;
        let checksum = if self.protocol == UDP {
            put(out, at + 4, covered as u16);
            at + 6
        } else {
            let sequence = double(packet, at + 4).unwrap_or_default();
            put_double(out, at + 4, sequence.wrapping_add((index * self.size) as u32));
            if let Some(flags) = out.get_mut(at + 13) {
                if index + 1 != self.segments.count {
                    *flags &= !LAST_ONLY;
                }
                if index != 0 {
                    *flags &= !FIRST_ONLY;
                }
            }
            at + 16
        };
        put(out, checksum, 0);
        let sum = self.pseudo.with_word(covered as u16).with(out.get(at..).unwrap_or_default());
        let sum = sum.checksum();
        put(out, checksum, if self.protocol == UDP { udp(sum) } else { sum });
    }

    fn write_network(&self, index: usize, out: &mut [u8]) {
        let len = out.len();
        if !self.is_v4 {
            put(out, 4, (len - self.network_len) as u16);
            return;
        }
        let id = word(out, 4).unwrap_or_default();
        put(out, 2, len as u16);
        put(out, 4, id.wrapping_add(index as u16));
        write_v4_checksum(out, self.network_len);
    }
}

/// Computes the checksum of an IPv4 header.
pub(super) fn write_v4_checksum(packet: &mut [u8], header_len: usize) {
    put(packet, 10, 0);
    let sum = Sum::default().with(packet.get(..header_len).unwrap_or_default());
    put(packet, 10, sum.checksum());
}

/// Source and destination as they stand in the header.
pub(super) fn addresses<'a>(packet: &'a [u8], view: &View) -> Result<&'a [u8], Malformed> {
    packet.get(if view.is_v4() { 12..20 } else { 8..40 }).ok_or(Malformed::Truncated)
}

/// Bytes of the header of TCP or UDP.
pub(super) fn transport_len(transport: &[u8], protocol: u8) -> Result<usize, Malformed> {
    let (least, len) = match protocol {
        TCP => (20, usize::from(transport.get(12).ok_or(Malformed::TransportHeader)? >> 4) * 4),
        _ => (8, 8),
    };
    if len < least || transport.len() < len { Err(Malformed::TransportHeader) } else { Ok(len) }
}

/// The checksum of a packet that stands for itself, if it is begun only.
fn begun(header: &VirtioHeader, packet: &[u8]) -> Result<Option<Begun>, Malformed> {
    if !header.needs_checksum() {
        return Ok(None);
    }
    let start = usize::from(header.csum_start);
    let at = start + usize::from(header.csum_offset);
    if packet.len() < at + 2 {
        return Err(Malformed::ChecksumPlace);
    }
    // No other protocol's checksum of zero has a meaning, and the packet is the
    // kernel's own: the offset tells UDP from the others.
    Ok(Some(Begun { start, at, is_udp: header.csum_offset == 6 }))
}

/// How many packets `packet` stands for, and how long they are: what a stride is
/// chosen by before [`split`].
///
/// # Errors
/// Those of [`Superpacket::read`].
pub fn measure(header: &VirtioHeader, packet: &[u8]) -> Result<Segments, Malformed> {
    Superpacket::read(header, packet).map(|superpacket| superpacket.segments())
}

/// Takes `packet` apart into slots of `out`, one for each `stride` bytes; every
/// packet begins `head_room` bytes into its slot.
///
/// # Errors
/// Those of [`Superpacket::read`]; [`Malformed::SegmentCount`] when there are
/// more than `max_segments`, [`Malformed::SegmentRoom`] when a packet does not
/// fit its slot or the slots do not fit `out`. `out` may have been written to.
pub fn split(
    header: &VirtioHeader,
    packet: &[u8],
    out: &mut [u8],
    head_room: usize,
    stride: usize,
    max_segments: usize,
) -> Result<Segments, Malformed> {
    let superpacket = Superpacket::read(header, packet)?;
    let segments = superpacket.segments();
    if max_segments < segments.count {
        return Err(Malformed::SegmentCount);
    }
    if stride == 0 {
        return Err(Malformed::SegmentRoom);
    }
    let mut slots = out.chunks_mut(stride);
    for index in 0..segments.count {
        let slot = slots.next().and_then(|slot| slot.get_mut(head_room..));
        superpacket.write(index, slot.ok_or(Malformed::SegmentRoom)?)?;
    }
    Ok(segments)
}
