//! Which namespace each tenant has, as it was found last. A socket made in one that is gone
//! hears nobody, and keeps what is in there alive.

use super::syscall;
use crate::net::TenantName;
use rustix::fd::BorrowedFd;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A tenant's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// Nobody has looked yet.
    Unknown,
    /// There is none.
    Gone,
    /// The one of this number, which is never used again.
    Is(u64),
}

/// The namespaces of all tenants.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes(Arc<Mutex<BTreeMap<TenantName, watch::Sender<Home>>>>);

impl Homes {
    /// The tenant's is that of number `cookie`.
    pub(super) fn found(&self, tenant: &TenantName, cookie: u64) {
        self.set(tenant, Home::Is(cookie));
    }

    /// The tenant has none.
    pub(super) fn gone(&self, tenant: &TenantName) {
        self.set(tenant, Home::Gone);
        // Of those that went for good nobody waits for news.
        let mut homes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        homes.retain(|_, home| *home.borrow() != Home::Gone || home.receiver_count() != 0);
    }

    fn set(&self, tenant: &TenantName, home: Home) {
        let mut homes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = homes.entry(tenant.clone()).or_insert_with(|| watch::Sender::new(home));
        sender.send_if_modified(|before| std::mem::replace(before, home) != home);
    }

    fn of(&self, tenant: &TenantName) -> watch::Receiver<Home> {
        let mut homes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = homes.entry(tenant.clone());
        sender.or_insert_with(|| watch::Sender::new(Home::Unknown)).subscribe()
    }

    /// Ends once the tenant's namespace is not that of `socket`.
    pub(super) fn left(
        &self,
        tenant: &TenantName,
        socket: BorrowedFd<'_>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (cookie, mut home) = (syscall::netns_cookie(socket), self.of(tenant));
        async move {
            let is_left = |home: &Home| match (home, &cookie) {
                (Home::Gone, _) => true,
                (Home::Is(now), Ok(cookie)) => now != cookie,
                (Home::Is(_), Err(_)) | (Home::Unknown, _) => false,
            };
            if home.wait_for(is_left).await.is_err() {
                // Nobody is left to look.
                std::future::pending().await
            }
        }
    }

    /// Ends once the tenant has a namespace, or nobody knows better.
    pub(super) async fn back(&self, tenant: &TenantName) {
        let mut home = self.of(tenant);
        let _ = home.wait_for(|home| *home != Home::Gone).await;
    }
}
