//! What of a snapshot somebody sees.
//!
//! Every view is one of a snapshot, so a view of some tenants is one of a snapshot that
//! holds no others: a page, a metric or a count that is made later cannot forget it.

use crate::net::TenantName;
use crate::status::{ConfigSnapshot, Snapshot};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whose status somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The gateway's and all tenants'.
    All,
    /// That of these tenants. Whether there are others, they are not told.
    Tenants(Arc<BTreeSet<TenantName>>),
}

impl Scope {
    /// Whether it is seen how `tenant` is.
    pub(super) fn sees(&self, tenant: &TenantName) -> bool {
        match self {
            Self::All => true,
            Self::Tenants(tenants) => tenants.contains(tenant),
        }
    }

    /// Both.
    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Tenants(one), Self::Tenants(other)) => {
                Self::Tenants(Arc::new(one.union(&other).cloned().collect()))
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    /// What is seen of `whole`.
    pub(super) fn of(&self, whole: &Arc<Snapshot>) -> Arc<Snapshot> {
        let Self::Tenants(tenants) = self else { return Arc::clone(whole) };
        let config = &whole.config;
        Arc::new(Snapshot {
            schema: whole.schema.clone(),
            version: whole.version.clone(),
            started: whole.started,
            taken: whole.taken,
            backend: whole.backend,
            offloads: whole.offloads,
            // Conditions are told with generations. What was refused of the documents
            // names other tenants' files and lines.
            config: ConfigSnapshot {
                loaded_generation: config.loaded_generation,
                applied_generation: config.applied_generation,
                last_applied: config.last_applied,
                ..ConfigSnapshot::default()
            },
            tenants: tenants.iter().filter_map(|name| whole.tenant(name)).cloned().collect(),
            // What is said there is others' as well.
            reflectors: Vec::new(),
            refused: Vec::new(),
            endpoint: None,
        })
    }

    /// A text that is another for another scope.
    pub(super) fn mark(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Tenants(tenants) => {
                tenants.iter().map(|tenant| format!("{tenant},")).collect::<String>()
            }
        }
    }
}
