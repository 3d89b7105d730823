//! How what a tenant's neighbors said gets into the kernel.
//!
//! ```text
//!   Speaker ─▶ changed ─▶ program_learned ─▶ Apply ─┬─▶ settle: one look for all of it
//!                 ▲                                 │
//!                 └──── more was said meanwhile ◀───┘
//! ```
//! While all else is in place, routes are made and removed one by one as they are
//! said, without a look at the namespace before; one look follows for all that came
//! within [`SETTLE`]. During a look they are made as well, and what the look could not
//! show of that is left out of the plan. Otherwise the next plan takes them along.

use super::Output;
use super::tenant::{Phase, TenantMachine};
use crate::bgp::speaker::Speaker;
use crate::model::Tenant;
use crate::net::Now;
use crate::reconcile::{Device, Learnable, Link, Namespace, RouteKey, Step};
use std::borrow::Cow;
use std::time::Duration;

/// How long after learned routes were changed the namespace is looked at.
const SETTLE: Duration = Duration::from_millis(500);

/// And how much longer for each route there is: a look at a hundred thousand takes as long
/// as making many of them.
const SETTLE_PER_ROUTE: Duration = Duration::from_micros(20);

impl TenantMachine {
    /// Makes and removes the routes that changed, when nothing else is under way but a
    /// look, which of many routes takes its time. Each of these steps may be repeated, so
    /// it need not be known what is there.
    pub(super) fn program_learned(&mut self) {
        let is_free = match self.phase {
            Phase::Idle => !self.dirty || self.bgp.settle_at.is_some(),
            Phase::Observing => self.bgp.seen.is_none(),
            // The plan takes it along.
            Phase::Planning | Phase::Applying | Phase::ApplyingLearned => false,
        };
        let is_due = !self.bgp.changed.is_empty() && !self.bgp.is_applying;
        let can = is_free && is_due && self.is_in_sync();
        let Some(speaker) = self.bgp.speaker.as_ref().filter(|_| can) else { return };
        let changed = std::mem::take(&mut self.bgp.changed);
        let steps = changed.iter().map(|key| learned_step(speaker, *key)).collect();
        self.bgp.is_due = false;
        if self.phase == Phase::Observing {
            self.bgp.is_applying = true;
            self.bgp.meanwhile.extend(changed);
        } else {
            self.phase = Phase::ApplyingLearned;
        }
        self.outputs.push_back(Output::Apply(self.name.clone(), steps));
    }

    /// Learned routes were made and removed: they are looked at with those that
    /// follow soon.
    pub(super) fn settle_learned(&mut self, now: Now) {
        let settle = self.settle();
        if !self.bgp.is_pressing {
            self.bgp.settle_at.get_or_insert(now.mono + settle);
        }
        self.dirty = true;
        self.note_in_place(now);
        self.program_learned();
    }

    /// How long what is learned is gathered for one look.
    pub(super) fn settle(&self) -> Duration {
        let routes = self.bgp.speaker.as_ref().map_or(0, |speaker| speaker.routes().len());
        let routes = u32::try_from(routes).unwrap_or(u32::MAX);
        SETTLE + SETTLE_PER_ROUTE.saturating_mul(routes)
    }

    /// The kernel holds what was learned, but what was heard since.
    pub(super) fn note_in_place(&mut self, now: Now) {
        if self.bgp.changed.is_empty() && !self.bgp.is_applying {
            self.bgp.convergence.is_in_place(now.mono);
        }
    }

    /// Takes what became of steps that were under way during a look.
    pub(super) fn handle_applied_meanwhile(&mut self, is_done: bool, now: Now) {
        self.bgp.is_applying = false;
        if is_done {
            self.settle_learned(now);
        } else {
            // The plan has those again that were not done, and says why.
            self.bgp.meanwhile.clear();
            self.dirty = true;
        }
        if let Some(seen) = self.bgp.seen.take() {
            self.handle_observed(seen, now);
        }
    }

    /// Keeps what was seen until the steps are through that are under way meanwhile:
    /// no two lists of steps are ever carried out at the same time. Gives it back when
    /// there are none.
    pub(super) fn keep_seen(&mut self, seen: Option<Namespace>) -> Option<Option<Namespace>> {
        if self.bgp.is_applying {
            self.bgp.seen = Some(seen);
            return None;
        }
        Some(seen)
    }

    /// Has `steps` be about routes that were changed since the look began as they were said
    /// last, for it says nothing of those. Gives whether learned routes are among what the
    /// plan is about, or were.
    pub(super) fn amend_by_meanwhile(&mut self, steps: &mut Vec<Step>) -> bool {
        let route = |step: &Step| match step {
            Step::ReplaceRoute(key, _) | Step::RemoveRoute(key) => Some(*key),
            Step::CreateNetns
            | Step::DeleteNetns
            | Step::ReplaceRuleset(_)
            | Step::DeleteRuleset
            | Step::SetLoopbackUp
            | Step::CreateLink(..)
            | Step::DeleteLink(_)
            | Step::TakeLink(_)
            | Step::ReturnLink(_)
            | Step::SetSysctl(..)
            | Step::SetMtu(..)
            | Step::SetUp(_)
            | Step::AddAddress(..)
            | Step::RemoveAddress(..) => None,
        };
        // With a link its routes may go, those among them that have just been made.
        if steps.iter().all(|step| route(step).is_some()) {
            steps.retain(|step| !route(step).is_some_and(|key| self.bgp.meanwhile.contains(&key)));
            if let Some(speaker) = &self.bgp.speaker {
                let again = self.bgp.changed.intersection(&self.bgp.meanwhile);
                steps.extend(again.map(|key| learned_step(speaker, *key)));
            }
        }
        let meanwhile = std::mem::take(&mut self.bgp.meanwhile);
        std::mem::take(&mut self.bgp.is_due) || !meanwhile.is_empty()
    }

    /// A plan takes all that was learned along.
    pub(super) fn take_learned(&mut self) {
        self.bgp.changed.clear();
        self.bgp.is_due = false;
    }

    /// What the namespace is to hold with all that was learned, where it was observed
    /// to hold `observed`.
    pub(super) fn with_learned<'a>(
        &self,
        namespace: &'a Namespace,
        tenant: &Tenant,
        observed: Option<&Namespace>,
    ) -> Cow<'a, Namespace> {
        if tenant.fabric.bgp.is_none() {
            return Cow::Borrowed(namespace);
        }
        let mut all = Cow::Borrowed(namespace);
        if let Some(speaker) = self.bgp.speaker.as_ref().filter(|it| !it.routes().is_empty()) {
            let learned = speaker.routes().iter().map(|(key, route)| (*key, route.clone()));
            all.to_mut().routes.extend(learned);
        }
        // What an earlier process learned stays until neighbors had the time to say
        // it again (RFC 4724 §4.1), as far as the documents still allow it.
        if self.bgp.speaker.as_ref().is_none_or(Speaker::keeps_unsaid) {
            let learnable = Learnable::of(tenant, namespace);
            for (key, route) in observed.into_iter().flat_map(|held| learnable.of_held(held)) {
                if !all.routes.contains_key(key) {
                    all.to_mut().routes.insert(*key, route.clone());
                }
            }
        }
        all
    }
    /// Whether a namespace holds what is wanted of it with all that was learned, and
    /// nothing more, but for routes that were made or removed while it was looked at:
    /// found out without a copy of routes that may be very many. When it says no, the plan
    /// may still be empty.
    pub(super) fn holds_all(&self, wanted: &Namespace, there: &Namespace) -> bool {
        let Some(speaker) = self.bgp.speaker.as_ref().filter(|it| !it.keeps_unsaid()) else {
            return false;
        };
        let is_there = |(device, link): (&Device, &Link)| {
            there.links.get(device).is_some_and(|it| {
                let same_mtu = link.mtu.is_none() || link.mtu == it.mtu;
                same_mtu
                    && (&link.kind, link.up, &link.addresses) == (&it.kind, it.up, &it.addresses)
            })
        };
        let is_learned = |key: &RouteKey| key.metric == RouteKey::LEARNED_METRIC;
        let learned = there.routes.iter().filter(|(key, _)| is_learned(key));
        let given = there.routes.iter().filter(|(key, _)| !is_learned(key));
        wanted.loopback_up == there.loopback_up
            && wanted.ruleset == there.ruleset
            && wanted.links.len() == there.links.len()
            && wanted.links.iter().all(is_there)
            && wanted.sysctls.iter().all(|(key, value)| there.sysctls.get(key) == Some(value))
            && wanted.routes.iter().eq(given)
            && same_but(speaker.routes().iter(), learned, |key| self.bgp.meanwhile.contains(key))
    }
}

/// What makes the kernel hold a route as it was said last.
fn learned_step(speaker: &Speaker, key: RouteKey) -> Step {
    match speaker.routes().get(&key) {
        Some(route) => Step::ReplaceRoute(key, route.clone()),
        None => Step::RemoveRoute(key),
    }
}

/// Whether two sets of routes, in the order of their keys, are the same but for `left_out`.
fn same_but<'a, R: PartialEq + 'a>(
    ours: impl Iterator<Item = (&'a RouteKey, &'a R)>,
    theirs: impl Iterator<Item = (&'a RouteKey, &'a R)>,
    left_out: impl Fn(&RouteKey) -> bool,
) -> bool {
    let (mut ours, mut theirs) = (ours.peekable(), theirs.peekable());
    loop {
        let (key, is_ours) = match (ours.peek(), theirs.peek()) {
            (None, None) => return true,
            (Some((key, route)), Some((other, seen))) if key == other => {
                if route == seen || left_out(key) {
                    ours.next();
                    theirs.next();
                    continue;
                }
                return false;
            }
            (Some((key, _)), None) => (*key, true),
            (None, Some((key, _))) => (*key, false),
            (Some((key, _)), Some((other, _))) if key < other => (*key, true),
            (Some(_), Some((other, _))) => (*other, false),
        };
        if !left_out(key) {
            return false;
        }
        if is_ours {
            ours.next()
        } else {
            theirs.next()
        };
    }
}
