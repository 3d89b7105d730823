//! What an IP header says, found to agree with itself and with what is there.
//!
//! Reading never goes past the end of what was given, and never follows more
//! than a few extension headers. Checksums are not looked at here.

use super::Malformed;
use super::bytes::put;
use super::checksum::Sum;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Protocol numbers this room knows (IANA, "Protocol Numbers").
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows (RFC 8200 §4.7).
    pub const NO_NEXT_HEADER: u8 = 59;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

/// Bytes of an IPv4 header without options.
pub(super) const V4_HEADER: usize = 20;
/// Bytes of the IPv6 header itself.
pub(super) const V6_HEADER: usize = 40;

/// Extension headers followed; Linux and the RFC know fewer kinds than this,
/// each meant to come once (RFC 8200 §4.1).
const EXTENSION_HEADERS: usize = 8;

// Extension headers (RFC 8200 §4, RFC 4302).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// An IP packet's header, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    source: IpAddr,
    destination: IpAddr,
    len: usize,
    header_len: usize,
    transport: usize,
    protocol: u8,
    is_fragment: bool,
    has_transport: bool,
    is_routed: bool,
}

/// What extension headers lead to.
struct Walk {
    protocol: u8,
    at: usize,
    is_fragment: bool,
    has_transport: bool,
    is_routed: bool,
}

impl View {
    /// Reads an IP packet, which padding may follow.
    ///
    /// # Errors
    /// [`Malformed::IpVersion`], [`Malformed::Truncated`],
    /// [`Malformed::IpHeaderLength`] and [`Malformed::ExtensionHeaders`].
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let view = Self::read(packet, false)?;
        if packet.len() < view.len { Err(Malformed::Truncated) } else { Ok(view) }
    }

    /// Reads the beginning of a packet, as ICMP errors quote it: it may say that
    /// it is longer than what is there, and extension headers that do not end
    /// are as good as [`protocol::NO_NEXT_HEADER`].
    ///
    /// # Errors
    /// [`Malformed::IpVersion`], [`Malformed::Truncated`] and
    /// [`Malformed::IpHeaderLength`].
    pub fn parse_quoted(quote: &[u8]) -> Result<Self, Malformed> {
        Self::read(quote, true)
    }

    fn read(packet: &[u8], is_quote: bool) -> Result<Self, Malformed> {
        match packet.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => Self::read_v4(packet),
            6 => Self::read_v6(packet, is_quote),
            _ => Err(Malformed::IpVersion),
        }
    }

    fn read_v4(packet: &[u8]) -> Result<Self, Malformed> {
        let header = packet.first_chunk::<V4_HEADER>().ok_or(Malformed::Truncated)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < V4_HEADER || len < header_len {
            return Err(Malformed::IpHeaderLength);
        }
        if packet.len() < header_len {
            return Err(Malformed::Truncated);
        }
        let flags = u16::from_be_bytes([header[6], header[7]]);
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        Ok(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3).into(),
            destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
            len,
            header_len,
            transport: header_len,
            protocol: header[9],
            // More fragments, or an offset.
            is_fragment: flags & 0x3fff != 0,
            has_transport: flags & 0x1fff == 0,
            is_routed: false,
        })
    }

    fn read_v6(packet: &[u8], is_quote: bool) -> Result<Self, Malformed> {
        let (header, _) = packet.split_first_chunk::<V6_HEADER>().ok_or(Malformed::Truncated)?;
        let len = V6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let address = |at: usize| {
            let mut address = [0; 16];
            address.copy_from_slice(&header[at..at + 16]);
            Ipv6Addr::from(address)
        };
        let present = packet.get(..len).unwrap_or(packet);
        let walk = match walk(present, header[6]) {
            Some(walk) => walk,
            None if is_quote => Walk {
                protocol: protocol::NO_NEXT_HEADER,
                at: present.len(),
                is_fragment: false,
                has_transport: true,
                is_routed: false,
            },
            None if packet.len() < len => return Err(Malformed::Truncated),
            None => return Err(Malformed::ExtensionHeaders),
        };
        Ok(Self {
            source: address(8).into(),
            destination: address(24).into(),
            len,
            header_len: V6_HEADER,
            transport: walk.at,
            protocol: walk.protocol,
            is_fragment: walk.is_fragment,
            has_transport: walk.has_transport,
            is_routed: walk.is_routed,
        })
    }

    /// Where it comes from.
    pub const fn source(&self) -> IpAddr {
        self.source
    }

    /// Where it goes to.
    pub const fn destination(&self) -> IpAddr {
        self.destination
    }

    /// Whether it is IPv4.
    pub const fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// Bytes of the whole packet, as its header says; padding does not count.
    #[expect(clippy::len_without_is_empty, reason = "a packet has a header, so it is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the IP header: 20–60 for IPv4, 40 for IPv6.
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// Where what [`View::protocol`] names begins: behind all extension headers.
    /// Never beyond what was parsed.
    pub const fn transport(&self) -> usize {
        self.transport
    }

    /// What the packet carries; of a fragment, what the whole carries.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether it is a piece of a packet; also the only one there is, an IPv6
    /// "atomic fragment" (RFC 6946).
    pub const fn is_fragment(&self) -> bool {
        self.is_fragment
    }

    /// Whether the transport header is in this packet: false for every fragment
    /// but the first.
    pub const fn has_transport(&self) -> bool {
        self.has_transport
    }

    /// Whether a routing header names later destinations: then the checksum is
    /// of the last of them and not of [`View::destination`] (RFC 8200 §8.1).
    pub const fn is_routed(&self) -> bool {
        self.is_routed
    }
}

/// Whether the header of this number stands between IPv6 and what it carries.
pub(super) const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// Source and destination, one after the other, as they stand in the header.
pub(super) fn addresses(packet: &[u8], is_v4: bool) -> Option<&[u8]> {
    packet.get(if is_v4 { 12..20 } else { 8..40 })
}

/// Writes how long a packet is and, for IPv4, the checksum of its header, which
/// is `header_len` long.
pub(super) fn write_len(packet: &mut [u8], is_v4: bool, header_len: usize, len: usize) {
    if !is_v4 {
        return put(packet, 4, (len - V6_HEADER) as u16);
    }
    put(packet, 2, len as u16);
    put(packet, 10, 0);
    let sum = Sum::default().with(packet.get(..header_len).unwrap_or_default());
    put(packet, 10, sum.checksum());
}

/// Follows extension headers; `None` when they do not end within `packet`.
fn walk(packet: &[u8], first: u8) -> Option<Walk> {
    let mut walk = Walk {
        protocol: first,
        at: V6_HEADER,
        is_fragment: false,
        has_transport: true,
        is_routed: false,
    };
    for _ in 0..=EXTENSION_HEADERS {
        if !is_extension(walk.protocol) {
            return Some(walk);
        }
        let header = packet.get(walk.at..)?;
        let &[next, units, third, fourth, ..] = header.first_chunk::<8>()?;
        let len = match walk.protocol {
            FRAGMENT => 8,
            // In units of 4, the first two not counted (RFC 4302 §2.2).
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        if header.len() < len {
            return None;
        }
        let current = walk.protocol;
        walk.protocol = next;
        walk.at += len;
        if current == ROUTING && fourth != 0 {
            walk.is_routed = true;
        }
        if current == FRAGMENT {
            walk.is_fragment = true;
            walk.has_transport = u16::from_be_bytes([third, fourth]) & 0xfff8 == 0;
            if !walk.has_transport {
                return Some(walk);
            }
        }
    }
    None
}
