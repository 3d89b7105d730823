//! What one packet says of the flow it is of, and whether it goes on where
//! another one ended: the look at every packet that comes, so no more of it is
//! read than that takes.

use super::Offload;
use super::bytes::{double, word};
use super::checksum::{Sum, pseudo_header};
use super::ip::protocol::{TCP, UDP};
use super::ip::{V4_HEADER, V6_HEADER, addresses, is_extension};
use std::ops::Range;

/// ACK.
const ACK: u8 = 0x10;
/// PSH.
pub(super) const PSH: u8 = 0x08;

/// How a packet stands to the others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relation {
    /// It is of this flow.
    Flow(Flow),
    /// It may be of any flow between two hosts: a fragment, or what is behind
    /// extension headers.
    Unclear(Hosts),
    /// It is of no flow that is put together.
    Alone,
}

/// Source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) is_v4: bool,
    /// As they stand in the header; two of IPv4 are in the first number. Numbers,
    /// for they are compared with those of every other flow at hand.
    addresses: [u128; 2],
}

/// What the packets of one flow have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) ports: u32,
    pub(super) protocol: u8,
    pub(super) hosts: Hosts,
}

/// What a packet of TCP or UDP says of how it may be put together with others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) key: Key,
    /// Where TCP or UDP begins.
    pub(super) transport: usize,
    /// Bytes of all headers.
    pub(super) header_len: usize,
    pub(super) payload_len: usize,
    /// Others may be put behind it, and it behind others.
    pub(super) is_plain: bool,
    /// It may be put behind others, but none behind it.
    pub(super) is_last: bool,
}

/// An IP header, as far as it matters here.
struct Network {
    is_v4: bool,
    /// Bytes of the header itself.
    len: usize,
    /// Bytes of the packet.
    packet_len: usize,
    protocol: u8,
    is_fragment: bool,
}

impl Relation {
    /// Reads a packet. What cannot be read is alone.
    pub(super) fn read(packet: &[u8], offload: Offload) -> Self {
        Self::try_read(packet, offload).unwrap_or(Self::Alone)
    }

    fn try_read(packet: &[u8], offload: Offload) -> Option<Self> {
        let network = Network::read(packet)?;
        let is_hidden = !network.is_v4 && is_extension(network.protocol);
        let is_offloaded = match network.protocol {
            TCP => offload.tcp,
            UDP => offload.udp,
            _ => is_hidden && (offload.tcp || offload.udp),
        };
        if !is_offloaded {
            return None;
        }
        let hosts = Hosts::read(packet, network.is_v4)?;
        if is_hidden || network.is_fragment {
            return Some(Self::Unclear(hosts));
        }
        Flow::read(packet, &network, hosts).map(Self::Flow)
    }
}

impl Network {
    fn read(packet: &[u8]) -> Option<Self> {
        let number = |high, low| usize::from(u16::from_be_bytes([high, low]));
        match packet.first()? >> 4 {
            4 => {
                let header = packet.first_chunk::<V4_HEADER>()?;
                Some(Self {
                    is_v4: true,
                    len: usize::from(header[0] & 15) * 4,
                    packet_len: number(header[2], header[3]),
                    protocol: header[9],
                    is_fragment: number(header[6], header[7]) & 0x3fff != 0,
                })
            }
            6 => {
                let header = packet.first_chunk::<V6_HEADER>()?;
                Some(Self {
                    is_v4: false,
                    len: V6_HEADER,
                    packet_len: V6_HEADER + number(header[4], header[5]),
                    protocol: header[6],
                    is_fragment: false,
                })
            }
            _ => None,
        }
    }
}

impl Hosts {
    fn read(packet: &[u8], is_v4: bool) -> Option<Self> {
        let addresses = addresses(packet, is_v4)?;
        let addresses = if is_v4 {
            [u64::from_ne_bytes(*addresses.first_chunk()?).into(), 0]
        } else {
            [
                u128::from_ne_bytes(*addresses.first_chunk()?),
                u128::from_ne_bytes(*addresses.last_chunk()?),
            ]
        };
        Some(Self { is_v4, addresses })
    }
}

impl Flow {
    fn read(packet: &[u8], network: &Network, hosts: Hosts) -> Option<Self> {
        let at = network.len;
        let transport = packet.get(at..)?;
        let key = Key { ports: double(transport, 0)?, protocol: network.protocol, hosts };
        // Options of IPv4 are for every router to read, so they stay as they are.
        let has_options = hosts.is_v4 && at != V4_HEADER;
        let is_whole = network.packet_len == packet.len() && !has_options;
        let (len, is_plain, is_last) = if network.protocol == TCP {
            let fixed = transport.first_chunk::<20>()?;
            let len = usize::from(fixed[12] >> 4) * 4;
            // ACK, perhaps PSH, and nothing else.
            let is_plain = fixed[13] & !PSH == ACK && fixed[12] & 0x0f == 0 && 20 <= len;
            (len, is_plain, fixed[13] & PSH != 0)
        } else {
            let fixed = transport.first_chunk::<8>()?;
            let has_checksum = (fixed[6], fixed[7]) != (0, 0);
            let says = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
            (8, has_checksum && says == transport.len(), false)
        };
        let header_len = at + len;
        let payload_len = packet.len().saturating_sub(header_len);
        let is_plain = is_plain && is_whole && payload_len > 0;
        Some(Self { key, transport: at, header_len, payload_len, is_plain, is_last })
    }

    /// Whether `packet`, which is plain and of this flow, has the headers of
    /// the one that comes `before` packets and `sent` bytes of payload after
    /// `first`, which this flow was read from.
    pub(super) fn goes_on(&self, first: &[u8], packet: &[u8], before: u16, sent: u32) -> bool {
        let same = |range: Range<usize>| first.get(range.clone()) == packet.get(range);
        let network = if self.key.hosts.is_v4 {
            // With DF set the identification means nothing (RFC 6864 §4.1).
            let is_atomic = packet.get(6).is_some_and(|flags| flags & 0x40 != 0);
            let id = |packet| word(packet, 4).unwrap_or_default();
            let is_next = is_atomic || id(packet) == id(first).wrapping_add(before);
            same(0..2) && same(6..10) && is_next
        } else {
            same(0..4) && same(6..8)
        };
        if !network || self.key.protocol == UDP {
            return network;
        }
        let at = self.transport;
        let sequence = |packet| double(packet, at + 4).unwrap_or_default();
        let flags = |packet| word(packet, at + 12).unwrap_or_default() & !u16::from(PSH);
        sequence(packet) == sequence(first).wrapping_add(sent)
            && same(at + 8..at + 12)
            && flags(first) == flags(packet)
            && same(at + 14..at + 16)
            && same(at + 18..self.header_len)
    }

    /// Whether the checksums over the IPv4 header and over TCP or UDP are right:
    /// a superpacket gets new ones, and a packet that came damaged must not be
    /// mended.
    pub(super) fn is_intact(&self, packet: &[u8]) -> bool {
        let is_v4 = self.key.hosts.is_v4;
        let (header, covered) = packet.split_at_checked(self.transport).unwrap_or_default();
        if is_v4 && !Sum::default().with(header).is_intact() {
            return false;
        }
        let addresses = addresses(packet, is_v4).unwrap_or_default();
        pseudo_header(addresses, self.key.protocol, covered.len()).with(covered).is_intact()
    }
}
