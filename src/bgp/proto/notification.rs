//! The last message of a session and what it says (RFC 4271 §4.5).

use super::family;
use super::header::HEADER_BYTES;
use crate::bgp::Family;
use crate::model::limits::{BGP_MESSAGE_BYTES, BGP_SHUTDOWN_TEXT_BYTES};
use rustbgpd_wire::notification::{
    NotificationCode, decode_shutdown_communication, description, encode_shutdown_communication,
};
use rustbgpd_wire::{DecodeError, NotificationMessage};
use std::fmt;

const CEASE: u8 = 6;
const HARD_RESET: u8 = 9;

/// A NOTIFICATION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What kind of error (RFC 4271 §6).
    pub code: u8,
    /// Which one of them, 0 when that is not said.
    pub subcode: u8,
    /// What comes along: depends on the two.
    pub data: Vec<u8>,
}

impl Notification {
    /// A NOTIFICATION with these numbers.
    pub const fn new(code: u8, subcode: u8, data: Vec<u8>) -> Self {
        Self { code, subcode, data }
    }

    /// A Cease with `subcode` (RFC 4486).
    pub const fn cease(subcode: u8) -> Self {
        Self::new(CEASE, subcode, Vec::new())
    }

    /// A Cease with `subcode` that carries `text` for the people at the other end
    /// (RFC 9003), as much of it as [`BGP_SHUTDOWN_TEXT_BYTES`] holds.
    pub fn cease_with_text(subcode: u8, text: &str) -> Self {
        let data =
            if text.is_empty() { Vec::new() } else { encode_shutdown_communication(text).to_vec() };
        Self::new(CEASE, subcode, data)
    }

    /// Cease/1: the neighbor said more than `maximum` networks of `family`
    /// (RFC 4486 §4).
    pub fn maximum_prefixes(family: Family, maximum: u32) -> Self {
        let (afi, safi) = family::numbers(family);
        let mut data = afi.to_be_bytes().to_vec();
        data.push(safi);
        data.extend(maximum.to_be_bytes());
        Self::new(CEASE, 1, data)
    }

    /// The same inside a Hard Reset: the neighbor is to forget our routes
    /// although it could keep them over a NOTIFICATION (RFC 8538 §3.1).
    #[must_use]
    pub fn into_hard_reset(self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend(self.data);
        Self::new(CEASE, HARD_RESET, data)
    }

    /// Whether routes go with it even where RFC 8538 is agreed on.
    pub const fn is_hard_reset(&self) -> bool {
        self.code == CEASE && self.subcode == HARD_RESET
    }

    /// The one inside a Hard Reset; itself otherwise.
    #[must_use]
    pub fn inner(&self) -> Self {
        match self.data.as_slice() {
            [code, subcode, data @ ..] if self.is_hard_reset() => {
                Self::new(*code, *subcode, data.to_vec())
            }
            _ => self.clone(),
        }
    }

    /// What people at the other end wrote (RFC 9003); characters that would move
    /// a terminal's cursor are replaced.
    pub fn text(&self) -> Option<String> {
        let inner = self.inner();
        if inner.code != CEASE || !matches!(inner.subcode, 2 | 4) {
            return None;
        }
        let text = decode_shutdown_communication(&inner.data)?;
        let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
        Some(shown.collect()).filter(|text: &String| !text.is_empty())
    }

    /// The whole message. Data that does not fit is cut.
    pub(in crate::bgp) fn encode(&self) -> Vec<u8> {
        let room = BGP_MESSAGE_BYTES - HEADER_BYTES - 2;
        let data = self.data.get(..room).unwrap_or(&self.data).to_vec();
        let length = u16::try_from(HEADER_BYTES + 2 + data.len()).unwrap_or(u16::MAX);
        let mut message = vec![0xff; 16];
        message.extend(length.to_be_bytes());
        message.extend([3, self.code, self.subcode]);
        message.extend(data);
        message
    }

    /// The one that a whole message is; its length was checked.
    pub(in crate::bgp) fn decode(message: &[u8]) -> Self {
        match message.get(HEADER_BYTES..) {
            Some([code, subcode, data @ ..]) => Self::new(*code, *subcode, data.to_vec()),
            Some([] | [_]) | None => Self::new(0, 0, Vec::new()),
        }
    }

    pub(super) fn of_error(error: &DecodeError) -> Self {
        let (code, subcode, data) = error.to_notification();
        Self::new(code.as_u8(), subcode, data.to_vec())
    }

    pub(super) fn of_message(message: &NotificationMessage) -> Self {
        Self::new(message.code.as_u8(), message.subcode, message.data.to_vec())
    }
}

impl fmt::Display for Notification {
    /// As people read it: `Cease: Administrative Shutdown (6/2): "moving house"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        if self.is_hard_reset() {
            f.write_str("Hard Reset (6/9): ")?;
        }
        let code = NotificationCode::from_u8(inner.code);
        let meaning = description(code, inner.subcode);
        write!(f, "{code}: {meaning} ({}/{})", inner.code, inner.subcode)?;
        match self.text() {
            Some(text) => write!(f, ": {text:?}"),
            None => Ok(()),
        }
    }
}

const _: () = assert!(BGP_SHUTDOWN_TEXT_BYTES == 128, "the codec cuts texts at 128 bytes");
