//! Where a message ends, and whether it may begin like that (RFC 4271 §6.1).
//!
//! The codec checks this too, but answers a length that is wrong for its type as
//! an error of the body, and only looks once the header is whole.

use super::Notification;
use crate::model::limits::BGP_MESSAGE_BYTES;

/// Bytes of the header: marker, length, type.
pub(super) const HEADER_BYTES: usize = 19;
/// Bytes of the marker, all of them ones.
const MARKER_BYTES: usize = 16;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// Who one is and what one can do (RFC 4271 §4.2).
    Open,
    /// Networks that come and go (§4.3).
    Update,
    /// The end, and why (§4.5).
    Notification,
    /// Still here (§4.4).
    Keepalive,
    /// Say it all again (RFC 2918).
    RouteRefresh,
}

impl MessageKind {
    /// Every one of them, in the order of their type numbers.
    pub const ALL: [Self; 5] =
        [Self::Open, Self::Update, Self::Notification, Self::Keepalive, Self::RouteRefresh];

    /// Its name in logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Notification => "notification",
            Self::Keepalive => "keepalive",
            Self::RouteRefresh => "route_refresh",
        }
    }

    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// Bytes it has at least and at most, of a session that agreed on `maximum`.
    /// An OPEN and a KEEPALIVE are never extended (RFC 8654 §3).
    const fn lengths(self, maximum: usize) -> (usize, usize) {
        match self {
            Self::Open => (29, BGP_MESSAGE_BYTES),
            Self::Update | Self::RouteRefresh => (23, maximum),
            Self::Notification => (21, maximum),
            Self::Keepalive => (HEADER_BYTES, HEADER_BYTES),
        }
    }
}

/// The message at the front of `bytes`, with its length, header included; `None`
/// as long as its header is not there in full.
///
/// `maximum` is the most bytes a message may have on the session.
///
/// # Errors
/// The NOTIFICATION to send: 1/1 as soon as a byte of the marker is wrong, 1/2
/// with the length, 1/3 with the type.
pub fn next_message(
    bytes: &[u8],
    maximum: usize,
) -> Result<Option<(MessageKind, usize)>, Notification> {
    // Who speaks another protocol is told at once: its first words may be
    // shorter than a header.
    if bytes.iter().take(MARKER_BYTES).any(|byte| *byte != 0xff) {
        return Err(Notification::new(1, 1, Vec::new()));
    }
    let Some([high, low, number]) = bytes.get(MARKER_BYTES..HEADER_BYTES) else {
        return Ok(None);
    };
    let bad_length = || Notification::new(1, 2, vec![*high, *low]);
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if !(HEADER_BYTES..=maximum).contains(&length) {
        return Err(bad_length());
    }
    let Some(kind) = MessageKind::of(*number) else {
        return Err(Notification::new(1, 3, vec![*number]));
    };
    let (least, most) = kind.lengths(maximum);
    if !(least..=most).contains(&length) {
        return Err(bad_length());
    }
    Ok(Some((kind, length)))
}
