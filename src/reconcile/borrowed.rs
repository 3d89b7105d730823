//! Settings that outlive the tenant, as they were before it.
//!
//! With `--netns current` the namespace and its links are somebody else's and
//! go on without the tenant: what was set there, forwarding above all, is put
//! back when it goes, for the rules that made it harmless go too.
//! A namespace of the tenant's own takes its settings along.

use super::{Device, Family, Link, LinkKind, LinkSetting, Namespace, Scope, Step, Sysctl};
use std::collections::{BTreeMap, BTreeSet};

/// How settings were before they were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Borrowed(BTreeMap<Sysctl, i32>);

impl Borrowed {
    /// What an earlier process noted.
    pub const fn new(settings: BTreeMap<Sysctl, i32>) -> Self {
        Self(settings)
    }

    /// All that is noted.
    pub const fn settings(&self) -> &BTreeMap<Sysctl, i32> {
        &self.0
    }

    /// Notes how that is now which `steps` will set, unless it is noted already.
    pub fn note(&mut self, steps: &[Step], observed: &Namespace) {
        if is_untouched(observed) {
            // What is noted is of another namespace, or of another time.
            self.0.clear();
        }
        for step in steps {
            let Step::SetSysctl(sysctl, _) = step else { continue };
            let sets = |other: &Sysctl| {
                let alike = (other.family, other.setting) == (sysctl.family, sysctl.setting);
                other == sysctl || alike && spreads(sysctl)
            };
            for (other, value) in observed.sysctls.iter().filter(|(other, _)| sets(other)) {
                if !matches!(&other.scope, Scope::Link(Device::Managed(_))) {
                    self.0.entry(other.clone()).or_insert(*value);
                }
            }
        }
    }

    /// What is to be there when the tenant goes.
    pub fn left(&self, observed: &Namespace) -> Namespace {
        let is_foreign = |device: &&Device| matches!(device, Device::Foreign(_));
        let foreign = observed.links.keys().filter(is_foreign).map(|device| {
            let addresses = BTreeSet::new();
            (device.clone(), Link { kind: LinkKind::Foreign, mtu: None, up: true, addresses })
        });
        Namespace { links: foreign.collect(), sysctls: self.0.clone(), ..Namespace::default() }
    }
}

/// Whether nothing of ours is there.
fn is_untouched(observed: &Namespace) -> bool {
    let ours = |device: &Device| matches!(device, Device::Managed(_));
    observed.ruleset.is_none() && !observed.links.keys().any(ours)
}

/// Whether the kernel copies it to every link when it is written.
fn spreads(sysctl: &Sysctl) -> bool {
    sysctl.family == Family::V6
        && sysctl.scope == Scope::All
        && matches!(sysctl.setting, LinkSetting::DisableIpv6 | LinkSetting::Forwarding)
}
