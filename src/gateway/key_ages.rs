//! Since when each key is known: the gateway's own by their files, customers' since a
//! document named them, over restarts too.

use super::Identity;
use super::device::wireguard_sites;
use crate::model::Config;
use crate::net::{PublicKey, TenantName, Timestamp};
use std::collections::BTreeMap;

/// When keys were first seen. There is one entry for each key there is, and no other.
#[derive(Debug, Default)]
pub(super) struct KeyAges(BTreeMap<(TenantName, PublicKey), Timestamp>);

impl KeyAges {
    /// Takes what an earlier process knew.
    pub(super) fn handle_memory(&mut self, known: BTreeMap<(TenantName, PublicKey), Timestamp>) {
        self.0 = known;
    }

    /// Takes the keys that there are from `now` on. Those of tenants that are refused
    /// are still known when their documents are put right.
    pub(super) fn handle_config(
        &mut self,
        config: &Config,
        identities: &BTreeMap<TenantName, Identity>,
        now: Timestamp,
    ) {
        let mut known = std::mem::take(&mut self.0);
        for (name, tenant) in &config.tenants {
            let own = identities.get(name).into_iter().flat_map(Identity::keys);
            let own = own.map(|key| (key.public, key.made));
            let sites = wireguard_sites(tenant).flat_map(|(_, peer)| peer.public_keys());
            for (key, made) in own.chain(sites.map(|key| (key, None))) {
                let entry = (name.clone(), key);
                let since = made.or_else(|| known.remove(&entry)).unwrap_or(now);
                // In whole seconds, as it is kept.
                self.0.insert(entry, Timestamp::new(since.seconds(), 0));
            }
        }
        known.retain(|(tenant, _), _| config.refused.iter().any(|it| it.tenant == *tenant));
        for (entry, since) in known {
            self.0.entry(entry).or_insert(since);
        }
    }

    /// Since when the key is known.
    pub(super) fn of(&self, tenant: &TenantName, key: PublicKey) -> Option<Timestamp> {
        self.0.get(&(tenant.clone(), key)).copied()
    }

    /// All of it, for the next process.
    pub(super) const fn all(&self) -> &BTreeMap<(TenantName, PublicKey), Timestamp> {
        &self.0
    }
}
