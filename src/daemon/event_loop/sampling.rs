//! When devices, VLANs and rules are asked how they are.

use super::EventLoop;
use std::time::Duration;
use tokio::time::Instant;

/// How often the rules' counters of one tenant are read, at most.
pub(super) const COUNTERS: Duration = Duration::from_secs(5);

/// Tenants whose counters are read in one go.
const COUNTERS_AT_ONCE: usize = 8;

/// How often the VLANs of one tenant are looked at, at most, and the routers on
/// them asked: less often than the kernel gives up on one that does not answer.
pub(super) const LEGS: Duration = Duration::from_secs(4);

/// Tenants whose VLANs are looked at in one go, at least. Of more than a few
/// hundred it is as many as have all looked at in [`LEGS`].
const LEGS_AT_ONCE: usize = 128;

impl EventLoop {
    /// Asks the devices how they are, and of some tenants what their rules dropped
    /// and how many conversations they have.
    pub(super) fn sample(&mut self) {
        if !self.sampling {
            self.sampling = true;
            self.tasks.sample();
        }
        self.sample_legs();
        let now = Instant::now();
        let due = self.counting.due(self.parts.gateway.config(), now);
        for tenant in due.into_iter().take(COUNTERS_AT_ONCE) {
            self.counting.take(&tenant, now);
            self.tasks.count(tenant);
        }
    }

    /// Looks at the VLANs of the tenants that were looked at longest ago.
    fn sample_legs(&mut self) {
        let now = Instant::now();
        let gateway = &self.parts.gateway;
        let turns = LEGS.as_secs().max(1) as usize;
        let at_once = LEGS_AT_ONCE.max(gateway.config().tenants.len().div_ceil(turns));
        let due = self.leg_turns.due(gateway.config(), now).into_iter();
        let legs = due
            .filter(|tenant| !self.legs_asked.contains(tenant))
            .map(|tenant| (gateway.legs(&tenant), tenant));
        let legs: Vec<_> = legs.filter(|(legs, _)| !legs.is_empty()).take(at_once).collect();
        for (legs, tenant) in legs {
            self.leg_turns.take(&tenant, now);
            self.legs_asked.insert(tenant.clone());
            self.tasks.sample_legs(tenant, legs);
        }
    }
}
