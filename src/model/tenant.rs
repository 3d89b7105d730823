//! A tenant, and all of them together.

use super::{Fabric, Site};
use crate::net::{Mtu, Prefix, SiteName, TenantName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything asked of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The tenants by name.
    pub tenants: BTreeMap<TenantName, Tenant>,
}

/// What the platform allows and offers to the tenants of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name, as a `TenantGateway` refers to it.
    pub name: String,
    /// The host customers dial, as printed in their configuration.
    pub advertised_host: Option<String>,
    /// Networks no site may name: pod, service and node networks and the like.
    pub forbidden_prefixes: Vec<Prefix>,
}

/// One tenant: kept apart from every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Whose it is.
    pub name: TenantName,
    /// The class it is of.
    pub class: Arc<Class>,
    /// The UDP port its WireGuard sites send to, in the underlay; no other tenant's.
    pub listen_port: u16,
    /// The MTU inside its tunnels.
    pub tunnel_mtu: Mtu,
    /// The applications' networks: all that its sites may reach.
    pub app_prefixes: Vec<Prefix>,
    /// How the applications are reached.
    pub fabric: Fabric,
    /// Its sites by name.
    pub sites: BTreeMap<SiteName, Site>,
}
