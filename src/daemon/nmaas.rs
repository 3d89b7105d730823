//! Tells NMaaS of the tenants that are connected, on a thread of its own: however long it
//! takes to answer, nothing waits for it.
//!
//! It follows the snapshots as any reader does, so it can disturb nobody. What was said is
//! kept in a file, so that a restart says nothing again.

use super::clock::Clock;
use super::{envelope, file};
use crate::dcn::{Confirmations, Order, Standing};
use crate::model::DomainId;
use crate::net::{TenantName, Timestamp};
use crate::nmaas::{Client, Token};
use crate::status::{ConditionReason, ConditionStatus, ConditionType, Conditions, Snapshot};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// How NMaaS is told.
#[derive(Clone, Debug)]
pub struct NmaasOptions {
    /// How it is reached.
    pub client: Client,
    /// The file of the token, read each time.
    pub token_file: PathBuf,
}

/// The file's name in the state directory.
const FILE: &str = "nmaas.json";

/// The layout of [`Told`]. Another one is not read.
const VERSION: u32 = 1;

/// What was said, and to whom.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    url: String,
    domains: BTreeMap<String, u64>,
}

type Standings = BTreeMap<TenantName, Standing>;

/// The thread, until it is told to end, and what it has found out.
pub(super) struct Nmaas {
    standings: watch::Receiver<Arc<Standings>>,
    /// The condition of each tenant, for when it last changed.
    conditions: BTreeMap<TenantName, Conditions>,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Nmaas {
    /// Begins to follow `snapshots`; `state` is where what was said is kept.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(
        options: NmaasOptions,
        state: &Path,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        clock: Clock,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let (say, standings) = watch::channel(Arc::default());
        let (end, ended) = oneshot::channel();
        let kept = state.join(FILE);
        let url = options.client.base().to_string();
        let told = read(&kept, &url).unwrap_or_else(|error| {
            tracing::warn!(%error, "what NMaaS was told before is not known; it is told again");
            BTreeMap::new()
        });
        let teller = Teller {
            options,
            kept,
            url,
            confirmations: Confirmations::new(told, seed),
            say,
            clock,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot begin to tell NMaaS")?;
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = teller.run(snapshots) => {}
                    _ = ended => {}
                }
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("nmaas".to_owned()).spawn(work)?;
        Ok(Self { standings, conditions: BTreeMap::new(), end, thread })
    }

    /// Puts how it stands into a snapshot.
    pub(super) fn fill(&mut self, snapshot: &mut Snapshot, now: Timestamp) {
        let standings = Arc::clone(&self.standings.borrow_and_update());
        self.conditions.retain(|name, _| standings.contains_key(name));
        for tenant in &mut snapshot.tenants {
            let Some(standing) = standings.get(&tenant.name) else { continue };
            let (status, reason, message) = condition(standing);
            let generation = snapshot.config.applied_generation;
            let kind = ConditionType::NmaasConfirmed;
            let kept = self.conditions.entry(tenant.name.clone()).or_default();
            kept.set(kind, status, reason, &message, generation, now);
            let since = kept.find(kind).map_or(now, |it| it.last_transition_time);
            tenant.conditions.set(kind, status, reason, &message, generation, since);
        }
    }

    /// Ends it; what is under way is broken off.
    pub(super) fn end(self) {
        drop(self.end);
        let _ = self.thread.join();
    }
}

fn condition(standing: &Standing) -> (ConditionStatus, ConditionReason, String) {
    match standing {
        Standing::Waiting(obstacle) => {
            (ConditionStatus::False, ConditionReason::Pending, obstacle.to_string())
        }
        Standing::Due => (ConditionStatus::False, ConditionReason::Pending, String::new()),
        Standing::Failed { error, failures } => {
            let message = format!("{error}; {failures} failures in a row, and tried again");
            (ConditionStatus::False, ConditionReason::ConfirmFailed, message)
        }
        Standing::Confirmed => (ConditionStatus::True, ConditionReason::Confirmed, String::new()),
    }
}

/// What runs on the thread.
struct Teller {
    options: NmaasOptions,
    kept: PathBuf,
    url: String,
    confirmations: Confirmations,
    say: watch::Sender<Arc<Standings>>,
    clock: Clock,
}

impl Teller {
    async fn run(mut self, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let before = self.confirmations.told().clone();
            self.confirmations.handle_snapshot(&snapshot);
            self.keep(&before);
            self.show();
            while let Some(order) = self.confirmations.poll_order(self.clock.now().mono) {
                let before = self.confirmations.told().clone();
                let result = self.tell(&order).await;
                self.confirmations.handle_answer(result, self.clock.now().mono);
                self.keep(&before);
                self.show();
            }
            let next = self.confirmations.poll_timeout();
            let next = next.map(|at| Instant::from_std(self.clock.deadline(at)));
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                () = sleep_until(next) => {}
            }
        }
    }

    async fn tell(&self, Order { tenant, domain }: &Order) -> Result<(), String> {
        let told = async {
            let token = Token::read(&self.options.token_file)?;
            self.options.client.tell(*domain, true, &token).await?;
            Ok::<_, anyhow::Error>(())
        };
        match told.await {
            Ok(()) => {
                tracing::info!(%tenant, %domain, "NMaaS knows that the domain is connected");
                Ok(())
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(%tenant, %domain, error, "NMaaS was not told; it is tried again");
                Err(error)
            }
        }
    }

    fn show(&self) {
        let standings: Standings = self
            .confirmations
            .standings()
            .map(|(name, standing)| (name.clone(), standing.clone()))
            .collect();
        self.say.send_if_modified(|shown| {
            let is_new = **shown != standings;
            if is_new {
                *shown = Arc::new(standings);
            }
            is_new
        });
    }

    fn keep(&self, before: &BTreeMap<TenantName, DomainId>) {
        let told = self.confirmations.told();
        if told == before {
            return;
        }
        if let Err(error) = write(&self.kept, &self.url, told) {
            let path = self.kept.display();
            tracing::warn!(%error, "cannot write {path}; after a restart NMaaS is told again");
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What NMaaS at `url` was told; nothing when it was another one.
fn read(path: &Path, url: &str) -> io::Result<BTreeMap<TenantName, DomainId>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::other("the file is damaged or of another version");
    let told: Told = envelope::open(VERSION, &bytes).ok_or_else(damaged)?;
    if told.url != url {
        return Ok(BTreeMap::new());
    }
    let domains = told.domains.into_iter().map(|(name, domain)| {
        let name: TenantName = name.parse().ok()?;
        Some((name, DomainId::new(domain).ok()?))
    });
    domains.collect::<Option<_>>().ok_or_else(damaged)
}

fn write(path: &Path, url: &str, told: &BTreeMap<TenantName, DomainId>) -> io::Result<()> {
    let domains = told.iter().map(|(name, domain)| (name.to_string(), domain.value())).collect();
    let told = Told { url: url.to_owned(), domains };
    file::replace(path, &envelope::seal(VERSION, told).map_err(io::Error::from)?)
}
