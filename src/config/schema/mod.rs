//! The documents as they are written: three kinds of the group `lockgate.dev`.
//!
//! A file and a custom resource are the same document, and these types are
//! both. Text stays text here; what it means is found out by
//! [`validate()`](crate::config::validate()). Fields nobody knows are refused where
//! files are read and, by the API server, where resources are written; they
//! are *not* refused by these types, so that a newer version's stored
//! resources do not stop an older program from listing.
//!
//! In reading order: [`ConnectivityClass`], [`TenantGateway`], its
//! [`FabricSpec`], [`SiteAttachment`], [`Condition`] and the statuses.

mod class;
mod fabric;
mod gateway;
mod site;

pub use class::{ConnectivityClass, ConnectivityClassSpec, ConnectivityClassStatus};
pub use class::{IdRange, PlatformSecretKeyRef, PortRange, VlanParentSpec, VpnReflectorSpec};
pub use fabric::{
    FabricBgpSpec, FabricExportSpec, FabricImportSpec, FabricInterfaceSpec, FabricIpipSpec,
    FabricSpec, FabricVethSpec, FabricVlanSpec, ImportPrefixSpec, NeighborSpec, RoleName,
    VlanProtocolName,
};
pub use gateway::{
    AttachMode, AttachSpec, BackendMode, EndpointStatus, SecretKeyRef, SiteCounts, TenantGateway,
    TenantGatewaySpec, TenantGatewayStatus,
};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
pub use site::{
    AllowSpec, AttachmentType, DirectionName, EndpointSpec, GatewayRef, PrefixSpec, PrefixStatus,
    ProbeSpec, ProtocolName, SiteAttachment, SiteAttachmentSpec, SiteAttachmentStatus, SiteBgpSpec,
    SiteVlanSpec, WireGuardSpec,
};

/// The group of all three kinds.
pub const GROUP: &str = "lockgate.dev";

/// The version of all three kinds.
pub const VERSION: &str = "v1alpha1";

/// What a document's `apiVersion` says.
pub const API_VERSION: &str = "lockgate.dev/v1alpha1";
