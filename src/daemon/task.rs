//! What may take time: each piece runs as a task of its own, and what came of
//! it goes back to the loop as an [`Input`]. Nothing here decides anything.

use super::accepted;
use super::clock::Clock;
use super::document_file::DocumentFile;
use super::kernel_devices::{KernelDevices, KernelSamples};
use super::load::{self, Earlier, LoadError, Loaded};
use super::probe;
use super::source::Source;
use crate::datapath::{self, Datapath};
use crate::gateway::Output;
use crate::linux::{self, Kernel};
use crate::model::{Backend, Placement, limits};
use crate::net::{ManagedName, Mtu, TenantName, Timestamp};
use crate::probe::{Outcome, Shot};
use crate::reconcile::{ConntrackSample, Device, LegSample, Namespace, StepFailure};
use crate::wireguard::DeviceConfig;
use notify::RecommendedWatcher;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// How soon a packet thread that cannot be started is tried again.
const RESTART_RETRY: Duration = Duration::from_secs(1);

/// Something that was done, and what came of it. A text is for a person.
pub(super) enum Input {
    Applied(TenantName, Vec<StepFailure>),
    Attached(TenantName, Result<(), String>),
    /// What a tenant's rules dropped, and how full its connection tracking is.
    Counters(TenantName, BTreeMap<String, u64>, Option<ConntrackSample>),
    Detached(TenantName),
    /// How the links to sites on VLANs are.
    Legs(TenantName, BTreeMap<Device, LegSample>),
    /// With what watches the documents from now on.
    Loaded(Result<Loaded, LoadError>, Option<RecommendedWatcher>),
    Observed(TenantName, Result<Option<Namespace>, String>),
    /// What became of asking a device.
    Probed(TenantName, Shot, Outcome),
    Resolved(String, Result<Vec<IpAddr>, String>),
    Sampled(BTreeMap<TenantName, datapath::TenantSample>, KernelSamples),
    ThreadRestarted(usize, Vec<TenantName>),
    UplinkMeasured(Option<Mtu>),
}

/// What is to be loaded, and what is known of it.
pub(super) struct Load {
    pub(super) source: Source,
    /// Told when it changes.
    pub(super) changed: mpsc::Sender<()>,
    pub(super) state: PathBuf,
    pub(super) placement: Placement,
    pub(super) earlier: Earlier,
}

/// Starts tasks.
#[derive(Clone)]
pub(super) struct Tasks {
    kernel: Kernel,
    datapath: Arc<Datapath>,
    devices: Arc<KernelDevices>,
    input: mpsc::Sender<Input>,
    /// Lets so many names be looked up at once.
    lookups: Arc<Semaphore>,
    /// Lets one set of documents be kept at a time.
    keeping: Arc<Semaphore>,
}

impl Tasks {
    pub(super) fn new(
        kernel: Kernel,
        datapath: Arc<Datapath>,
        clock: Clock,
        input: mpsc::Sender<Input>,
    ) -> Self {
        let lookups = Arc::new(Semaphore::new(limits::LOOKUPS));
        let devices = Arc::new(KernelDevices::new(clock));
        tokio::spawn(Arc::clone(&devices).follow_changeovers());
        let keeping = Arc::new(Semaphore::new(1));
        Self { kernel, datapath, devices, input, lookups, keeping }
    }

    /// Carries out what the gateway says. A device that is attached sends no
    /// stamp before `last_initiation`.
    pub(super) fn carry_out(&self, output: Output, last_initiation: Timestamp) {
        let Self { kernel, datapath, devices, lookups, .. } = self.clone();
        match output {
            Output::Apply(tenant, steps) => self.spawn(async move {
                let applied = kernel.apply(&tenant, steps).await;
                let failed = applied.failed.into_iter().map(|(step, error)| StepFailure {
                    device: step.device(),
                    message: format!("{step}: {}", text(error)),
                });
                Some(Input::Applied(tenant, failed.collect()))
            }),
            Output::Attach(tenant, Backend::Userspace, config) => self.spawn(async move {
                let result = attach(&kernel, datapath, &tenant, config, last_initiation).await;
                Some(Input::Attached(tenant, result.map_err(|error| format!("{error:#}"))))
            }),
            Output::Attach(tenant, Backend::Kernel, config) => self.spawn(async move {
                let result = take_up(&kernel, devices, &tenant, config).await;
                Some(Input::Attached(tenant, result.map_err(|error| format!("{error:#}"))))
            }),
            Output::Configure(tenant, config) => self.spawn(async move {
                let configured = tenant.clone();
                let configure = move || match devices.has(&configured) {
                    true => devices.configure(&configured, config).map_err(text),
                    false => datapath.configure(&configured, config).map(drop).map_err(text),
                };
                let result = match tokio::task::spawn_blocking(configure).await {
                    Ok(result) => result,
                    Err(error) => Err(error.to_string()),
                };
                Some(Input::Attached(tenant, result))
            }),
            Output::Detach(tenant) => self.spawn(async move {
                let detached = tenant.clone();
                let detach = move || match devices.has(&detached) {
                    true => devices.detach(&detached),
                    false => drop(datapath.detach(&detached)),
                };
                let _ = tokio::task::spawn_blocking(detach).await;
                Some(Input::Detached(tenant))
            }),
            Output::Observe(tenant) => self.spawn(async move {
                let observed = kernel.observe(&tenant).await.map_err(text);
                Some(Input::Observed(tenant, observed))
            }),
            // The loop has the sockets.
            Output::Bgp(..) | Output::Shared(..) | Output::Bfd(..) => {}
            Output::Probe(tenant, shot) => self.spawn(async move {
                let outcome = probe::ask(&kernel, &tenant, shot.probe.target, shot.number).await;
                Some(Input::Probed(tenant, shot, outcome))
            }),
            Output::Resolve(name) => self.spawn(async move {
                let _turn = lookups.acquire_owned().await;
                let found = tokio::net::lookup_host((name.clone(), 0)).await;
                let found = found.map_err(|error| error.to_string());
                let found = found.map(|found| found.map(|it| it.ip().to_canonical()).collect());
                Some(Input::Resolved(name, found))
            }),
        }
    }

    /// Reads and checks the documents.
    pub(super) fn load(&self, what: Load) {
        let Load { source, changed, state, placement, earlier } = what;
        let load = move || {
            // Before they are read, so that no change falls between the two.
            let watcher = source.watch(changed).ok();
            (load::load(&source, &state, placement, &earlier), watcher)
        };
        self.spawn(async move {
            let read = tokio::task::spawn_blocking(load).await;
            let (loaded, watcher) = read.unwrap_or((Err(LoadError::Lost), None));
            Some(Input::Loaded(loaded, watcher))
        });
    }

    /// Keeps the files of the set that is in force now, after those before.
    pub(super) fn keep(&self, state: &Path, documents: PathBuf, files: Arc<Vec<DocumentFile>>) {
        let (path, turn) = (state.join(accepted::FILE), Arc::clone(&self.keeping));
        self.spawn(async move {
            let _turn = turn.acquire_owned().await;
            let write = move || accepted::write(&path, &documents, &files);
            if let Err(error) = tokio::task::spawn_blocking(write).await.ok()? {
                tracing::warn!("{}", text(error));
            }
            None
        });
    }

    /// Asks the devices how they are.
    pub(super) fn sample(&self) {
        let (datapath, devices) = (Arc::clone(&self.datapath), Arc::clone(&self.devices));
        self.spawn_blocking(move || {
            let samples = datapath.sample_all().unwrap_or_else(|error| {
                tracing::error!("{}", text(error));
                BTreeMap::new()
            });
            Some(Input::Sampled(samples, devices.sample_all()))
        });
    }

    /// Asks a tenant's rules what they dropped, and connection tracking how full it is.
    pub(super) fn count(&self, tenant: TenantName) {
        let kernel = self.kernel.clone();
        self.spawn(async move {
            let (drops, conntrack) = kernel.counters(&tenant).await.ok()?;
            let drops = drops.into_iter().map(|(reason, packets)| (reason.to_string(), packets));
            Some(Input::Counters(tenant, drops.collect(), conntrack))
        });
    }

    /// Looks at links to sites on VLANs, and has the routers there asked.
    pub(super) fn sample_legs(&self, tenant: TenantName, legs: Vec<(Device, Vec<IpAddr>)>) {
        let kernel = self.kernel.clone();
        self.spawn(async move {
            // Without its namespace a tenant has none of its links.
            let samples = kernel.sample_legs(&tenant, legs).await.unwrap_or_default();
            Some(Input::Legs(tenant, samples))
        });
    }

    /// Removes the outer tags that no double-tagged VLAN stands on any more.
    pub(super) fn sweep_outer_vlans(&self, wanted: BTreeSet<ManagedName>) {
        let kernel = self.kernel.clone();
        self.spawn(async move {
            sweep_outer_vlans(&kernel, wanted).await;
            None
        });
    }

    /// Starts a packet thread again that broke off.
    pub(super) fn restart_thread(&self, thread: usize) {
        let datapath = Arc::clone(&self.datapath);
        self.spawn(async move {
            loop {
                let datapath = Arc::clone(&datapath);
                match tokio::task::spawn_blocking(move || datapath.restart(thread)).await.ok()? {
                    Ok(tenants) => return Some(Input::ThreadRestarted(thread, tenants)),
                    Err(error) => tracing::error!("{}", text(error)),
                }
                tokio::time::sleep(RESTART_RETRY).await;
            }
        });
    }

    /// Looks how large a packet leaves by the uplink whole.
    pub(super) fn measure_uplink(&self) {
        self.spawn_blocking(|| Some(Input::UplinkMeasured(linux::uplink_mtu())));
    }

    fn spawn(&self, task: impl Future<Output = Option<Input>> + Send + 'static) {
        let input = self.input.clone();
        tokio::spawn(async move {
            if let Some(done) = task.await {
                // Fails only when the loop has ended.
                let _ = input.send(done).await;
            }
        });
    }

    fn spawn_blocking(&self, work: impl FnOnce() -> Option<Input> + Send + 'static) {
        self.spawn(async move { tokio::task::spawn_blocking(work).await.ok()? });
    }
}

/// Removes the outer tags that are not among `wanted`, and says so.
pub(super) async fn sweep_outer_vlans(kernel: &Kernel, wanted: BTreeSet<ManagedName>) {
    match kernel.sweep_outer_vlans(wanted).await {
        Ok(swept) => {
            for link in swept {
                tracing::info!(%link, "an outer VLAN tag that nobody needs any more is removed");
            }
        }
        Err(error) => tracing::warn!("{}", text(error)),
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

/// Takes up the kernel's device of a tenant.
async fn take_up(
    kernel: &Kernel,
    devices: Arc<KernelDevices>,
    tenant: &TenantName,
    config: DeviceConfig,
) -> anyhow::Result<()> {
    let link = kernel.wireguard(tenant).await?;
    let tenant = tenant.clone();
    tokio::task::spawn_blocking(move || devices.attach(tenant, link, config)).await??;
    Ok(())
}

/// An error with its causes, for a person.
pub(super) fn text(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
