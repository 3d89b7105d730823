//! What the gateway is told, by those who carry out what it says and by those who look
//! after the documents.

use super::{Gateway, Identity, device, tenants};
use crate::model::{Config, Tenant, WireGuardPeer};
use crate::net::{Now, PublicKey, SiteName, TenantName, Timestamp};
use crate::reconcile::{
    Borrowed, ConntrackSample, Device, LegSample, Namespace, StepFailure, unprogrammable,
};
use crate::status::{EventReason, Offloads, Reload, ReloadOutcome};
use crate::wireguard::Sample;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

impl Gateway {
    /// Takes a whole set of documents, with every tenant's keys.
    ///
    /// Tenants that are not in it go, except those that are refused in it:
    /// a mistake in a document does not cut a customer off.
    pub fn handle_config(
        &mut self,
        config: Config,
        identities: BTreeMap<TenantName, Identity>,
        errors: Vec<String>,
        now: Now,
    ) {
        if self.stopping {
            // They were being read when the word to stop came.
            return;
        }
        self.generation += 1;
        self.reload = Some(Reload { at: now.wall, outcome: ReloadOutcome::Accepted, errors });
        let known = std::mem::replace(&mut self.identities, identities);
        let refused: BTreeSet<TenantName> = config
            .refused
            .iter()
            .filter(|refusal| refusal.site.is_none())
            .map(|refusal| refusal.tenant.clone())
            .collect();
        // Who goes on to be served needs its keys.
        for name in &refused {
            if let Some(identity) = known.get(name) {
                self.identities.entry(name.clone()).or_insert_with(|| identity.clone());
            }
        }
        self.key_ages.handle_config(&config, &self.identities, now.wall);
        self.left_out = unprogrammable(&config, self.placement);
        self.config = config;
        self.is_telling = true;
        self.configure_shared(now);
        let names: Vec<TenantName> = self.tenants.keys().cloned().collect();
        for name in names {
            if !self.config.tenants.contains_key(&name) && !refused.contains(&name) {
                self.release(&name, now);
            }
        }
        let names: Vec<TenantName> = self.config.tenants.keys().cloned().collect();
        for name in names {
            let same_key = known.get(&name) == self.identities.get(&name);
            if !(same_key && self.is_wanted_already(&name)) {
                self.want(&name, now);
            } else if let Some(machine) = self.tenants.get_mut(&name) {
                machine.handle_still_wanted(self.generation, now);
                self.collect(&name, now);
            }
        }
        self.is_telling = false;
        self.note_applied(now);
        self.forget_names();
        self.advance(now);
    }

    /// Takes notice of a set of documents that is not taken; what runs stays.
    pub fn handle_refused_config(&mut self, errors: Vec<String>, now: Now) {
        let message = match errors.first() {
            Some(first) if errors.len() > 1 => format!("{first} (and {} more)", errors.len() - 1),
            Some(first) => first.clone(),
            None => String::new(),
        };
        for machine in self.tenants.values_mut() {
            machine.history.push(EventReason::ConfigRefused, None, message.clone(), now.wall);
        }
        self.reload = Some(Reload { at: now.wall, outcome: ReloadOutcome::Refused, errors });
    }

    /// Takes the tenants whose namespaces were found at the start. One that is
    /// not wanted is removed, unless its documents are refused.
    pub fn handle_present(&mut self, present: Vec<TenantName>, now: Now) {
        for name in present {
            let refused = self.config.refused.iter().any(|refusal| refusal.tenant == name);
            if !self.tenants.contains_key(&name) && !refused {
                let machine = self.machine(&name);
                machine.handle_wanted(None, now);
                self.collect(&name, now);
            }
        }
    }

    /// Takes notice that something in the tenant's namespace may have changed.
    pub fn handle_dirty(&mut self, name: &TenantName, now: Now) {
        self.with(name, now, |machine| machine.handle_dirty(now));
    }

    /// Takes notice that links or addresses of the underlay changed: what could
    /// not be done for want of a link is tried again.
    pub fn handle_underlay(&mut self, now: Now) {
        let failed: Vec<TenantName> = self
            .tenants
            .iter()
            .filter(|(_, machine)| machine.failure().is_some() || machine.has_broken_links())
            .map(|(name, _)| name.clone())
            .collect();
        for name in failed {
            self.with(&name, now, |machine| machine.handle_retry(now));
        }
    }

    /// Takes what the tenant's namespace holds, `None` when there is none.
    ///
    /// `Err` is why it could not be looked at, for a person.
    pub fn handle_observed(
        &mut self,
        name: &TenantName,
        observed: Result<Option<Namespace>, String>,
        now: Now,
    ) {
        let is_stranded = observed.as_ref().is_ok_and(|observed| {
            let machine = self.tenants.get(name);
            machine.is_some_and(|it| it.is_device_stranded(observed.as_ref()))
        });
        if is_stranded {
            let error = "somebody removed the link of its device, or its namespace";
            self.handle_device_failure(name, error.to_owned(), now);
        }
        // Whoever was here before us may have heard from sites what they have.
        let before = observed.as_ref().ok().and_then(Option::as_ref);
        let machine = self.tenants.get_mut(name);
        if before.zip(machine).is_some_and(|(before, machine)| machine.take_up_said(before)) {
            self.want(name, now);
        }
        self.with(name, now, |machine| match observed {
            Ok(observed) => machine.handle_observed(observed, now),
            Err(error) => machine.handle_observe_error(error, now),
        });
    }

    /// Takes what became of a plan: the steps that failed.
    pub fn handle_applied(&mut self, name: &TenantName, failed: Vec<StepFailure>, now: Now) {
        self.with(name, now, |machine| machine.handle_applied(failed, now));
    }

    /// Takes what became of attaching or configuring a device; `Err` is why not, for a person.
    pub fn handle_attached(&mut self, name: &TenantName, result: Result<(), String>, now: Now) {
        self.with(name, now, |machine| machine.handle_attached(result, now));
    }

    /// Takes notice that a device stopped by itself, as when its TUN is deleted.
    pub fn handle_device_failure(&mut self, name: &TenantName, error: String, now: Now) {
        // The next one calls whom this one had found, as another process would.
        if let Some(sites) = self.sites.get(name) {
            self.last_endpoints.entry(name.clone()).or_default().extend(sites.endpoints());
        }
        self.with(name, now, |machine| machine.handle_device_failure(error, now));
        self.configure_device(name, now);
        self.collect(name, now);
    }

    /// Takes notice that a device is gone, as was asked.
    pub fn handle_detached(&mut self, name: &TenantName, now: Now) {
        self.with(name, now, |machine| machine.handle_detached(now));
    }

    /// Takes how the devices are.
    pub fn handle_samples(&mut self, samples: BTreeMap<TenantName, Sample>, now: Now) {
        for (name, sample) in samples {
            let Some(tenant) = &self.tenant(&name) else { continue };
            let (Some(machine), Some(sites)) =
                (self.tenants.get_mut(&name), self.sites.get_mut(&name))
            else {
                continue;
            };
            let names = &self.names;
            let unresolved = |peer: &WireGuardPeer| names.is_unresolved(peer);
            let (device, history) = machine.device_and_history();
            let is_another = sites.handle_sample(tenant, device, sample, unresolved, history, now);
            self.renew_probes(&name, now);
            if is_another {
                self.want(&name, now);
            }
            self.collect(&name, now);
        }
    }

    /// Takes how the tenant's links to sites on VLANs are; one that is not
    /// there is absent.
    pub fn handle_legs(
        &mut self,
        name: &TenantName,
        samples: &BTreeMap<Device, LegSample>,
        now: Now,
    ) {
        let Some(tenant) = &self.tenant(name) else { return };
        let (Some(machine), Some(sites)) = (self.tenants.get_mut(name), self.sites.get_mut(name))
        else {
            return;
        };
        let is_another = sites.handle_legs(tenant, samples, &mut machine.history, now);
        self.renew_probes(name, now);
        if is_another {
            self.want(name, now);
        }
        self.collect(name, now);
    }

    /// Takes how many packets the tenant's rules have dropped, by reason, and how full
    /// its connection tracking is, when that is known.
    pub fn handle_counters(
        &mut self,
        name: &TenantName,
        drops: BTreeMap<String, u64>,
        conntrack: Option<ConntrackSample>,
        now: Now,
    ) {
        let Some(machine) = self.tenants.get_mut(name) else { return };
        self.drops.insert(name.clone(), drops);
        if let Some(sample) = conntrack {
            let table = self.conntrack.entry(name.clone()).or_default();
            table.handle_sample(sample, &mut machine.history, now);
        }
    }

    /// Takes the addresses of a name; none when there are none.
    pub fn handle_resolved(&mut self, name: &str, addresses: &[IpAddr], now: Now) {
        let tenants: Vec<&Tenant> = tenants(&self.config, self.tenants.iter())
            .map(Arc::as_ref)
            .filter(|tenant| device::names(tenant).any(|wanted| wanted == name))
            .collect();
        // A name is whatever the customer's DNS says at the moment; nobody is to
        // reach pods or nodes with it.
        let may_be_dialled = |address: &IpAddr| {
            let forbidden = |tenant: &&Tenant| {
                tenant.class.forbidden_prefixes.iter().any(|prefix| prefix.contains(*address))
            };
            !tenants.iter().any(forbidden)
        };
        if self.names.handle_resolved(name, addresses, may_be_dialled, now) {
            let tenants: Vec<TenantName> =
                tenants.into_iter().map(|tenant| tenant.name.clone()).collect();
            for tenant in tenants {
                self.configure_device(&tenant, now);
                self.collect(&tenant, now);
            }
        }
    }

    /// Takes what is remembered of peers' endpoints and of settings.
    pub fn handle_memory(
        &mut self,
        endpoints: impl IntoIterator<Item = ((TenantName, PublicKey), SocketAddr)>,
        borrowed: Borrowed,
    ) {
        self.borrowed = borrowed;
        for ((tenant, key), endpoint) in endpoints {
            self.last_endpoints.entry(tenant).or_default().insert(key, endpoint);
        }
    }

    /// Takes since when keys are known.
    pub fn handle_key_ages(&mut self, known: BTreeMap<(TenantName, PublicKey), Timestamp>) {
        self.key_ages.handle_memory(known);
    }

    /// Takes the sites no device of which answered when an earlier process ended.
    pub fn handle_lost_sites(&mut self, lost: BTreeSet<(TenantName, SiteName)>) {
        self.probes.handle_memory(lost);
    }

    /// Takes a random number, with which waits are made uneven.
    pub const fn handle_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Takes which offloads are in force.
    pub const fn handle_offloads(&mut self, offloads: Offloads) {
        self.offloads = offloads;
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.handle_shared_timeout(now);
        for name in self.deadlines.due(now.mono) {
            self.with(&name, now, |machine| machine.handle_timeout(now));
        }
        self.probe(now);
        self.resolve(now);
    }
}
