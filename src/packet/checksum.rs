//! The Internet checksum (RFC 1071): whole, of a pseudo-header, and brought up to
//! date when a few bytes change (RFC 1624).

/// Bytes summed in one step of the inner loop.
const BLOCK: usize = 32;

/// A one's complement sum in the making.
///
/// Words are added in the machine's own order, 32 bits at a time, and the sum is
/// turned and folded when it is asked for: one's complement addition does not
/// care (RFC 1071 §2 B). It holds 2³² of them before it could overflow; a packet
/// has 2¹⁴.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds `bytes` as big-endian 16-bit words. An odd byte at the end counts as
    /// if a zero followed, so only the last piece of a whole may have one.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        // Lanes of their own let the compiler use vectors.
        let mut lanes = [0_u64; BLOCK / 8];
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            for (lane, eight) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                let eight = u64::from_ne_bytes(*eight);
                *lane += (eight & 0xffff_ffff) + (eight >> 32);
            }
        }
        let mut sum = self.0 + lanes.iter().sum::<u64>();
        let (words, last) = rest.as_chunks::<4>();
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        let mut padded = [0; 4];
        for (to, from) in padded.iter_mut().zip(last) {
            *to = *from;
        }
        Self(sum + u64::from(u32::from_ne_bytes(padded)))
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub const fn with_word(self, word: u16) -> Self {
        Self(self.0 + word.to_be() as u64)
    }

    /// The sum in 16 bits: what a partial checksum's field holds.
    pub const fn fold(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16)
    }

    /// The checksum: the sum's complement.
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether what was added, its checksum among it, is as it was sent.
    pub const fn is_intact(self) -> bool {
        self.fold() == 0xffff
    }
}

/// The sum of the pseudo-header before `len` bytes of `protocol`, header
/// included, with both addresses as they stand in the IP header (RFC 9293 §3.1,
/// RFC 768, RFC 8200 §8.1).
pub fn pseudo_header(addresses: &[u8], protocol: u8, len: usize) -> Sum {
    let sum = Sum::default().with_word(u16::from(protocol));
    sum.with_word((len >> 16) as u16).with_word(len as u16).with(addresses)
}

/// How a sum changes when words that were summed change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(Sum);

impl Delta {
    /// Adds the change of `before` into `after`, which begin at an even place in
    /// what is summed and are of one, even, length.
    #[must_use]
    pub fn replace(self, before: &[u8], after: &[u8]) -> Self {
        // The complement of a sum is the sum of the complements.
        Self(self.0.with_word(!Sum::default().with(before).fold()).with(after))
    }

    /// Adds the change of one word.
    #[must_use]
    pub const fn replace_word(self, before: u16, after: u16) -> Self {
        Self(self.0.with_word(!before).with_word(after))
    }

    /// Both changes.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(Sum(self.0.0 + other.0.0))
    }

    /// The checksum after the change: HC' = ~(~HC + ~m + m') (RFC 1624 §3,
    /// equation 3; equation 2 of RFC 1141 errs where the sum is zero).
    pub const fn apply(self, checksum: u16) -> u16 {
        self.0.with_word(!checksum).checksum()
    }

    /// The same for a partial checksum: a pseudo-header's sum, not complemented,
    /// that stands where the checksum will be.
    pub const fn apply_partial(self, sum: u16) -> u16 {
        self.0.with_word(sum).fold()
    }
}

/// A computed UDP checksum as it is sent: zero would mean that there is none
/// (RFC 768).
pub const fn udp(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}
