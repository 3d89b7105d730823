//! The packet inside a data message: how long it is, and whose it says it is.
//! Nothing else of it is looked at here.

use super::DropReason;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;

/// What a packet's header says, found to agree with itself and with what is there.
pub(super) struct Inner {
    /// Bytes of the packet; padding after it does not count.
    pub(super) len: usize,
    /// Its source.
    pub(super) source: IpAddr,
}

/// The 16-bit number at `at`.
fn number(packet: &[u8], at: usize) -> Option<usize> {
    let bytes = packet.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_be_bytes(*bytes)))
}

fn bytes<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk::<N>().copied()
}

fn inspect_v4(packet: &[u8]) -> Option<Result<Inner, DropReason>> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let len = number(packet, 2)?;
    let source = Ipv4Addr::from(bytes::<4>(packet, 12)?);
    if header < V4_HEADER || len < header {
        return Some(Err(DropReason::InnerHeader));
    }
    Some(Ok(Inner { len, source: source.into() }))
}

fn inspect_v6(packet: &[u8]) -> Option<Inner> {
    let len = V6_HEADER + number(packet, 4)?;
    let source = Ipv6Addr::from(bytes::<16>(packet, 8)?);
    Some(Inner { len, source: source.into() })
}

/// Looks at an IP packet that may be followed by padding.
pub(super) fn inspect(packet: &[u8]) -> Result<Inner, DropReason> {
    let short = DropReason::InnerLength;
    let inner = match packet.first().ok_or(short)? >> 4 {
        4 if V4_HEADER <= packet.len() => inspect_v4(packet).ok_or(short)??,
        6 if V6_HEADER <= packet.len() => inspect_v6(packet).ok_or(short)?,
        4 | 6 => return Err(short),
        _ => return Err(DropReason::InnerVersion),
    };
    if packet.len() < inner.len { Err(short) } else { Ok(inner) }
}
