//! The four messages on the wire (WireGuard paper §5.4): where their fields are.
//! Nothing here opens or checks what a field holds.

use super::DropReason;

/// Bytes of a MAC, and of the tag of everything sealed.
pub(super) const TAG_LEN: usize = 16;
/// Bytes before the packet in a data message.
pub const HEADER_LEN: usize = 16;
/// Bytes of a handshake initiation.
pub(super) const INITIATION_LEN: usize = 148;
/// Bytes of a handshake response.
pub(super) const RESPONSE_LEN: usize = 92;
/// Bytes of a cookie reply.
pub(super) const COOKIE_LEN: usize = 64;
/// Bytes of a data message without a packet, a keepalive.
pub(super) const KEEPALIVE_LEN: usize = HEADER_LEN + TAG_LEN;

const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const COOKIE: u8 = 3;
const DATA: u8 = 4;

/// What a datagram says it is, its length being right for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A handshake initiation.
    Initiation,
    /// A handshake response.
    Response,
    /// A cookie reply.
    Cookie,
    /// Data.
    Data,
}

/// Tells what a datagram is.
pub(super) fn kind(datagram: &[u8]) -> Result<Kind, DropReason> {
    let Some(&[kind, ref reserved @ ..]) = datagram.first_chunk::<4>() else {
        return Err(DropReason::DatagramLength);
    };
    let (kind, fits) = match kind {
        INITIATION => (Kind::Initiation, datagram.len() == INITIATION_LEN),
        RESPONSE => (Kind::Response, datagram.len() == RESPONSE_LEN),
        COOKIE => (Kind::Cookie, datagram.len() == COOKIE_LEN),
        DATA => (Kind::Data, KEEPALIVE_LEN <= datagram.len()),
        _ => return Err(DropReason::MessageType),
    };
    if reserved != &[0; 3] {
        return Err(DropReason::ReservedBytes);
    }
    if fits { Ok(kind) } else { Err(DropReason::DatagramLength) }
}

/// The little-endian number at `at`; the caller has checked the length.
fn number(datagram: &[u8], at: usize) -> u32 {
    let bytes = datagram.get(at..).and_then(|rest| rest.first_chunk::<4>());
    u32::from_le_bytes(bytes.copied().unwrap_or_default())
}

/// Who sent a handshake message: the index to answer to.
pub(super) fn sender(datagram: &[u8]) -> u32 {
    number(datagram, 4)
}

/// Whom a message is for. An initiation has no such field.
pub(super) fn receiver(kind: Kind, datagram: &[u8]) -> u32 {
    number(datagram, if kind == Kind::Response { 8 } else { 4 })
}

/// The number of a data message.
pub(super) fn counter(datagram: &[u8]) -> u64 {
    let bytes = datagram.get(8..).and_then(|rest| rest.first_chunk::<8>());
    u64::from_le_bytes(bytes.copied().unwrap_or_default())
}

/// The bytes of an initiation that the Noise handshake makes.
pub(super) const INITIATION_NOISE: std::ops::Range<usize> = 8..116;

/// The bytes of a response that the Noise handshake makes.
pub(super) const RESPONSE_NOISE: std::ops::Range<usize> = 12..60;

/// Begins an initiation.
pub(super) fn start_initiation(sender: u32) -> [u8; INITIATION_LEN] {
    let mut message = [0; INITIATION_LEN];
    message[0] = INITIATION;
    message[4..8].copy_from_slice(&sender.to_le_bytes());
    message
}

/// Begins a response.
pub(super) fn start_response(sender: u32, receiver: u32) -> [u8; RESPONSE_LEN] {
    let mut message = [0; RESPONSE_LEN];
    message[0] = RESPONSE;
    message[4..8].copy_from_slice(&sender.to_le_bytes());
    message[8..12].copy_from_slice(&receiver.to_le_bytes());
    message
}

/// Begins a cookie reply.
pub(super) fn start_cookie(receiver: u32, nonce: &[u8; 24]) -> [u8; COOKIE_LEN] {
    let mut message = [0; COOKIE_LEN];
    message[0] = COOKIE;
    message[4..8].copy_from_slice(&receiver.to_le_bytes());
    message[8..32].copy_from_slice(nonce);
    message
}

/// The header of a data message.
pub(super) fn data_header(receiver: u32, counter: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[0] = DATA;
    header[4..8].copy_from_slice(&receiver.to_le_bytes());
    header[8..].copy_from_slice(&counter.to_le_bytes());
    header
}
