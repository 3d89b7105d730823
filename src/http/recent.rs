//! What happened lately at all tenants, in one row, for readers who follow it.
//!
//! Pure: snapshots in, texts out. Nothing is kept for a single reader: each knows how
//! far it has read, and who has fallen behind what is kept is told so.

use crate::net::{TenantName, Timestamp};
use crate::status::{Event, Snapshot};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Something that happened, as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) tenant: TenantName,
    /// JSON.
    pub(super) text: String,
}

/// An [`Event`], and whose it is.
#[derive(Serialize)]
struct Sent<'a> {
    tenant: String,
    #[serde(flatten)]
    event: &'a Event,
}

/// The latest events of all tenants.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    limit: usize,
    /// Of the row. Another process's numbers mean nothing here.
    started: Timestamp,
    pub(super) taken: Timestamp,
    /// The number of the first of `events`; never used again.
    first: u64,
    events: VecDeque<Arc<Happened>>,
    /// Of each tenant the last event taken, and how often it had happened.
    seen: BTreeMap<TenantName, (u64, u64)>,
}

impl Recent {
    /// A row of at most `limit` events that begins after all there is in `snapshot`.
    pub(super) fn after(snapshot: &Snapshot, limit: usize) -> Self {
        let mut recent = Self {
            limit,
            started: snapshot.started,
            taken: snapshot.taken,
            first: 1,
            events: VecDeque::new(),
            seen: BTreeMap::new(),
        };
        recent.take(snapshot);
        recent.first = 1;
        recent.events.clear();
        recent
    }

    /// Adds what is new in `snapshot`.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        self.taken = snapshot.taken;
        for tenant in &snapshot.tenants {
            let Some(last) = tenant.events.last() else { continue };
            // Of a tenant that went and came again the history begins anew.
            let before = self.seen.get(&tenant.name).copied();
            let before = before.filter(|before| *before <= (last.id.0, last.count.0));
            let is_new = |event: &&Event| {
                before.is_none_or(|(id, count)| {
                    id < event.id.0 || (id == event.id.0 && count < event.count.0)
                })
            };
            if !is_new(&last) {
                continue;
            }
            let oldest = tenant.events.first().map_or(0, |oldest| oldest.id.0);
            if before.is_some_and(|(id, _)| id.saturating_add(1) < oldest) {
                self.forget();
            }
            for event in tenant.events.iter().filter(is_new) {
                let sent = Sent { tenant: tenant.name.to_string(), event };
                // Strings, numbers and lists only: nothing JSON cannot say.
                let Ok(text) = serde_json::to_string(&sent) else { continue };
                self.events.push_back(Arc::new(Happened { tenant: tenant.name.clone(), text }));
                if self.limit < self.events.len() {
                    self.events.pop_front();
                    self.first += 1;
                }
            }
            self.seen.insert(tenant.name.clone(), (last.id.0, last.count.0));
        }
        if snapshot.tenants.len() < self.seen.len() {
            self.seen.retain(|name, _| snapshot.tenant(name).is_some());
        }
    }

    /// More happened than a history holds from one snapshot to the next: what is kept no
    /// longer has everything, and a number is left out for what was missed.
    fn forget(&mut self) {
        self.first = self.next() + 1;
        self.events.clear();
    }

    /// The number after the last.
    pub(super) fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The events from number `from` on, each with its number; `None` when some of them
    /// are not kept any more, or it is a number that was never given.
    pub(super) fn from(&self, from: u64) -> Option<impl Iterator<Item = (u64, Arc<Happened>)>> {
        if self.next() < from {
            return None;
        }
        let skip = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let events = self.events.iter().skip(skip).cloned();
        Some((from..).zip(events.collect::<Vec<_>>()))
    }

    /// A number as readers are told it. It names the process too.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.started.seconds())
    }

    /// The number after the one a reader was told last, when this process told it.
    pub(super) fn after_id(&self, id: &str) -> Option<u64> {
        let (started, number) = id.split_once('-')?;
        let is_ours = started.parse() == Ok(self.started.seconds());
        let number: u64 = number.parse().ok()?;
        if is_ours { number.checked_add(1) } else { None }
    }
}
