//! What is kept across a restart, with a version and a checksum around it: a torn
//! file, or one of another version, is told from a whole one and never half used.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
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
    let body = serde_json::to_vec(&body)?;
    // An `Envelope` as JSON, in which the body is written once.
    let head = format!(r#"{{"version":{version},"sha256":"{}","body":"#, checksum(&body));
    Ok([head.as_bytes(), &body, b"}"].concat())
}

/// What is in such a file, if it is of this `version` and whole.
pub(super) fn open<T>(version: u32, bytes: &[u8]) -> Option<T>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    let envelope: Envelope<T> = serde_json::from_slice(bytes).ok()?;
    let body = serde_json::to_vec(&envelope.body).ok()?;
    let whole = checksum(&body) == envelope.sha256;
    (envelope.version == version && whole).then_some(envelope.body)
}

fn checksum(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}
