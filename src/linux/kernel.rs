//! [`Kernel`]: the handle by which the daemon reaches the kernel.
//!
//! Every method is `async` and leaves the blocking to the worker threads, so
//! the daemon's loop never waits for the kernel.

use super::netns::{self, NetnsError};
use super::tun::{self, Offload, Tun, TunError};
use super::workers::{Place, WorkError, Workers};
use crate::model::{Placement, limits};
use crate::net::{ManagedName, TenantName};
use std::io;

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
}

impl Kernel {
    /// Takes the calling thread's namespace for the underlay.
    ///
    /// # Errors
    /// When `/proc` is not mounted or no thread can be started.
    pub fn new(placement: Placement, options: KernelOptions) -> io::Result<Self> {
        let workers = Workers::start(limits::NETNS_WORKERS, limits::NETNS_ORDERS)?;
        Ok(Self { placement, options, workers })
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

    /// Where the tenant's things are; `None` when it has no namespace.
    fn place(&self, tenant: &TenantName) -> Result<Option<Place>, NetnsError> {
        match self.placement {
            Placement::Current => Ok(Some(Place::Home)),
            Placement::PerTenant => Ok(netns::open(tenant)?.map(Place::Inside)),
        }
    }

    /// Makes the tenant's namespace unless it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_netns(&self, tenant: &TenantName) -> Result<(), EnterError> {
        if self.place(tenant)?.is_some() {
            return Ok(());
        }
        self.workers.run(Place::Home, netns::prepare).await??;
        let tenant = tenant.clone();
        Ok(self.workers.run(Place::Fresh, move || netns::name_current(&tenant)).await??)
    }

    /// Removes the tenant's namespace with all that is in it, if it is there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn delete_netns(&self, tenant: &TenantName) -> Result<(), EnterError> {
        let tenant = tenant.clone();
        Ok(self.workers.run(Place::Home, move || netns::delete(&tenant)).await??)
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
}
