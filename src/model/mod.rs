//! What was asked for, after every check.
//!
//! A value of these types is sound: prefixes do not collide inside a tenant,
//! ports and interfaces are nobody else's, nothing forbidden is named.
//! Only [`crate::config`] makes them, from documents, and nothing here looks
//! at the world: whether a tunnel is up is not a matter of what was asked.
//!
//! In reading order: [`Config`], [`Tenant`], [`Fabric`], [`Site`],
//! [`Attachment`], [`Refusal`], [`limits`].

mod backend;
mod bgp;
mod domain;
mod fabric;
mod kernel;
pub mod limits;
mod refusal;
mod site;
mod tenant;

pub use backend::{Backend, BackendChoice, BackendReason};
pub use bgp::{
    BgpExport, BgpImport, BgpNeighbor, FabricBgp, ImportPrefix, NeighborAt, SiteBgp, VpnReflector,
};
pub use domain::{DomainId, DomainIdError};
pub use fabric::{Fabric, FabricLink, Ipip, Placement, Vlan, VlanProtocol};
pub use kernel::{Ability, KernelFeatures};
pub use refusal::{Refusal, RefusalReason};
pub use site::{
    Allow, Attachment, Direction, Endpoint, Host, Ports, Probe, Protocol, Site, SitePrefix,
    VlanAttachment, VlanLink, WireGuardPeer,
};
pub use tenant::{Class, Config, TEST_PAGE_PORT, Tenant};
