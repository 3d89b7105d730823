//! How a site on a VLAN is: whether its link carries frames and the customer's
//! router answers.

use crate::net::{Now, Timestamp};
use crate::reconcile::{Answer, LegSample};
use crate::status::{SiteReason, SiteState};
use std::time::Duration;

/// How long an answer is good while the router is being asked again. Asking
/// takes the kernel three seconds.
const FRESH: Duration = Duration::from_secs(10);

/// How one VLAN was when it was last looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct LegHealth {
    sample: Option<LegSample>,
    looked: bool,
    /// When all routers last answered.
    answered: Option<Timestamp>,
}

impl LegHealth {
    /// Takes how the link is; `None` when it is not there.
    pub(super) fn handle_sample(&mut self, sample: Option<&LegSample>, now: Now) {
        self.looked = true;
        self.sample = sample.cloned();
        let Some(sample) = sample.filter(|sample| sample.carrier) else { return };
        if sample.routers.values().all(|answer| *answer == Answer::Answers) {
            self.answered = Some(now.wall);
        }
    }

    /// The last sample.
    pub(super) const fn sample(&self) -> Option<&LegSample> {
        self.sample.as_ref()
    }

    /// When the routers last answered.
    pub(super) const fn answered(&self) -> Option<Timestamp> {
        self.answered
    }

    /// How it is at `now`, and why.
    pub(super) fn judge(&self, now: Now) -> (SiteState, SiteReason) {
        let never = match self.answered {
            Some(_) => SiteState::Down,
            None => SiteState::NeverConnected,
        };
        if !self.looked {
            return (SiteState::NeverConnected, SiteReason::Starting);
        }
        let Some(sample) = &self.sample else { return (never, SiteReason::LinkMissing) };
        if !sample.carrier {
            return (never, SiteReason::LinkDown);
        }
        let is_silent = sample.routers.values().any(|answer| *answer == Answer::Silent);
        match self.answered {
            _ if is_silent => (never, SiteReason::NextHopUnreachable),
            None => (SiteState::NeverConnected, SiteReason::NextHopUnreachable),
            Some(at) if now.wall.since(at) < FRESH => (SiteState::Up, SiteReason::NextHopReachable),
            Some(_) => (SiteState::Stale, SiteReason::NextHopSilent),
        }
    }
}
