//! Who we are to NMaaS.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of the longest token: what servers take of one header.
const MAX_BYTES: usize = 8 << 10;

/// An access token (a JWT), which NMaaS gives out for an hour by default
/// (`jwt.tokenValidFor`). Its text is shown nowhere.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token in {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// What was given is no token.
    #[error("{0} holds no token: one word of letters, digits and signs, at most 8 KiB")]
    Malformed(String),
}

impl Token {
    /// Reads the file each time it is asked for: a token is replaced before it expires.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        // All the room at once, for a buffer that moves leaves its bytes behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text))
            .map_err(|error| TokenError::Read(path.to_owned(), error))?;
        Self::new(&text).ok_or_else(|| TokenError::Malformed(path.display().to_string()))
    }

    /// The token `text`, blanks around it left out.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_sound = !text.is_empty() && text.len() <= MAX_BYTES;
        let is_word = text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_sound && is_word).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}
