//! The password two BGP neighbors share.
//!
//! It is a secret: it has no `Display`, its `Debug` is blank, it is wiped when
//! dropped, and only [`TcpPassword::as_bytes`] brings it out.

use std::fmt;
use zeroize::Zeroizing;

/// Why a text is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// The kernel takes no more (`TCP_MD5SIG_MAXKEYLEN`).
    #[error("has {0} bytes; a TCP-MD5 password has at most {max}", max = TcpPassword::MAX_BYTES)]
    TooLong(usize),
}

/// What every segment of a session is signed with (TCP-MD5, RFC 2385): 1 to 80 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct TcpPassword(Zeroizing<Vec<u8>>);

impl TcpPassword {
    /// The most bytes it has (`TCP_MD5SIG_MAXKEYLEN`).
    pub const MAX_BYTES: usize = 80;

    /// Takes a text as a password.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        match text.len() {
            0 => Err(PasswordError::Empty),
            1..=Self::MAX_BYTES => Ok(Self(Zeroizing::new(text.as_bytes().to_vec()))),
            bytes => Err(PasswordError::TooLong(bytes)),
        }
    }

    /// Its bytes, for the kernel.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TcpPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TcpPassword(redacted)")
    }
}
