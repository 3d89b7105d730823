//! How a tenant comes to be served by what routers of its sites say.
//!
//! ```text
//!   Speaker ─▶ hear ─▶ due ─▶ take_to_follow ─▶ want ─┬─▶ Speaker: what the fabric is told
//!   first look ─▶ take_up_said ───────────────────▲   ├─▶ the device: allowed IPs
//!                                                     └─▶ rules, after gather_until
//! ```

use super::tenant::TenantMachine;
use crate::net::{Instant, Now};
use crate::reconcile::{Namespace, Said};
use std::time::Duration;

/// How long at the least from one time that a tenant is made to be served by what is said
/// to the next: half of what the fabric may be told late.
const PACE: Duration = Duration::from_millis(50);

/// What is said, and how far the tenant is served by it.
#[derive(Debug, Default)]
pub(super) struct Following {
    said: Said,
    /// Whether it is not served by that yet.
    is_due: bool,
    /// When it was last made to be.
    last: Option<Instant>,
    /// Until when rules wait for what else is said.
    pub(super) gather_until: Option<Instant>,
}

impl Following {
    /// What routers of sites say.
    pub(super) const fn said(&self) -> &Said {
        &self.said
    }

    /// Takes what they say now.
    pub(super) fn hear(&mut self, said: Said) {
        if self.said != said {
            self.said = said;
            self.is_due = true;
        }
    }

    /// When the tenant is to be served by what is said, if it is not.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let free = self.last.map(|at| at + PACE).unwrap_or_default();
        self.is_due.then_some(free)
    }
}

impl TenantMachine {
    /// Takes what routers of sites had said to whoever left the namespace as it is, when
    /// it is looked at for the first time. Gives whether that is anything.
    pub(super) fn take_up_said(&mut self, held: &Namespace) -> bool {
        let Some(wanted) = self.wanted().filter(|_| self.bgp.found.is_none()) else { return false };
        let said = Said::held(&wanted.tenant, held);
        let is_anything = !said.is_empty();
        self.bgp.following.said = said;
        is_anything
    }

    /// Whether the tenant is to be served by what routers of sites say now. A router that
    /// takes back and says again all the time has the rules made anew no more often than
    /// learned routes are looked at.
    pub(super) fn take_to_follow(&mut self, now: Now) -> bool {
        let settle = self.settle();
        let following = &mut self.bgp.following;
        if following.due_at().is_none_or(|at| now.mono < at) {
            return false;
        }
        following.is_due = false;
        let settled = following.last.map(|at| at + settle);
        following.gather_until = settled.filter(|at| now.mono < *at);
        following.last = Some(now.mono);
        true
    }
}
