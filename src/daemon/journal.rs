//! The log of what happens to tenants and their sites.
//!
//! It is one more view of the snapshot: each event of each tenant becomes one
//! line, with the reason in the same words as everywhere else.

use crate::net::TenantName;
use crate::status::{Event, EventReason, SiteState, Snapshot, TenantSnapshot};
use std::collections::{BTreeMap, BTreeSet};

/// What has been written already.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The event of each tenant that comes next.
    next: BTreeMap<TenantName, u64>,
}

impl Journal {
    /// Writes what is new in `snapshot`.
    pub(super) fn write(&mut self, snapshot: &Snapshot) {
        for tenant in &snapshot.tenants {
            let next = self.next.entry(tenant.name.clone()).or_default();
            for event in tenant.events.iter().filter(|event| *next <= event.id.0) {
                write(tenant, event);
            }
            if let Some(last) = tenant.events.last() {
                *next = last.id.0 + 1;
            }
        }
        if self.next.len() == snapshot.tenants.len() {
            return;
        }
        let names: BTreeSet<&TenantName> = snapshot.tenants.iter().map(|it| &it.name).collect();
        self.next.retain(|name, _| {
            let stays = names.contains(name);
            if !stays {
                tracing::info!(tenant = %name, "{}", EventReason::TenantRemoved);
            }
            stays
        });
    }
}

/// Levels go by who must act: an error is a tenant that cannot be served, on a
/// warning an alert may hang, the rest a customer could notice or ask about.
fn write(tenant: &TenantSnapshot, event: &Event) {
    let (name, reason, detail) = (&tenant.name, event.reason, &event.message);
    match reason {
        EventReason::SiteStateChanged => write_state(tenant, event),
        EventReason::StepFailed => tracing::error!(tenant = %name, detail, "{reason}"),
        EventReason::SessionDown
        | EventReason::BfdDown
        | EventReason::PrefixLimit
        | EventReason::ConntrackLimit
        | EventReason::RangeFull
        | EventReason::DriftRepaired
        | EventReason::ForeignObject => {
            tracing::warn!(tenant = %name, detail, "{reason}");
        }
        EventReason::TenantAdded
        | EventReason::TenantRemoved
        | EventReason::ConfigApplied
        | EventReason::SessionEstablished
        | EventReason::BfdUp => {
            tracing::info!(tenant = %name, detail, "{reason}");
        }
        EventReason::ProbeFailed => {
            tracing::warn!(tenant = %name, site = site(event), detail, "{reason}");
        }
        EventReason::ProbeAnswered => {
            tracing::info!(tenant = %name, site = site(event), detail, "{reason}");
        }
        // A customer behind a NAT may move with every packet.
        EventReason::EndpointMoved => {
            tracing::debug!(tenant = %name, site = site(event), detail, "{reason}");
        }
        // Whoever read the documents has said so, once for all tenants.
        EventReason::ConfigRefused => {}
    }
}

fn site(event: &Event) -> String {
    event.site.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn write_state(tenant: &TenantSnapshot, event: &Event) {
    let (name, detail) = (&tenant.name, &event.message);
    let site = tenant.sites.iter().find(|site| Some(&site.name) == event.site.as_ref());
    let Some(site) = site else { return };
    let (site, state, reason) = (&site.name, site.state, site.reason);
    match state {
        SiteState::Down | SiteState::Blackholed => {
            tracing::warn!(tenant = %name, %site, %state, %reason, detail, "{}", event.reason);
        }
        SiteState::NeverConnected | SiteState::Stale | SiteState::Up => {
            tracing::info!(tenant = %name, %site, %state, %reason, detail, "{}", event.reason);
        }
    }
}
