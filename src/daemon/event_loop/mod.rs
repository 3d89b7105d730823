//! The loop: wait for one input, hand it to the gateway, carry out what it
//! says, show the result.
//!
//! Nothing here decides anything. What may take time runs as one of the [`Tasks`]
//! and comes back as an [`Input`]; the gateway asks for one thing at a time for
//! each tenant, so there are never more tasks than twice the tenants.

mod loading;
mod sampling;

use super::accepted;
use super::bfd::{BfdInput, BfdSockets};
use super::bgp::{BgpInput, Sockets};
use super::clock::Clock;
use super::document_file::DocumentFile;
use super::first_set::FirstSet;
use super::journal::Journal;
use super::look::Look;
use super::memory::{self, Memory};
use super::nmaas::Nmaas;
use super::publishing::Publishing;
use super::reload::Reload;
use super::task::{self, Input, Tasks, text};
use super::test_page::TestPages;
use super::turns::Turns;
use crate::datapath::{self, Datapath};
use crate::gateway::{BfdAction, Gateway, Output};
use crate::http::RibQuestion;
use crate::linux::{self, Dirty, Kernel, Watch};
use crate::model::{Placement, limits};
use crate::net::{Mtu, Now, TenantName, Timestamp};
use crate::status::{EndpointSnapshot, Offloads, RateMeter, Snapshot};
use crate::wireguard::Sample;
use sampling::{COUNTERS, LEGS};
use std::collections::{BTreeMap, BTreeSet};
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

/// How soon after a change in the directory the documents are read: an editor
/// or `cp` makes several changes in a row.
const SETTLE: Duration = Duration::from_millis(10);

/// How long BFD's sockets are not listened to after they were: nothing to a detection
/// time of 900 ms.
const BFD_PAUSE: Duration = Duration::from_millis(10);

/// How long leaving may take before it is given up.
const STOP: Duration = Duration::from_secs(60);

/// How often what is remembered is written, when it has changed.
const REMEMBER: Duration = Duration::from_secs(5);

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
    /// Where the documents are, and how reading them stands.
    pub(super) reload: Reload,
    pub(super) placement: Placement,
    /// Where keys and what is remembered are kept.
    pub(super) state: PathBuf,
    pub(super) memory: Memory,
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    /// Counts the loop's turns, for `/livez`.
    pub(super) ticks: watch::Sender<u64>,
    /// Whether what was made stays when the process ends.
    pub(super) keep: bool,
    /// Who asks what BGP neighbors said.
    pub(super) questions: mpsc::Receiver<RibQuestion>,
    /// How the status endpoint is.
    pub(super) endpoint: watch::Receiver<EndpointSnapshot>,
    /// What NMaaS was told.
    pub(super) nmaas: Option<Nmaas>,
}

/// The loop.
pub(super) struct EventLoop {
    parts: Parts,
    inputs: mpsc::Receiver<Input>,
    tasks: Tasks,
    /// What BGP connections tell.
    bgp: mpsc::Receiver<BgpInput>,
    sockets: Sockets,
    /// What BFD's sockets tell.
    bfd: mpsc::Receiver<BfdInput>,
    bfd_sockets: BfdSockets,
    /// When BFD's sockets are listened to again.
    bfd_at: Instant,
    test_pages: TestPages,
    sampling: bool,
    measuring: Look,
    /// The uplink's MTU that tunnels were measured by.
    uplink_mtu: Option<Mtu>,
    /// Whose counters are read.
    counting: Turns,
    /// Whose VLANs are looked at.
    leg_turns: Turns,
    /// The tenants whose VLANs are being looked at: one look at a time.
    legs_asked: BTreeSet<TenantName>,
    /// When the next snapshot may be published.
    publishing: Publishing,
    journal: Journal,
    rates: RateMeter,
    /// The names that have no address.
    unresolved: BTreeSet<String>,
    /// The generation after which memory was given back last.
    given_back: u64,
    /// Whether there are more neighbours than the kernel may have room for.
    is_crowded: bool,
    /// The set of documents that is kept for a restart, or is to be.
    kept: Option<[u8; 32]>,
    /// It is to be kept, and when.
    to_keep: Option<(Instant, Arc<Vec<DocumentFile>>)>,
    /// The ports given out; those in `parts.memory` are what was written.
    ports: BTreeMap<TenantName, u16>,
    /// No device has sent a stamp after this one.
    last_initiation: Timestamp,
}

impl EventLoop {
    pub(super) fn new(parts: Parts) -> Self {
        let (input, inputs) = mpsc::channel(INPUTS);
        let (kernel, datapath) = (parts.kernel.clone(), Arc::clone(&parts.datapath));
        let (bgp_input, bgp) = mpsc::channel(limits::BGP_INPUTS);
        let sockets = Sockets::new(kernel.clone(), bgp_input);
        let (bfd_input, bfd) = mpsc::channel(limits::BFD_INPUTS);
        let bfd_sockets = BfdSockets::new(kernel.clone(), bfd_input);
        let test_pages = TestPages::new(kernel.clone(), parts.clock);
        let tasks = Tasks::new(kernel, datapath, parts.clock, input);
        let (ports, last_initiation) = (parts.memory.ports.clone(), parts.memory.stamp_ceiling);
        Self {
            parts,
            inputs,
            tasks,
            bgp,
            sockets,
            bfd,
            bfd_sockets,
            bfd_at: Instant::now(),
            test_pages,
            sampling: false,
            measuring: Look::Idle,
            uplink_mtu: None,
            counting: Turns::new(COUNTERS),
            leg_turns: Turns::new(LEGS),
            legs_asked: BTreeSet::new(),
            publishing: Publishing::new(Instant::now()),
            journal: Journal::default(),
            rates: RateMeter::default(),
            unresolved: BTreeSet::new(),
            given_back: 0,
            is_crowded: false,
            kept: None,
            to_keep: None,
            ports,
            last_initiation,
        }
    }

    /// Takes the first set of documents, the tenants whose namespaces an earlier
    /// process left, and how the kernel's devices among them are: what follows
    /// from that, as which site serves a network, is not to be found out anew.
    pub(super) fn begin(
        &mut self,
        first: FirstSet,
        present: Vec<TenantName>,
        adopted: BTreeMap<TenantName, Sample>,
    ) {
        self.handle_loaded(Ok(first.loaded), None);
        if let Some(refused) = first.refused {
            self.handle_loaded(refused, None);
        }
        let now = self.now();
        self.parts.gateway.handle_samples(adopted, now);
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
                Some(input) = self.bgp.recv() => self.handle_bgp(input),
                Some(input) = self.bfd.recv(), if self.bfd_at <= Instant::now() => {
                    self.handle_bfd(input);
                    self.drain_bfd();
                }
                Some(question) = self.parts.questions.recv() => self.answer(question),
                dirty = notices.kernel.next() => self.handle_dirty(&dirty),
                Some(event) = notices.datapath.recv() => self.handle_datapath(event),
                Some(()) = notices.documents.recv(), if stop_by.is_none() => {
                    tokio::time::sleep(SETTLE).await;
                    while notices.documents.try_recv().is_ok() {}
                    self.load();
                }
                _ = notices.hangup.recv(), if stop_by.is_none() => {
                    self.parts.reload.handle_asked();
                    self.load();
                }
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
                    // A neighbor is not silent because we were.
                    tokio::task::yield_now().await;
                    for _ in 0..limits::BGP_INPUTS {
                        let Ok(input) = self.bgp.try_recv() else { break };
                        self.handle_bgp(input);
                    }
                    self.drain_bfd();
                    let now = self.now();
                    self.parts.gateway.handle_timeout(now);
                    let passed = Instant::now();
                    if self.parts.reload.due().is_some_and(|at| at <= passed) {
                        self.load();
                    }
                    if let Some((_, files)) = self.to_keep.take_if(|(at, _)| *at <= passed) {
                        let documents = self.parts.reload.source.documents.clone();
                        self.tasks.keep(&self.parts.state, documents, files);
                    }
                }
            }
        }
        let now = self.now();
        self.parts.gateway.end_bfd(now);
        self.drain();
        if self.parts.gateway.is_done() {
            task::sweep_outer_vlans(&self.parts.kernel, BTreeSet::new()).await;
        }
        self.remember();
        if let Some((_, files)) = self.to_keep.take() {
            let kept = self.parts.state.join(accepted::FILE);
            if let Err(error) = accepted::write(&kept, &self.parts.reload.source.documents, &files)
            {
                tracing::warn!("{}", text(error));
            }
        }
        self.publishing.hurry(Instant::now());
        self.publish();
    }

    fn measure_uplink(&mut self) {
        if self.measuring.begin() {
            self.tasks.measure_uplink();
        }
    }

    fn now(&self) -> Now {
        self.parts.clock.now()
    }

    fn wake(&self, stop_by: Option<Instant>) -> Instant {
        let gateway = self.parts.gateway.poll_timeout();
        let gateway = gateway.map(|at| Instant::from_std(self.parts.clock.deadline(at)));
        let publish = self.publishing.due();
        let latest = Instant::now() + Duration::from_secs(60);
        let reload = self.parts.reload.due();
        let keep = self.to_keep.as_ref().map(|(at, _)| *at);
        let bfd = (Instant::now() < self.bfd_at).then_some(self.bfd_at);
        let all = [gateway, publish, stop_by, reload, keep, bfd];
        all.into_iter().flatten().min().unwrap_or(latest)
    }

    fn handle_input(&mut self, input: Input) {
        let now = self.now();
        // What comes tenant by tenant is shown with the next sample of the devices, of
        // which there is one a second: a snapshot is of all tenants. What follows from
        // it is an output, and shown at once.
        let mut is_one_of_many = matches!(input, Input::Counters(..) | Input::Legs(..));
        let gateway = &mut self.parts.gateway;
        match input {
            Input::Applied(tenant, failed) => gateway.handle_applied(&tenant, failed, now),
            Input::Attached(tenant, result) => gateway.handle_attached(&tenant, result, now),
            Input::Counters(tenant, drops, conntrack) => {
                gateway.handle_counters(&tenant, drops, conntrack, now);
            }
            Input::Legs(tenant, samples) => {
                self.legs_asked.remove(&tenant);
                gateway.handle_legs(&tenant, &samples, now);
            }
            Input::Detached(tenant) => gateway.handle_detached(&tenant, now),
            Input::Loaded(loaded, watcher) => self.handle_loaded(loaded, watcher),
            Input::Observed(tenant, observed) => gateway.handle_observed(&tenant, observed, now),
            Input::Probed(tenant, shot, outcome) => {
                let is_new = gateway.handle_probe(&tenant, &shot.probe, shot.number, outcome, now);
                is_one_of_many = !is_new;
            }
            Input::Resolved(name, found) => self.handle_resolved(&name, found),
            Input::Sampled(samples, of_kernel) => {
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
                gateway.handle_samples(samples.chain(of_kernel.samples).collect(), now);
                for (tenant, error) in of_kernel.lost {
                    gateway.handle_device_failure(&tenant, text(error), now);
                }
                self.last_initiation = self.last_initiation.max(gateway.last_initiation());
                // A customer that has just dialled in would else be lost, should
                // the next seconds bring a crash, and of a site that answers no more
                // routers would be told again.
                let known = &self.parts.memory;
                let is_new = |peer| !known.endpoints.contains_key(peer);
                let is_loaded = gateway.generation() != 0 && !gateway.is_stopping();
                if gateway.endpoints().keys().any(is_new)
                    || is_loaded && gateway.lost_sites() != known.lost_sites
                {
                    self.remember();
                }
            }
            Input::UplinkMeasured(mtu) => {
                if mtu != self.uplink_mtu {
                    self.load();
                }
                if self.measuring.end() {
                    self.measure_uplink();
                }
            }
            Input::ThreadRestarted(thread, tenants) => {
                let error = format!("packet thread {thread} broke off by a defect in lockgate");
                for tenant in tenants {
                    gateway.handle_device_failure(&tenant, error.clone(), now);
                }
            }
        }
        self.publishing.note(!is_one_of_many);
    }

    fn handle_bgp(&mut self, input: BgpInput) {
        let now = self.now();
        self.sockets.handle(input, &mut self.parts.gateway, now);
        self.publishing.note(true);
    }

    fn handle_bfd(&mut self, input: BfdInput) {
        self.bfd_at = Instant::now() + BFD_PAUSE;
        let now = self.now();
        // Packets that say the same again are nothing to be shown.
        let is_new = self.bfd_sockets.handle(input, &mut self.parts.gateway, now);
        self.publishing.note(is_new);
    }

    /// Takes what there is of BFD. After that comes nothing for a little: a turn of the
    /// loop looks at all tenants, and of thousands of neighbors one has always just sent.
    fn drain_bfd(&mut self) {
        for _ in 0..limits::BFD_INPUTS {
            let Ok(input) = self.bfd.try_recv() else { break };
            self.handle_bfd(input);
        }
    }

    fn answer(&self, question: RibQuestion) {
        let RibQuestion { tenant, prefix, after, answer } = question;
        let page = match prefix {
            Some(prefix) => self.parts.gateway.rib_of(&tenant, prefix),
            None => self.parts.gateway.rib(&tenant, after),
        };
        // Who asked may have gone.
        let _ = answer.send(page);
    }

    fn handle_dirty(&mut self, dirty: &Dirty) {
        let now = self.now();
        match dirty {
            Dirty::Tenant(tenant) => self.parts.gateway.handle_dirty(tenant, now),
            Dirty::Underlay => {
                // A fabric link that was waited for may have come; its tenant is
                // tried again by its own backoff, and this makes it sooner.
                self.parts.gateway.handle_underlay(now);
                self.measure_uplink();
            }
        }
    }

    fn handle_datapath(&mut self, event: datapath::Event) {
        match event {
            datapath::Event::TunLost { tenant, error } => {
                let now = self.now();
                let error = format!("the TUN was lost: {error}");
                self.parts.gateway.handle_device_failure(&tenant, error, now);
            }
            datapath::Event::ThreadLost { thread } => {
                tracing::error!(thread, "a packet thread broke off by a defect and is begun anew");
                self.tasks.restart_thread(thread);
            }
            datapath::Event::UdpGsoOff { tenant } => {
                tracing::warn!(%tenant, "the kernel or the link segments no datagrams; they are sent one by one");
            }
        }
        self.publishing.note(true);
    }

    fn handle_resolved(&mut self, name: &str, found: Result<Vec<IpAddr>, String>) {
        match &found {
            Ok(_) if self.unresolved.remove(name) => {
                tracing::info!(name, "endpoint has an address again");
            }
            Ok(_) => {}
            Err(error) => {
                if self.unresolved.insert(name.to_owned()) {
                    tracing::warn!(name, error, "endpoint has no address");
                }
            }
        }
        let now = self.now();
        self.parts.gateway.handle_resolved(name, &found.unwrap_or_default(), now);
    }

    /// Carries out what the gateway says.
    fn drain(&mut self) {
        while let Some(output) = self.parts.gateway.poll_output() {
            let is_routine =
                matches!(output, Output::Bfd(_, BfdAction::Send(..)) | Output::Probe(..));
            self.publishing.note(!is_routine);
            let is_change = matches!(output, Output::Apply(..));
            if is_change && *self.parts.gateway.borrowed() != self.parts.memory.borrowed {
                // How it was can be seen only before it is changed.
                self.remember();
            }
            match output {
                Output::Bgp(tenant, action) => {
                    self.sockets.carry_out(&tenant, action, &self.parts.gateway);
                }
                Output::Shared(name, work) => {
                    self.sockets.carry_out_shared(name, work, &self.parts.gateway);
                }
                Output::Bfd(tenant, action) => self.bfd_sockets.carry_out(&tenant, action),
                Output::Apply(..)
                | Output::Attach(..)
                | Output::Configure(..)
                | Output::Detach(_)
                | Output::Observe(_)
                | Output::Probe(..)
                | Output::Resolve(_) => self.tasks.carry_out(output, self.last_initiation),
            }
        }
    }

    /// Writes what the next process should know, when it has changed.
    fn remember(&mut self) {
        let gateway = &self.parts.gateway;
        let mut memory = Memory { ports: self.ports.clone(), ..self.parts.memory.clone() };
        memory.borrowed.clone_from(gateway.borrowed());
        memory.endpoints.extend(gateway.endpoints());
        memory.key_ages.clone_from(gateway.key_ages());
        if gateway.generation() != 0 && !gateway.is_stopping() {
            memory.lost_sites = gateway.lost_sites();
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
            self.tasks.sweep_outer_vlans(self.parts.gateway.outer_vlans());
            tokio::task::spawn_blocking(linux::give_back);
        }
    }

    fn publish(&mut self) {
        let begun = Instant::now();
        if self.publishing.due().is_none_or(|due| begun < due) {
            return;
        }
        let now = self.now();
        let mut snapshot = self.parts.gateway.snapshot(now);
        self.rates.fill(&mut snapshot, now.mono);
        snapshot.endpoint = Some(self.parts.endpoint.borrow().clone());
        if let Some(nmaas) = &mut self.parts.nmaas {
            nmaas.fill(&mut snapshot, now.wall);
        }
        self.journal.write(&snapshot);
        self.parts.snapshots.send_replace(Arc::new(snapshot));
        self.publishing.done(begun, Instant::now());
    }

    /// Begins to remove everything; gives the time by which that must be done.
    fn stop(&mut self) -> Instant {
        tracing::info!("stopping: removing what was made");
        self.parts.reload.stop();
        // It is not to take tenants that are removed for ones that are gone.
        if let Some(nmaas) = self.parts.nmaas.take() {
            nmaas.end();
        }
        self.remember();
        let now = self.now();
        self.parts.gateway.stop(now);
        self.publishing.note(true);
        Instant::now() + STOP
    }
}
