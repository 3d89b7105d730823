//! Where sites find the test page: at our address on their link, and who may see it there.

use crate::model::{Attachment, Config, Site, Tenant};
use crate::net::{Prefix, SiteName, TenantName};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The page of one site, at one address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPage {
    /// Whose page it is.
    pub site: SiteName,
    /// Whether the site is on a VLAN and not in a tunnel.
    pub is_on_vlan: bool,
    /// Where the site's hosts are, as we see them: the customer's end of the link, and its
    /// networks. Nobody else gets an answer.
    pub clients: Vec<Prefix>,
}

/// The pages of every tenant that has them, by our address.
pub fn test_pages(config: &Config) -> BTreeMap<TenantName, BTreeMap<IpAddr, TestPage>> {
    let tenants = config.tenants.iter().filter(|(_, tenant)| tenant.test_page);
    tenants.map(|(name, tenant)| (name.clone(), pages(tenant))).collect()
}

fn pages(tenant: &Tenant) -> BTreeMap<IpAddr, TestPage> {
    tenant.sites.values().flat_map(|site| addresses(site).map(|own| (own, page(site)))).collect()
}

fn addresses(site: &Site) -> impl Iterator<Item = IpAddr> {
    let own = match &site.attachment {
        Attachment::WireGuard(peer) => &peer.tunnel_addresses,
        Attachment::Vlan(vlan) => &vlan.addresses,
    };
    own.iter().map(|own| own.address())
}

fn page(site: &Site) -> TestPage {
    let (near, is_on_vlan): (Vec<Prefix>, bool) = match &site.attachment {
        Attachment::WireGuard(peer) => (peer.far_addresses().map(Prefix::host).collect(), false),
        Attachment::Vlan(vlan) => (vlan.networks().collect(), true),
    };
    let behind = site.prefixes.iter().map(|prefix| prefix.visible());
    let clients = near.into_iter().chain(behind).collect();
    TestPage { site: site.name.clone(), is_on_vlan, clients }
}
