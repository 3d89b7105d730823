//! What is shown, and to whom: the state behind every route.

use super::health::Pulse;
use crate::net::{Prefix, TenantName};
use crate::status::{RibPage, Snapshot};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A control loop that has not ticked for this long is not alive. Its longest
/// honest pause is one plan of all tenants.
const PATIENCE: Duration = Duration::from_secs(15);

/// Someone asks what a tenant's BGP neighbors said. It is not in the snapshot, for it
/// may be large; the control loop answers.
#[derive(Debug)]
pub struct RibQuestion {
    /// Whose.
    pub tenant: TenantName,
    /// About one network alone.
    pub prefix: Option<Prefix>,
    /// Of the others, those after this one.
    pub after: Option<Prefix>,
    /// The answer; `None` when there is no such tenant, or it has no BGP.
    pub answer: oneshot::Sender<Option<RibPage>>,
}

/// What is shown, and to whom.
#[derive(Clone, Debug)]
pub struct Views {
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) ticks: watch::Receiver<u64>,
    pub(super) hosts: Arc<[String]>,
    pub(super) patience: Duration,
    pub(super) pulse: Pulse,
    pub(super) rib: Option<mpsc::Sender<RibQuestion>>,
}

impl Views {
    /// Shows the latest of `snapshots`.
    ///
    /// The control loop sends something to `ticks` each time it goes round, at
    /// least every few seconds; it is alive while it does.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>, ticks: watch::Receiver<u64>) -> Self {
        Self {
            snapshots,
            ticks,
            hosts: Arc::new([]),
            patience: PATIENCE,
            pulse: Pulse::default(),
            rib: None,
        }
    }

    /// Asks there what neighbors said; without it nobody is told.
    #[must_use]
    pub fn with_rib(self, rib: mpsc::Sender<RibQuestion>) -> Self {
        Self { rib: Some(rib), ..self }
    }

    /// Answers to these names too, besides `localhost` and addresses of ours.
    #[must_use]
    pub fn with_hosts(self, hosts: impl IntoIterator<Item = String>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { hosts, ..self }
    }

    /// Takes the control loop for hung after this long without a tick.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The latest snapshot.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}
