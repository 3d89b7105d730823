//! From options to a running gateway.

use super::Clock;
use super::credentials::{CredentialFiles, Exposure, Keeper};
use super::event_loop::{EventLoop, Notices, Parts};
use super::first_set;
use super::kernel_devices;
use super::keys;
use super::load::Earlier;
use super::memory::{self, Memory};
use super::nmaas::{Nmaas, NmaasOptions};
use super::reload::Reload;
use super::serving::Serving;
use super::source::Source;
use crate::datapath::{self, Datapath};
use crate::gateway::Gateway;
use crate::http::Views;
use crate::linux::{self, Kernel, KernelOptions, Offload};
use crate::model::{Ability, Backend, Config, KernelFeatures, Placement, limits};
use crate::net::TenantName;
use crate::status::Snapshot;
use crate::wireguard::Sample;
use anyhow::{Context, bail};
use notify::RecommendedWatcher;
use rustix::process::{Resource, Rlimit};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where documents and secrets are.
    pub source: Source,
    /// Where tenants are put.
    pub placement: Placement,
    /// For the socket and the lock: gone with the machine's restart.
    pub runtime: PathBuf,
    /// For keys and what is remembered.
    pub state: PathBuf,
    /// Where the status is served beside the socket.
    pub status: Vec<std::net::SocketAddr>,
    /// Names by which the status may be asked for, beside addresses.
    pub status_hosts: Vec<String>,
    /// What the status is served by, and who may see what of it.
    pub status_credentials: CredentialFiles,
    /// Whether tokens may come as plain text from elsewhere.
    pub status_plaintext: bool,
    /// Whether what was made stays when the process ends.
    pub keep: bool,
    /// How NMaaS is told of tenants that are connected, if it is.
    pub nmaas: Option<NmaasOptions>,
    /// How packets are moved.
    pub datapath: datapath::Options,
}

/// The socket in the runtime directory.
pub const SOCKET: &str = "lockgate.sock";

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot begin: no privilege, no documents, another one running, a
/// port that is taken.
pub async fn run(options: RunOptions) -> anyhow::Result<()> {
    let clock = Clock::start();
    match options.status_credentials.exposure(&options.status) {
        Some(exposure @ Exposure::Everybody(_)) => tracing::warn!("{exposure}"),
        Some(exposure @ Exposure::Plain(_)) if !options.status_plaintext => bail!("{exposure}"),
        Some(Exposure::Plain(_)) | None => {}
    }
    let (keeper, kept) = Keeper::start(options.status_credentials.clone(), clock)?;
    linux::share_heap();
    raise_descriptor_limit();
    make_directory(&options.runtime)?;
    make_directory(&options.state)?;
    make_directory(&options.state.join("keys"))?;
    let _lock = lock(&options.runtime.join("lock"))?;
    let _claim = claim(options.placement)?;

    let missing = linux::missing(options.placement);
    for missing in missing.iter().skip(1) {
        tracing::error!("{missing}");
    }
    if let Some(first) = missing.first() {
        bail!("{first}");
    }

    if linux::features().arp == Ability::Missing {
        tracing::warn!("{}", KernelFeatures::NO_ARP);
    }

    let (datapath, events) =
        Datapath::start(options.datapath).context("cannot start the packet threads")?;
    let tcp = options.datapath.tun_offload;
    let offload = Offload { tcp, ecn: tcp, udp: tcp && options.datapath.uso };
    let kernel = Kernel::new(options.placement, KernelOptions { offload })
        .context("cannot reach the kernel's network namespaces")?;

    let memory = match memory::read(&options.state.join(memory::FILE)) {
        Ok(memory) => memory,
        Err(error) => {
            tracing::warn!("{:#}", anyhow::Error::new(error));
            Memory::default()
        }
    };

    let now = clock.now();
    let starting = Snapshot::starting(env!("CARGO_PKG_VERSION"), now.wall);
    let (snapshots, watched) = watch::channel(Arc::new(starting));
    let (ticks, ticking) = watch::channel(0);
    let (asking, questions) = mpsc::channel(limits::RIB_QUESTIONS);
    let followed = watched.clone();
    let views = Views::new(watched, ticking).with_hosts(options.status_hosts.clone());
    let views = views.with_rib(asking).with_credentials(kept.credentials);
    let socket = options.runtime.join(SOCKET);
    let serving = Serving::start(&socket, &options.status, views, keeper).await?;

    let mut gateway =
        Gateway::new(options.placement, options.source.documents.display().to_string(), now);
    let endpoints = memory.endpoints.iter().map(|(key, at)| (key.clone(), *at));
    gateway.handle_memory(endpoints, memory.borrowed.clone());
    gateway.handle_key_ages(memory.key_ages.clone());
    gateway.handle_lost_sites(memory.lost_sites.clone());
    gateway.handle_seed(seed());

    // The first set is read before anything runs, so that a wrong path is an
    // exit code and not a line in a log.
    // It is watched even before, so that no change falls between the two.
    let (documents_changed, documents) = mpsc::channel(1);
    let watcher = options.source.watch(documents_changed.clone());
    let earlier =
        Earlier { ports: memory.ports.clone(), now: clock.now().wall, ..Earlier::default() };
    let first = first_set::choose(&options, &earlier)?;

    let _keys = watch_keys(&options.state, documents_changed.clone());
    let watcher = match watcher {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!("{:#}", anyhow::Error::new(error));
            None
        }
    };
    let notices = Notices {
        documents,
        kernel: kernel.watch().context("cannot watch the kernel")?,
        datapath: forward(events),
        hangup: signal(SignalKind::hangup())?,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };

    let nmaas = match options.nmaas {
        Some(nmaas) => Some(Nmaas::start(nmaas, &options.state, followed, clock, seed())?),
        None => None,
    };
    let present = kernel.tenants().await.context("cannot list network namespaces")?;
    let adopted = adopted(&kernel, &first.loaded.config, clock).await;
    let mut event_loop = EventLoop::new(Parts {
        clock,
        gateway,
        kernel,
        datapath: Arc::new(datapath),
        reload: Reload::new(options.source, documents_changed, watcher),
        placement: options.placement,
        state: options.state,
        memory,
        snapshots,
        ticks,
        keep: options.keep,
        questions,
        endpoint: kept.endpoint,
        nmaas,
    });
    event_loop.begin(first, present, adopted);
    event_loop.run(notices).await;

    serving.end();
    Ok(())
}

/// Hears of keys that are rotated, which is a change as one of the documents is.
fn watch_keys(state: &Path, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    match keys::watch(state, changed) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "keys are not watched; after `keys rotate` send SIGHUP");
            None
        }
    }
}

/// A random number; where the system gives none, waits are uneven by the process.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    let rng = ring::rand::SystemRandom::new();
    match ring::rand::SecureRandom::fill(&rng, &mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}

/// How the kernel's devices that an earlier process left are.
async fn adopted(kernel: &Kernel, config: &Config, clock: Clock) -> BTreeMap<TenantName, Sample> {
    let mut adopted = BTreeMap::new();
    for (name, tenant) in &config.tenants {
        if tenant.backend.backend != Backend::Kernel {
            continue;
        }
        // Whatever is in the way shows, with its reason, when it is attached.
        let Ok(link) = kernel.wireguard(name).await else { continue };
        let look = tokio::task::spawn_blocking(move || kernel_devices::look(link, clock));
        adopted.extend(look.await.ok().flatten().map(|sample| (name.clone(), sample)));
    }
    adopted
}

/// A tenant takes four descriptors: its TUN, its UDP socket, and two sockets that
/// hear of changes. The usual 1,024 are enough for 250 tenants.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open descriptors stays at {:?}", limit.current);
    }
}

fn make_directory(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the directory {}", path.display()))?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o022 != 0 {
        bail!("{} may be written by others; `chmod 700` it", path.display());
    }
    Ok(())
}

/// What belongs to whom lies where tenants are put, whatever the directories of
/// this process: named namespaces, or one namespace's links. A second gateway
/// there would take the first one's tenants for what an earlier process left,
/// and remove them.
#[derive(Debug)]
enum Claim {
    Names(#[allow(dead_code, reason = "the lock ends with it")] File),
    Namespace(#[allow(dead_code, reason = "the name ends with it")] UnixListener),
}

/// Held by who makes named namespaces, beside their own directory: `ip netns`
/// locks and lists that.
const NAMES: &str = "/run/lockgate.lock";

/// A name of the calling thread's network namespace, there as long as we are.
const NAMESPACE: &str = "lockgate";

fn claim(placement: Placement) -> anyhow::Result<Claim> {
    match placement {
        Placement::PerTenant => lock(Path::new(NAMES)).map(Claim::Names),
        Placement::Current => {
            let name = SocketAddr::from_abstract_name(NAMESPACE)?;
            match UnixListener::bind_addr(&name) {
                Ok(listener) => Ok(Claim::Namespace(listener)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    bail!("another lockgate runs in this network namespace; stop it first")
                }
                Err(error) => Err(error).context("cannot claim this network namespace"),
            }
        }
    }
}

/// Holds a file for this process alone.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!("another lockgate runs and holds {}; stop it first", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Brings the packet threads' events into the loop.
fn forward(events: std::sync::mpsc::Receiver<datapath::Event>) -> mpsc::Receiver<datapath::Event> {
    let (sender, receiver) = mpsc::channel(64);
    // The thread ends with the packet threads, when their sender is gone.
    std::thread::spawn(move || {
        while let Ok(event) = events.recv() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}
