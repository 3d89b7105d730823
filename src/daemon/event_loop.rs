//! The loop: wait for one input, hand it to the gateway, carry out what it
//! says, show the result.
//!
//! Nothing here decides anything. What may take time runs as a task of its own
//! and comes back as an [`Input`]; the gateway asks for one thing at a time for
//! each tenant, so there are never more tasks than twice the tenants.

use super::clock::Clock;
use super::load::{self, LoadError, Loaded};
use super::memory::{self, Memory};
use super::source::Source;
use crate::datapath::{self, Datapath};
use crate::gateway::{Gateway, Output};
use crate::linux::{self, Dirty, Kernel, Watch};
use crate::model::Placement;
use crate::net::{Now, TenantName, Timestamp};
use crate::reconcile::Namespace;
use crate::status::{Offloads, Snapshot};
use crate::wireguard::DeviceConfig;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Results that may wait for the loop. Each tenant has at most two things under
/// way, and whoever has a result waits, so this only smooths bursts.
const INPUTS: usize = 256;

/// How often the devices are asked how they are.
const SAMPLE: Duration = Duration::from_secs(1);

/// How often the rules' counters of one tenant are read, at most.
const COUNTERS: Duration = Duration::from_secs(5);

/// Tenants whose counters are read in one go.
const COUNTERS_AT_ONCE: usize = 8;

/// How soon after a change in the directory the documents are read: an editor
/// or `cp` makes several changes in a row.
const SETTLE: Duration = Duration::from_millis(10);

/// The least time between two snapshots.
const PUBLISH: Duration = Duration::from_millis(100);

/// How long leaving may take before it is given up.
const STOP: Duration = Duration::from_secs(60);

/// How soon a packet thread that cannot be started is tried again.
const RESTART_RETRY: Duration = Duration::from_secs(1);

/// How often what is remembered is written, when it has changed.
const REMEMBER: Duration = Duration::from_secs(5);

/// Something that happened.
enum Input {
    Applied(TenantName, Result<(), String>),
    Attached(TenantName, Result<(), String>),
    Counters(TenantName, BTreeMap<String, u64>),
    Detached(TenantName),
    Loaded(Result<Loaded, LoadError>),
    Observed(TenantName, Result<Option<Namespace>, String>),
    Resolved(String, Vec<IpAddr>),
    Sampled(BTreeMap<TenantName, datapath::TenantSample>),
    ThreadRestarted(usize, Vec<TenantName>),
}

/// What tells the loop of changes outside.
pub(super) struct Notices {
    /// The documents changed.
    pub(super) documents: mpsc::Receiver<()>,
    /// A tenant's namespace changed.
    pub(super) kernel: Watch,
    /// A packet thread has something to tell.
    pub(super) datapath: mpsc::Receiver<datapath::Event>,
    /// SIGHUP.
    pub(super) hangup: Signal,
    /// SIGTERM.
    pub(super) terminate: Signal,
    /// SIGINT.
    pub(super) interrupt: Signal,
}

/// What the loop works with.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) gateway: Gateway,
    pub(super) kernel: Kernel,
    pub(super) datapath: Arc<Datapath>,
    pub(super) source: Source,
    pub(super) placement: Placement,
    /// Where keys and what is remembered are kept.
    pub(super) state: PathBuf,
    pub(super) memory: Memory,
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    /// Counts the loop's turns, for `/livez`.
    pub(super) ticks: watch::Sender<u64>,
    /// Whether what was made stays when the process ends.
    pub(super) keep: bool,
}

/// How reading the documents stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    Idle,
    Running,
    /// They changed while they were being read.
    Again,
}

/// The loop.
pub(super) struct EventLoop {
    parts: Parts,
    inputs: mpsc::Receiver<Input>,
    input: mpsc::Sender<Input>,
    loading: Loading,
    sampling: bool,
    counted: BTreeMap<TenantName, Instant>,
    /// When the next snapshot may be published.
    publish_at: Instant,
    unpublished: bool,
    /// The generation after which memory was given back last.
    given_back: u64,
    /// The ports given out; those in `parts.memory` are what was written.
    ports: BTreeMap<TenantName, u16>,
    /// No device has sent a stamp after this one.
    last_initiation: Timestamp,
}

impl EventLoop {
    pub(super) fn new(parts: Parts) -> Self {
        let (input, inputs) = mpsc::channel(INPUTS);
        let (ports, last_initiation) = (parts.memory.ports.clone(), parts.memory.stamp_ceiling);
        Self {
            parts,
            inputs,
            input,
            loading: Loading::Idle,
            sampling: false,
            counted: BTreeMap::new(),
            publish_at: Instant::now(),
            unpublished: true,
            given_back: 0,
            ports,
            last_initiation,
        }
    }

    /// Takes the first set of documents, and the tenants whose namespaces an
    /// earlier process left.
    pub(super) fn begin(&mut self, loaded: Loaded, present: Vec<TenantName>) {
        self.handle_loaded(Ok(loaded));
        let now = self.now();
        self.parts.gateway.handle_present(present, now);
    }

    /// Runs until told to end, then cleans up unless what was made is to stay.
    pub(super) async fn run(mut self, mut notices: Notices) {
        let mut sample = interval(SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut remember = interval(REMEMBER);
        remember.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_by: Option<Instant> = None;
        loop {
            self.drain();
            if stop_by.is_some_and(|at| at <= Instant::now()) {
                tracing::error!("not everything could be removed in time");
                break;
            }
            if self.parts.gateway.is_done() {
                break;
            }
            self.parts.ticks.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
            self.publish();
            let wake = self.wake(stop_by);
            tokio::select! {
                Some(input) = self.inputs.recv() => self.handle_input(input),
                dirty = notices.kernel.next() => self.handle_dirty(&dirty),
                Some(event) = notices.datapath.recv() => self.handle_datapath(event),
                Some(()) = notices.documents.recv(), if stop_by.is_none() => {
                    tokio::time::sleep(SETTLE).await;
                    while notices.documents.try_recv().is_ok() {}
                    self.load();
                }
                _ = notices.hangup.recv(), if stop_by.is_none() => self.load(),
                _ = notices.terminate.recv(), if stop_by.is_none() => {
                    if self.parts.keep { break }
                    stop_by = Some(self.stop());
                }
                _ = notices.interrupt.recv(), if stop_by.is_none() => {
                    if self.parts.keep { break }
                    stop_by = Some(self.stop());
                }
                _ = sample.tick() => self.sample(),
                _ = remember.tick() => {
                    self.remember();
                    self.give_back();
                }
                () = sleep_until(wake) => {
                    let now = self.now();
                    self.parts.gateway.handle_timeout(now);
                }
            }
        }
        self.remember();
        self.publish_at = Instant::now();
        self.unpublished = true;
        self.publish();
    }

    /// Reads the documents; what is read comes back as an input.
    pub(super) fn load(&mut self) {
        if self.loading != Loading::Idle {
            self.loading = Loading::Again;
            return;
        }
        self.loading = Loading::Running;
        let (source, state) = (self.parts.source.clone(), self.parts.state.clone());
        let (placement, ports) = (self.parts.placement, self.ports.clone());
        // A key that was handed in is not the tenant's own.
        let mut known = self.parts.gateway.identities().clone();
        let tenants = &self.parts.gateway.config().tenants;
        known.retain(|name, _| tenants.get(name).is_some_and(|it| it.private_key.is_none()));
        let input = self.input.clone();
        tokio::spawn(async move {
            let loaded = tokio::task::spawn_blocking(move || {
                load::load(&source, &state, placement, &ports, &known)
            });
            if let Ok(loaded) = loaded.await {
                let _ = input.send(Input::Loaded(loaded)).await;
            }
        });
    }

    fn now(&self) -> Now {
        self.parts.clock.now()
    }

    fn wake(&self, stop_by: Option<Instant>) -> Instant {
        let gateway = self.parts.gateway.poll_timeout();
        let gateway = gateway.map(|at| Instant::from_std(self.parts.clock.deadline(at)));
        let publish = self.unpublished.then_some(self.publish_at);
        let latest = Instant::now() + Duration::from_secs(60);
        [gateway, publish, stop_by].into_iter().flatten().min().unwrap_or(latest)
    }

    fn handle_input(&mut self, input: Input) {
        let now = self.now();
        let gateway = &mut self.parts.gateway;
        match input {
            Input::Applied(tenant, result) => gateway.handle_applied(&tenant, result, now),
            Input::Attached(tenant, result) => gateway.handle_attached(&tenant, result, now),
            Input::Counters(tenant, counters) => gateway.handle_drops(&tenant, counters),
            Input::Detached(tenant) => gateway.handle_detached(&tenant, now),
            Input::Loaded(loaded) => self.handle_loaded(loaded),
            Input::Observed(tenant, observed) => gateway.handle_observed(&tenant, observed, now),
            Input::Resolved(name, addresses) => gateway.handle_resolved(&name, &addresses, now),
            Input::Sampled(samples) => {
                self.sampling = false;
                if let Some(path) = samples.values().map(|sample| sample.path).next() {
                    gateway.handle_offloads(Offloads {
                        tun_tcp: path.tso,
                        tun_udp: path.uso,
                        udp_segment: path.udp_gso,
                        udp_coalesce: path.udp_gro,
                    });
                }
                let samples = samples.into_iter().map(|(name, sample)| (name, sample.device));
                gateway.handle_samples(samples.collect(), now);
                self.last_initiation = self.last_initiation.max(gateway.last_initiation());
                // A customer that has just dialled in would else be lost, should
                // the next seconds bring a crash.
                let known = &self.parts.memory.endpoints;
                if gateway.endpoints().keys().any(|peer| !known.contains_key(peer)) {
                    self.remember();
                }
            }
            Input::ThreadRestarted(thread, tenants) => {
                let error = format!("packet thread {thread} broke off by a defect in lockgate");
                for tenant in tenants {
                    gateway.handle_device_failure(&tenant, error.clone(), now);
                }
            }
        }
        self.unpublished = true;
    }

    fn handle_dirty(&mut self, dirty: &Dirty) {
        let now = self.now();
        match dirty {
            Dirty::Tenant(tenant) => self.parts.gateway.handle_dirty(tenant, now),
            // A fabric link that was waited for may have come; its tenant is
            // tried again by its own backoff, and this makes it sooner.
            Dirty::Underlay => self.parts.gateway.handle_underlay(now),
        }
    }

    fn handle_datapath(&mut self, event: datapath::Event) {
        match event {
            datapath::Event::TunLost { tenant, error } => {
                let now = self.now();
                let error = format!("the TUN was lost: {error}");
                self.parts.gateway.handle_device_failure(&tenant, error, now);
            }
            datapath::Event::ThreadLost { thread } => self.restart_thread(thread),
            datapath::Event::UdpGsoOff { tenant } => {
                tracing::warn!(%tenant, "the kernel or the link segments no datagrams; they are sent one by one");
            }
        }
        self.unpublished = true;
    }

    /// Starts a packet thread again that broke off; its tenants come back as an
    /// input.
    fn restart_thread(&self, thread: usize) {
        tracing::error!(thread, "a packet thread broke off by a defect and is begun anew");
        let (datapath, input) = (Arc::clone(&self.parts.datapath), self.input.clone());
        tokio::spawn(async move {
            loop {
                let datapath = Arc::clone(&datapath);
                match tokio::task::spawn_blocking(move || datapath.restart(thread)).await {
                    Ok(Ok(tenants)) => {
                        let _ = input.send(Input::ThreadRestarted(thread, tenants)).await;
                        return;
                    }
                    Ok(Err(error)) => tracing::error!("{:#}", anyhow::Error::new(error)),
                    Err(_) => return,
                }
                tokio::time::sleep(RESTART_RETRY).await;
            }
        });
    }

    fn handle_loaded(&mut self, loaded: Result<Loaded, LoadError>) {
        let now = self.now();
        let first = self.parts.gateway.generation() == 0;
        match loaded {
            Ok(loaded) if first || loaded.errors.is_empty() => {
                for error in &loaded.errors {
                    tracing::error!("{error}");
                }
                let tenants = loaded.config.tenants.len();
                self.ports = loaded.ports;
                self.parts.gateway.handle_config(
                    loaded.config,
                    loaded.identities,
                    loaded.errors,
                    now,
                );
                tracing::info!(
                    tenants,
                    generation = self.parts.gateway.generation(),
                    "config accepted"
                );
                self.remember();
            }
            Ok(loaded) => {
                for error in &loaded.errors {
                    tracing::error!("{error}");
                }
                tracing::warn!("the documents have errors; the config before stays in force");
                self.parts.gateway.handle_refused_config(loaded.errors, now);
            }
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!("{text}; the config before stays in force");
                self.parts.gateway.handle_refused_config(vec![text], now);
            }
        }
        let again = self.loading == Loading::Again;
        self.loading = Loading::Idle;
        if again {
            self.load();
        }
    }

    /// Carries out what the gateway says.
    fn drain(&mut self) {
        while let Some(output) = self.parts.gateway.poll_output() {
            self.unpublished = true;
            let (kernel, input) = (self.parts.kernel.clone(), self.input.clone());
            let datapath = Arc::clone(&self.parts.datapath);
            match output {
                Output::Apply(tenant, steps) => {
                    if *self.parts.gateway.borrowed() != self.parts.memory.borrowed {
                        // How it was can be seen only before it is changed.
                        self.remember();
                    }
                    tokio::spawn(async move {
                        let applied = kernel.apply(&tenant, steps).await;
                        let result = match applied.failed {
                            None => Ok(()),
                            Some((step, error)) => {
                                Err(format!("{step}: {:#}", anyhow::Error::new(error)))
                            }
                        };
                        let _ = input.send(Input::Applied(tenant, result)).await;
                    });
                }
                Output::Attach(tenant, config) => {
                    let last_initiation = self.last_initiation;
                    tokio::spawn(async move {
                        let result = attach(&kernel, datapath, &tenant, config, last_initiation);
                        let result = result.await.map_err(|error| format!("{error:#}"));
                        let _ = input.send(Input::Attached(tenant, result)).await;
                    });
                }
                Output::Configure(tenant, config) => {
                    tokio::spawn(async move {
                        let configured = tenant.clone();
                        let configure = move || datapath.configure(&configured, config);
                        let result = match tokio::task::spawn_blocking(configure).await {
                            Ok(Ok(_)) => Ok(()),
                            Ok(Err(error)) => Err(format!("{:#}", anyhow::Error::new(error))),
                            Err(error) => Err(error.to_string()),
                        };
                        let _ = input.send(Input::Attached(tenant, result)).await;
                    });
                }
                Output::Detach(tenant) => {
                    tokio::spawn(async move {
                        let detached = tenant.clone();
                        let detach = move || drop(datapath.detach(&detached));
                        let _ = tokio::task::spawn_blocking(detach).await;
                        let _ = input.send(Input::Detached(tenant)).await;
                    });
                }
                Output::Observe(tenant) => {
                    tokio::spawn(async move {
                        let observed = kernel.observe(&tenant).await;
                        let observed =
                            observed.map_err(|error| format!("{:#}", anyhow::Error::new(error)));
                        let _ = input.send(Input::Observed(tenant, observed)).await;
                    });
                }
                Output::Resolve(name) => {
                    tokio::spawn(async move {
                        let found = tokio::net::lookup_host((name.clone(), 0)).await;
                        let addresses = match found {
                            Ok(found) => found.map(|address| address.ip().to_canonical()).collect(),
                            Err(error) => {
                                tracing::warn!(%name, %error, "endpoint has no address");
                                Vec::new()
                            }
                        };
                        let _ = input.send(Input::Resolved(name, addresses)).await;
                    });
                }
            }
        }
    }

    /// Asks the devices how they are, and the rules of some tenants what they
    /// dropped.
    fn sample(&mut self) {
        if !self.sampling {
            self.sampling = true;
            let (datapath, input) = (Arc::clone(&self.parts.datapath), self.input.clone());
            tokio::spawn(async move {
                let sampled = tokio::task::spawn_blocking(move || datapath.sample_all()).await;
                let samples = match sampled {
                    Ok(Ok(samples)) => samples,
                    Ok(Err(error)) => {
                        tracing::error!("{:#}", anyhow::Error::new(error));
                        BTreeMap::new()
                    }
                    Err(_) => BTreeMap::new(),
                };
                let _ = input.send(Input::Sampled(samples)).await;
            });
        }
        let due = Instant::now();
        let tenants = &self.parts.gateway.config().tenants;
        self.counted.retain(|tenant, _| tenants.contains_key(tenant));
        let mut waiting: Vec<(Option<Instant>, &TenantName)> = tenants
            .keys()
            .map(|tenant| (self.counted.get(tenant).copied(), tenant))
            .filter(|(counted, _)| counted.is_none_or(|at| at + COUNTERS <= due))
            .collect();
        waiting.sort();
        let chosen: Vec<TenantName> =
            waiting.into_iter().take(COUNTERS_AT_ONCE).map(|(_, tenant)| tenant.clone()).collect();
        for tenant in chosen {
            self.counted.insert(tenant.clone(), due);
            let (kernel, input) = (self.parts.kernel.clone(), self.input.clone());
            tokio::spawn(async move {
                if let Ok(counters) = kernel.drop_counters(&tenant).await {
                    let counters = counters
                        .into_iter()
                        .map(|(reason, packets)| (reason.to_string(), packets))
                        .collect();
                    let _ = input.send(Input::Counters(tenant, counters)).await;
                }
            });
        }
    }

    /// Writes what the next process should know, when it has changed.
    fn remember(&mut self) {
        let gateway = &self.parts.gateway;
        let mut memory = Memory { ports: self.ports.clone(), ..self.parts.memory.clone() };
        memory.borrowed.clone_from(gateway.borrowed());
        memory.endpoints.extend(gateway.endpoints());
        if gateway.generation() != 0 && !gateway.is_stopping() {
            memory.endpoints.retain(|(tenant, key), _| {
                memory.ports.contains_key(tenant) && !gateway.has_forgotten(tenant, key)
            });
        }
        memory.reserve_stamps(self.now().wall, self.last_initiation);
        if memory == self.parts.memory {
            return;
        }
        match memory::write(&self.parts.state.join(memory::FILE), &memory) {
            Ok(()) => self.parts.memory = memory,
            Err(error) => tracing::warn!("{:#}", anyhow::Error::new(error)),
        }
    }

    /// Once a set of documents is in force, what reading it took is given back.
    fn give_back(&mut self) {
        let generation = self.parts.gateway.generation();
        if self.given_back != generation && self.parts.gateway.is_settled() {
            self.given_back = generation;
            tokio::task::spawn_blocking(linux::give_back);
        }
    }

    fn publish(&mut self) {
        let begun = Instant::now();
        if !self.unpublished || begun < self.publish_at {
            return;
        }
        let snapshot = self.parts.gateway.snapshot(self.now());
        self.parts.snapshots.send_replace(Arc::new(snapshot));
        self.unpublished = false;
        // A snapshot of many tenants takes milliseconds; showing it takes at
        // most a twentieth of the loop's time.
        let end = Instant::now();
        self.publish_at = end + PUBLISH.max(20 * (end - begun));
    }

    /// Begins to remove everything; gives the time by which that must be done.
    fn stop(&mut self) -> Instant {
        tracing::info!("stopping: removing what was made");
        self.remember();
        let now = self.now();
        self.parts.gateway.stop(now);
        self.unpublished = true;
        Instant::now() + STOP
    }
}

async fn attach(
    kernel: &Kernel,
    datapath: Arc<Datapath>,
    tenant: &TenantName,
    config: DeviceConfig,
    last_initiation: Timestamp,
) -> anyhow::Result<()> {
    let tun = kernel.open_tun(tenant).await?;
    let tun = datapath::Tun { fd: tun.fd, tso: tun.offload.tcp, uso: tun.offload.udp };
    let attach = datapath::Attach { tenant: tenant.clone(), tun, config, last_initiation };
    tokio::task::spawn_blocking(move || datapath.attach(attach)).await??;
    Ok(())
}
