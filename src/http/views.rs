//! What is shown: the state behind every route.

use super::health::Pulse;
use super::{Credentials, Times};
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

/// What is shown.
#[derive(Clone, Debug)]
pub struct Views {
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) ticks: watch::Receiver<u64>,
    pub(super) hosts: Arc<[String]>,
    pub(super) patience: Duration,
    pub(super) pulse: Pulse,
    pub(super) rib: Option<mpsc::Sender<RibQuestion>>,
    pub(super) times: Times,
    credentials: watch::Receiver<Arc<Credentials>>,
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
            times: Times::default(),
            credentials: watch::channel(Arc::default()).1,
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

    /// Shows itself by the latest of `credentials`, and to whom they say.
    #[must_use]
    pub fn with_credentials(self, credentials: watch::Receiver<Arc<Credentials>>) -> Self {
        Self { credentials, ..self }
    }

    /// Lets nobody take longer than this.
    #[must_use]
    pub fn with_times(self, times: Times) -> Self {
        Self { times, ..self }
    }

    /// The latest snapshot, whole: not for everybody. What is shown to somebody comes
    /// from `Seen`.
    pub(super) fn whole(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// What is in force now.
    pub(super) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.borrow())
    }

    /// Ends when somebody may see something else than by `before`.
    pub(super) async fn judged_anew(&self, before: &Credentials) {
        let mut credentials = self.credentials.clone();
        if credentials.wait_for(|now| !now.judge_as(before)).await.is_err() {
            // Nobody is left to change them.
            std::future::pending::<()>().await;
        }
    }
}
