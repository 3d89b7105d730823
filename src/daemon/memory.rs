//! What the gateway remembers across a restart, in one file.
//!
//! Endpoints, so that a customer behind NAT is called at once instead of after
//! its fifteen seconds of silence; the latest handshake stamp, so that a clock
//! that went back cannot make every peer refuse us (WireGuard paper §5.1); the
//! UDP ports given out, so that no customer has to change a configuration.
//!
//! It holds no secret. A torn or foreign file is reported and not used: all of
//! it can be learned again.

use super::file;
use crate::net::{PublicKey, TenantName, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file's name in the state directory.
pub const FILE: &str = "memory.json";

/// The layout below. Another one is not read.
const VERSION: u32 = 1;

/// How far the stamp is moved when the clock is found behind it: more than was
/// sent between the last write and a crash.
const STAMP_MARGIN_SECONDS: u64 = 10;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// UDP port by tenant.
    pub ports: BTreeMap<TenantName, u16>,
    /// Where each peer was last seen, by tenant and key.
    pub endpoints: BTreeMap<(TenantName, PublicKey), SocketAddr>,
    /// The latest stamp sent by any device.
    pub last_initiation: Timestamp,
}

impl Memory {
    /// The stamp that the next process must send after, given what its clock says.
    pub fn initiation_floor(&self, wall: Timestamp) -> Timestamp {
        if wall <= self.last_initiation {
            let stamp = self.last_initiation;
            Timestamp::new(stamp.seconds() + STAMP_MARGIN_SECONDS, stamp.nanoseconds())
        } else {
            self.last_initiation
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    sha256: String,
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    last_initiation: (u64, u32),
    ports: BTreeMap<String, u16>,
    endpoints: BTreeMap<String, BTreeMap<String, SocketAddr>>,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// It is not what this version writes, or a part of it is missing.
    #[error("{0} is damaged or of another version; endpoints and ports are learned anew")]
    Damaged(PathBuf),
    /// It cannot be written.
    #[error("cannot write {0}; after a restart endpoints will have to be learned anew")]
    Write(PathBuf, #[source] io::Error),
}

/// Reads the file; a file that is not there is an empty memory.
///
/// # Errors
/// [`MemoryError::Read`] and [`MemoryError::Damaged`].
pub fn read(path: &Path) -> Result<Memory, MemoryError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(MemoryError::Read(path.to_owned(), error)),
    };
    parse(&bytes).ok_or_else(|| MemoryError::Damaged(path.to_owned()))
}

fn parse(bytes: &[u8]) -> Option<Memory> {
    let written: Written = serde_json::from_slice(bytes).ok()?;
    if written.version != VERSION || written.sha256 != checksum(&written.body)? {
        return None;
    }
    let (seconds, nanoseconds) = written.body.last_initiation;
    let mut memory =
        Memory { last_initiation: Timestamp::new(seconds, nanoseconds), ..Memory::default() };
    for (tenant, port) in written.body.ports {
        memory.ports.insert(tenant.parse().ok()?, port);
    }
    for (tenant, endpoints) in written.body.endpoints {
        let tenant: TenantName = tenant.parse().ok()?;
        for (key, endpoint) in endpoints {
            memory.endpoints.insert((tenant.clone(), key.parse().ok()?), endpoint);
        }
    }
    Some(memory)
}

/// Writes the file in one stroke.
///
/// # Errors
/// [`MemoryError::Write`]; the old file is then still whole.
pub fn write(path: &Path, memory: &Memory) -> Result<(), MemoryError> {
    let error = |error| MemoryError::Write(path.to_owned(), error);
    let stamp = memory.last_initiation;
    let mut body = Body {
        last_initiation: (stamp.seconds(), stamp.nanoseconds()),
        ports: memory.ports.iter().map(|(tenant, port)| (tenant.to_string(), *port)).collect(),
        endpoints: BTreeMap::new(),
    };
    for ((tenant, key), endpoint) in &memory.endpoints {
        let peers = body.endpoints.entry(tenant.to_string()).or_default();
        peers.insert(key.to_string(), *endpoint);
    }
    let Some(sha256) = checksum(&body) else { return Ok(()) };
    let written = Written { version: VERSION, sha256, body };
    let bytes = serde_json::to_vec(&written).map_err(|source| error(source.into()))?;
    file::replace(path, &bytes).map_err(error)
}

fn checksum(body: &Body) -> Option<String> {
    let digest = Sha256::digest(serde_json::to_vec(body).ok()?);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
