//! Whether the gateway does its work: `/readyz`.
//!
//! A customer's tunnel that is down is not a reason to take the gateway out of
//! service, so no site is asked here; nor is a single tenant that could not be
//! programmed, as long as another one is.

use super::{ConditionType, Snapshot};

/// One thing that has to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What, in one word.
    pub name: &'static str,
    /// Whether it is so.
    pub passed: bool,
    /// Of how many it is so, and of how many it should be, when there are several.
    pub count: Option<(usize, usize)>,
}

impl Snapshot {
    /// All checks, in order.
    pub fn checks(&self) -> [Check; 2] {
        let programmed =
            |tenant: &super::TenantSnapshot| tenant.conditions.holds(ConditionType::Programmed);
        let (all, served) =
            (self.tenants.len(), self.tenants.iter().filter(|it| programmed(it)).count());
        let loaded = self.config.loaded_generation != 0;
        [
            Check { name: "config-loaded", passed: loaded, count: None },
            Check {
                name: "tenants-programmed",
                passed: all == 0 || served != 0,
                count: Some((served, all)),
            },
        ]
    }

    /// Whether all checks pass.
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|check| check.passed)
    }
}
