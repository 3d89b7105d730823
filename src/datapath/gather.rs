//! Packets of one flow, put together again into superpackets before they are
//! written to a TUN: what the kernel's GRO would do, without copying a byte.
//!
//! Only what taking apart would give back exactly is put together, and only
//! after its checksum was verified: the kernel will take the superpacket's for
//! good. A flow keeps its order.

use super::header::{self, Ip, TCP, UDP, VIRTIO_LEN, Virtio, half, put, word};
use super::sum;
use arrayvec::ArrayVec;
use std::io::IoSlice;
use std::ops::Range;

/// Segments of one superpacket (`UDP_MAX_SEGMENTS` of Linux before 6.9).
const SEGMENTS: usize = 64;

/// The longest packet there is.
const MAX_LEN: usize = 65_535;

/// Superpackets, and packets left alone, that may wait to be written.
const GROUPS: usize = 64;

/// What is put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offload {
    pub(super) tcp: bool,
    pub(super) udp: bool,
}

/// The packets of one batch, by flow.
pub(super) struct Gather {
    groups: Vec<Group>,
}

/// One superpacket to be. Ranges are of the buffer the packets were received in.
struct Group {
    first: Range<usize>,
    flow: Option<Flow>,
    /// Payloads that follow the first packet.
    rest: ArrayVec<Range<usize>, { SEGMENTS - 1 }>,
    len: usize,
    /// No more may follow.
    closed: bool,
    /// The first one's checksum was verified.
    verified: bool,
}

/// What a packet of TCP or UDP says about how it may be put together.
#[derive(Clone, Copy)]
struct Flow {
    ip: Ip,
    header_len: usize,
    payload_len: usize,
    /// Other packets may be put behind it, and it behind others.
    plain: bool,
    /// None may be put behind it.
    last: bool,
}

impl Gather {
    pub(super) fn new() -> Self {
        Self { groups: Vec::with_capacity(GROUPS) }
    }

    /// Whether [`Gather::flush`] must come before the next packet.
    pub(super) fn is_full(&self) -> bool {
        GROUPS <= self.groups.len()
    }

    /// Takes the packet in `buffer` at `range`.
    pub(super) fn push(&mut self, buffer: &[u8], range: Range<usize>, offload: Offload) {
        let Some(packet) = buffer.get(range.clone()) else { return };
        let flow = Flow::read(packet, offload);
        if let Some(flow) = flow {
            let of_flow =
                self.groups.iter_mut().rev().find(|group| group.is_of(&flow, packet, buffer));
            if let Some(group) = of_flow
                && group.append(&flow, &range, packet, buffer)
            {
                return;
            }
        }
        self.groups.push(Group {
            len: range.len(),
            first: range,
            rest: ArrayVec::new(),
            closed: flow.is_none_or(|flow| flow.last || !flow.plain),
            verified: false,
            flow,
        });
    }

    /// Hands every superpacket and packet to `write`, header first, and forgets
    /// them.
    pub(super) fn flush(
        &mut self,
        buffer: &mut [u8],
        mut write: impl FnMut(&[IoSlice<'_>], usize),
    ) {
        for group in self.groups.drain(..) {
            let virtio = group.finish(buffer).write();
            let mut parts: ArrayVec<IoSlice<'_>, { SEGMENTS + 1 }> = ArrayVec::new();
            parts.push(IoSlice::new(&virtio));
            let ranges = std::iter::once(&group.first).chain(&group.rest);
            parts.extend(ranges.filter_map(|range| buffer.get(range.clone())).map(IoSlice::new));
            write(&parts, 1 + group.rest.len());
        }
    }
}

impl Group {
    fn is_of(&self, flow: &Flow, packet: &[u8], buffer: &[u8]) -> bool {
        let (Some(own), Some(first)) = (&self.flow, buffer.get(self.first.clone())) else {
            return false;
        };
        let ports = |packet: &[u8]| word(packet, flow.ip.len);
        own.ip == flow.ip
            && ports(first) == ports(packet)
            && header::addresses(first) == header::addresses(packet)
    }

    /// Puts `packet` behind the others, if taking apart would give it back.
    fn append(&mut self, flow: &Flow, range: &Range<usize>, packet: &[u8], buffer: &[u8]) -> bool {
        let (Some(own), Some(first)) = (&self.flow, buffer.get(self.first.clone())) else {
            return false;
        };
        let follows = !self.closed
            && flow.plain
            && flow.payload_len <= own.payload_len
            && self.len + flow.payload_len <= MAX_LEN
            && !self.rest.is_full()
            && flow.header_len == own.header_len
            && self.is_continued_by(own, first, packet)
            && (self.verified || is_intact(own, first))
            && is_intact(flow, packet);
        if !follows {
            // Whatever comes later of this flow comes after this packet.
            self.closed = true;
            return false;
        }
        self.verified = true;
        self.closed = flow.last || flow.payload_len < own.payload_len;
        self.len += flow.payload_len;
        self.rest.push(range.start + flow.header_len..range.end);
        true
    }

    /// Whether `packet` has the headers of the segment after the last one.
    fn is_continued_by(&self, own: &Flow, first: &[u8], packet: &[u8]) -> bool {
        let same = |range: Range<usize>| first.get(range.clone()) == packet.get(range);
        let segments = 1 + self.rest.len() as u16;
        let network = if own.ip.v6 {
            same(0..4) && same(6..8)
        } else {
            // With DF set the identification means nothing (RFC 6864 §4.1).
            let id = half(first, 4).wrapping_add(segments);
            same(0..2) && same(6..10) && (packet[6] & 0x40 != 0 || half(packet, 4) == id)
        };
        if !network || own.ip.protocol == UDP {
            return network;
        }
        let at = own.ip.len;
        let sent = (self.len - own.header_len) as u32;
        let flags = |packet: &[u8]| half(packet, at + 12) & !0x0008;
        word(packet, at + 4) == word(first, at + 4).wrapping_add(sent)
            && same(at + 8..at + 12)
            && flags(first) == flags(packet)
            && same(at + 14..at + 16)
            && same(at + 18..own.header_len)
    }

    /// Makes the first packet's headers those of the superpacket.
    fn finish(&self, buffer: &mut [u8]) -> Virtio {
        let (Some(flow), Some(last)) = (&self.flow, self.rest.last()) else {
            return Virtio::default();
        };
        let is_pushed =
            flow.ip.protocol == TCP && self.closed && is_pushed(flow, buffer, last.start);
        let Some(first) = buffer.get_mut(self.first.clone()) else { return Virtio::default() };
        let at = flow.ip.len;
        let id = half(first, 4);
        header::write_length(first, self.len, id);
        let covered = self.len - at;
        let pseudo =
            sum::fold(sum::pseudo_header(header::addresses(first), flow.ip.protocol, covered));
        if flow.ip.protocol == UDP {
            put(first, at + 4, covered as u16);
            put(first, at + 6, pseudo);
        } else {
            if let (true, Some(flags)) = (is_pushed, first.get_mut(at + 13)) {
                *flags |= 0x08;
            }
            put(first, at + 16, pseudo);
        }
        Virtio::superpacket(&flow.ip, flow.header_len, flow.payload_len)
    }
}

/// Whether the packet whose payload begins at `payload` has PSH set.
fn is_pushed(flow: &Flow, buffer: &[u8], payload: usize) -> bool {
    let begin = payload - flow.header_len;
    buffer.get(begin + flow.ip.len + 13).is_some_and(|flags| flags & 0x08 != 0)
}

/// Whether the checksums over the IPv4 header and over TCP or UDP are right: a
/// superpacket gets new ones, and a packet that came damaged must not be mended.
fn is_intact(flow: &Flow, packet: &[u8]) -> bool {
    let header = packet.get(..flow.ip.len).unwrap_or_default();
    if !flow.ip.v6 && sum::fold(sum::add(0, header)) != 0xffff {
        return false;
    }
    let covered = packet.get(flow.ip.len..).unwrap_or_default();
    let pseudo = sum::pseudo_header(header::addresses(packet), flow.ip.protocol, covered.len());
    sum::fold(sum::add(pseudo, covered)) == 0xffff
}

impl Flow {
    fn read(packet: &[u8], offload: Offload) -> Option<Self> {
        let ip = Ip::read(packet)?;
        let transport = packet.get(ip.len..)?;
        let no_options = ip.v6 || ip.len == 20;
        match ip.protocol {
            TCP if offload.tcp => {
                let fixed = transport.first_chunk::<20>()?;
                let header_len = ip.len + usize::from(fixed[12] >> 4) * 4;
                let payload_len = packet.len().checked_sub(header_len)?;
                // ACK, perhaps PSH, and nothing else.
                let plain_flags = fixed[13] & !0x08 == 0x10 && fixed[12] & 0x0f == 0;
                Some(Self {
                    ip,
                    header_len,
                    payload_len,
                    plain: no_options
                        && plain_flags
                        && payload_len > 0
                        && header_len >= ip.len + 20,
                    last: fixed[13] & 0x08 != 0,
                })
            }
            UDP if offload.udp => {
                let fixed = transport.first_chunk::<8>()?;
                let payload_len = transport.len() - 8;
                let has_checksum = (fixed[6], fixed[7]) != (0, 0);
                let says = usize::from(half(fixed, 4));
                Some(Self {
                    ip,
                    header_len: ip.len + 8,
                    payload_len,
                    plain: no_options && has_checksum && payload_len > 0 && says == transport.len(),
                    last: false,
                })
            }
            _ => None,
        }
    }
}

const _: () = assert!(VIRTIO_LEN == 10);
