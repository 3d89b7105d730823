//! Which routes of a tenant's may have been learned over BGP, by its documents.
//!
//! Said once more than in the import policy, in another manner: what stands in the
//! kernel is judged by it, whoever put it there and whatever was heard.

use super::{Device, Namespace, Route, RouteKey, RouteTarget, vlan_link};
use crate::model::Tenant;
use crate::net::{ManagedName, Prefix, PrefixMap};
use std::collections::{BTreeMap, BTreeSet};

/// What one tenant may have learned.
#[derive(Clone, Debug, Default)]
pub struct Learnable {
    /// Lengths of networks that the fabric may say, inside each import prefix.
    imports: PrefixMap<Vec<(u8, u8)>>,
    /// The links the fabric is reached by.
    fabric: BTreeSet<Device>,
    /// Sites' networks, the default routes left out: never the fabric's.
    sites: PrefixMap<()>,
    /// The default routes that sites are.
    defaults: BTreeSet<Prefix>,
    /// The networks of sites that speak BGP, by their link.
    routers: BTreeMap<Device, PrefixMap<()>>,
    /// The applications' networks: never a site's.
    apps: PrefixMap<()>,
}

impl Learnable {
    /// Of `tenant`, whose namespace is to hold `given` without BGP.
    pub fn of(tenant: &Tenant, given: &Namespace) -> Self {
        let Some(bgp) = &tenant.fabric.bgp else { return Self::default() };
        let tunnels = Device::Managed(ManagedName::wireguard());
        let mut all = Self::default();
        for import in &bgp.import.prefixes {
            let mut lengths = all.imports.get(import.prefix).cloned().unwrap_or_default();
            lengths.push((import.ge, import.le));
            all.imports.insert(import.prefix, lengths);
        }
        let mut links = BTreeSet::from([tunnels.clone()]);
        for site in tenant.sites.values() {
            let link = vlan_link(site).unwrap_or_else(|| tunnels.clone());
            let networks = site.declared().iter().map(|prefix| prefix.visible());
            for network in networks {
                if network.length() == 0 {
                    all.defaults.insert(network);
                } else {
                    all.sites.insert(network, ());
                }
                if site.bgp.is_some() {
                    all.routers.entry(link.clone()).or_default().insert(network, ());
                }
            }
            links.insert(link);
        }
        all.fabric = given.links.keys().filter(|link| !links.contains(*link)).cloned().collect();
        all.apps = tenant.app_prefixes.iter().map(|prefix| (*prefix, ())).collect();
        all
    }

    /// Whether `route`, as it is held under `key`, may have been learned.
    ///
    /// From the fabric: a network that an import prefix names with its length and
    /// that is no site's, out of the fabric link. From a site that speaks BGP: a
    /// part of its declared networks, out of its own link.
    pub fn has(&self, key: RouteKey, route: &Route) -> bool {
        let is_way = match route.target {
            RouteTarget::Link { .. } | RouteTarget::Multipath(_) => true,
            RouteTarget::Blackhole | RouteTarget::Unreachable | RouteTarget::Unrecognized => false,
        };
        // No list is made of them, for it is asked of very many routes.
        let mut out = route.hops().map(|(device, _)| device);
        if key.metric != RouteKey::LEARNED_METRIC || !is_way {
            return false;
        }
        if out.all(|device| self.fabric.contains(device)) {
            return self.is_imported(key.prefix);
        }
        let covers = |networks: &PrefixMap<()>| networks.covering(key.prefix).next().is_some();
        let is_declared = |device: &Device| self.routers.get(device).is_some_and(covers);
        route.hops().all(|(device, _)| is_declared(device)) && !covers(&self.apps)
    }

    /// Of what a namespace holds the routes that may have been learned.
    pub fn of_held<'a>(
        &'a self,
        held: &'a Namespace,
    ) -> impl Iterator<Item = (&'a RouteKey, &'a Route)> {
        held.routes.iter().filter(|(key, route)| self.has(**key, route))
    }

    /// Whether an import prefix names it, and no site has it. A site that is the
    /// default route has everything; only that route itself is then its own.
    fn is_imported(&self, prefix: Prefix) -> bool {
        let mut listed = self.imports.covering(prefix).flatten();
        let is_sites =
            self.defaults.contains(&prefix) || self.sites.covering(prefix).next().is_some();
        !is_sites && listed.any(|(ge, le)| (*ge..=*le).contains(&prefix.length()))
    }
}
