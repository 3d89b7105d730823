//! What an IP header says, found to agree with itself and with what is there.
//!
//! Reading never goes past the end of what was given, and never follows more
//! than a few extension headers. Checksums are not looked at here.

use super::{Ecn, Malformed};
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

/// Which piece of a fragmented packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where the piece begins in the whole, in bytes; 0–65,528.
    pub offset: u16,
    /// Whether others come behind it.
    pub more: bool,
}

/// An IP packet's header, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    source: IpAddr,
    destination: IpAddr,
    len: usize,
    header_len: usize,
    transport: usize,
    protocol: u8,
    fragment: Option<Fragment>,
    traffic_class: u8,
    hop_limit: u8,
    dont_fragment: bool,
    is_routed: bool,
}

/// What extension headers lead to.
struct Walk {
    protocol: u8,
    at: usize,
    fragment: Option<Fragment>,
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
            fragment: (flags & 0x3fff != 0)
                .then_some(Fragment { offset: (flags & 0x1fff) << 3, more: flags & 0x2000 != 0 }),
            traffic_class: header[1],
            hop_limit: header[8],
            dont_fragment: flags & 0x4000 != 0,
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
                fragment: None,
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
            fragment: walk.fragment,
            traffic_class: header[0] << 4 | header[1] >> 4,
            hop_limit: header[7],
            dont_fragment: true,
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

    /// Which piece it is, if it is one; an IPv6 "atomic fragment" (RFC 6946) has
    /// offset 0 and none behind it.
    pub const fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }

    /// Whether the transport header is in this packet: false for every fragment
    /// but the first.
    pub fn has_transport(&self) -> bool {
        self.fragment.is_none_or(|fragment| fragment.offset == 0)
    }

    /// The six bits of the differentiated services field (RFC 2474).
    pub const fn dscp(&self) -> u8 {
        self.traffic_class >> 2
    }

    /// The congestion bits (RFC 3168 §5).
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_bits(self.traffic_class)
    }

    /// The TTL or hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Whether nobody on the way may fragment it; always so for IPv6.
    pub const fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    /// Whether a routing header names later destinations: then the checksum is
    /// of the last of them and not of [`View::destination`] (RFC 8200 §8.1).
    pub const fn is_routed(&self) -> bool {
        self.is_routed
    }
}

/// Follows extension headers; `None` when they do not end within `packet`.
fn walk(packet: &[u8], first: u8) -> Option<Walk> {
    let mut walk = Walk { protocol: first, at: V6_HEADER, fragment: None, is_routed: false };
    for _ in 0..=EXTENSION_HEADERS {
        let unit = match walk.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT => 8,
            AUTHENTICATION => 4,
            _ => return Some(walk),
        };
        let header = packet.get(walk.at..)?;
        let &[next, units, third, fourth, ..] = header.first_chunk::<8>()?;
        let len = match walk.protocol {
            FRAGMENT => 8,
            // Its length does not count the first two units (RFC 4302 §2.2).
            AUTHENTICATION => (usize::from(units) + 2) * unit,
            _ => (usize::from(units) + 1) * unit,
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
            let field = u16::from_be_bytes([third, fourth]);
            let fragment = Fragment { offset: field & 0xfff8, more: field & 1 != 0 };
            walk.fragment = Some(fragment);
            if fragment.offset != 0 {
                return Some(walk);
            }
        }
    }
    None
}
