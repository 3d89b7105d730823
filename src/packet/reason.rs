//! Why bytes are no packet that can be worked on.
//!
//! The names are what metrics, logs and the page show; none of them ever
//! carries an address.

/// Declares the reasons once, so that the list, the names and the texts cannot
/// part.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal, $message:literal;)+) => {
        /// Why bytes are no packet that can be worked on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
        pub enum Malformed {
            $($(#[doc = $doc])+ #[error($message)] $variant,)+
        }

        impl Malformed {
            /// Every reason, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason in snake_case: a metric's label, a key in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The reason as a person reads it.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }
        }
    };
}

reasons! {
    /// Its first four bits are neither 4 nor 6.
    IpVersion => "ip_version", "the packet is neither IPv4 nor IPv6";
    /// It is shorter than its headers, or than they say it is.
    Truncated => "truncated", "the packet is shorter than its header says";
    /// The IPv4 header says that it is shorter than itself, or longer than the packet.
    IpHeaderLength => "ip_header_length", "the IPv4 header's length contradicts itself";
    /// IPv6 extension headers that do not end within the packet, or too many.
    ExtensionHeaders => "extension_headers", "the IPv6 extension headers do not end in the packet";
    /// TCP, UDP or ICMP has no complete header.
    TransportHeader => "transport_header", "the TCP, UDP or ICMP header is not complete";
    /// An ICMP error without the beginning of the packet it is about.
    Quote => "quote", "the ICMP error does not hold the packet it is about";
    /// A kind of superpacket that was never asked for.
    SuperpacketKind => "superpacket_kind", "the superpacket is of a kind that was not asked for";
    /// The superpacket is not of the protocol its virtio header says.
    SuperpacketProtocol => "superpacket_protocol", "the superpacket is not of the protocol its virtio header says";
    /// A superpacket of segments without payload.
    SuperpacketSize => "superpacket_size", "the superpacket's segments are to have no payload";
    /// A superpacket that is a fragment.
    SuperpacketFragment => "superpacket_fragment", "the superpacket is a fragment";
    /// The checksum to be completed is not in the packet, or not where its protocol has it.
    ChecksumPlace => "checksum_place", "the checksum to complete is not where it belongs";
    /// More segments than were allowed.
    SegmentCount => "segment_count", "the superpacket has more segments than there is room for";
    /// A segment that is longer than its room.
    SegmentRoom => "segment_room", "a segment is longer than its room";
    /// Congestion was experienced by a packet whose sender cannot be told (RFC 6040 §4.2).
    NotEcnCapable => "not_ecn_capable", "congestion was marked, and the packet's sender does not know ECN";
    /// Two networks of different family or length cannot be each other's alias.
    AliasShape => "alias_shape", "the network and its alias differ in family or length";
}
