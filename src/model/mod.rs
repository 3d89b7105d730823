//! What was asked for, after every check.
//!
//! A value of these types is sound: prefixes do not collide inside a tenant,
//! ports and interfaces are nobody else's, nothing forbidden is named.
//! Only [`crate::config`] makes them, from documents, and nothing here looks
//! at the world: whether a tunnel is up is not a matter of what was asked.
//!
//! In reading order: [`Config`], [`Tenant`], [`Fabric`], [`Site`],
//! [`Attachment`], [`limits`].

mod bgp;
mod fabric;
pub mod limits;
mod site;
mod tenant;

pub use bgp::{BgpExport, BgpImport, BgpNeighbor, FabricBgp, SiteBgp};
pub use fabric::{Fabric, FabricLink, Vlan, VlanProtocol};
pub use site::{
    Allow, Attachment, Direction, Endpoint, Host, Ports, Probe, Protocol, Site, SitePrefix,
    VlanLink, WireGuardPeer,
};
pub use tenant::{Class, Config, Tenant};
