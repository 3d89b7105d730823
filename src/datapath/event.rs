//! What the packet threads tell without being asked.

use crate::net::TenantName;
use std::io;

/// Something happened to a tenant's path, or to a thread's tenants.
#[derive(Debug)]
pub enum Event {
    /// Its TUN can no longer be read or written: the link was deleted, or its
    /// namespace was. The tenant moves no packets until it is detached and
    /// attached again. No other tenant is touched.
    TunLost {
        /// Whose.
        tenant: TenantName,
        /// What the kernel said.
        error: io::Error,
    },
    /// A packet thread broke off, which is a defect of ours: none of its tenants
    /// has packets moved until [`Datapath::restart`](super::Datapath::restart).
    ThreadLost {
        /// Which one, from 0.
        thread: usize,
    },
    /// The kernel or the link refused to segment our datagrams; they are sent
    /// one by one from now on.
    UdpGsoOff {
        /// Whose.
        tenant: TenantName,
    },
}
