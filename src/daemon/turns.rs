//! Whose turn it is: of many tenants a few are looked at in one go, first those that
//! were looked at longest ago.

use crate::model::Config;
use crate::net::TenantName;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// When each tenant had its turn last.
pub(super) struct Turns {
    every: Duration,
    last: BTreeMap<TenantName, Instant>,
}

impl Turns {
    /// Each tenant has a turn `every` so often, at most.
    pub(super) const fn new(every: Duration) -> Self {
        Self { every, last: BTreeMap::new() }
    }

    /// The tenants whose turn it is `now`, in the order of how long they wait.
    pub(super) fn due(&mut self, config: &Config, now: Instant) -> Vec<TenantName> {
        self.last.retain(|tenant, _| config.tenants.contains_key(tenant));
        let mut waiting: Vec<(Option<Instant>, &TenantName)> = config
            .tenants
            .keys()
            .map(|tenant| (self.last.get(tenant).copied(), tenant))
            .filter(|(last, _)| last.is_none_or(|last| last + self.every <= now))
            .collect();
        waiting.sort();
        waiting.into_iter().map(|(_, tenant)| tenant.clone()).collect()
    }

    /// The tenant has its turn `now`.
    pub(super) fn take(&mut self, tenant: &TenantName, now: Instant) {
        self.last.insert(tenant.clone(), now);
    }
}
