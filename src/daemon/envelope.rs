//! What is kept across a restart, with a version and a checksum around it: a torn
//! file, or one of another version, is told from a whole one and never half used.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    sha256: String,
    body: T,
}

/// `body` as the bytes of a file.
///
/// # Errors
/// When it has no JSON form.
pub(super) fn seal<T: Serialize>(version: u32, body: T) -> serde_json::Result<Vec<u8>> {
    let sha256 = checksum(&body)?;
    serde_json::to_vec(&Envelope { version, sha256, body })
}

/// What is in such a file, if it is of this `version` and whole.
pub(super) fn open<T>(version: u32, bytes: &[u8]) -> Option<T>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    let envelope: Envelope<T> = serde_json::from_slice(bytes).ok()?;
    let whole = checksum(&envelope.body).is_ok_and(|sum| sum == envelope.sha256);
    (envelope.version == version && whole).then_some(envelope.body)
}

fn checksum<T: Serialize>(body: &T) -> serde_json::Result<String> {
    let digest = Sha256::digest(serde_json::to_vec(body)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
