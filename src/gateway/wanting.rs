//! What of the documents each tenant's machine and device are to have.

use super::site::Sites;
use super::tenant::{TenantMachine, Wanted};
use super::{Gateway, device, takeover};
use crate::model::{Placement, Tenant};
use crate::net::{Now, TenantName};
use crate::reconcile::{desired_tenant, vlan_link};
use crate::status::EventReason;
use crate::wireguard::DeviceConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Gateway {
    /// Whether the tenant is the very one that is wanted, whom nobody had to judge
    /// again.
    pub(super) fn is_wanted_already(&self, name: &TenantName) -> bool {
        let wanted = self.tenants.get(name).and_then(TenantMachine::wanted);
        let asked_for = self.config.tenants.get(name);
        wanted.zip(asked_for).is_some_and(|(wanted, tenant)| Arc::ptr_eq(&wanted.tenant, tenant))
    }

    pub(super) fn want(&mut self, name: &TenantName, now: Now) {
        let is_taken =
            self.placement == Placement::Current && self.tenants.keys().any(|other| other != name);
        // Where there is one namespace for all, the one that has it goes first, or
        // its going would take the other's along.
        if is_taken {
            return;
        }
        let Some(tenant) = &self.tenant(name) else { return };
        let (generation, placement) = (self.generation, self.placement);
        // It is there before its sites are taken up, which have something to tell it.
        let is_new = !self.tenants.contains_key(name);
        let said = self.machine(name).bgp.following.said().clone();
        let sites = self.sites.entry(name.clone()).or_default();
        sites.handle_config(tenant, now);
        self.configure_probes(tenant, now);
        let sites = self.sites.entry(name.clone()).or_default();
        let bound = said.bound(tenant);
        let taken_over = takeover::served(&bound, sites.unusable());
        let served = taken_over.or_else(|| (!Arc::ptr_eq(&bound, tenant)).then_some(bound));
        self.stand_by(tenant, served.as_deref().unwrap_or(tenant), now);
        // Of a thousand tenants one changes: the others' work is not done again.
        if let Some(machine) = self.tenants.get_mut(name).filter(|machine| {
            let before = machine.wanted();
            before.is_some_and(|before| before.tenant == *tenant && before.served == served)
        }) {
            machine.handle_still_wanted(generation, now);
            self.configure_device(name, now);
            self.collect(name, now);
            return;
        }
        let tenant = Arc::clone(tenant);
        let namespace = desired_tenant(served.as_deref().unwrap_or(&tenant), placement);
        let site_links = tenant.sites.values().filter_map(vlan_link).collect();
        let machine = self.machine(name);
        if is_new {
            let message = format!("{} sites", tenant.sites.len());
            machine.history.push(EventReason::TenantAdded, None, message, now.wall);
        }
        let wanted = Wanted { tenant, served, namespace, site_links, generation };
        machine.handle_wanted(Some(wanted), now);
        self.configure_device(name, now);
        self.collect(name, now);
    }

    pub(super) fn release(&mut self, name: &TenantName, now: Now) {
        self.probes.forget(name);
        self.with(name, now, |machine| machine.leave(now));
    }

    /// Works out what the tenant's device is to be.
    pub(super) fn configure_device(&mut self, name: &TenantName, now: Now) {
        let config = self.device_config(name);
        if let Some(machine) = self.tenants.get_mut(name) {
            machine.handle_device(config, now);
        }
    }

    fn device_config(&self, name: &TenantName) -> Option<DeviceConfig> {
        let machine = self.tenants.get(name)?;
        let tenant: &Tenant = &machine.bgp.following.said().bound(&self.tenant(name)?);
        let nobody = BTreeMap::new();
        let nowhere = Sites::default();
        let addresses = self.names.addresses();
        let sites = self.sites.get(name).unwrap_or(&nowhere);
        device::wireguard_sites(tenant).next()?;
        Some(device::device(
            tenant,
            &device::Circumstances {
                identity: self.identities.get(name)?,
                addresses: &addresses,
                last_endpoints: self.last_endpoints.get(name).unwrap_or(&nobody),
                unusable: sites.unusable(),
            },
        ))
    }
}
