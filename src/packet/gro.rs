//! Packets of one flow, put together again into superpackets before they are
//! written to a TUN: what the kernel's GRO would do, without copying a byte.
//!
//! Only what taking apart would give back is put together, and only after its
//! checksums were verified: the kernel will take the superpacket's for good.
//! A flow keeps its order. Packets stay in the buffer they were received in; here
//! is kept where they are.

use super::bytes::{put, word};
use super::checksum::pseudo_header;
use super::flow::{Flow, Hosts, Key, PSH, Relation};
use super::ip::protocol::UDP;
use super::ip::{addresses, write_len};
use super::{Gso, VirtioHeader};
use arrayvec::ArrayVec;
use std::ops::Range;

/// Packets of one superpacket (`UDP_MAX_SEGMENTS` of Linux before 6.9).
pub const GRO_SEGMENTS: usize = 64;

/// The longest packet there is.
const MAX_LEN: usize = 65_535;

/// Superpackets, and packets left alone, that may wait to be written.
const GROUPS: usize = 64;

/// What is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Segments of TCP.
    pub tcp: bool,
    /// Datagrams of UDP.
    pub udp: bool,
}

/// The packets of one batch, by flow.
#[derive(Debug)]
pub struct Gro {
    groups: Vec<Group>,
}

/// One superpacket to be.
#[derive(Debug)]
struct Group {
    first: Range<usize>,
    flow: Option<Flow>,
    /// Where the payloads begin that follow the first packet; each is as long
    /// as that one's, the last perhaps shorter.
    rest: ArrayVec<u32, { GRO_SEGMENTS - 1 }>,
    /// Bytes of the superpacket.
    len: usize,
    /// No more may follow.
    is_closed: bool,
    /// The first one's checksums were verified.
    is_verified: bool,
}

impl Default for Gro {
    fn default() -> Self {
        Self { groups: Vec::with_capacity(GROUPS) }
    }
}

impl Gro {
    /// Whether [`Gro::flush`] must come before the next packet.
    pub const fn is_full(&self) -> bool {
        GROUPS <= self.groups.len()
    }

    /// Takes the packet in `buffer` at `range`, without padding; all the packets
    /// between two calls of [`Gro::flush`] are in one buffer.
    pub fn push(&mut self, buffer: &[u8], range: Range<usize>, offload: Offload) {
        let Some(packet) = buffer.get(range.clone()) else { return };
        let flow = match Relation::read(packet, offload) {
            Relation::Flow(flow) => {
                // The latest alone: whatever comes of this flow comes after it.
                let is_of = |group: &&mut Group| group.flow.is_some_and(|own| own.key == flow.key);
                if let Some(group) = self.groups.iter_mut().rev().find(is_of)
                    && group.append(&flow, &range, packet, buffer)
                {
                    return;
                }
                Some(flow)
            }
            Relation::Unclear(hosts) => {
                self.close_between(&hosts);
                None
            }
            Relation::Alone => None,
        };
        self.groups.push(Group {
            len: range.len(),
            first: range,
            flow,
            rest: ArrayVec::new(),
            is_closed: flow.is_none_or(|flow| flow.is_last || !flow.is_plain),
            is_verified: false,
        });
    }

    /// Nothing of what came may be overtaken by what will come.
    fn close_between(&mut self, hosts: &Hosts) {
        for group in &mut self.groups {
            group.is_closed |= group.flow.is_some_and(|flow| flow.key.hosts == *hosts);
        }
    }

    /// Hands every superpacket and packet to `write`, in the pieces it lies in,
    /// one for each packet, and forgets them.
    pub fn flush(&mut self, buffer: &mut [u8], mut write: impl FnMut(VirtioHeader, &[&[u8]])) {
        for group in &self.groups {
            let header = group.finish(buffer);
            let pieces: ArrayVec<&[u8], GRO_SEGMENTS> = group.pieces(buffer).collect();
            write(header, &pieces);
        }
        self.groups.clear();
    }
}

impl Group {
    /// Puts `packet` behind the others, if taking apart would give it back.
    fn append(&mut self, flow: &Flow, range: &Range<usize>, packet: &[u8], buffer: &[u8]) -> bool {
        let (Some(own), Some(first)) = (&self.flow, buffer.get(self.first.clone())) else {
            return false;
        };
        if self.is_closed {
            return false;
        }
        let begin = u32::try_from(range.start + flow.header_len);
        let sent = (self.len - own.header_len) as u32;
        let follows = flow.is_plain
            && flow.payload_len <= own.payload_len
            && self.len + flow.payload_len <= MAX_LEN
            && !self.rest.is_full()
            && own.goes_on(first, packet, 1 + self.rest.len() as u16, sent)
            && (self.is_verified || own.is_intact(first))
            && flow.is_intact(packet);
        let (true, Ok(begin)) = (follows, begin) else { return false };
        self.is_verified = true;
        self.is_closed = flow.is_last || flow.payload_len < own.payload_len;
        self.len += flow.payload_len;
        self.rest.push(begin);
        true
    }

    /// The first packet, and the payloads behind it.
    fn pieces<'b>(&self, buffer: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let size = self.flow.map_or(0, |flow| flow.payload_len);
        let mut left = self.len - self.first.len();
        let payload = move |begin: &u32| {
            let len = size.min(left);
            left -= len;
            buffer.get(*begin as usize..)?.get(..len)
        };
        buffer.get(self.first.clone()).into_iter().chain(self.rest.iter().filter_map(payload))
    }

    /// Makes the first packet's headers those of the superpacket.
    fn finish(&self, buffer: &mut [u8]) -> VirtioHeader {
        let (Some(flow), Some(last)) = (&self.flow, self.rest.last()) else {
            return VirtioHeader::default();
        };
        let Key { protocol, hosts, .. } = flow.key;
        let at = flow.transport;
        // Of TCP's only the last can have PSH.
        let flags = *last as usize - flow.header_len + at + 12;
        let pushed = word(buffer, flags).unwrap_or_default() & u16::from(PSH);
        let Some(first) = buffer.get_mut(self.first.clone()) else {
            return VirtioHeader::default();
        };
        write_len(first, hosts.is_v4, at, self.len);
        let covered = self.len - at;
        let addresses = addresses(first, hosts.is_v4).unwrap_or_default();
        let begun = pseudo_header(addresses, protocol, covered).fold();
        let gso = if protocol == UDP {
            put(first, at + 4, covered as u16);
            put(first, at + 6, begun);
            Gso::UdpL4
        } else {
            let flags = word(first, at + 12).unwrap_or_default() | pushed;
            put(first, at + 12, flags);
            put(first, at + 16, begun);
            if hosts.is_v4 { Gso::TcpV4 } else { Gso::TcpV6 }
        };
        VirtioHeader::superpacket(gso, at, flow.header_len, flow.payload_len)
    }
}
