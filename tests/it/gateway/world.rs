//! [`World`]: everything around a `Gateway`, and what it was asked to do.

use crate::random_config::{site, tenant};
use crate::sim_kernel::SimKernel;
use lockgate::bgp::speaker::SocketWork;
use lockgate::gateway::{BfdAction, BgpAction, Gateway, Identity, Output, SharedName};
use lockgate::model::{Attachment, Backend, Config, Placement, Site, Tenant, WireGuardPeer};
use lockgate::net::{Instant, ManagedName, Now, PrivateKey, PublicKey, TenantName, Timestamp};
use lockgate::probe::Shot;
use lockgate::reconcile::{Device, LinkKind, Step, StepFailure};
use lockgate::status::{SiteSnapshot, Snapshot, TenantSnapshot};
use lockgate::wireguard::{DeviceConfig, PeerSample, Sample};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// More outputs in a row than any of these tests has reason for: the machine
/// would be going round in circles.
const ENDLESS: usize = 2_000;

/// All around a gateway.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) kernel: SimKernel,
    /// The datapath.
    pub(crate) devices: BTreeMap<TenantName, DeviceConfig>,
    /// What has each of them.
    carriers: BTreeMap<TenantName, Backend>,
    /// DNS.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    /// Tenants whose next steps fail.
    pub(crate) broken: BTreeSet<TenantName>,
    /// Links that nothing can be done about.
    pub(crate) broken_links: BTreeSet<ManagedName>,
    /// Kinds of links the kernel does not know.
    pub(crate) broken_kinds: BTreeSet<&'static str>,
    /// What was asked for and has not been done.
    pub(crate) pending: VecDeque<Output>,
    pub(crate) now: Now,
    /// What sockets are to do.
    pub(crate) bgp: Vec<(TenantName, BgpAction)>,
    pub(crate) bfd: Vec<(TenantName, BfdAction)>,
    pub(crate) shared: Vec<(SharedName, SocketWork)>,
    /// Devices that are to be asked.
    pub(crate) shots: Vec<(TenantName, Shot)>,
    /// What was done, a line each.
    log: Vec<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::on(SimKernel::new(Placement::PerTenant))
    }

    /// A new process on a kernel that may hold something already.
    pub(crate) fn on(kernel: SimKernel) -> Self {
        let now = Now { mono: Instant::from_secs(1_000), wall: Timestamp::new(1_800_000_000, 0) };
        Self {
            gateway: Gateway::new(kernel.placement, "test".to_owned(), now),
            kernel,
            devices: BTreeMap::new(),
            carriers: BTreeMap::new(),
            names: BTreeMap::new(),
            broken: BTreeSet::new(),
            broken_links: BTreeSet::new(),
            broken_kinds: BTreeSet::new(),
            pending: VecDeque::new(),
            now,
            bgp: Vec::new(),
            bfd: Vec::new(),
            shared: Vec::new(),
            shots: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Gives it a config, each tenant with a key of its own.
    pub(crate) fn load(&mut self, config: &Config) {
        let keys = config.tenants.keys().map(|name| (name.clone(), identity(name)));
        let errors = config.refused.iter().map(|it| it.message.clone()).collect();
        self.gateway.handle_config(config.clone(), keys.collect(), errors, self.now);
    }

    /// Gives it a config and does all that follows at once.
    pub(crate) fn serve(&mut self, config: &Config) {
        self.load(config);
        self.drain();
    }

    /// Does all there is to do now.
    pub(crate) fn drain(&mut self) {
        for _ in 0..ENDLESS {
            self.collect();
            let Some(output) = self.pending.pop_front() else { return };
            self.act(output);
        }
        panic!("it never comes to rest: {:#?}", &self.log[self.log.len() - 20..]);
    }

    /// Takes up what is asked for, without doing it.
    pub(crate) fn collect(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            self.pending.push_back(output);
        }
    }

    /// Moves time on, doing what falls due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..ENDLESS {
            self.drain();
            let due = self.gateway.poll_timeout().filter(|at| *at <= end.mono);
            let Some(due) = due else {
                self.now = end;
                return;
            };
            self.now = self.now + due.since(self.now.mono);
            self.gateway.handle_timeout(self.now);
        }
        panic!("it is awake all the time: {:#?}", &self.log[self.log.len() - 20..]);
    }

    /// Carries one output out and brings back what came of it.
    pub(crate) fn act(&mut self, output: Output) {
        let now = self.now;
        match output {
            Output::Observe(name) => {
                self.log.push(format!("observe {name}"));
                let found = self.kernel.state.tenants.get(&name).cloned();
                self.gateway.handle_observed(&name, Ok(found), now);
            }
            Output::Apply(name, steps) => {
                self.log.push(format!("apply {name}"));
                let result = self.apply(&name, &steps);
                self.gateway.handle_applied(&name, result, now);
            }
            Output::Attach(name, backend, config) => {
                self.log.push(match backend {
                    Backend::Userspace => format!("attach {name}"),
                    Backend::Kernel => format!("adopt {name}"),
                });
                let result = self.attach(&name, backend, config);
                self.gateway.handle_attached(&name, result, now);
            }
            Output::Configure(name, config) => {
                self.log.push(format!("configure {name}"));
                let old = self.devices.insert(name.clone(), config);
                assert!(old.is_some(), "{name} has no device to configure");
                self.gateway.handle_attached(&name, Ok(()), now);
            }
            Output::Detach(name) => {
                self.log.push(format!("detach {name}"));
                self.devices.remove(&name);
                self.carriers.remove(&name);
                self.gateway.handle_detached(&name, now);
            }
            Output::Bgp(name, action) => self.bgp.push((name, action)),
            Output::Shared(name, work) => self.shared.push((name, work)),
            Output::Bfd(name, action) => self.bfd.push((name, action)),
            Output::Probe(name, shot) => self.shots.push((name, shot)),
            Output::Resolve(name) => {
                self.log.push(format!("resolve {name}"));
                let addresses = self.names.get(&name).cloned().unwrap_or_default();
                self.gateway.handle_resolved(&name, &addresses, now);
            }
        }
    }

    fn apply(&mut self, name: &TenantName, steps: &[Step]) -> Vec<StepFailure> {
        let mut failed: Vec<StepFailure> = Vec::new();
        // What has been made once goes no further: each try fails alike.
        let fails_at = usize::from(!self.kernel.state.tenants.contains_key(name));
        for (index, step) in steps.iter().enumerate() {
            let device = step.device();
            if device.is_some() && failed.iter().any(|failure| failure.device == device) {
                continue;
            }
            if self.broken.contains(name) && index == fails_at {
                failed.push(StepFailure { device: None, message: format!("{step}: no") });
                return failed;
            }
            if let Some(Device::Managed(link)) = &device
                && self.broken_links.contains(link)
            {
                failed.push(StepFailure { device, message: format!("{step}: no trunk") });
                continue;
            }
            if let Step::CreateLink(_, kind) = step
                && self.broken_kinds.iter().any(|it| kind.to_string().starts_with(it))
            {
                failed.push(StepFailure { device, message: format!("{step}: no such kind") });
                continue;
            }
            self.log.push(format!("  {name} {step}"));
            if matches!(step, Step::DeleteNetns) {
                assert!(!self.devices.contains_key(name), "{name} still carries packets");
            }
            self.kernel.step(name, step);
        }
        self.lose_tuns();
        failed
    }

    fn attach(
        &mut self,
        name: &TenantName,
        backend: Backend,
        config: DeviceConfig,
    ) -> Result<(), String> {
        let namespace = self.kernel.state.tenants.get(name).ok_or("no namespace")?;
        assert!(namespace.ruleset.is_some(), "{name} is to carry packets without rules");
        if !self.has_link(name, backend) {
            return Err("no link".to_owned());
        }
        self.carriers.insert(name.clone(), backend);
        let old = self.devices.insert(name.clone(), config);
        assert!(old.is_none(), "{name} has a device already");
        Ok(())
    }

    fn has_link(&self, name: &TenantName, backend: Backend) -> bool {
        let device = Device::Managed(ManagedName::wireguard());
        let kind = match backend {
            Backend::Userspace => LinkKind::Tun,
            Backend::Kernel => LinkKind::WireGuard,
        };
        let links = self.kernel.state.tenants.get(name).map(|namespace| &namespace.links);
        links.and_then(|links| links.get(&device)).is_some_and(|link| link.kind == kind)
    }

    /// Tells of devices whose TUN is not there any more.
    pub(crate) fn lose_tuns(&mut self) {
        let carriers = self.carriers.iter();
        let lost = carriers.filter(|(name, backend)| !self.has_link(name, **backend));
        let lost: Vec<TenantName> = lost.map(|(name, _)| name.clone()).collect();
        for name in lost {
            self.gateway.handle_device_failure(&name, "the TUN was lost".to_owned(), self.now);
        }
    }

    /// Tells how a tenant's peers are.
    pub(crate) fn sample(&mut self, tenant: &TenantName, peers: &[(PublicKey, PeerSample)]) {
        let sample = Sample { peers: peers.iter().copied().collect(), ..Sample::default() };
        self.gateway.handle_samples([(tenant.clone(), sample)].into(), self.now);
        self.drain();
    }

    /// What was done since the last call.
    pub(crate) fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// As [`World::log`], without the single steps.
    pub(crate) fn deeds(&mut self) -> Vec<String> {
        self.log().into_iter().filter(|line| !line.starts_with(' ')).collect()
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.gateway.snapshot(self.now)
    }

    pub(crate) fn tenant(&mut self, name: &TenantName) -> TenantSnapshot {
        let tenants = self.snapshot().tenants;
        tenants.into_iter().find(|tenant| tenant.name == *name).expect("a tenant of that name")
    }

    pub(crate) fn site(&mut self, tenant: &TenantName, site: &str) -> SiteSnapshot {
        let sites = self.tenant(tenant).sites;
        sites.into_iter().find(|it| it.name.to_string() == site).expect("a site of that name")
    }

    /// Whether everything is as asked for: nothing to plan, every device there
    /// with its config, nothing besides.
    #[track_caller]
    pub(crate) fn assert_settled(&mut self, config: &Config) {
        let desired = lockgate::reconcile::desired(config, self.kernel.placement);
        let plan = lockgate::reconcile::plan(&desired, &self.kernel.state, self.kernel.placement);
        assert_eq!(plan.to_string(), "");
        assert!(self.gateway.is_settled());
        let with_sites = |tenant: &&Arc<Tenant>| {
            let mut sites = tenant.sites.values();
            sites.any(|site| matches!(site.attachment, Attachment::WireGuard(_)))
        };
        let wanted: Vec<TenantName> =
            config.tenants.values().filter(with_sites).map(|it| it.name.clone()).collect();
        assert_eq!(self.devices.keys().cloned().collect::<Vec<_>>(), wanted);
        for (name, device) in &self.devices {
            assert_eq!(device.private_key, identity(name).current.private);
        }
        let snapshot = self.snapshot();
        assert_eq!(snapshot.config.applied_generation, snapshot.config.loaded_generation);
        assert_eq!(snapshot.tenants.len(), config.tenants.len());
    }
}

/// The gateway's key for a tenant; another for each name.
pub(crate) fn identity(name: &TenantName) -> Identity {
    let mut bytes = [7; 32];
    for (byte, letter) in bytes.iter_mut().zip(name.to_string().bytes()) {
        *byte = letter;
    }
    Identity::new(PrivateKey::from_random(bytes))
}

pub(crate) fn name(namespace: &str) -> TenantName {
    TenantName::new(namespace, "gw").unwrap()
}

/// A public key, another for each number.
pub(crate) fn key(number: u8) -> PublicKey {
    PrivateKey::from_random([number; 32]).public()
}

/// A site with a key of its own.
pub(crate) fn keyed(name: &str, number: u8, prefixes: &[&str]) -> Site {
    let tunnel = format!("10.255.{number}.0/31");
    let mut site = site(name, &[&tunnel], prefixes);
    peer(&mut site).public_key = key(number);
    site
}

pub(crate) fn peer(site: &mut Site) -> &mut WireGuardPeer {
    match &mut site.attachment {
        Attachment::WireGuard(peer) => peer,
        Attachment::Vlan { .. } => panic!("no WireGuard site"),
    }
}

/// A tenant that serves `sites` to 10.136.40.0/24.
pub(crate) fn with_sites(namespace: &str, sites: Vec<Site>) -> Tenant {
    let mut tenant = tenant(namespace);
    tenant.app_prefixes = vec!["10.136.40.0/24".parse().unwrap()];
    tenant.fabric.addresses = vec!["10.136.40.1/24".parse().unwrap()];
    tenant.sites = sites.into_iter().map(|site| (site.name.clone(), site)).collect();
    tenant
}

/// A tenant with one site, the same network for every name.
pub(crate) fn usual(namespace: &str) -> Tenant {
    with_sites(namespace, vec![keyed("hq", 1, &["192.168.1.0/24"])])
}

pub(crate) fn config(tenants: Vec<Tenant>) -> Config {
    let tenants =
        tenants.into_iter().map(|tenant| (tenant.name.clone(), Arc::new(tenant))).collect();
    Config { tenants, refused: Vec::new() }
}
