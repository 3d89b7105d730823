//! Curve25519 keys and preshared keys as WireGuard writes them.
//!
//! A secret key has no `Display`, its `Debug` is blank, it is wiped when
//! dropped, and only [`PrivateKey::to_base64`] and
//! [`PresharedKey::to_base64`] bring it out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes in every WireGuard key.
const LEN: usize = 32;

/// Why a text is not a WireGuard key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not base64 in the standard alphabet with padding (RFC 4648 §4).
    #[error("is not base64 of a WireGuard key (44 characters ending in `=`)")]
    Encoding,
    /// It is base64, of this many bytes instead of 32.
    #[error("holds {0} bytes; a WireGuard key has 32")]
    Length(usize),
    /// It is a point of small order, for which every exchange gives zero.
    #[error("is a low-order point and no usable public key")]
    LowOrder,
}

/// A point's encoding of one byte, then the same one again and again, then a last.
const fn filled(first: u8, middle: u8, last: u8) -> [u8; LEN] {
    let mut bytes = [middle; LEN];
    bytes[0] = first;
    bytes[LEN - 1] = last;
    bytes
}

/// Every encoding of a point whose order divides 8, topmost bit left out: 0, 1,
/// two points of order 8, −1, and 0 and 1 again with the field's prime added.
/// Comparing takes a thousandth of the time of a multiplication that would tell.
const LOW_ORDER: [[u8; LEN]; 7] = [
    filled(0x00, 0x00, 0x00),
    filled(0x01, 0x00, 0x00),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    filled(0xec, 0xff, 0x7f),
    filled(0xed, 0xff, 0x7f),
    filled(0xee, 0xff, 0x7f),
];

fn decode(text: &str) -> Result<Zeroizing<[u8; LEN]>, KeyError> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyError::Encoding)?);
    let array = <[u8; LEN]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Length(bytes.len()));
    array.map(Zeroizing::new)
}

/// A peer's public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; LEN]);

impl PublicKey {
    /// Takes 32 bytes as a public key.
    ///
    /// # Errors
    /// [`KeyError::LowOrder`] for the points whose shared secret is zero with
    /// every private key (RFC 7748 §6.1), the all-zero key among them.
    pub fn from_bytes(bytes: [u8; LEN]) -> Result<Self, KeyError> {
        // The topmost bit is not part of the point (RFC 7748 §5).
        let mut point = bytes;
        point[31] &= 0b0111_1111;
        if LOW_ORDER.contains(&point) {
            return Err(KeyError::LowOrder);
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// Whether there is a private key to it: a public key is the base point times a
    /// private key (RFC 7748 §6.1), so it is in the group that point generates. Of
    /// 32 random bytes that is one in sixteen. Takes as long as a handshake's
    /// exchange.
    pub fn has_private_key(&self) -> bool {
        let point = curve25519_dalek::MontgomeryPoint(self.0).to_edwards(0);
        point.is_some_and(|point| point.is_torsion_free())
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(*decode(text)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A gateway's private key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; LEN]);

impl PrivateKey {
    /// Makes a private key of 32 random bytes, clamped as RFC 7748 §5 asks.
    pub fn from_random(mut bytes: [u8; LEN]) -> Self {
        bytes[0] &= 0b1111_1000;
        bytes[31] &= 0b0111_1111;
        bytes[31] |= 0b0100_0000;
        let key = Self(bytes);
        bytes.zeroize();
        key
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// The 32 bytes, for the noise engine.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// The key as text. It is a secret: write it to a 0600 file and nowhere else.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(*decode(text)?))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// A symmetric key mixed into the handshake of one peer (WireGuard paper §5.2).
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PresharedKey([u8; LEN]);

impl PresharedKey {
    /// Takes 32 random bytes.
    pub const fn from_random(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for the noise engine.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// The key as text. It is a secret: write it to a 0600 file and nowhere else.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }
}

impl FromStr for PresharedKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(*decode(text)?))
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(redacted)")
    }
}
