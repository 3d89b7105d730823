//! One tenant's way from what is wanted to what is there.
//!
//! ```text
//!              dirty, and not backing off
//!      Idle ───────────────────────────────▶ Observing
//!       ▲ ▲                                     │ observed
//!       │ └───── plan is empty: in sync ────────┤
//!       │                                       │ plan has steps
//!       │ failed: back off                      ▼
//!       └──────────────────────────────────── Applying
//!                                               │ applied in full
//!                         Observing ◀───────────┘
//! ```
//!
//! Learned routes are made and removed meanwhile, see `learned`; while steps about them are
//! under way no others are.
//!
//! Beside it the device (`attaching`): attached once its link is there, detached before
//! the link goes. Feed with `handle_*`, drain with [`TenantMachine::poll_output`].
//! It never touches another tenant's state: a failure here stays here.

mod attaching;

use super::Output;
use super::bgp::Bgp;
use crate::model::{Backend, Placement, Tenant};
use crate::net::{Instant, Now, TenantName};
use crate::reconcile::{
    Backoff, Borrowed, Device, Namespace, Step, StepFailure, leaks_of, plan_tenant,
};
use crate::status::{EventReason, History};
use crate::wireguard::DeviceConfig;
use attaching::DevicePhase;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A tenant that nothing was heard about is looked at again after this long,
/// should a notice have been lost.
const RESYNC: Duration = Duration::from_secs(60);

/// The first time after a change it is sooner, by its name: a thousand tenants
/// that began together are else looked at together, and whatever is asked for
/// meanwhile waits for seconds.
fn first_resync(name: &TenantName) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Duration::from_millis(1 + hasher.finish() % RESYNC.as_millis() as u64)
}

/// Plans in a row that leave something to plan, before it is called a failure:
/// one to make, one for what the kernel took along, one for a change meanwhile.
const MAX_ROUNDS: u32 = 4;

/// What is wanted of a tenant that is to be served.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// As asked for.
    pub(super) tenant: Arc<Tenant>,
    /// As served, where a site's router says which networks it has, or another site has
    /// taken over networks of one that cannot carry packets.
    pub(super) served: Option<Arc<Tenant>>,
    /// What its namespace is to hold.
    pub(super) namespace: Namespace,
    /// The links that are one site's alone.
    pub(super) site_links: BTreeSet<Device>,
    /// The generation of the config that asked for it.
    pub(super) generation: u64,
}

impl Wanted {
    /// The tenant as its namespace is to serve it.
    pub(super) fn served(&self) -> &Arc<Tenant> {
        self.served.as_ref().unwrap_or(&self.tenant)
    }
}

/// What is under way in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Observing,
    /// It was looked at, and what comes of that is being found out.
    Planning,
    Applying,
    /// Steps about learned routes alone.
    ApplyingLearned,
}

/// One tenant.
#[derive(Debug)]
pub(super) struct TenantMachine {
    pub(super) name: TenantName,
    placement: Placement,
    /// `None` when it is to go.
    wanted: Option<Wanted>,
    pub(super) phase: Phase,
    pub(super) dirty: bool,
    /// Rounds of plan and apply since it was last in sync.
    rounds: u32,
    backoff: Backoff,
    resync_at: Option<Instant>,
    pub(super) observed: Option<Namespace>,
    /// Whether the rules that were observed are those that are wanted: asked with each
    /// snapshot, and of a thousand tenants too much to find out each time.
    rules_hold: bool,
    /// Settings that outlive it, as they were.
    borrowed: Borrowed,
    /// The generation that was found to be in place.
    applied_generation: Option<u64>,
    /// When the change that is under way was asked for.
    changed_at: Option<Instant>,
    failure: Option<String>,
    /// The links that could not be made as wanted, and why. Each is one site's;
    /// the tenant is in sync without them.
    broken: BTreeMap<Device, String>,
    leak: Option<String>,
    /// Whether `leak` is of what is observed and wanted now. Walking through every pair
    /// that could meet costs more than all else of a look, and most find nothing new.
    is_judged: bool,
    device: DevicePhase,
    /// What has the device, or is to have it next.
    carrier: Backend,
    /// Whether that has the device, under whatever config.
    carrying: bool,
    device_wanted: Option<DeviceConfig>,
    device_retry_at: Option<Instant>,
    device_failure: Option<String>,
    gone: bool,
    pub(super) bgp: Bgp,
    /// What happened lately.
    pub(super) history: History,
    pub(super) outputs: VecDeque<Output>,
}

impl TenantMachine {
    /// A tenant nothing is known of.
    pub(super) fn new(
        name: TenantName,
        placement: Placement,
        borrowed: Borrowed,
        bgp: Bgp,
        history: History,
    ) -> Self {
        Self {
            name,
            placement,
            wanted: None,
            phase: Phase::Idle,
            dirty: true,
            rounds: 0,
            backoff: Backoff::default(),
            resync_at: None,
            observed: None,
            rules_hold: false,
            borrowed,
            applied_generation: None,
            changed_at: None,
            failure: None,
            broken: BTreeMap::new(),
            leak: None,
            is_judged: false,
            device: DevicePhase::Absent,
            carrier: Backend::default(),
            carrying: false,
            device_wanted: None,
            device_retry_at: None,
            device_failure: None,
            gone: false,
            bgp,
            history,
            outputs: VecDeque::new(),
        }
    }

    /// What is wanted of it, `None` when it is to go.
    pub(super) const fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// What its namespace was last seen to hold.
    pub(super) const fn observed(&self) -> Option<&Namespace> {
        self.observed.as_ref()
    }

    /// Settings that outlive it, as they were before it.
    pub(super) const fn borrowed(&self) -> &Borrowed {
        &self.borrowed
    }

    /// Whether its namespace holds what the wanted generation asks for.
    pub(super) fn is_in_sync(&self) -> bool {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.generation);
        wanted.is_some() && self.applied_generation == wanted && self.failure.is_none()
    }

    /// Whether its packets are being carried.
    pub(super) const fn is_attached(&self) -> bool {
        self.carrying
    }

    /// Whether its packets are carried just as is wanted now.
    pub(super) fn is_device_settled(&self) -> bool {
        let DevicePhase::Attached(config) = &self.device else { return false };
        self.device_wanted.as_ref() == Some(config)
    }

    /// Whether its device is being changed, or is about to be.
    pub(super) fn is_device_changing(&self) -> bool {
        match &self.device {
            DevicePhase::Attaching(_) => true,
            DevicePhase::Attached(config) => {
                self.device_wanted.as_ref().is_some_and(|wanted| wanted != config)
            }
            DevicePhase::Absent | DevicePhase::Detaching => false,
        }
    }

    /// What its device is to be, and what to note down of it.
    pub(super) const fn device_and_history(&mut self) -> (Option<&DeviceConfig>, &mut History) {
        (self.device_wanted.as_ref(), &mut self.history)
    }

    /// Whether it was to go and is gone.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// The first leak found in its namespace when it was last in sync.
    pub(super) fn leak(&self) -> Option<&str> {
        self.leak.as_deref()
    }

    /// What keeps its namespace from being as wanted.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Why a link of one of its sites could not be made as wanted.
    pub(super) fn broken_link(&self, device: &Device) -> Option<&str> {
        self.broken.get(device).map(String::as_str)
    }

    /// Whether there is such a link.
    pub(super) fn has_broken_links(&self) -> bool {
        !self.broken.is_empty()
    }

    /// What keeps its device from carrying packets.
    pub(super) fn device_failure(&self) -> Option<&str> {
        self.device_failure.as_deref()
    }

    /// Takes what is wanted of it from now on; `None` makes it go.
    pub(super) fn handle_wanted(&mut self, wanted: Option<Wanted>, now: Now) {
        let same = match (&self.wanted, &wanted) {
            (Some(old), Some(new)) => old.namespace == new.namespace,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if let (true, Some(new)) = (same && self.is_in_sync(), &wanted) {
            // Nothing for the kernel in this generation.
            self.applied_generation = Some(new.generation);
        }
        if self.wanted.is_none() && wanted.is_some() {
            // It may be going at this moment: what was seen before is no more
            // than a guess at what is there.
            self.observed = None;
            self.gone = false;
        }
        self.wanted = wanted;
        self.is_judged = false;
        self.compare_rules();
        self.configure_bgp(now);
        let gather_until = self.bgp.following.gather_until.take();
        if !same {
            self.bgp.is_pressing = gather_until.is_none();
            // What is waited for already is not put off.
            let before = self.bgp.settle_at.filter(|_| self.dirty);
            self.bgp.settle_at = gather_until.map(|at| before.map_or(at, |before| before.min(at)));
            self.changed_at = Some(now.mono);
            self.rounds = 0;
            self.broken.clear();
            self.backoff.handle_success();
            self.handle_dirty(now);
        }
        self.advance(now);
    }

    /// Takes notice that what is wanted of it is the same in this generation.
    pub(super) fn handle_still_wanted(&mut self, generation: u64, now: Now) {
        let is_in_sync = self.is_in_sync();
        if is_in_sync {
            self.applied_generation = Some(generation);
        }
        if let Some(wanted) = &mut self.wanted {
            wanted.generation = generation;
        }
        if self.bgp.is_leaving() {
            self.configure_bgp(now);
        }
        // Of a thousand tenants that are as they should be none has anything to do.
        if !is_in_sync {
            self.advance(now);
        }
    }

    /// Takes notice that its namespace may have changed.
    pub(super) fn handle_dirty(&mut self, now: Now) {
        self.dirty = true;
        self.advance(now);
    }

    /// Takes notice that what failed may work now.
    pub(super) fn handle_retry(&mut self, now: Now) {
        self.backoff.handle_success();
        self.handle_dirty(now);
    }

    /// Takes what its namespace holds; `None` when it is not there.
    pub(super) fn handle_observed(&mut self, observed: Option<Namespace>, now: Now) {
        if self.phase != Phase::Observing {
            return;
        }
        let Some(observed) = self.keep_seen(observed) else { return };
        self.phase = Phase::Planning;
        self.is_judged &= self.observed == observed;
        self.observed = observed;
        self.compare_rules();
        self.surround_bgp(now);
        self.phase = Phase::Idle;
        if self.is_device_to_go() || self.is_device_in_the_way() {
            // Its packets are to stop before its rules go, or its link.
            self.dirty = true;
            self.advance(now);
            return;
        }
        let mut steps = self.plan();
        let is_learned = self.amend_by_meanwhile(&mut steps);
        self.take_learned();
        if is_learned {
            // Neighbors may say something new with every round.
            self.rounds = 0;
        }
        let is_broken =
            |step: &Step| step.device().is_some_and(|device| self.broken.contains_key(&device));
        if steps.is_empty() {
            self.broken.clear();
            self.backoff.handle_success();
            self.handle_in_sync(now);
        } else if !self.backoff.is_open(now.mono) && steps.iter().all(is_broken) {
            // As good as it can be, until those links are tried again.
            self.handle_in_sync(now);
        } else if self.rounds >= MAX_ROUNDS {
            let first = steps.first().map(Step::to_string).unwrap_or_default();
            self.handle_failure(format!("does not come to rest; still to do: {first}"), now);
        } else {
            let is_known = is_learned || self.changed_at.is_some() || !self.broken.is_empty();
            if self.rounds == 0 && !is_known {
                let message = format!("{} steps to put right what changed", steps.len());
                self.history.push(EventReason::DriftRepaired, None, message, now.wall);
            }
            if let (Placement::Current, Some(observed)) = (self.placement, &self.observed) {
                self.borrowed.note(&steps, observed);
            }
            self.rounds += 1;
            self.phase = Phase::Applying;
            self.outputs.push_back(Output::Apply(self.name.clone(), steps));
        }
        self.advance(now);
    }

    /// The way from what was observed to what is wanted.
    fn plan(&self) -> Vec<Step> {
        let observed = self.observed.as_ref();
        match (&self.wanted, self.placement, observed) {
            (None, Placement::Current, Some(there)) => {
                plan_tenant(Some(&self.borrowed.left(there)), observed, self.placement)
            }
            (None, placement, observed) => plan_tenant(None, observed, placement),
            (Some(wanted), _, Some(there)) if self.holds_all(&wanted.namespace, there) => {
                Vec::new()
            }
            (Some(wanted), placement, observed) => {
                let desired = self.with_learned(&wanted.namespace, wanted.served(), observed);
                plan_tenant(Some(&desired), observed, placement)
            }
        }
    }

    /// Takes notice that its namespace could not be looked at.
    pub(super) fn handle_observe_error(&mut self, error: String, now: Now) {
        if self.phase == Phase::Observing {
            self.phase = Phase::Idle;
            self.handle_failure(error, now);
            self.advance(now);
        }
    }

    /// Takes what became of a plan: the steps that failed.
    pub(super) fn handle_applied(&mut self, failed: Vec<StepFailure>, now: Now) {
        if self.bgp.is_applying {
            self.handle_applied_meanwhile(failed.is_empty(), now);
            self.advance(now);
            return;
        }
        match self.phase {
            Phase::Idle | Phase::Observing | Phase::Planning => return,
            Phase::ApplyingLearned if failed.is_empty() => {
                self.phase = Phase::Idle;
                self.settle_learned(now);
                self.advance(now);
                return;
            }
            Phase::Applying | Phase::ApplyingLearned => self.phase = Phase::Idle,
        }
        let is_sites = |failure: &StepFailure| {
            let links = self.wanted.as_ref().map(|wanted| &wanted.site_links);
            failure.device.as_ref().is_some_and(|it| links.is_some_and(|links| links.contains(it)))
        };
        let (of_sites, others): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_sites);
        self.handle_broken(of_sites, now);
        match others.into_iter().next() {
            Some(failure) => self.handle_failure(failure.message, now),
            None if self.broken.is_empty() => self.dirty = true,
            None => {
                // The rest is looked at at once, and these links when their time comes.
                self.backoff.handle_failure(now.mono);
                self.observe();
            }
        }
        self.advance(now);
    }

    /// Takes the links of single sites that could not be made.
    fn handle_broken(&mut self, failed: Vec<StepFailure>, now: Now) {
        let mut broken = BTreeMap::new();
        for StepFailure { device, message } in failed {
            let Some(device) = device else { continue };
            if self.broken.get(&device) != Some(&message) {
                self.history.push(EventReason::StepFailed, None, message.clone(), now.wall);
            }
            broken.entry(device).or_insert(message);
        }
        self.broken = broken;
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        if self.resync_at.is_some_and(|at| at <= now.mono) {
            self.resync_at = None;
            self.dirty = true;
        }
        if !self.broken.is_empty() && self.backoff.is_open(now.mono) {
            self.dirty = true;
        }
        if self.device_retry_at.is_some_and(|at| at <= now.mono) {
            // Without a TUN there is nothing to try; its coming is told.
            self.device_retry_at = None;
        }
        self.handle_bgp_timeout(now);
        self.advance(now);
    }

    /// When [`TenantMachine::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let is_due = self.dirty || !self.broken.is_empty();
        let retry = self.backoff.poll_timeout().filter(|_| is_due && self.phase == Phase::Idle);
        let device = self.device_retry_at.filter(|_| self.device == DevicePhase::Absent);
        let settle = self.bgp.settle_at.filter(|_| self.dirty && self.phase == Phase::Idle);
        let bgp = self.bgp.poll_timeout();
        [retry, device, settle, bgp, self.resync_at].into_iter().flatten().min()
    }

    /// The next thing to do for it.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How long the change took that has just been found in place.
    pub(super) fn take_duration(&mut self, now: Now) -> Option<Duration> {
        if !self.is_in_sync() {
            return None;
        }
        self.changed_at.take().map(|at| now.mono.since(at))
    }

    fn handle_in_sync(&mut self, now: Now) {
        self.rounds = 0;
        self.note_in_place(now);
        self.failure = None;
        let is_changed = self.changed_at.is_some();
        let resync = if is_changed { first_resync(&self.name) } else { RESYNC };
        self.resync_at = Some(now.mono + resync);
        match &self.wanted {
            Some(wanted) => {
                if is_changed {
                    let message = format!("generation {}", wanted.generation);
                    self.history.push(EventReason::ConfigApplied, None, message, now.wall);
                }
                self.applied_generation = Some(wanted.generation);
                // What was read back, judged apart from the comparison with what is wanted.
                if !self.is_judged {
                    let leak = self.observed.as_ref().and_then(|observed| {
                        leaks_of(wanted.served(), observed, self.placement).into_iter().next()
                    });
                    self.leak = leak.map(|leak| leak.to_string());
                    self.is_judged = true;
                }
            }
            None => self.gone = true,
        }
    }

    fn handle_failure(&mut self, failure: String, now: Now) {
        if self.failure.as_ref() != Some(&failure) {
            self.history.push(EventReason::StepFailed, None, failure.clone(), now.wall);
        }
        self.failure = Some(failure);
        self.rounds = 0;
        self.dirty = true;
        self.backoff.handle_failure(now.mono);
    }

    fn advance(&mut self, now: Now) {
        self.advance_device(now);
        // A link that waits to be tried again holds nothing else up.
        let waiting =
            !self.backoff.is_open(now.mono) && (self.failure.is_some() || self.broken.is_empty());
        let departing =
            self.is_device_to_go() || self.is_device_in_the_way() || self.bgp.is_settling(now.mono);
        if self.phase == Phase::Idle && self.dirty && !waiting && !self.gone && !departing {
            self.observe();
        }
    }

    fn observe(&mut self) {
        self.dirty = false;
        self.bgp.settle_at = None;
        self.bgp.is_pressing = false;
        if !self.bgp.is_applying {
            self.bgp.meanwhile.clear();
        }
        self.phase = Phase::Observing;
        self.outputs.push_back(Output::Observe(self.name.clone()));
    }

    /// Whether its rules stand as they are wanted, when it was last looked at.
    pub(super) const fn rules_hold(&self) -> bool {
        self.rules_hold
    }

    fn compare_rules(&mut self) {
        let observed = self.observed.as_ref().and_then(|it| it.ruleset.as_ref());
        let wanted = self.wanted.as_ref().and_then(|it| it.namespace.ruleset.as_ref());
        self.rules_hold = wanted.is_some() && observed == wanted;
    }
}
