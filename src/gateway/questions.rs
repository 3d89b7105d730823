//! What the gateway can be asked beside its snapshot.

use super::site::Sites;
use super::tenant::TenantMachine;
use super::{Gateway, Identity, device};
use crate::model::{Attachment, Config, FabricLink, VlanAttachment, VlanLink};
use crate::net::{ManagedName, PublicKey, SiteName, TenantName, Timestamp};
use crate::reconcile::{Borrowed, Device, vlan_link};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

impl Gateway {
    /// Whether it was stopped and nothing of it is left.
    pub fn is_done(&self) -> bool {
        self.stopping && self.tenants.is_empty()
    }

    /// How many sets of documents were accepted.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it was stopped.
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether every tenant is as the last accepted set asks.
    pub fn is_settled(&self) -> bool {
        self.tenants.values().all(TenantMachine::is_in_sync)
    }

    /// What is wanted.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Who the gateway is to each tenant's customers.
    pub const fn identities(&self) -> &BTreeMap<TenantName, Identity> {
        &self.identities
    }

    /// Where every peer is or was last seen, for the next process.
    pub fn endpoints(&self) -> BTreeMap<(TenantName, PublicKey), SocketAddr> {
        let mut endpoints = BTreeMap::new();
        for (tenant, sites) in &self.sites {
            if let Some(last) = self.last_endpoints.get(tenant) {
                endpoints.extend(last.iter().map(|(key, at)| ((tenant.clone(), *key), *at)));
            }
            endpoints.extend(sites.endpoints().map(|(key, at)| ((tenant.clone(), key), at)));
        }
        endpoints.retain(|(tenant, key), _| !self.has_forgotten(tenant, key));
        endpoints
    }

    /// Since when each key is known, for the next process.
    pub const fn key_ages(&self) -> &BTreeMap<(TenantName, PublicKey), Timestamp> {
        self.key_ages.all()
    }

    /// The sites no device of which answers, for the next process.
    pub fn lost_sites(&self) -> BTreeSet<(TenantName, SiteName)> {
        let lost = |(name, sites): (&TenantName, &Sites)| {
            let name = name.clone();
            sites.lost().cloned().map(|site| (name.clone(), site)).collect::<Vec<_>>()
        };
        self.sites.iter().flat_map(lost).collect()
    }

    /// Settings that outlive the tenants, for the next process. Only who has no
    /// namespace of its own leaves any, and of these there is one.
    pub fn borrowed(&self) -> &Borrowed {
        self.tenants.values().next().map_or(&self.borrowed, TenantMachine::borrowed)
    }

    /// Whether the tenant is served and has no such peer any more.
    pub fn has_forgotten(&self, tenant: &TenantName, key: &PublicKey) -> bool {
        self.config.tenants.get(tenant).is_some_and(|tenant| {
            !device::wireguard_sites(tenant)
                .any(|(_, peer)| peer.public_keys().any(|own| own == *key))
        })
    }

    /// The latest handshake stamp any device has sent.
    pub fn last_initiation(&self) -> Timestamp {
        self.sites.values().map(Sites::last_initiation).max().unwrap_or_default()
    }

    /// The links to sites on VLANs of each tenant that has any, with the
    /// customer's routers there.
    pub fn legs(&self, name: &TenantName) -> Vec<(Device, Vec<IpAddr>)> {
        let sites = self.config.tenants.get(name).into_iter().flat_map(|it| it.sites.values());
        let legs = sites.filter_map(|site| match &site.attachment {
            Attachment::WireGuard(_) => None,
            Attachment::Vlan(vlan) => Some((vlan_link(site)?, vlan.next_hops.clone())),
        });
        legs.collect()
    }

    /// The outer tags that double-tagged VLANs of any tenant stand on.
    pub fn outer_vlans(&self) -> BTreeSet<ManagedName> {
        let tenants = self.tenants.values().filter_map(TenantMachine::wanted);
        let tenants = tenants.map(|wanted| &wanted.tenant);
        let vlans = tenants.flat_map(|tenant| {
            let sites = tenant.sites.values().filter_map(|site| match &site.attachment {
                Attachment::Vlan(VlanAttachment { link: VlanLink::Tagged(vlan), .. }) => Some(vlan),
                Attachment::Vlan(_) | Attachment::WireGuard(_) => None,
            });
            let fabric = match &tenant.fabric.link {
                FabricLink::Vlan(vlan) => Some(vlan),
                FabricLink::Interface(_) | FabricLink::Pod(_) | FabricLink::Veth { .. } => None,
            };
            sites.chain(fabric)
        });
        vlans.filter_map(|vlan| Some(vlan.outer()?.outer_link_name())).collect()
    }
}
