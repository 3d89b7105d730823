//! What the kernel holds, or should hold, of ours.
//!
//! Desired and observed are the same type. The text form is one for all uses:
//! `lockgate diff` prints it, fixtures are written in it, and a bug report is a
//! paste of it.

use super::{Device, Link, Route, RouteKey, Ruleset, Sysctl};
use crate::net::TenantName;
use std::collections::BTreeMap;

/// The protocol number our routes carry (`rtm_protocol`), by which they are told
/// from everyone else's. `L`; free in iproute2's `rt_protos` and not used by
/// FRR (186–198), BIRD (12), keepalived (18), Calico (80) or OVN (84).
pub const ROUTE_PROTOCOL: u8 = 76;

/// Name of our nft table, of family `inet`, in each tenant's namespace.
pub const TABLE: &str = "lockgate";

/// Everything we hold, by tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelState {
    /// One namespace per tenant.
    pub tenants: BTreeMap<TenantName, Namespace>,
}

/// What one tenant's network namespace holds.
///
/// Observed, it lists every link but the loopback, every route with our
/// protocol number, the settings of [`Sysctl::of`] for the scopes `all`,
/// `default` and each link, and our nft table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Whether the loopback is up.
    pub loopback_up: bool,
    /// Links by name.
    pub links: BTreeMap<Device, Link>,
    /// Our routes in the main table.
    pub routes: BTreeMap<RouteKey, Route>,
    /// Settings. Desired lists those that matter; others are left as they are.
    pub sysctls: BTreeMap<Sysctl, i32>,
    /// Our nft table; `None` when there is none.
    pub ruleset: Option<Ruleset>,
}
