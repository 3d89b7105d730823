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
        // Multiplying by any clamped scalar clears the small subgroup, so one
        // multiplication tells all low-order points and their encodings.
        let scalar = x25519_dalek::StaticSecret::from([0x42; LEN]);
        let shared = scalar.diffie_hellman(&x25519_dalek::PublicKey::from(bytes));
        if !shared.was_contributory() {
            return Err(KeyError::LowOrder);
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
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
