//! How a session is.

use crate::bgp::proto::{Flaw, MessageKind, Negotiated, Notification};
use crate::model::limits::BGP_NOTIFICATION_KINDS;
use crate::net::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a session stands (RFC 4271 §8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Nobody wants it up.
    Stopped,
    /// It waits after an error, and takes no connection.
    Idle,
    /// It dials.
    Connect,
    /// It waits for the neighbor to connect, or to dial again.
    Active,
    /// A connection stands; the neighbor's OPEN is waited for.
    OpenSent,
    /// The neighbor's OPEN is accepted; its word on ours is waited for.
    OpenConfirm,
    /// It is up.
    Established,
}

impl SessionState {
    /// Its name in logs, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "open_sent",
            Self::OpenConfirm => "open_confirm",
            Self::Established => "established",
        }
    }
}

/// How a session is, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSample {
    /// Where it stands.
    pub state: SessionState,
    /// Since when.
    pub since: Instant,
    /// What was agreed on, while it is up.
    pub negotiated: Option<Arc<Negotiated>>,
    /// Bytes that wait to be sent on it.
    pub unsent_bytes: usize,
    /// What was counted.
    pub counters: SessionCounters,
    /// What went wrong last, and when.
    pub last_error: Option<(String, Instant)>,
}

/// What is counted of a session, from when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Messages received, in the order of [`MessageKind::ALL`].
    pub received: [u64; MessageKind::ALL.len()],
    /// Messages sent, in the same order.
    pub sent: [u64; MessageKind::ALL.len()],
    /// NOTIFICATIONs received, by code and subcode; beyond
    /// [`BGP_NOTIFICATION_KINDS`] of them, others count as 0/0.
    pub notifications_received: BTreeMap<(u8, u8), u64>,
    /// NOTIFICATIONs sent, by code and subcode.
    pub notifications_sent: BTreeMap<(u8, u8), u64>,
    /// Networks not taken as they were said, in the order of [`Flaw::ALL`].
    pub flaws: [u64; Flaw::ALL.len()],
    /// Times it came up.
    pub established: u64,
    /// Times it went down after it was up.
    pub flaps: u64,
    /// Connections that could not be made.
    pub dials_failed: u64,
    /// Connections that were not taken.
    pub refused: u64,
    /// Announcements that could not be said to this neighbor.
    pub unsayable: u64,
}

impl SessionCounters {
    /// Counts what `other` counted too.
    pub fn add(&mut self, other: &Self) {
        let sum = |ours: &mut [u64], theirs: &[u64]| {
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours += theirs);
        };
        sum(&mut self.received, &other.received);
        sum(&mut self.sent, &other.sent);
        sum(&mut self.flaws, &other.flaws);
        for (ours, theirs) in [
            (&mut self.notifications_received, &other.notifications_received),
            (&mut self.notifications_sent, &other.notifications_sent),
        ] {
            for (kind, count) in theirs {
                *counted(ours, *kind) += count;
            }
        }
        self.established += other.established;
        self.flaps += other.flaps;
        self.dials_failed += other.dials_failed;
        self.refused += other.refused;
        self.unsayable += other.unsayable;
    }

    pub(super) fn notification(map: &mut BTreeMap<(u8, u8), u64>, notification: &Notification) {
        let inner = notification.inner();
        *counted(map, (inner.code, inner.subcode)) += 1;
    }
}

/// Where NOTIFICATIONs of a kind are counted.
fn counted(map: &mut BTreeMap<(u8, u8), u64>, kind: (u8, u8)) -> &mut u64 {
    let is_known = map.contains_key(&kind) || map.len() < BGP_NOTIFICATION_KINDS;
    map.entry(if is_known { kind } else { (0, 0) }).or_default()
}
