//! ROUTE-REFRESH (RFC 2918), with its marks (RFC 7313).

use super::header::HEADER_BYTES;
use super::{Negotiated, Notification, family};
use crate::bgp::Family;
use rustbgpd_wire::{RouteRefreshMessage, RouteRefreshSubtype};

/// What a ROUTE-REFRESH says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bgp) enum Refresh {
    /// Say it all again.
    Ask,
    /// All of it comes now.
    Begin,
    /// That was all of it.
    End,
}

/// What a whole ROUTE-REFRESH says; `None` when that concerns nobody: a family
/// that is not carried, a mark nobody knows, or filters nobody offered
/// (RFC 5291).
///
/// # Errors
/// 7/1 with the message, for a mark of the wrong length (RFC 7313 §5).
pub(in crate::bgp) fn decode_refresh(
    message: &[u8],
    session: &Negotiated,
) -> Result<Option<(Refresh, Family)>, Notification> {
    let Some([afi_high, afi_low, mark, safi, filters @ ..]) = message.get(HEADER_BYTES..) else {
        return Ok(None);
    };
    let refresh = match *mark {
        0 => Refresh::Ask,
        1 if session.enhanced_refresh => Refresh::Begin,
        2 if session.enhanced_refresh => Refresh::End,
        _ => return Ok(None),
    };
    if !filters.is_empty() {
        return match refresh {
            Refresh::Ask => Ok(None),
            Refresh::Begin | Refresh::End => Err(Notification::new(7, 1, message.to_vec())),
        };
    }
    let family = family::from_numbers(u16::from_be_bytes([*afi_high, *afi_low]), *safi);
    let carried = family.filter(|family| session.families.contains(family));
    Ok(carried.map(|family| (refresh, family)))
}

/// The whole message.
pub(in crate::bgp) fn encode_refresh(refresh: Refresh, family: Family) -> Vec<u8> {
    let (afi, safi) = family::to_wire(family);
    let subtype = match refresh {
        Refresh::Ask => RouteRefreshSubtype::Normal,
        Refresh::Begin => RouteRefreshSubtype::BoRR,
        Refresh::End => RouteRefreshSubtype::EoRR,
    };
    let mut message = Vec::new();
    // 23 bytes never are too many.
    let _ = RouteRefreshMessage::new_with_subtype(afi, safi, subtype).encode(&mut message);
    message
}
