//! What was asked for and is not served, and why.
//!
//! A refusal concerns one site or one tenant; the others go on.

use crate::net::{SiteName, TenantName};
use std::fmt;

/// A tenant or a site that is left out of the config.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The tenant.
    pub tenant: TenantName,
    /// The site; `None` when the whole tenant is left out.
    pub site: Option<SiteName>,
    /// Why, as a condition's reason.
    pub reason: RefusalReason,
    /// Why, for a person. Never holds a secret.
    pub message: String,
}

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// Its documents have errors.
    Invalid,
    /// An older document has already claimed a port, an interface or a VLAN.
    Conflict,
    /// A Secret it refers to is not there, or holds something else.
    SecretUnresolved,
    /// Its `TenantGateway` is not there.
    GatewayNotFound,
    /// Its `ConnectivityClass` is not there.
    ClassNotFound,
    /// No UDP port of its class is free.
    NoPortLeft,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Invalid,
        Self::Conflict,
        Self::SecretUnresolved,
        Self::GatewayNotFound,
        Self::ClassNotFound,
        Self::NoPortLeft,
    ];

    /// As logs, metrics and the API write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::SecretUnresolved => "secret_unresolved",
            Self::GatewayNotFound => "gateway_not_found",
            Self::ClassNotFound => "class_not_found",
            Self::NoPortLeft => "no_port_left",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
