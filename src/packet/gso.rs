//! What a TUN hands over, taken apart into the packets it stands for, each copied
//! once, to where it will be sealed.
//!
//! What all the packets have in common is read and summed once; a packet costs
//! its copy, the sum of its payload, and a few numbers.

use super::bytes::{double, put, put_double, word};
use super::checksum::{Sum, pseudo_header, udp};
use super::ip::protocol::{TCP, UDP};
use super::ip::{V6_HEADER, addresses};
use super::{Gso, Malformed, View, VirtioHeader};

/// Flags of TCP that belong to the last segment: FIN and PSH.
const LAST_ONLY: u16 = 0x0009;
/// The flag of TCP that belongs to the first segment: CWR (RFC 3168 §6.1.2).
const FIRST_ONLY: u16 = 0x0080;

/// A packet as read from a TUN: read once, written packet by packet.
#[derive(Clone, Copy, Debug)]
pub struct Superpacket<'a>(Shape<'a>);

#[derive(Clone, Copy, Debug)]
enum Shape<'a> {
    /// It stands for itself; its checksum may have to be completed.
    One(&'a [u8], Option<Begun>),
    /// It stands for several.
    Many(Many<'a>),
}

/// A checksum that is begun only.
#[derive(Clone, Copy, Debug)]
struct Begun {
    start: usize,
    at: usize,
    is_udp: bool,
}

#[derive(Clone, Copy, Debug)]
struct Many<'a> {
    /// All headers.
    header: &'a [u8],
    payload: &'a [u8],
    /// Payload bytes of every packet but the last.
    size: usize,
    count: usize,
    is_v4: bool,
    /// Where TCP or UDP begins.
    transport: usize,
    /// What the IPv4 header sums up to without what differs from packet to
    /// packet: its length, identification and checksum.
    network_sum: Sum,
    /// The same for the pseudo-header and the header of TCP or UDP.
    transport_sum: Sum,
    /// The identification of the first packet.
    id: u16,
    /// What TCP says of the first packet; `None` for UDP.
    tcp: Option<Tcp>,
}

#[derive(Clone, Copy, Debug)]
struct Tcp {
    sequence: u32,
    /// Header length and flags.
    flags: u16,
}

/// One packet of a [`Superpacket`].
#[derive(Clone, Copy, Debug)]
pub struct Segment<'s, 'a> {
    of: &'s Superpacket<'a>,
    index: usize,
}

impl<'a> Superpacket<'a> {
    /// Reads `packet` as `header` says. The header's length of all headers is
    /// not used; the packet says it itself. Padding is cut off a superpacket.
    ///
    /// # Errors
    /// A [`Malformed`] when they contradict each other.
    pub fn read(header: &VirtioHeader, packet: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self(match header.gso()? {
            Gso::None => Shape::One(packet, Begun::read(header, packet)?),
            gso @ (Gso::TcpV4 | Gso::TcpV6 | Gso::UdpL4) => {
                Shape::Many(Many::read(header, gso, packet)?)
            }
        }))
    }

    /// How many packets it stands for; at least one.
    pub const fn count(&self) -> usize {
        match &self.0 {
            Shape::One(..) => 1,
            Shape::Many(many) => many.count,
        }
    }

    /// The packets it stands for, in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_, 'a>> {
        (0..self.count()).map(|index| Segment { of: self, index })
    }
}

impl Segment<'_, '_> {
    /// Bytes of the packet.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub fn len(&self) -> usize {
        match &self.of.0 {
            Shape::One(packet, _) => packet.len(),
            Shape::Many(many) => many.header.len() + many.payload_of(self.index).len(),
        }
    }

    /// Writes the packet to the beginning of `out`; says how long it is.
    ///
    /// # Errors
    /// [`Malformed::SegmentRoom`] when `out` is too short.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, Malformed> {
        let out = out.get_mut(..self.len()).ok_or(Malformed::SegmentRoom)?;
        match &self.of.0 {
            Shape::One(packet, begun) => {
                out.copy_from_slice(packet);
                if let Some(begun) = begun {
                    begun.complete(out);
                }
            }
            Shape::Many(many) => many.write(self.index, out),
        }
        Ok(out.len())
    }
}

impl Begun {
    /// The checksum of a packet that stands for itself, if it is begun only.
    fn read(header: &VirtioHeader, packet: &[u8]) -> Result<Option<Self>, Malformed> {
        if !header.needs_checksum() {
            return Ok(None);
        }
        let start = usize::from(header.csum_start);
        let at = start + usize::from(header.csum_offset);
        if packet.len() < at + 2 {
            return Err(Malformed::ChecksumPlace);
        }
        // No other protocol's checksum of zero has a meaning, and the packet is
        // the kernel's own: the offset tells UDP from the others.
        Ok(Some(Self { start, at, is_udp: header.csum_offset == 6 }))
    }

    fn complete(&self, packet: &mut [u8]) {
        // The sum that was begun is part of what is covered.
        let sum = Sum::default().with(packet.get(self.start..).unwrap_or_default()).checksum();
        put(packet, self.at, if self.is_udp { udp(sum) } else { sum });
    }
}

impl<'a> Many<'a> {
    fn read(header: &VirtioHeader, gso: Gso, packet: &'a [u8]) -> Result<Self, Malformed> {
        let view = View::parse(packet)?;
        let is_as_said = match gso {
            Gso::TcpV4 => view.protocol() == TCP && view.is_v4(),
            Gso::TcpV6 => view.protocol() == TCP && !view.is_v4(),
            Gso::UdpL4 => view.protocol() == UDP,
            Gso::None => false,
        };
        if !is_as_said {
            return Err(Malformed::SuperpacketProtocol);
        }
        if view.is_fragment() {
            return Err(Malformed::SuperpacketFragment);
        }
        let size = usize::from(header.gso_size);
        if size == 0 {
            return Err(Malformed::SuperpacketSize);
        }
        let packet = packet.get(..view.len()).ok_or(Malformed::Truncated)?;
        let at = view.transport();
        let transport = packet.get(at..).ok_or(Malformed::TransportHeader)?;
        let len = transport_len(transport, view.protocol())?;
        let (all_headers, payload) =
            packet.split_at_checked(at + len).ok_or(Malformed::TransportHeader)?;
        let pseudo = pseudo_sum(header, packet, &view)?;
        let place = |from, to| transport.get(from..to).unwrap_or_default();
        let tcp = (view.protocol() == TCP).then(|| Tcp {
            sequence: double(transport, 4).unwrap_or_default(),
            flags: word(transport, 12).unwrap_or_default(),
        });
        // Ports, and of TCP acknowledgement, window, urgent pointer and options.
        let mut transport_sum = pseudo.with(place(0, 4));
        if tcp.is_some() {
            transport_sum = transport_sum.with(place(8, 12)).with(place(14, 16));
            transport_sum = transport_sum.with(place(18, len));
        }
        let network = |from, to| packet.get(from..to).unwrap_or_default();
        let network_sum = Sum::default().with(network(0, 2)).with(network(6, 10));
        Ok(Self {
            header: all_headers,
            payload,
            size,
            count: payload.len().div_ceil(size).max(1),
            is_v4: view.is_v4(),
            transport: at,
            network_sum: network_sum.with(network(12, view.header_len())),
            transport_sum,
            id: word(packet, 4).unwrap_or_default(),
            tcp,
        })
    }

    fn payload_of(&self, index: usize) -> &'a [u8] {
        let rest = self.payload.get(index * self.size..).unwrap_or_default();
        rest.get(..self.size).unwrap_or(rest)
    }

    /// Writes packet `index` to `out`, which has its length.
    fn write(&self, index: usize, out: &mut [u8]) {
        let len = out.len();
        let payload = self.payload_of(index);
        let Some((out_header, out_payload)) = out.split_at_mut_checked(self.header.len()) else {
            return;
        };
        out_header.copy_from_slice(self.header);
        out_payload.copy_from_slice(payload);
        if self.is_v4 {
            let id = self.id.wrapping_add(index as u16);
            let sum = self.network_sum.with_word(len as u16).with_word(id);
            put(out_header, 2, len as u16);
            put(out_header, 4, id);
            put(out_header, 10, sum.checksum());
        } else {
            put(out_header, 4, (len - V6_HEADER) as u16);
        }

        let at = self.transport;
        let covered = (len - at) as u16;
        let sum = self.transport_sum.with_word(covered).with(payload);
        let Some(tcp) = self.tcp else {
            put(out_header, at + 4, covered);
            return put(out_header, at + 6, udp(sum.with_word(covered).checksum()));
        };
        let sequence = tcp.sequence.wrapping_add((index * self.size) as u32);
        let flags = self.flags_of(index, tcp.flags);
        let sum = sum.with_word((sequence >> 16) as u16).with_word(sequence as u16);
        put_double(out_header, at + 4, sequence);
        put(out_header, at + 12, flags);
        put(out_header, at + 16, sum.with_word(flags).checksum());
    }

    const fn flags_of(&self, index: usize, flags: u16) -> u16 {
        let flags = if index == 0 { flags } else { flags & !FIRST_ONLY };
        if index + 1 == self.count { flags } else { flags & !LAST_ONLY }
    }
}

/// What the pseudo-header of every packet sums up to, but for its length.
fn pseudo_sum(header: &VirtioHeader, packet: &[u8], view: &View) -> Result<Sum, Malformed> {
    let at = view.transport();
    if !header.needs_checksum() {
        // The last destination of a routed packet is not in the IP header.
        let addresses = addresses(packet, view.is_v4()).filter(|_| !view.is_routed());
        let addresses = addresses.ok_or(Malformed::ChecksumPlace)?;
        return Ok(pseudo_header(addresses, view.protocol(), 0));
    }
    let offset = if view.protocol() == UDP { 6 } else { 16 };
    if (usize::from(header.csum_start), header.csum_offset) != (at, offset) {
        return Err(Malformed::ChecksumPlace);
    }
    // It is what was begun, for the length of the whole.
    let begun = word(packet, at + usize::from(offset)).ok_or(Malformed::ChecksumPlace)?;
    let covered = (packet.len() - at) as u16;
    Ok(Sum::default().with_word(begun).with_word(!covered))
}

/// Bytes of the header of TCP or UDP.
fn transport_len(transport: &[u8], protocol: u8) -> Result<usize, Malformed> {
    let (least, len) = match protocol {
        TCP => (20, usize::from(transport.get(12).ok_or(Malformed::TransportHeader)? >> 4) * 4),
        _ => (8, 8),
    };
    if len < least || transport.len() < len { Err(Malformed::TransportHeader) } else { Ok(len) }
}
