//! The keys of tenants and sites in the snapshot: which there are, since when, and
//! which is in use.

use super::device::wireguard_sites;
use super::{Gateway, Sites};
use crate::model::{Attachment, Backend, Site, Tenant};
use crate::net::{PublicKey, TenantName};
use crate::status::{KeyRole, KeySnapshot, SiteSnapshot};

impl Gateway {
    /// The gateway's next key for a tenant, where its device has it: a kernel's has one.
    pub(super) fn next_key(&self, tenant: &Tenant) -> Option<PublicKey> {
        let is_ours = tenant.backend.backend == Backend::Userspace;
        let next = self.identities.get(&tenant.name).filter(|_| is_ours)?.next.as_ref()?;
        Some(next.public)
    }

    /// The gateway's keys for a tenant.
    pub(super) fn gateway_keys(&self, tenant: &Tenant, sites: &Sites) -> Vec<KeySnapshot> {
        let name = &tenant.name;
        let current = self.identities.get(name).map(|identity| identity.current.public);
        let next = self.next_key(tenant);
        // One that nobody uses is of use to who has not called yet.
        let uses = |by_next: bool| {
            wireguard_sites(tenant).any(|(site, _)| sites.uses_next_key(site) == Some(by_next))
        };
        let all = [(KeyRole::Gateway, current, false), (KeyRole::GatewayNext, next, true)];
        let all = all.into_iter().filter_map(|(role, key, by_next)| Some((role, key?, by_next)));
        all.map(|(role, key, by_next)| self.key(name, role, key, uses(by_next))).collect()
    }

    /// Writes the keys of a site into its snapshot, which says already which of the
    /// customer's is in use.
    pub(super) fn describe_keys(
        &self,
        tenant: &Tenant,
        site: &Site,
        sites: &Sites,
        snapshot: &mut SiteSnapshot,
    ) {
        let Attachment::WireGuard(peer) = &site.attachment else { return };
        let used = snapshot.public_key.filter(|_| snapshot.last_handshake_time.is_some());
        let all = [
            (KeyRole::Customer, Some(peer.public_key)),
            (KeyRole::CustomerNext, peer.next_public_key),
        ];
        let all = all.into_iter().filter_map(|(role, key)| Some((role, key?)));
        snapshot.keys =
            all.map(|(role, key)| self.key(&tenant.name, role, key, used == Some(key))).collect();
        let identity = self.identities.get(&tenant.name);
        snapshot.gateway_public_key = match (sites.uses_next_key(site), identity) {
            // What was the next key when the device was looked at may be the only one now.
            (Some(true), Some(identity)) => identity.keys().last().map(|key| key.public),
            (Some(false), Some(identity)) => Some(identity.current.public),
            (None, _) | (_, None) => None,
        };
        if peer.next_preshared_key.is_some() {
            let uses_next = sites.uses_next_preshared_key(site, peer).unwrap_or(false);
            snapshot.uses_next_preshared_key = Some(uses_next);
        }
    }

    fn key(
        &self,
        tenant: &TenantName,
        role: KeyRole,
        key: PublicKey,
        is_used: bool,
    ) -> KeySnapshot {
        let since = self.key_ages.of(tenant, key).unwrap_or(self.started);
        KeySnapshot { role, public_key: key, since, is_used }
    }
}
