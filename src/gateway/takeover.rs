//! Which site has a network whose first site cannot carry packets.
//!
//! Between tunnels of one device that is the device's matter. Between links it
//! is the routes' and rules': the tenant is then served as if the site that is
//! down did not have the networks another link's site can serve.

use crate::model::{Site, Tenant};
use crate::net::SiteName;
use crate::reconcile::vlan_link;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The tenant as it is to be served; `None` when that is as asked for.
pub(super) fn served(tenant: &Tenant, unusable: &BTreeSet<SiteName>) -> Option<Arc<Tenant>> {
    let is_elsewhere = |one: &Site, other: &Site| vlan_link(one) != vlan_link(other);
    let mut served: Option<Tenant> = None;
    for name in unusable {
        let Some(site) = tenant.sites.get(name) else { continue };
        let others = || {
            let others = tenant.sites.values().filter(|other| !unusable.contains(&other.name));
            others.filter(|other| is_elsewhere(site, other))
        };
        let is_taken = |visible| {
            others().any(|other| other.prefixes.iter().any(|prefix| prefix.visible() == visible))
        };
        if site.prefixes.iter().any(|prefix| is_taken(prefix.visible())) {
            let served = served.get_or_insert_with(|| tenant.clone());
            if let Some(site) = served.sites.get_mut(name) {
                site.prefixes.retain(|prefix| !is_taken(prefix.visible()));
            }
        }
    }
    served.map(Arc::new)
}
