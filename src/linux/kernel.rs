//! [`Kernel`]: the handle by which the daemon reaches the kernel.
//!
//! Every method is `async` and leaves the blocking to the worker threads, so
//! the daemon's loop never waits for the kernel.

use super::answer::NetlinkError;
use super::apply::{self, Applied, ApplyError, Context, Progress};
use super::conntrack;
use super::homes::Homes;
use super::leg;
use super::netlink::Netlink;
use super::netns::{self, NetnsError};
use super::nf_tables;
use super::nft::{NftError, Reading};
use super::observe::{self, ObserveError};
use super::probe::{self, Asked};
use super::tun::{self, Offload, Tun, TunError};
use super::vlan::{self, Underlay};
use super::watch::{Watch, Watcher};
use super::wireguard::{self, DeviceError, WireGuardLink};
use super::workers::{Place, WorkError, Workers};
use crate::model::{Placement, limits};
use crate::net::{LinkName, ManagedName, TenantName};
use crate::probe::{Outcome, Target};
use crate::reconcile::{ConntrackSample, Device, DropReason, LegSample, LinkKind, Namespace, Step};
use rustix::fd::{BorrowedFd, OwnedFd};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How to work.
#[derive(Clone, Copy, Debug)]
pub struct KernelOptions {
    /// What the kernel may leave undone of packets in a TUN.
    pub offload: Offload,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self { offload: Offload::ALL }
    }
}

/// Why something could not be done inside a tenant's namespace.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The tenant has no namespace.
    #[error("tenant {0} has no network namespace")]
    Missing(TenantName),
    /// Its namespace cannot be opened.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The work was not done.
    #[error(transparent)]
    Work(#[from] WorkError),
}

/// Why a tenant's TUN could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenTunError {
    /// Its namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The TUN itself.
    #[error(transparent)]
    Tun(#[from] TunError),
}

/// The kernel, as seen from the namespace it was made in: the underlay.
#[derive(Clone, Debug)]
pub struct Kernel {
    placement: Placement,
    options: KernelOptions,
    workers: Workers,
    home: Arc<OwnedFd>,
    underlay: Underlay,
    /// The tables as they were last read or put there, so as not to read again what
    /// has not changed. Held for an instant, never across a call to the kernel.
    readings: Arc<Mutex<BTreeMap<TenantName, Reading>>>,
    watcher: Arc<OnceLock<Arc<Watcher>>>,
    homes: Homes,
}

impl Kernel {
    /// Takes the calling thread's namespace for the underlay.
    ///
    /// # Errors
    /// When `/proc` is not mounted or no thread can be started.
    pub fn new(placement: Placement, options: KernelOptions) -> io::Result<Self> {
        let workers = Workers::start(limits::NETNS_WORKERS, limits::NETNS_ORDERS)?;
        let home = Arc::new(netns::current()?);
        Ok(Self {
            placement,
            options,
            workers,
            home,
            underlay: Underlay::here().map_err(io::Error::other)?,
            readings: Arc::default(),
            watcher: Arc::default(),
            homes: Homes::default(),
        })
    }

    /// The tenants that have a namespace. With [`Placement::Current`] there is
    /// one namespace, and whose it is the kernel does not know: none.
    ///
    /// # Errors
    /// When `/run/netns` cannot be read.
    pub async fn tenants(&self) -> Result<Vec<TenantName>, EnterError> {
        match self.placement {
            Placement::Current => Ok(Vec::new()),
            Placement::PerTenant => Ok(self.workers.run(Place::Home, netns::list).await??),
        }
    }

    /// Does blocking `work` in the underlay.
    ///
    /// # Errors
    /// When the work was not done.
    pub async fn in_underlay<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkError> {
        self.workers.run(Place::Home, work).await
    }

    /// Does blocking `work` in the tenant's namespace; what it opens or spawns
    /// belongs there.
    ///
    /// # Errors
    /// When there is no such namespace, or the work was not done.
    pub async fn in_tenant<T: Send + 'static>(
        &self,
        tenant: &TenantName,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EnterError> {
        let place = self.place(tenant)?.ok_or_else(|| EnterError::Missing(tenant.clone()))?;
        Ok(self.workers.run(place, work).await?)
    }

    /// Ends once the tenant's namespace is another than that of `socket`, or there is none:
    /// somebody removed it, and nobody is heard there any more.
    pub fn left(
        &self,
        tenant: &TenantName,
        socket: BorrowedFd<'_>,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.homes.left(tenant, socket)
    }

    /// Ends once a tenant whose namespace was gone has one again.
    pub async fn back(&self, tenant: &TenantName) {
        self.homes.back(tenant).await;
    }

    /// Asks a device from the tenant's namespace; also when it was asked.
    ///
    /// # Errors
    /// When there is no such namespace, or the work was not done. What is known of the
    /// device at once is no error of this kind.
    pub async fn ask(
        &self,
        tenant: &TenantName,
        target: Target,
        number: u64,
    ) -> Result<(Result<Asked, Outcome>, tokio::time::Instant), EnterError> {
        let is_ours = self.placement == Placement::PerTenant;
        let ask = move || {
            let now = tokio::time::Instant::now();
            (probe::ask(&target, number, is_ours), now)
        };
        self.in_tenant(tenant, ask).await
    }

    /// Where the tenant's things are; `None` when it has no namespace.
    fn place(&self, tenant: &TenantName) -> Result<Option<Place>, NetnsError> {
        match self.placement {
            Placement::Current => Ok(Some(Place::Home)),
            Placement::PerTenant => Ok(netns::open(tenant)?.map(Place::Inside)),
        }
    }

    async fn create_netns(&self, tenant: &TenantName) -> Result<(), ApplyError> {
        if self.placement == Placement::Current {
            return Err(ApplyError::NotOurs);
        }
        if self.place(tenant)?.is_some() {
            return Ok(());
        }
        self.run(Place::Home, netns::prepare).await??;
        let tenant = tenant.clone();
        Ok(self.run(Place::Fresh, move || netns::name_current(&tenant)).await??)
    }

    async fn delete_netns(&self, tenant: &TenantName) -> Result<(), ApplyError> {
        if self.placement == Placement::Current {
            return Err(ApplyError::NotOurs);
        }
        self.forget(tenant);
        let tenant = tenant.clone();
        Ok(self.run(Place::Home, move || netns::delete(&tenant)).await??)
    }

    /// Moves a link in from the underlay, unless it is here already.
    async fn take_link(&self, tenant: &TenantName, name: &LinkName) -> Result<(), ApplyError> {
        let marked = name.clone();
        if self.in_tenant(tenant, move || apply::mark_taken(&marked)).await?? {
            return Ok(());
        }
        let missing = || ApplyError::NoLink(name.to_string());
        let Some(Place::Inside(netns)) = self.place(tenant)? else { return Err(missing()) };
        let name = name.clone();
        self.run(Place::Home, move || apply::take_link(&name, &netns)).await?
    }

    /// Makes a link that stands with one foot in the underlay, unless the tenant
    /// has it already: a VLAN on its trunk, a WireGuard device on its UDP socket.
    async fn create_from_underlay(
        &self,
        tenant: &TenantName,
        name: &ManagedName,
        kind: &LinkKind,
    ) -> Result<(), ApplyError> {
        let (found, underlay) = (name.clone(), self.underlay.clone());
        let is_underlay = self.placement == Placement::Current;
        let wanted = kind.clone();
        let look = move || apply::is_there(&found, &wanted, &underlay, is_underlay);
        if self.in_tenant(tenant, look).await?? {
            return Ok(());
        }
        let place = match self.place(tenant)? {
            Some(Place::Inside(netns)) => Some(netns),
            Some(Place::Home | Place::Fresh) => None,
            None => return Err(EnterError::Missing(tenant.clone()).into()),
        };
        let (name, kind) = (name.clone(), kind.clone());
        let make = move || match &kind {
            LinkKind::Vlan(vlan) => vlan::create(&name, vlan, place.as_ref()),
            LinkKind::WireGuard => wireguard::create(name.as_str(), place.as_ref()),
            LinkKind::Tun
            | LinkKind::Veth { .. }
            | LinkKind::Ipip { .. }
            | LinkKind::Moved
            | LinkKind::Foreign
            | LinkKind::Unrecognized => Err(ApplyError::NotOurs),
        };
        self.run(Place::Home, make).await?
    }

    /// Removes the outer tags of double-tagged VLANs that are not among `wanted`.
    ///
    /// # Errors
    /// When that could not be done.
    pub async fn sweep_outer_vlans(
        &self,
        wanted: BTreeSet<ManagedName>,
    ) -> Result<Vec<ManagedName>, ApplyError> {
        let swept = self.run(Place::Home, move || vlan::sweep_outer(&wanted)).await?;
        swept.map_err(|source| ApplyError::Netlink {
            what: "remove",
            object: "outer VLAN tags".to_owned(),
            source,
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EnterError> {
        Ok(self.workers.run(place, work).await?)
    }

    /// What the tenant's namespace holds; `None` when it has none.
    ///
    /// # Errors
    /// [`ObserveError`].
    pub async fn observe(&self, tenant: &TenantName) -> Result<Option<Namespace>, ObserveError> {
        let place = self.place(tenant).map_err(EnterError::from)?;
        let Some(place) = place else {
            self.forget(tenant);
            return Ok(None);
        };
        let (before, watcher) = (self.reading(tenant), self.watcher.get().cloned());
        let (underlay, is_underlay) = (self.underlay.clone(), self.placement == Placement::Current);
        let watched = tenant.clone();
        let look = move || {
            // Watched before it is read, so that no change falls in between.
            if let Some(watcher) = watcher {
                watch_here(&watcher, &watched)?;
            }
            observe::observe(before.as_ref(), &underlay, is_underlay)
        };
        let (namespace, reading) = self.run(place, look).await??;
        self.remember(tenant, reading);
        Ok(Some(namespace))
    }

    /// Begins to watch the underlay, the names in `/run/netns`, and each tenant's
    /// namespace from its next [`observe`](Self::observe) on. Once for a kernel.
    ///
    /// # Errors
    /// When there is a watch already, or the sockets cannot be opened.
    pub fn watch(&self) -> io::Result<Watch> {
        let (watcher, watch) = Watcher::start()?;
        let twice = |_| io::Error::from(io::ErrorKind::AlreadyExists);
        self.watcher.set(watcher).map_err(twice)?;
        Ok(watch)
    }

    /// Does `steps` in order; see [`Applied`] for what a failure ends.
    pub async fn apply(&self, tenant: &TenantName, steps: Vec<Step>) -> Applied {
        let mut progress = Progress::default();
        let mut rest = steps.into_iter().peekable();
        while !progress.is_over {
            let inside: Vec<Step> = std::iter::from_fn(|| rest.next_if(apply::is_inside)).collect();
            if !inside.is_empty() {
                progress = self.apply_inside(tenant, inside, progress).await;
                continue;
            }
            let Some(step) = rest.next() else { break };
            if progress.is_moot(&step) {
                continue;
            }
            let outcome = match &step {
                Step::CreateNetns => self.create_netns(tenant).await,
                Step::DeleteNetns => self.delete_netns(tenant).await,
                Step::TakeLink(name) => self.take_link(tenant, name).await,
                Step::CreateLink(name, kind @ (LinkKind::Vlan(_) | LinkKind::WireGuard)) => {
                    self.create_from_underlay(tenant, name, kind).await
                }
                Step::ReplaceRuleset(_)
                | Step::DeleteRuleset
                | Step::SetLoopbackUp
                | Step::CreateLink(..)
                | Step::DeleteLink(_)
                | Step::ReturnLink(_)
                | Step::SetSysctl(..)
                | Step::SetMtu(..)
                | Step::SetUp(_)
                | Step::AddAddress(..)
                | Step::RemoveAddress(..)
                | Step::ReplaceRoute(..)
                | Step::RemoveRoute(_) => Ok(()),
            };
            progress.note(&step, outcome);
        }
        Applied { failed: progress.failed }
    }

    async fn apply_inside(
        &self,
        tenant: &TenantName,
        steps: Vec<Step>,
        progress: Progress,
    ) -> Progress {
        let context = Context {
            home: Arc::clone(&self.home),
            offload: self.options.offload,
            reading: self.reading(tenant),
        };
        let first = steps.first().cloned();
        let outcome = self.in_tenant(tenant, move || apply::apply(&steps, &context, progress));
        let mut progress = outcome.await.unwrap_or_else(|error| {
            // Whatever failed before is told again when it is tried again.
            let failed = first.map(|step| (step, error.into())).into_iter().collect();
            Progress::over(failed)
        });
        if let Some(reading) = progress.reading.take() {
            self.remember(tenant, reading);
        }
        progress
    }

    /// Packets dropped by the tenant's rules, by reason, since its table was made, and
    /// how full its connection tracking is, where the kernel can say.
    ///
    /// # Errors
    /// When the namespace or its counters cannot be read.
    pub async fn counters(
        &self,
        tenant: &TenantName,
    ) -> Result<(BTreeMap<DropReason, u64>, Option<ConntrackSample>), ObserveError> {
        let read = || -> Result<_, NetlinkError> {
            let mut netfilter = Netlink::netfilter()?;
            let mut counters = |family| nf_tables::counters(&mut netfilter, family);
            let tables = [counters(libc::NFPROTO_INET)?, counters(libc::NFPROTO_ARP)?];
            Ok((tables, conntrack::sample(&mut netfilter)?))
        };
        let (tables, conntrack) = self.in_tenant(tenant, read).await?.map_err(NftError::from)?;
        let mut drops = BTreeMap::new();
        for (name, count) in tables.iter().flatten() {
            if let Ok(reason) = name.parse::<DropReason>() {
                *drops.entry(reason).or_default() += count.packets;
            }
        }
        Ok((drops, conntrack))
    }

    /// How links to sites are, and whether the routers on each answer. Asks them.
    ///
    /// # Errors
    /// When the namespace cannot be entered or read.
    pub async fn sample_legs(
        &self,
        tenant: &TenantName,
        legs: Vec<(Device, Vec<IpAddr>)>,
    ) -> Result<BTreeMap<Device, LegSample>, ObserveError> {
        let sampled = self.in_tenant(tenant, move || leg::sample(&legs)).await?;
        sampled.map_err(|source| ObserveError::Netlink { what: "neighbours", source })
    }

    fn reading(&self, tenant: &TenantName) -> Option<Reading> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    fn remember(&self, tenant: &TenantName, reading: Reading) {
        self.homes.found(tenant, reading.cookie);
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        readings.insert(tenant.clone(), reading);
    }

    /// Lets go of all that would keep the tenant's namespace alive.
    fn forget(&self, tenant: &TenantName) {
        self.homes.gone(tenant);
        if let Some(watcher) = self.watcher.get() {
            watcher.forget(tenant);
        }
        self.readings.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    /// Opens the tenant's TUN, making it unless it is there.
    ///
    /// # Errors
    /// [`OpenTunError`].
    pub async fn open_tun(&self, tenant: &TenantName) -> Result<Tun, OpenTunError> {
        let offload = self.options.offload;
        let name = ManagedName::wireguard();
        Ok(self.in_tenant(tenant, move || tun::open(name.as_str(), offload)).await??)
    }

    /// The tenant's WireGuard device in the kernel, to read and to change.
    ///
    /// # Errors
    /// When the kernel has no WireGuard, or the namespace cannot be entered. That
    /// there is no such link is found when it is read.
    pub async fn wireguard(&self, tenant: &TenantName) -> Result<WireGuardLink, DeviceError> {
        self.in_tenant(tenant, || WireGuardLink::open(ManagedName::wireguard().as_str())).await?
    }
}

/// Watches the calling thread's namespace as the tenant's, unless it is watched.
fn watch_here(watcher: &Watcher, tenant: &TenantName) -> Result<(), ObserveError> {
    let error = |source| ObserveError::Netlink { what: "changes", source };
    let cookie = Netlink::route().and_then(|route| route.netns_cookie()).map_err(error)?;
    if watcher.knows(tenant, cookie) {
        return Ok(());
    }
    watcher.watch(tenant, cookie).map_err(|source| error(NetlinkError::Open(source)))
}
