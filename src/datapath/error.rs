//! What can go wrong when the packet threads are asked for something.

use crate::net::TenantName;
use std::io;

/// Why the packet threads did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no room for another descriptor.
    #[error("could not make the descriptors of packet thread {thread}")]
    Descriptors {
        /// Which one, from 0.
        thread: usize,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The system gives no more threads.
    #[error("could not start packet thread {thread}")]
    Thread {
        /// Which one, from 0.
        thread: usize,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
}

/// Why a tenant was not attached, configured or found.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// It is attached already.
    #[error("{0} is attached already")]
    Attached(TenantName),
    /// It is not attached.
    #[error("{0} is not attached")]
    NotAttached(TenantName),
    /// Its UDP port cannot be had.
    #[error("could not listen for {tenant} on UDP port {port}")]
    Bind {
        /// Whose.
        tenant: TenantName,
        /// Which.
        port: u16,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// Its TUN cannot be waited for.
    #[error("could not wait for packets of {tenant}")]
    Watch {
        /// Whose.
        tenant: TenantName,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The system has no randomness to give.
    #[error("could not get random bytes from the system")]
    Random,
    /// The thread that has the tenant has ended, which is a defect of ours.
    #[error("packet thread {0} has ended")]
    ThreadEnded(usize),
}
