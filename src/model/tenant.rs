//! A tenant, and all of them together.

use super::{Attachment, BackendChoice, DomainId, Fabric, FabricLink, Refusal, Site, VpnReflector};
use crate::net::{Mtu, Prefix, PrivateKey, SiteName, TenantName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the test page is: a browser asks there without being told to.
pub const TEST_PAGE_PORT: u16 = 80;

/// Everything asked of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The tenants by name.
    pub tenants: BTreeMap<TenantName, Arc<Tenant>>,
    /// What was asked for and is left out, each with its reason.
    pub refused: Vec<Refusal>,
}

impl Config {
    /// How many routers there are on links to sites and to applications, each of
    /// which takes an entry of the kernel's table of neighbours.
    pub fn neighbours(&self) -> usize {
        let of_site = |site: &Site| match &site.attachment {
            Attachment::WireGuard(_) => 0,
            // One that is on the VLAN itself has the customer's hosts there.
            Attachment::Vlan(vlan) => vlan.next_hops.len().max(1),
        };
        let of_tenant = |tenant: &Arc<Tenant>| {
            let sites: usize = tenant.sites.values().map(of_site).sum();
            sites + tenant.fabric.next_hops.len().max(1)
        };
        self.tenants.values().map(of_tenant).sum()
    }
}

/// What the platform allows and offers to the tenants of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name, as a `TenantGateway` refers to it.
    pub name: String,
    /// The host customers dial, as printed in their configuration.
    pub advertised_host: Option<String>,
    /// Networks no site may name and no neighbor may advertise: pod, service
    /// and node networks and the like, those that are nobody's
    /// ([`crate::net::ALWAYS_FORBIDDEN`]) among them.
    pub forbidden_prefixes: Vec<Prefix>,
    /// Whether a site may be the default route, `0.0.0.0/0` or `::/0`.
    pub allow_default_route: bool,
    /// The most prefixes a site may name, and advertise.
    pub maximum_prefixes: u32,
    /// Whom the tenants that name route targets hear their VPN routes from.
    pub vpn_reflectors: Vec<VpnReflector>,
}

/// One tenant: kept apart from every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Whose it is.
    pub name: TenantName,
    /// The class it is of.
    pub class: Arc<Class>,
    /// Its private key, when the platform gives it one; `None` is the one that
    /// the daemon made for it once and keeps.
    pub private_key: Option<PrivateKey>,
    /// The private key it will have, when the platform gives it that one too.
    pub next_private_key: Option<PrivateKey>,
    /// Whether its sites get a line of text by HTTP from our address on their link.
    pub test_page: bool,
    /// The UDP port its WireGuard sites send to, in the underlay; no other tenant's.
    pub listen_port: u16,
    /// The MTU inside its tunnels.
    pub tunnel_mtu: Mtu,
    /// What carries its tunnels.
    pub backend: BackendChoice,
    /// Whether rules may bound who asks by ARP: not every kernel takes such.
    pub bounds_arp: bool,
    /// The applications' networks: all that its sites may reach.
    pub app_prefixes: Vec<Prefix>,
    /// How the applications are reached.
    pub fabric: Fabric,
    /// Whose it is in NMaaS.
    pub nmaas_domain: Option<DomainId>,
    /// Its sites by name.
    pub sites: BTreeMap<SiteName, Site>,
}

impl Tenant {
    /// The route reflectors of its class, if it takes VPN routes.
    pub fn vpn_reflectors(&self) -> &[VpnReflector] {
        let bgp = self.fabric.bgp.as_ref();
        let takes_any = bgp.is_some_and(|bgp| !bgp.import.route_targets.is_empty());
        if takes_any { &self.class.vpn_reflectors } else { &[] }
    }

    /// Whether others ask by ARP on a link of its own: a VLAN, or applications that are
    /// not reached by the pod's link.
    pub fn hears_arp(&self) -> bool {
        let is_vlan = |site: &Site| matches!(site.attachment, Attachment::Vlan(_));
        !matches!(self.fabric.link, FabricLink::Pod(_)) || self.sites.values().any(is_vlan)
    }
}
