//! What of its declared networks a customer's router says it has, and the tenant that is
//! served by that.
//!
//! Documents say what a site may have at most; where it speaks BGP, its router says what
//! of that is there. Routes, rules, allowed IPs and what the fabric is told are then of
//! what it said, and nothing else of what is declared goes anywhere.

use super::{Device, Learnable, Namespace, vlan_link};
use crate::model::{Site, SitePrefix, Tenant};
use crate::net::{ManagedName, Prefix, SiteName, outermost};
use std::collections::BTreeMap;
use std::sync::Arc;

/// By site: the networks its router says, as the tenant knows them, but for those inside
/// others of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(BTreeMap<SiteName, Vec<Prefix>>);

impl Said {
    /// Puts in what the router of `site` says.
    pub fn put(&mut self, site: &SiteName, networks: impl IntoIterator<Item = Prefix>) {
        let networks = outermost(networks, Prefix::covers);
        if networks.is_empty() {
            self.0.remove(site);
        } else {
            self.0.insert(site.clone(), networks);
        }
    }

    /// What the router of `site` says.
    pub fn of(&self, site: &SiteName) -> &[Prefix] {
        self.0.get(site).map_or(&[], Vec::as_slice)
    }

    /// Whether no router says anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What routers of `tenant` had said to whoever left its namespace like this: of the
    /// learned routes those to each site.
    pub fn held(tenant: &Tenant, held: &Namespace) -> Self {
        let mut said = Self::default();
        let learnable = Learnable::of(tenant, &Namespace::default());
        let routes: Vec<_> = learnable.of_held(held).collect();
        for site in tenant.sites.values().filter(|site| follows(tenant, site)) {
            let link = vlan_link(site).unwrap_or_else(|| Device::Managed(ManagedName::wireguard()));
            let is_sites = |prefix: Prefix| {
                site.declared().iter().any(|declared| declared.visible().covers(prefix))
            };
            let networks = routes.iter().filter(|(key, route)| {
                is_sites(key.prefix) && route.hops().all(|(device, _)| *device == link)
            });
            said.put(&site.name, networks.map(|(key, _)| key.prefix));
        }
        said
    }

    /// `tenant`, as documents have it, with no more for each site that speaks BGP than
    /// its router said. What is on the site's own link is there without that.
    pub fn bound(&self, tenant: &Arc<Tenant>) -> Arc<Tenant> {
        if !tenant.sites.values().any(|site| follows(tenant, site)) {
            return Arc::clone(tenant);
        }
        let mut bound = Tenant::clone(tenant);
        for site in bound.sites.values_mut().filter(|site| follows(tenant, site)) {
            let said = self.of(&site.name).iter().filter_map(|network| part(site, *network));
            let on_link = site.prefixes.iter().filter(|prefix| is_on_link(site, prefix.visible()));
            let prefixes = on_link.copied().chain(said).collect();
            site.bounds = Some(std::mem::replace(&mut site.prefixes, prefixes));
        }
        Arc::new(bound)
    }
}

/// Whether the site has what its router says.
fn follows(tenant: &Tenant, site: &Site) -> bool {
    site.bgp.is_some() && tenant.fabric.bgp.is_some()
}

/// The part of a declared network of the site that `network` is, as the tenant knows it.
fn part(site: &Site, network: Prefix) -> Option<SitePrefix> {
    let around = site.declared().iter().filter(|it| it.visible().covers(network));
    let declared = around.max_by_key(|it| it.visible().length())?;
    match declared.alias {
        None => Some(SitePrefix { real: network, alias: None }),
        Some(alias) => {
            let real = network.transplanted(alias, declared.real)?;
            Some(SitePrefix { real, alias: Some(network) })
        }
    }
}

/// Whether a network is on the link to the site, and behind no router.
pub(super) fn is_on_link(site: &Site, network: Prefix) -> bool {
    site.addresses().iter().any(|own| own.network().covers(network))
}
