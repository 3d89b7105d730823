//! A network under another name: one address of a packet is changed from one
//! prefix into another of the same length, keeping its host bits, and every
//! checksum that covers it is brought up to date.
//!
//! An ICMP error quotes a packet that went the other way, so its *other*
//! address is changed, too: otherwise a sender could not tell which packet the
//! error is about, and would see a name that is not meant for it.
//! Data beyond ICMP is never looked at: protocols that carry addresses in their
//! payload (FTP, SIP) do not pass an alias.

use super::bytes::{put, word};
use super::checksum::{Delta, udp};
use super::ip::protocol::{DCCP, ICMP, ICMPV6, TCP, UDP, UDP_LITE};
use super::{Malformed, View};
use crate::net::Prefix;
use std::net::IpAddr;
use std::ops::Range;

/// Bytes before the quoted packet in an ICMP error (RFC 792, RFC 4443).
const ICMP_HEADER: usize = 8;

/// Which address of a packet is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Where the address stands.
    const fn place(self, is_v4: bool) -> Range<usize> {
        match (self, is_v4) {
            (Self::Source, true) => 12..16,
            (Self::Destination, true) => 16..20,
            (Self::Source, false) => 8..24,
            (Self::Destination, false) => 24..40,
        }
    }

    const fn of(self, view: &View) -> IpAddr {
        match self {
            Self::Source => view.source(),
            Self::Destination => view.destination(),
        }
    }
}

/// Where a transport checksum stands that covers the addresses.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    /// UDP: zero means that there is none, and must stay so.
    is_udp: bool,
}

/// Changes the address at `side` of an IP packet from a host of `from` into the
/// same host of `to`, and the address at the other side of a packet that an
/// ICMP error quotes. Says whether anything was changed.
///
/// `partial_checksum`: the packet's own transport checksum is begun only and
/// holds the pseudo-header's sum, as in a superpacket
/// ([`VirtioHeader::needs_checksum`](super::VirtioHeader::needs_checksum)).
///
/// Of fragments every one is changed; the checksum is in the first.
///
/// # Errors
/// [`Malformed::AliasShape`] when the prefixes differ in family or length, and
/// a reason when the packet is none or its checksums cannot be reached. Then it
/// may have been changed in part and must not be passed on.
pub fn translate(
    packet: &mut [u8],
    side: Side,
    from: Prefix,
    to: Prefix,
    partial_checksum: bool,
) -> Result<bool, Malformed> {
    if from.is_v4() != to.is_v4() || from.length() != to.length() {
        return Err(Malformed::AliasShape);
    }
    let view = View::parse(packet)?;
    if view.is_v4() != from.is_v4() {
        return Ok(false);
    }
    let packet = packet.get_mut(..view.len()).ok_or(Malformed::Truncated)?;
    let in_quote = translate_quote(packet, &view, side.other(), from, to, partial_checksum)?;
    let Some(change) = replace_address(packet, &view, side, from, to)? else {
        return Ok(in_quote);
    };
    if covers(&view, side) {
        match checksum_place(&view)? {
            Some(place) if place.at + 2 <= packet.len() => {
                update(packet, place, change, partial_checksum);
            }
            // Whoever cuts a packet within its transport header hides it (RFC 1858).
            Some(_) => return Err(Malformed::TransportHeader),
            None => {}
        }
    }
    Ok(true)
}

/// Replaces the address, and in IPv4 updates the header's checksum. The change
/// it returns is that of the address alone: what transport checksums cover.
fn replace_address(
    packet: &mut [u8],
    view: &View,
    side: Side,
    from: Prefix,
    to: Prefix,
) -> Result<Option<Delta>, Malformed> {
    let Some(renamed) = rename(side.of(view), from, to) else { return Ok(None) };
    let place = packet.get_mut(side.place(view.is_v4())).ok_or(Malformed::Truncated)?;
    let change = match renamed {
        IpAddr::V4(address) => exchange(place, &address.octets()),
        IpAddr::V6(address) => exchange(place, &address.octets()),
    };
    if view.is_v4() {
        let checksum = word(packet, 10).ok_or(Malformed::Truncated)?;
        put(packet, 10, change.apply(checksum));
    }
    Ok(Some(change))
}

fn exchange(place: &mut [u8], address: &[u8]) -> Delta {
    let change = Delta::default().replace(place, address);
    for (byte, new) in place.iter_mut().zip(address) {
        *byte = *new;
    }
    change
}

/// The host of `from` as it is called in `to`.
fn rename(address: IpAddr, from: Prefix, to: Prefix) -> Option<IpAddr> {
    if !from.contains(address) {
        return None;
    }
    match (address, to.address()) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let host = u32::MAX.checked_shr(from.length().into()).unwrap_or(0);
            let bits = network.to_bits() & !host | address.to_bits() & host;
            Some(IpAddr::V4(bits.into()))
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let host = u128::MAX.checked_shr(from.length().into()).unwrap_or(0);
            let bits = network.to_bits() & !host | address.to_bits() & host;
            Some(IpAddr::V6(bits.into()))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// Whether the transport checksum covers the address at `side`, and is in this
/// packet at all.
fn covers(view: &View, side: Side) -> bool {
    view.has_transport() && (side == Side::Source || !view.is_routed())
}

/// Where the transport checksum stands that covers the addresses, if the
/// protocol has one. SCTP's and ICMPv4's do not cover them.
fn checksum_place(view: &View) -> Result<Option<Place>, Malformed> {
    let (offset, is_udp) = match view.protocol() {
        TCP => (16, false),
        UDP => (6, true),
        UDP_LITE | DCCP => (6, false),
        ICMPV6 if !view.is_v4() => (2, false),
        _ => return Ok(None),
    };
    let at = view.transport().checked_add(offset).ok_or(Malformed::TransportHeader)?;
    Ok(Some(Place { at, is_udp }))
}

/// Brings a transport checksum up to date; says how that changed the packet.
fn update(packet: &mut [u8], place: Place, change: Delta, is_partial: bool) -> Delta {
    let before = word(packet, place.at).unwrap_or_default();
    let after = match (is_partial, place.is_udp) {
        (true, _) => change.apply_partial(before),
        // There is none (RFC 768; RFC 6936 for IPv6).
        (false, true) if before == 0 => 0,
        (false, true) => udp(change.apply(before)),
        (false, false) => change.apply(before),
    };
    put(packet, place.at, after);
    Delta::default().replace_word(before, after)
}

/// Changes the address at `side` of the packet that `packet` quotes if it is an
/// ICMP error, and all checksums in and over the quote.
fn translate_quote(
    packet: &mut [u8],
    view: &View,
    side: Side,
    from: Prefix,
    to: Prefix,
    is_partial: bool,
) -> Result<bool, Malformed> {
    let is_icmp = view.protocol() == if view.is_v4() { ICMP } else { ICMPV6 };
    if !is_icmp || !view.has_transport() {
        return Ok(false);
    }
    let at = view.transport();
    let kind = *packet.get(at).ok_or(Malformed::TransportHeader)?;
    if !is_error(kind, view.is_v4()) {
        return Ok(false);
    }
    let quote = packet.get_mut(at + ICMP_HEADER..).ok_or(Malformed::Quote)?;
    let quoted = View::parse_quoted(quote).map_err(|_| Malformed::Quote)?;
    if quoted.is_v4() != view.is_v4() {
        return Err(Malformed::Quote);
    }
    let header_before = word(quote, 10).unwrap_or_default();
    let Some(change) = replace_address(quote, &quoted, side, from, to)? else {
        return Ok(false);
    };
    // What the ICMP checksum covers has changed by the address and each checksum.
    let mut over_quote = change;
    if quoted.is_v4() {
        let header_after = word(quote, 10).unwrap_or_default();
        over_quote = over_quote.replace_word(header_before, header_after);
    }
    // Only a part of the packet is quoted: its checksum may be missing.
    if covers(&quoted, side)
        && let Some(place) = checksum_place(&quoted)?
        && place.at + 2 <= quote.len()
    {
        over_quote = over_quote.and(update(quote, place, change, false));
    }
    if !is_partial {
        let checksum = word(packet, at + 2).ok_or(Malformed::TransportHeader)?;
        put(packet, at + 2, over_quote.apply(checksum));
    }
    Ok(true)
}

/// Whether an ICMP message of this type quotes a packet (RFC 1122 §3.2.2, RFC
/// 4443 §2.1).
pub(super) const fn is_error(kind: u8, is_v4: bool) -> bool {
    if is_v4 { matches!(kind, 3 | 4 | 5 | 11 | 12) } else { kind < 128 }
}
