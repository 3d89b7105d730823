//! What the gateway remembers across a restart, in one file.
//!
//! Endpoints, so that a customer behind NAT is called at once instead of after
//! its fifteen seconds of silence; a bound of all handshake stamps sent, so that
//! a clock that went back cannot make every peer refuse us (WireGuard paper
//! §5.1); the UDP ports given out, so that no customer has to change a
//! configuration; settings as they were before us, to put them back; since when each
//! key is known, for its age; the sites no device of which answers, so that nobody is
//! told of their networks before one does.
//!
//! It holds no secret. A torn or foreign file is reported and not used: all of
//! it can be learned again.

use super::{envelope, file};
use crate::net::{PublicKey, SiteName, TenantName, Timestamp};
use crate::reconcile::Borrowed;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name in the state directory.
pub const FILE: &str = "memory.json";

/// The layout below. Another one is not read.
const VERSION: u32 = 2;

/// How far ahead of the last stamp stamps are reserved. A crash makes the next
/// process begin so far ahead of the clock, at most.
const RESERVED: Duration = Duration::from_secs(60);

/// What must be left of them when it is looked at: more than is used until it is
/// looked at again and written.
const LEFT: Duration = Duration::from_secs(20);

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// UDP port by tenant.
    pub ports: BTreeMap<TenantName, u16>,
    /// Where each peer was last seen, by tenant and key.
    pub endpoints: BTreeMap<(TenantName, PublicKey), SocketAddr>,
    /// No device sends a stamp after this one before a later one is written
    /// here; so whoever sends only stamps after it is believed by every peer.
    pub stamp_ceiling: Timestamp,
    /// How settings were that outlive us.
    pub borrowed: Borrowed,
    /// Since when each key is known, by tenant and key.
    pub key_ages: BTreeMap<(TenantName, PublicKey), Timestamp>,
    /// The sites no device of which answers their probes.
    pub lost_sites: BTreeSet<(TenantName, SiteName)>,
}

impl Memory {
    /// Reserves stamps for the time to come, when few are left: the clock says
    /// `wall`, and no stamp after `last` was sent.
    pub fn reserve_stamps(&mut self, wall: Timestamp, last: Timestamp) {
        let latest = wall.max(last);
        if self.stamp_ceiling < latest + LEFT {
            self.stamp_ceiling = latest + RESERVED;
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    stamp_ceiling: (u64, u32),
    ports: BTreeMap<String, u16>,
    endpoints: BTreeMap<String, BTreeMap<String, SocketAddr>>,
    settings_before: BTreeMap<String, i32>,
    /// Whole seconds. An earlier version wrote none.
    #[serde(default)]
    keys_since: BTreeMap<String, BTreeMap<String, u64>>,
    /// An earlier version wrote none.
    #[serde(default)]
    lost_sites: BTreeMap<String, Vec<String>>,
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
    let body: Body = envelope::open(VERSION, bytes)?;
    let (seconds, nanoseconds) = body.stamp_ceiling;
    let stamp_ceiling = Timestamp::new(seconds, nanoseconds);
    let mut memory = Memory { stamp_ceiling, ..Memory::default() };
    let mut settings = BTreeMap::new();
    for (sysctl, value) in body.settings_before {
        settings.insert(sysctl.parse().ok()?, value);
    }
    memory.borrowed = Borrowed::new(settings);
    for (tenant, port) in body.ports {
        memory.ports.insert(tenant.parse().ok()?, port);
    }
    for (tenant, endpoints) in body.endpoints {
        let tenant: TenantName = tenant.parse().ok()?;
        for (key, endpoint) in endpoints {
            memory.endpoints.insert((tenant.clone(), key.parse().ok()?), endpoint);
        }
    }
    for (tenant, keys) in body.keys_since {
        let tenant: TenantName = tenant.parse().ok()?;
        for (key, seconds) in keys {
            memory.key_ages.insert((tenant.clone(), key.parse().ok()?), Timestamp::new(seconds, 0));
        }
    }
    for (tenant, sites) in body.lost_sites {
        let tenant: TenantName = tenant.parse().ok()?;
        for site in sites {
            memory.lost_sites.insert((tenant.clone(), site.parse().ok()?));
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
    let stamp = memory.stamp_ceiling;
    let mut body = Body {
        stamp_ceiling: (stamp.seconds(), stamp.nanoseconds()),
        ports: memory.ports.iter().map(|(tenant, port)| (tenant.to_string(), *port)).collect(),
        endpoints: BTreeMap::new(),
        settings_before: BTreeMap::new(),
        keys_since: BTreeMap::new(),
        lost_sites: BTreeMap::new(),
    };
    for (sysctl, value) in memory.borrowed.settings() {
        body.settings_before.insert(sysctl.to_string(), *value);
    }
    for ((tenant, key), endpoint) in &memory.endpoints {
        let peers = body.endpoints.entry(tenant.to_string()).or_default();
        peers.insert(key.to_string(), *endpoint);
    }
    for ((tenant, key), since) in &memory.key_ages {
        let keys = body.keys_since.entry(tenant.to_string()).or_default();
        keys.insert(key.to_string(), since.seconds());
    }
    for (tenant, site) in &memory.lost_sites {
        body.lost_sites.entry(tenant.to_string()).or_default().push(site.to_string());
    }
    let bytes = envelope::seal(VERSION, body).map_err(|source| error(source.into()))?;
    file::replace(path, &bytes).map_err(error)
}
