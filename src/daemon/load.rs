//! From documents on disk to a config with everyone's keys, in one go.
//!
//! It runs on a thread that may block, so that reading and checking a large set
//! delays no one.

use super::document_file::DocumentFile;
use super::keys::{self, KeyFileError};
use super::source::{Reading, Source, SourceError};
use crate::config::{self, Checked, Documents, ObjectName, Options, OwnKeys, Secrets};
use crate::gateway::{GatewayKey, Identity};
use crate::linux;
use crate::model::{Config, Placement};
use crate::net::{Mtu, TenantName, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What of earlier sets of documents is not to be lost.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// The UDP ports given out.
    pub ports: BTreeMap<TenantName, u16>,
    /// The kept keys that were read: none is read twice while its file is the same.
    pub identities: BTreeMap<TenantName, Identity>,
    /// The set in force, for what may not change in the next.
    pub documents: Arc<Documents>,
    /// What came of the tenants of that set.
    pub checked: Checked,
    /// The files as they were read last. Without them every file is read again.
    pub files: Arc<Vec<DocumentFile>>,
    /// The present time, by which files are known that are not being written.
    pub now: Timestamp,
}

/// A set of documents, checked.
#[derive(Debug)]
pub struct Loaded {
    /// The tenants that have no error.
    pub config: Config,
    /// The keys of each of them.
    pub identities: BTreeMap<TenantName, Identity>,
    /// Every error, one line each; empty when all is well.
    pub errors: Vec<String>,
    /// The UDP port of each tenant, for the next time.
    pub ports: BTreeMap<TenantName, u16>,
    /// The uplink's MTU that tunnels were measured by.
    pub uplink_mtu: Option<Mtu>,
    /// The documents themselves, for the next time.
    pub documents: Documents,
    /// What came of each tenant, for the next time.
    pub checked: Checked,
    /// The documents of the set in force that are not there any more.
    pub gone: Vec<ObjectName>,
    /// The same for two readings of the same files.
    pub digest: [u8; 32],
    /// What was read.
    pub files: Arc<Vec<DocumentFile>>,
}

/// Why nothing could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The documents could not be read.
    #[error("cannot load the documents")]
    Source(#[from] SourceError),
    /// Reading them came to no end: a defect of ours.
    #[error("reading the documents broke off")]
    Lost,
}

/// Reads, checks, and makes the keys that are not there yet.
///
/// # Errors
/// When the documents cannot be read. Errors in them are part of the result.
pub fn load(
    source: &Source,
    state: &Path,
    placement: Placement,
    earlier: &Earlier,
) -> Result<Loaded, LoadError> {
    let reading = source.read_after(&earlier.files, earlier.now)?;
    Ok(check(reading, state, placement, earlier))
}

/// Checks `files` in place of the documents that are there now.
///
/// # Errors
/// When the secrets cannot be read. Errors in the documents are part of the
/// result.
pub fn load_kept(
    source: &Source,
    files: Vec<DocumentFile>,
    state: &Path,
    placement: Placement,
    earlier: &Earlier,
) -> Result<Loaded, LoadError> {
    let reading = Reading { files, secrets: source.read_secrets()? };
    Ok(check(reading, state, placement, earlier))
}

fn check(reading: Reading, state: &Path, placement: Placement, earlier: &Earlier) -> Loaded {
    let texts = || reading.files.iter().map(|file| (file.name.as_str(), &file.bytes));
    let judge = Judge {
        secrets: &reading.secrets,
        state,
        earlier,
        uplink_mtu: linux::uplink_mtu(),
        placement,
    };
    // Of a thousand files one has changed: the others are not read again, unless
    // there is something to say about them, which wants its line.
    let mut documents = Documents::parse_after(texts(), &earlier.documents);
    let mut judged = judge.judge(&documents);
    if !judged.errors.is_empty() && documents.lacks_lines() {
        documents = Documents::parse(texts().map(|(name, bytes)| (name, &**bytes)));
        judged = judge.judge(&documents);
    }
    let Judged { mut config, mut identities, errors, ports, checked } = judged;
    let gone = earlier.documents.gone_from(&documents).cloned().collect();
    documents.forget_text();
    identities.retain(|name, _| config.tenants.contains_key(name));
    for (name, tenant) in &config.tenants {
        let Some(given) = tenant.private_key.clone() else { continue };
        let known = identities.get(name);
        let next = known.and_then(|known| known.next.as_ref()).map(|next| &next.private);
        let is_known = known.is_some_and(|known| known.current.private == given);
        if !is_known || next != tenant.next_private_key.as_ref() {
            let next = tenant.next_private_key.clone().filter(|next| *next != given);
            let next = next.map(|next| GatewayKey::new(next, None));
            let identity = Identity { next, ..Identity::new(given) };
            identities.insert(name.clone(), identity);
        }
    }
    // Without its key a tenant cannot be served; with another it would be
    // a stranger to its customers.
    config.tenants.retain(|name, _| identities.contains_key(name));
    let (uplink_mtu, files) = (judge.uplink_mtu, Arc::new(reading.files));
    let digest = digest(&files);
    Loaded {
        config,
        identities,
        errors,
        ports,
        uplink_mtu,
        documents,
        checked,
        gone,
        digest,
        files,
    }
}

/// What documents are judged by.
struct Judge<'a> {
    secrets: &'a Secrets,
    state: &'a Path,
    earlier: &'a Earlier,
    uplink_mtu: Option<Mtu>,
    placement: Placement,
}

/// What came of it.
struct Judged {
    config: Config,
    identities: BTreeMap<TenantName, Identity>,
    errors: Vec<String>,
    ports: BTreeMap<TenantName, u16>,
    checked: Checked,
}

impl Judge<'_> {
    fn judge(&self, documents: &Documents) -> Judged {
        let mut errors = Vec::new();
        let identities = identities(documents, self.state, &self.earlier.identities, &mut errors);
        let own_keys = identities.iter().map(|(name, Identity { current, next })| {
            let next = next.as_ref().map(|next| next.public);
            (name.clone(), OwnKeys { current: current.public, next })
        });
        let own_keys = own_keys.collect();
        let options = Options {
            placement: self.placement,
            own_keys,
            uplink_mtu: self.uplink_mtu,
            kernel: linux::features(),
        };
        let Earlier { ports, checked, .. } = self.earlier;
        let outcome = config::validate_after(documents, self.secrets, ports, &options, checked);
        errors.extend(outcome.errors.iter().map(ToString::to_string));
        let changes = config::check_transition(&self.earlier.documents, documents);
        errors.extend(changes.iter().map(ToString::to_string));
        let (ports, checked) = (outcome.allocations, outcome.checked);
        Judged { config: outcome.config, identities, errors, ports, checked }
    }
}

fn digest(files: &[DocumentFile]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        for part in [file.name.as_bytes(), &file.sum] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}

/// The keys of every tenant that has a document and whose key is kept here.
fn identities(
    documents: &Documents,
    state: &Path,
    known: &BTreeMap<TenantName, Identity>,
    errors: &mut Vec<String>,
) -> BTreeMap<TenantName, Identity> {
    let mut identities = BTreeMap::new();
    for gateway in documents.gateways() {
        let object = &gateway.object;
        let Ok(name) = TenantName::new(&object.namespace, &object.name) else { continue };
        if gateway.spec.private_key_secret_ref.is_some() {
            continue;
        }
        match keys::identity(state, &name, known.get(&name), random) {
            Ok(identity) => {
                identities.insert(name, identity);
            }
            Err(error) => errors.push(format!("TenantGateway/{name}: {}", chain(&error))),
        }
    }
    identities
}

/// 32 random bytes from the system.
fn random() -> Result<[u8; 32], KeyFileError> {
    let mut bytes = [0; 32];
    let rng = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&rng, &mut bytes).map_err(|_| KeyFileError::NoRandom)?;
    Ok(bytes)
}

/// An error with its causes, on one line.
fn chain(error: &KeyFileError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
