//! The tenants whose tunnels the kernel carries: beside the datapath the other
//! carrier of devices, with the same three verbs.
//!
//! A device here is the kernel's. Letting go of it changes nothing: it goes on
//! without us, and whoever comes next takes it up as it is. Everything here
//! blocks for as long as the kernel takes to answer. No lock is held while
//! another tenant's device is asked.

use super::clock::Clock;
use crate::linux::{DeviceError, WireGuardLink};
use crate::net::TenantName;
use crate::wireguard::{
    DeviceConfig, KernelChanges, KernelSampler, PresharedTrials, Sample, is_changeover,
    kernel_changes,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How often devices are asked whether a customer has changed over to its other key: until
/// that is seen the kernel has no networks for it, and says to nobody that there is one.
const CHANGEOVER: Duration = Duration::from_millis(50);

/// Of the time at most one part in so many is spent on that.
const SHARE: u32 = 10;

/// The kernel's devices that carry tenants' tunnels.
pub(super) struct KernelDevices {
    clock: Clock,
    devices: Mutex<BTreeMap<TenantName, Arc<Mutex<Carried>>>>,
    /// There is a customer with two keys.
    changing: Notify,
}

/// One of them.
struct Carried {
    link: WireGuardLink,
    /// What it was made to be.
    config: DeviceConfig,
    sampler: KernelSampler,
    trials: PresharedTrials,
}

impl Carried {
    /// Whether a customer on it has two keys.
    fn is_changing(&self) -> bool {
        self.config.peers.values().any(|peer| peer.twin().is_some())
    }
}

/// How the devices are.
#[derive(Default)]
pub(super) struct KernelSamples {
    pub(super) samples: BTreeMap<TenantName, Sample>,
    /// Those that are not there any more, or cannot be made what they should be,
    /// and why.
    pub(super) lost: Vec<(TenantName, DeviceError)>,
}

impl KernelDevices {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, devices: Mutex::default(), changing: Notify::new() }
    }

    /// Takes up the device of a link and changes what differs.
    pub(super) fn attach(
        &self,
        tenant: TenantName,
        mut link: WireGuardLink,
        config: DeviceConfig,
    ) -> Result<(), DeviceError> {
        let found = link.read()?;
        link.change(&kernel_changes(&config, None, &found, self.clock.now().wall))?;
        let carried = Carried {
            link,
            config,
            sampler: KernelSampler::default(),
            trials: PresharedTrials::default(),
        };
        let is_changing = carried.is_changing();
        lock(&self.devices).insert(tenant, Arc::new(Mutex::new(carried)));
        if is_changing {
            self.changing.notify_one();
        }
        Ok(())
    }

    /// Whether the tenant's device is among them.
    pub(super) fn has(&self, tenant: &TenantName) -> bool {
        lock(&self.devices).contains_key(tenant)
    }

    /// Makes a device what `config` says. Nothing is done for a tenant that is
    /// not among them.
    pub(super) fn configure(
        &self,
        tenant: &TenantName,
        config: DeviceConfig,
    ) -> Result<(), DeviceError> {
        let Some(carried) = self.find(tenant) else { return Ok(()) };
        let mut carried = lock(&carried);
        let found = carried.link.read()?;
        let now = self.clock.now().wall;
        let changes = kernel_changes(&config, Some(&carried.config), &found, now);
        carried.link.change(&changes)?;
        carried.config = config;
        if carried.is_changing() {
            self.changing.notify_one();
        }
        Ok(())
    }

    /// Lets go of a device, so that nothing of ours keeps its namespace alive.
    pub(super) fn detach(&self, tenant: &TenantName) {
        lock(&self.devices).remove(tenant);
    }

    /// How every device is. What another hand changed is put right.
    pub(super) fn sample_all(&self) -> KernelSamples {
        let all = lock(&self.devices).clone();
        let mut samples = KernelSamples::default();
        for (tenant, carried) in all {
            match self.sample(&tenant, &mut lock(&carried)) {
                Ok(sample) => drop(samples.samples.insert(tenant, sample)),
                // Unless it was let go of meanwhile.
                Err(error) if self.has(&tenant) => samples.lost.push((tenant, error)),
                Err(_) => {}
            }
        }
        samples
    }

    /// Follows customers from one of their keys to the other, for ever.
    pub(super) async fn follow_changeovers(self: Arc<Self>) {
        loop {
            let devices = Arc::clone(&self);
            let begun = Instant::now();
            let looked = tokio::task::spawn_blocking(move || devices.change_over()).await;
            if matches!(looked, Ok(true)) {
                sleep(CHANGEOVER.max(begun.elapsed() * (SHARE - 1))).await;
            } else {
                self.changing.notified().await;
            }
        }
    }

    /// Whether there are customers with two keys. Those of them that use the other one
    /// have their networks by it afterwards.
    fn change_over(&self) -> bool {
        let all = lock(&self.devices).clone();
        let mut is_any = false;
        for (tenant, carried) in all {
            let mut carried = lock(&carried);
            if !carried.is_changing() {
                continue;
            }
            is_any = true;
            // What else is not as it should be is for a sample to say.
            let Ok(found) = carried.link.read() else { continue };
            let config = &carried.config;
            let changes = kernel_changes(config, Some(config), &found, self.clock.now().wall);
            if !changes.is_empty() && is_changeover(config, &changes) {
                tracing::info!(%tenant, "a customer has changed over to its other key");
                let _ = carried.link.change(&changes);
            }
        }
        is_any
    }

    fn sample(&self, tenant: &TenantName, carried: &mut Carried) -> Result<Sample, DeviceError> {
        let found = carried.link.read()?;
        let now = self.clock.now();
        let config = &carried.config;
        let changes = kernel_changes(config, Some(config), &found, now.wall);
        if !changes.is_empty() {
            if is_changeover(config, &changes) {
                tracing::info!(%tenant, "a customer has changed over to its other key");
            } else {
                tracing::warn!(%tenant, "the WireGuard device was changed by another hand; it is put right");
            }
            carried.link.change(&changes)?;
        }
        let peers = carried.trials.look(config, &found, now);
        if !peers.is_empty() {
            tracing::debug!(%tenant, "a handshake failed; the customer's other preshared key is tried");
            carried.link.change(&KernelChanges { peers, ..KernelChanges::default() })?;
        }
        let mut sample = carried.sampler.sample(&found, now);
        carried.trials.describe(&mut sample);
        Ok(sample)
    }

    fn find(&self, tenant: &TenantName) -> Option<Arc<Mutex<Carried>>> {
        lock(&self.devices).get(tenant).cloned()
    }
}

/// How a device that an earlier process left is; `None` when there is none that
/// serves anybody yet.
pub(super) fn look(mut link: WireGuardLink, clock: Clock) -> Option<Sample> {
    let found = link.read().ok().filter(|found| !found.peers.is_empty())?;
    Some(KernelSampler::default().sample(&found, clock.now()))
}

/// Nothing that is locked here is left half changed by a panic: it is read again
/// before anything is done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
