//! Which tenants NMaaS was told of, and whom it is to be told of next.

use super::{Obstacle, Readiness, judge};
use crate::model::DomainId;
use crate::net::{Instant, Jitter, TenantName};
use crate::status::Snapshot;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after the first failure it is tried again.
const FIRST: Duration = Duration::from_secs(5);

/// The longest wait: somebody who has put a new token there sees what becomes of it.
const LONGEST: Duration = Duration::from_secs(300);

/// Something to be said to NMaaS: that the network of a domain is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose it is.
    pub tenant: TenantName,
    /// The domain.
    pub domain: DomainId,
}

/// How it stands with one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not connected yet, for the first of these reasons.
    Waiting(Obstacle),
    /// It is connected, and NMaaS is told as soon as others were.
    Due,
    /// NMaaS could not be told and will be asked again.
    Failed {
        /// Why not.
        error: String,
        /// How often in a row.
        failures: u32,
    },
    /// NMaaS was told.
    Confirmed,
}

/// One tenant that has a domain.
#[derive(Clone, Debug)]
struct Progress {
    domain: DomainId,
    standing: Standing,
    failures: u32,
    not_before: Option<Instant>,
}

/// All tenants that have a domain. One thing is said at a time.
#[derive(Debug)]
pub struct Confirmations {
    tenants: BTreeMap<TenantName, Progress>,
    /// What an earlier process has said.
    told: BTreeMap<TenantName, DomainId>,
    under_way: Option<Order>,
    jitter: Jitter,
}

impl Confirmations {
    /// Begins with what was `told` before, which is not said again.
    pub const fn new(told: BTreeMap<TenantName, DomainId>, seed: u64) -> Self {
        Self { tenants: BTreeMap::new(), told, under_way: None, jitter: Jitter::new(seed) }
    }

    /// Takes in how the gateway is. What was said to NMaaS stays said: a site that goes down
    /// later changes nothing. Of a tenant that is gone, or is another domain's, it is forgotten.
    pub fn handle_snapshot(&mut self, snapshot: &Snapshot) {
        if snapshot.config.loaded_generation == 0 {
            // It does not know its tenants yet.
            return;
        }
        let domains: BTreeMap<&TenantName, DomainId> = snapshot
            .tenants
            .iter()
            .filter_map(|tenant| Some((&tenant.name, tenant.nmaas_domain?)))
            .filter_map(|(name, domain)| Some((name, DomainId::new(domain.0).ok()?)))
            .collect();
        self.told.retain(|name, domain| domains.get(name) == Some(domain));
        self.tenants.retain(|name, it| domains.get(name) == Some(&it.domain));
        for tenant in &snapshot.tenants {
            let Some(domain) = domains.get(&tenant.name).copied() else { continue };
            let is_told = self.told.contains_key(&tenant.name);
            let progress = self.tenants.entry(tenant.name.clone()).or_insert_with(|| Progress {
                domain,
                standing: Standing::Due,
                failures: 0,
                not_before: None,
            });
            if is_told {
                progress.standing = Standing::Confirmed;
                continue;
            }
            progress.standing = match judge(tenant) {
                Readiness::NotYet(obstacles) => {
                    let first = obstacles.into_iter().next();
                    Standing::Waiting(first.unwrap_or(Obstacle::NoSites))
                }
                Readiness::Ready { .. } => match &progress.standing {
                    failed @ Standing::Failed { .. } => failed.clone(),
                    Standing::Waiting(_) | Standing::Due | Standing::Confirmed => Standing::Due,
                },
            };
        }
    }

    /// What to say now, if anything; whoever takes it answers with
    /// [`Self::handle_answer`] before there is another.
    pub fn poll_order(&mut self, now: Instant) -> Option<Order> {
        if self.under_way.is_some() {
            return None;
        }
        let is_due = |it: &Progress| it.is_to_be_told() && it.not_before.is_none_or(|at| at <= now);
        let next = self.tenants.iter().filter(|(_, it)| is_due(it));
        // Whoever has waited longest: one that fails does not keep the others.
        let (tenant, progress) = next.min_by_key(|(_, it)| it.not_before)?;
        let order = Order { tenant: tenant.clone(), domain: progress.domain };
        self.under_way = Some(order.clone());
        Some(order)
    }

    /// What became of the order that is under way.
    pub fn handle_answer(&mut self, result: Result<(), String>, now: Instant) {
        let Some(Order { tenant, domain }) = self.under_way.take() else { return };
        // Meanwhile the tenant may have gone, or be of another domain.
        let progress = self.tenants.get_mut(&tenant).filter(|it| it.domain == domain);
        let Some(progress) = progress else { return };
        match result {
            Ok(()) => {
                progress.standing = Standing::Confirmed;
                self.told.insert(tenant, domain);
            }
            Err(error) => {
                let factor = 2_u32.saturating_pow(progress.failures);
                let wait = FIRST.saturating_mul(factor).min(LONGEST);
                progress.failures = progress.failures.saturating_add(1);
                progress.not_before = Some(now + self.jitter.around(wait));
                progress.standing = Standing::Failed { error, failures: progress.failures };
            }
        }
    }

    /// When there may be something to say; `None` while nothing is known of.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        let waiting = self.tenants.values().filter(|it| it.is_to_be_told());
        waiting.filter_map(|it| it.not_before).min()
    }

    /// How it stands with each tenant that has a domain.
    pub fn standings(&self) -> impl Iterator<Item = (&TenantName, &Standing)> {
        self.tenants.iter().map(|(name, it)| (name, &it.standing))
    }

    /// What was said, for the next process.
    pub const fn told(&self) -> &BTreeMap<TenantName, DomainId> {
        &self.told
    }
}

impl Progress {
    const fn is_to_be_told(&self) -> bool {
        matches!(self.standing, Standing::Due | Standing::Failed { .. })
    }
}
