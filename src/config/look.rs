//! Whether what stands in a public key's place looks like a private key.
//!
//! One in sixteen public keys has the bits that a private key has (RFC 7748 §5).
//! What has them is a private key for certain when no private key could belong to
//! it, as with fifteen private keys of sixteen, or when it is the one behind a
//! public key we know. Else it is worth a note only.

use crate::net::{PrivateKey, PublicKey};

/// What a key looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A public key.
    Public,
    /// A private key, and it can be nothing else.
    Private,
    /// Either; as a private key, it is the one behind this public key.
    Either(PublicKey),
}

impl Look {
    pub(super) fn of(key: &PublicKey) -> Self {
        let bytes = key.as_bytes();
        let clamped = bytes[0] & 0b111 == 0 && bytes[31] & 0b1100_0000 == 0b0100_0000;
        if !clamped {
            Self::Public
        } else if key.has_private_key() {
            Self::Either(PrivateKey::from_random(*bytes).public())
        } else {
            Self::Private
        }
    }
}
