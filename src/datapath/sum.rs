//! The Internet checksum (RFC 1071) over what is being moved anyway.

/// The sum of `bytes` as big-endian 16-bit words, added to `sum`, not folded.
///
/// Words are added in the machine's own order, four bytes at a time, and the
/// sum is turned at the end: one's complement addition does not care (§2 B).
pub(super) fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut native = 0_u64;
    for word in words {
        native += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    native += u64::from(u32::from_ne_bytes(last));
    sum + u64::from(u16::from_be(fold(native)))
}

/// A sum in 16 bits.
pub(super) fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The sum of the pseudo-header of TCP or UDP in the IP packet whose addresses
/// are `addresses` (RFC 9293 §3.1, RFC 8200 §8.1).
pub(super) fn pseudo_header(addresses: &[u8], protocol: u8, len: usize) -> u64 {
    add(u64::from(protocol) + len as u64, addresses)
}
