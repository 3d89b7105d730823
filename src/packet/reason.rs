//! Why bytes are no packet that can be worked on. None of the texts ever carries
//! an address.

/// Why bytes are no packet that can be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Malformed {
    /// Its first four bits are neither 4 nor 6.
    #[error("the packet is neither IPv4 nor IPv6")]
    IpVersion,
    /// It is shorter than its headers, or than they say it is.
    #[error("the packet is shorter than its header says")]
    Truncated,
    /// The IPv4 header says that it is shorter than itself, or longer than the packet.
    #[error("the IPv4 header's length contradicts itself")]
    IpHeaderLength,
    /// IPv6 extension headers that do not end within the packet, or too many.
    #[error("the IPv6 extension headers do not end in the packet")]
    ExtensionHeaders,
    /// TCP, UDP or ICMP has no complete header.
    #[error("the TCP, UDP or ICMP header is not complete")]
    TransportHeader,
    /// An ICMP error without the beginning of the packet it is about.
    #[error("the ICMP error does not hold the packet it is about")]
    Quote,
    /// A kind of superpacket that was never asked for.
    #[error("the superpacket is of a kind that was not asked for")]
    SuperpacketKind,
    /// The superpacket is not of the protocol its virtio header says.
    #[error("the superpacket is not of the protocol its virtio header says")]
    SuperpacketProtocol,
    /// A superpacket of segments without payload.
    #[error("the superpacket's segments are to have no payload")]
    SuperpacketSize,
    /// A superpacket that is a fragment.
    #[error("the superpacket is a fragment")]
    SuperpacketFragment,
    /// The checksum to be completed is not in the packet, or not where its protocol has it.
    #[error("the checksum to complete is not where it belongs")]
    ChecksumPlace,
    /// A segment that is longer than its room.
    #[error("a segment is longer than its room")]
    SegmentRoom,
    /// Congestion was experienced by a packet whose sender cannot be told (RFC 6040 §4.2).
    #[error("congestion was marked, and the packet's sender does not know ECN")]
    NotEcnCapable,
    /// Two networks of different family or length cannot be each other's alias.
    #[error("the network and its alias differ in family or length")]
    AliasShape,
}
