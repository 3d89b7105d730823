//! What the control plane asks of a packet thread, and how it is answered.
//!
//! Commands go by a bounded channel and a bell (an eventfd in the thread's
//! epoll set); each brings the channel for its answer. Never one per packet.

use super::tenant::Tenant;
use super::{DatapathError, TenantSample};
use crate::net::TenantName;
use crate::wireguard::DeviceConfig;
use std::sync::mpsc::SyncSender;

/// Commands that may wait for one thread; whoever has one more waits.
pub(super) const COMMANDS: usize = 64;

/// Something for a packet thread to do between two batches of packets.
pub(super) enum Command {
    /// Take a tenant that is ready to go.
    Attach { tenant: Box<Tenant>, reply: SyncSender<Result<u16, DatapathError>> },
    /// Make a tenant's device what `config` says.
    Configure {
        tenant: TenantName,
        config: Box<DeviceConfig>,
        reply: SyncSender<Result<u16, DatapathError>>,
    },
    /// Hand a tenant back. Whoever asked drops it: to close a TUN takes the
    /// kernel milliseconds, which other tenants' packets need not wait for.
    Detach { tenant: TenantName, reply: SyncSender<Option<Box<Tenant>>> },
    /// Say how these tenants are.
    Sample { tenants: Vec<TenantName>, reply: SyncSender<Vec<(TenantName, TenantSample)>> },
    /// Break off, as by a defect.
    BreakOff,
    /// End.
    Stop,
}
