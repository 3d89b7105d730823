//! What carries a tenant's tunnels, and why it is that.
//!
//! It is chosen while the documents are checked, from what was asked for, what
//! the kernel can do and what the sites need; nothing chooses again later.

use super::Ability;
use crate::net::SiteName;
use std::fmt;

/// What carries a tenant's tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// This process, over a TUN.
    #[default]
    Userspace,
    /// The kernel's WireGuard.
    Kernel,
}

/// It, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendChoice {
    /// What is in force.
    pub backend: Backend,
    /// Why.
    pub reason: BackendReason,
}

/// Why a backend is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackendReason {
    /// A document names it.
    #[default]
    Asked,
    /// The kernel has WireGuard.
    Present,
    /// The kernel has no WireGuard.
    Missing,
    /// Whether the kernel has WireGuard could not be found out.
    Unknown,
    /// The site has an alias, which is translated on the way through this process.
    Alias(SiteName),
    /// Customers change over to the gateway's next key, and the kernel's device has one.
    NextKey,
}

impl BackendChoice {
    /// Chooses. `asked` is what a document names, `None` to have it chosen;
    /// `aliased` is a tunnelled site that has an alias, `has_next_key` whether the
    /// gateway has a next key for the tenant.
    pub fn new(
        asked: Option<Backend>,
        aliased: Option<&SiteName>,
        has_next_key: bool,
        kernel: Ability,
    ) -> Self {
        let (backend, reason) = match (asked, aliased, kernel) {
            (Some(backend), ..) => (backend, BackendReason::Asked),
            (None, Some(site), _) => (Backend::Userspace, BackendReason::Alias(site.clone())),
            (None, None, Ability::Present) if has_next_key => {
                (Backend::Userspace, BackendReason::NextKey)
            }
            (None, None, Ability::Present) => (Backend::Kernel, BackendReason::Present),
            (None, None, Ability::Missing) => (Backend::Userspace, BackendReason::Missing),
            (None, None, Ability::Unknown) => (Backend::Userspace, BackendReason::Unknown),
        };
        Self { backend, reason }
    }
}

impl fmt::Display for BackendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked for"),
            Self::Present => f.write_str("the kernel has WireGuard"),
            Self::Missing => f.write_str("the kernel has no WireGuard (module `wireguard`)"),
            Self::Unknown => f.write_str("it cannot be told whether the kernel has WireGuard"),
            Self::Alias(site) => write!(f, "site {site} has an alias"),
            Self::NextKey => f.write_str(
                "customers change over to the gateway's next key, and the kernel's WireGuard has one",
            ),
        }
    }
}
