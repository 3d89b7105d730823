//! How fast sites' counters grow, from one snapshot to another.

use super::Snapshot;
use crate::net::{Instant, SiteName, TenantName};
use std::collections::BTreeMap;
use std::time::Duration;

/// Over how long a rate is taken, at least. Counters are read once a second, and some
/// only every few; over less a steady flow would seem to jump.
const SPAN: Duration = Duration::from_secs(5);

/// Gives each site in a snapshot the rates since earlier ones.
#[derive(Debug, Default)]
pub struct RateMeter {
    sites: BTreeMap<TenantName, BTreeMap<SiteName, Reading>>,
}

/// A site's counters at one moment, and the rates they gave then.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    received: u64,
    sent: u64,
    rates: Option<(u64, u64)>,
}

impl RateMeter {
    /// Writes the rates into `snapshot`, taken at `now`. A site that was not there for
    /// five seconds has none; a counter that went back, as with a new device, begins anew.
    pub fn fill(&mut self, snapshot: &mut Snapshot, now: Instant) {
        for tenant in &mut snapshot.tenants {
            if !self.sites.contains_key(&tenant.name) {
                self.sites.insert(tenant.name.clone(), BTreeMap::new());
            }
            let Some(readings) = self.sites.get_mut(&tenant.name) else { continue };
            for site in &mut tenant.sites {
                let (received, sent) = (site.received_bytes.0, site.sent_bytes.0);
                let first = Reading { at: now, received, sent, rates: None };
                let Some(reading) = readings.get_mut(&site.name) else {
                    readings.insert(site.name.clone(), first);
                    continue;
                };
                if received < reading.received || sent < reading.sent {
                    *reading = first;
                }
                let passed = now.since(reading.at);
                if SPAN <= passed {
                    let rates = (
                        bits_per_second(received - reading.received, passed),
                        bits_per_second(sent - reading.sent, passed),
                    );
                    *reading = Reading { rates: Some(rates), ..first };
                }
                site.received_bits_per_second = reading.rates.map(|(received, _)| received);
                site.sent_bits_per_second = reading.rates.map(|(_, sent)| sent);
            }
            if tenant.sites.len() < readings.len() {
                readings.retain(|name, _| tenant.site(name).is_some());
            }
        }
        if snapshot.tenants.len() < self.sites.len() {
            self.sites.retain(|name, _| snapshot.tenant(name).is_some());
        }
    }
}

fn bits_per_second(bytes: u64, passed: Duration) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000;
    u64::try_from(bits / passed.as_millis().max(1)).unwrap_or(u64::MAX)
}
