//! Congestion marks across a tunnel (RFC 6040): copied outwards from the inner
//! packet, and a mark made on the way put onto the inner packet.
//!
//! The rest of the traffic class stays inside, as with the kernel's WireGuard:
//! what kind of traffic it is, is nobody's business on the way.

use super::bytes::{put, word};
use super::checksum::Delta;
use super::{Malformed, View};

/// The two congestion bits of an IP packet (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The sender does not know ECN.
    NotEct,
    /// The sender knows ECN; ECT(1).
    Ect1,
    /// The sender knows ECN; ECT(0).
    Ect0,
    /// Congestion was experienced.
    Ce,
}

impl Ecn {
    /// Reads the lower two bits of a traffic class or type of service.
    pub const fn from_bits(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits, 0–3.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }

    /// What the outer packet carries when this is the inner one's (RFC 6040 §4.1,
    /// normal mode).
    #[must_use]
    pub const fn encapsulate(self) -> Self {
        self
    }

    /// What the inner packet, marked so, carries on when the outer one came with
    /// `outer` (RFC 6040 §4.2, figure 4).
    ///
    /// # Errors
    /// [`Malformed::NotEcnCapable`]: it must be dropped.
    pub const fn decapsulate(self, outer: Self) -> Result<Self, Malformed> {
        match (self, outer) {
            (Self::NotEct, Self::Ce) => Err(Malformed::NotEcnCapable),
            (Self::NotEct, _) => Ok(Self::NotEct),
            (Self::Ce, _) | (_, Self::Ce) => Ok(Self::Ce),
            (Self::Ect1, _) | (_, Self::Ect1) => Ok(Self::Ect1),
            (Self::Ect0, _) => Ok(Self::Ect0),
        }
    }
}

/// The congestion bits of a packet's first bytes, for the outer packet.
///
/// # Errors
/// [`Malformed::IpVersion`] and [`Malformed::Truncated`].
pub fn encapsulate(packet: &[u8]) -> Result<Ecn, Malformed> {
    bits(packet).map(Ecn::encapsulate)
}

fn bits(packet: &[u8]) -> Result<Ecn, Malformed> {
    let &[first, second, ..] = packet else { return Err(Malformed::Truncated) };
    match first >> 4 {
        4 => Ok(Ecn::from_bits(second)),
        6 => Ok(Ecn::from_bits(second >> 4)),
        _ => Err(Malformed::IpVersion),
    }
}

/// Takes the mark of the `outer` packet over onto the inner one, `packet`.
///
/// # Errors
/// [`Malformed::NotEcnCapable`] when it must be dropped; the errors of
/// [`View::parse`] when there is a mark to set and it is no packet.
pub fn decapsulate(outer: Ecn, packet: &mut [u8]) -> Result<(), Malformed> {
    let inner = bits(packet)?;
    let after = inner.decapsulate(outer)?;
    if after == inner {
        return Ok(());
    }
    let view = View::parse(packet)?;
    let before = word(packet, 0).ok_or(Malformed::Truncated)?;
    let shift = if view.is_v4() { 0 } else { 4 };
    let marked = before & !(3 << shift) | u16::from(after.bits()) << shift;
    put(packet, 0, marked);
    if view.is_v4() {
        let checksum = word(packet, 10).ok_or(Malformed::Truncated)?;
        put(packet, 10, Delta::default().replace_word(before, marked).apply(checksum));
    }
    Ok(())
}
