//! Big-endian numbers in a packet, read and written without a way to panic.

/// The number at `at`; `None` beyond the end.
pub(super) fn word(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// The number at `at`; `None` beyond the end.
pub(super) fn double(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Writes `value` at `at`; beyond the end nothing happens.
pub(super) fn put(packet: &mut [u8], at: usize, value: u16) {
    if let Some(place) = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = value.to_be_bytes();
    }
}

/// Writes `value` at `at`; beyond the end nothing happens.
pub(super) fn put_double(packet: &mut [u8], at: usize, value: u32) {
    if let Some(place) = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = value.to_be_bytes();
    }
}
