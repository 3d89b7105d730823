//! The way from what is to what should be.
//!
//! Tenants are planned apart, so that one's failure leaves the others' plans
//! whole. Within a tenant the order is the whole point:
//!
//! 1. the namespace, and at once its rules: nothing is forwarded before them;
//! 2. what is too much, from the inside out: routes, then links;
//! 3. settings of the namespace, which links made later begin with;
//! 4. link by link from the outside in: the link, its MTU, settings, addresses,
//!    up, its routes. The tunnels come first, so that a fabric link that is
//!    missing in the underlay keeps nobody's tunnel down;
//! 5. rules that should not be go last.

use super::diff::{Diff, diff};
use super::{
    Device, Family, KernelState, Link, LinkKind, LinkSetting, Namespace, Plan, Route, RouteKey,
    RouteTarget, Scope, Step, Sysctl,
};
use crate::model::Placement;
use crate::net::{InterfaceAddress, ManagedName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Plans the way from `observed` to `desired`. Makes every choice there is.
///
/// Tenants that are only observed are removed; hand in those alone of which it
/// is known that nobody wants them.
pub fn plan(desired: &KernelState, observed: &KernelState, placement: Placement) -> Plan {
    let Diff { add, change, remove, equal: _ } = diff(&desired.tenants, &observed.tenants);
    let added = add
        .into_iter()
        .map(|(tenant, namespace)| (tenant, plan_tenant(Some(namespace), None, placement)));
    let changed = change.into_iter().map(|(tenant, namespace, before)| {
        (tenant, plan_tenant(Some(namespace), Some(before), placement))
    });
    let removed = remove
        .into_iter()
        .map(|(tenant, before)| (tenant, plan_tenant(None, Some(before), placement)));
    let all = added.chain(changed).chain(removed);
    let tenants = all.filter(|(_, steps)| !steps.is_empty());
    Plan { tenants: tenants.map(|(tenant, steps)| (tenant.clone(), steps)).collect() }
}

/// Plans one tenant; `None` is a namespace that is not there or not to be there.
pub fn plan_tenant(
    desired: Option<&Namespace>,
    observed: Option<&Namespace>,
    placement: Placement,
) -> Vec<Step> {
    let empty = Namespace::default();
    let mut steps = Vec::new();
    match (desired, observed) {
        (None, None) => {}
        (None, Some(observed)) if placement == Placement::PerTenant => remove(observed, &mut steps),
        (None, Some(observed)) => change(&empty, observed, placement, &mut steps),
        (Some(desired), None) => {
            if placement == Placement::PerTenant {
                steps.push(Step::CreateNetns);
            }
            change(desired, &empty, placement, &mut steps);
        }
        (Some(desired), Some(observed)) => change(desired, observed, placement, &mut steps),
    }
    steps
}

/// Removes a namespace with all of ours in it. Links are cut before it goes, so
/// that the rules outlive them; everybody else's leave first, for with the
/// namespace the kernel would destroy them.
fn remove(observed: &Namespace, steps: &mut Vec<Step>) {
    for device in observed.links.keys() {
        steps.push(match device {
            Device::Managed(name) => Step::DeleteLink(name.clone()),
            Device::Foreign(name) => Step::ReturnLink(name.clone()),
        });
    }
    steps.push(Step::DeleteNetns);
}

fn change(desired: &Namespace, observed: &Namespace, placement: Placement, steps: &mut Vec<Step>) {
    if let Some(ruleset) = &desired.ruleset
        && observed.ruleset.as_ref() != Some(ruleset)
    {
        steps.push(Step::ReplaceRuleset(Box::new(ruleset.clone())));
    }
    if desired.loopback_up && !observed.loopback_up && placement == Placement::PerTenant {
        steps.push(Step::SetLoopbackUp);
    }

    for key in observed.routes.keys().filter(|key| !desired.routes.contains_key(*key)) {
        steps.push(Step::RemoveRoute(*key));
    }
    for (device, link) in &observed.links {
        let stays = desired.links.get(device).is_some_and(|wanted| can_become(link, wanted));
        if !stays && link.kind != LinkKind::Foreign {
            leave(device, link, steps);
        }
    }

    let settings = Settings::of(desired, observed);
    settings.write_wide(steps);

    // Every desired route by the links it leaves by, and whether it is there.
    let mut routes: BTreeMap<&Device, Vec<(&RouteKey, &Route, bool)>> = BTreeMap::new();
    for (key, route) in &desired.routes {
        let is_there = observed.routes.get(key) == Some(route);
        let legs = route.hops().map(|(device, _)| device);
        let legs: BTreeSet<&Device> =
            legs.filter(|device| desired.links.contains_key(*device)).collect();
        if legs.is_empty() && !is_there {
            steps.push(Step::ReplaceRoute(*key, route.clone()));
        }
        for leg in legs {
            routes.entry(leg).or_default().push((key, route, is_there));
        }
    }
    let tunnel = Device::Managed(ManagedName::wireguard());
    let (tunnels, others): (Vec<_>, Vec<_>) =
        desired.links.iter().partition(|(device, _)| **device == tunnel);
    let mut done: BTreeMap<&Device, Leg<'_>> = BTreeMap::new();
    for (device, link) in tunnels.into_iter().chain(others) {
        let before = observed.links.get(device).filter(|before| can_become(before, link));
        let leg = Leg { device, link, before, surplus: surplus(link, before) };
        leg.make(steps);
        settings.write_link(device, before.is_some(), steps);
        leg.configure(steps);
        done.insert(device, leg);
        for (key, route, is_there) in routes.remove(device).unwrap_or_default() {
            // One of several ways is made when the last of its links is there.
            let due = route
                .hops()
                .all(|(out, _)| done.contains_key(out) || !desired.links.contains_key(out));
            // The kernel drops some routes with what they stand on. Those we
            // still want are equal on both sides, and made again.
            let is_kept = || {
                let mut legs = route.hops().filter_map(|(out, _)| done.get(out));
                is_there && legs.all(|leg| leg.keeps(route))
            };
            if due && !is_kept() {
                steps.push(Step::ReplaceRoute(*key, route.clone()));
            }
        }
    }

    if desired.ruleset.is_none() && observed.ruleset.is_some() {
        steps.push(Step::DeleteRuleset);
    }
}

/// Whether a link that is there need not be made anew to become the wanted one.
fn can_become(before: &Link, wanted: &Link) -> bool {
    let taken = before.kind == LinkKind::Foreign && wanted.kind == LinkKind::Moved;
    taken || before.kind == wanted.kind
}

/// Lets go of a link that we made or were handed.
fn leave(device: &Device, link: &Link, steps: &mut Vec<Step>) {
    match device {
        Device::Managed(name) => steps.push(Step::DeleteLink(name.clone())),
        Device::Foreign(name) => {
            let remove = |address: &InterfaceAddress| Step::RemoveAddress(device.clone(), *address);
            steps.extend(link.addresses.iter().map(remove));
            steps.push(Step::ReturnLink(name.clone()));
        }
    }
}

/// A desired link and what there is of it.
struct Leg<'a> {
    device: &'a Device,
    link: &'a Link,
    before: Option<&'a Link>,
    /// The addresses that have to go.
    surplus: Vec<InterfaceAddress>,
}

fn surplus(link: &Link, before: Option<&Link>) -> Vec<InterfaceAddress> {
    let before = before.filter(|_| link.kind != LinkKind::Foreign);
    let addresses = before.into_iter().flat_map(|before| &before.addresses).copied();
    addresses.filter(|old| !link.addresses.contains(old)).collect()
}

impl Leg<'_> {
    fn make(&self, steps: &mut Vec<Step>) {
        let is_there = self.before.is_some_and(|before| before.kind == self.link.kind);
        match self.device {
            Device::Managed(name) if !is_there => {
                steps.push(Step::CreateLink(name.clone(), self.link.kind.clone()));
            }
            Device::Foreign(name) if !is_there && self.link.kind == LinkKind::Moved => {
                steps.push(Step::TakeLink(name.clone()));
            }
            Device::Managed(_) | Device::Foreign(_) => {}
        }
        // Before the settings: below 1280 bytes a link has none for v6.
        if let Some(mtu) = self.link.mtu
            && self.before.and_then(|before| before.mtu) != Some(mtu)
        {
            steps.push(Step::SetMtu(self.device.clone(), mtu));
        }
    }

    fn configure(&self, steps: &mut Vec<Step>) {
        if self.link.kind == LinkKind::Foreign {
            return;
        }
        let add = |address| Step::AddAddress(self.device.clone(), address);
        let remove = |address| Step::RemoveAddress(self.device.clone(), address);
        // Add, then remove: with its last v4 address a link loses its v4 routes.
        // But v6 has no address twice, not even in networks of two lengths.
        let (first, after): (Vec<_>, Vec<_>) = self.surplus.iter().partition(|old| {
            let same = |new: &InterfaceAddress| new.address() == old.address();
            Family::of(old.address()) == Family::V6 && self.link.addresses.iter().any(same)
        });
        steps.extend(first.into_iter().map(remove));
        let there = |address: &&InterfaceAddress| {
            self.before.is_some_and(|before| before.addresses.contains(*address))
        };
        steps.extend(self.link.addresses.iter().filter(|new| !there(new)).copied().map(add));
        steps.extend(after.into_iter().map(remove));
        if self.link.up && self.before.is_none_or(|before| !before.up) {
            steps.push(Step::SetUp(self.device.clone()));
        }
    }

    /// Whether a route out of the link that was there is still there after the
    /// steps so far.
    fn keeps(&self, route: &Route) -> bool {
        let source = match &route.target {
            RouteTarget::Link { source, .. } => *source,
            RouteTarget::Multipath(_)
            | RouteTarget::Blackhole
            | RouteTarget::Unreachable
            | RouteTarget::Unrecognized => None,
        };
        let here = route.hops().filter(|(device, _)| *device == self.device);
        let vias: Vec<IpAddr> = here.filter_map(|(_, via)| via).collect();
        let stands_on = |old: &InterfaceAddress| {
            let last_v4 = old.address().is_ipv4()
                && !self.link.addresses.iter().any(|kept| kept.address().is_ipv4());
            last_v4
                || source == Some(old.address())
                || vias.iter().any(|via| old.network().contains(*via))
        };
        self.before.is_some() && !self.surplus.iter().any(stands_on)
    }
}

/// The settings that are to be written.
struct Settings<'a> {
    /// Those of no link.
    wide: Vec<(&'a Sysctl, i32)>,
    links: BTreeMap<&'a Device, Vec<(&'a Sysctl, i32)>>,
    observed: &'a BTreeMap<Sysctl, i32>,
    /// Settings the kernel copies to `default` and to every link when they are
    /// written for `all`, and that are about to be.
    spread: BTreeSet<LinkSetting>,
}

impl<'a> Settings<'a> {
    fn of(desired: &'a Namespace, observed: &'a Namespace) -> Self {
        let (desired, observed) = (&desired.sysctls, &observed.sysctls);
        let copied = [LinkSetting::DisableIpv6, LinkSetting::Forwarding];
        let is_written = |setting: &LinkSetting| {
            let all = Sysctl { family: Family::V6, scope: Scope::All, setting: *setting };
            desired.contains_key(&all) && desired.get(&all) != observed.get(&all)
        };
        let spread = copied.into_iter().filter(is_written).collect();
        let (mut wide, mut links) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for (sysctl, value) in desired {
            match &sysctl.scope {
                Scope::Link(device) => links.entry(device).or_default().push((sysctl, *value)),
                Scope::All | Scope::Default => wide.push((sysctl, *value)),
            }
        }
        Self { wide, links, observed, spread }
    }

    fn write_wide(&self, steps: &mut Vec<Step>) {
        let due = self.wide.iter().filter(|(sysctl, value)| self.is_due(sysctl, *value));
        steps.extend(due.map(|(sysctl, value)| Step::SetSysctl((*sysctl).clone(), *value)));
    }

    /// A link made anew has none of the settings the old one had.
    fn write_link(&self, device: &Device, is_kept: bool, steps: &mut Vec<Step>) {
        let of_link = self.links.get(device).into_iter().flatten();
        let due = of_link.filter(|(sysctl, value)| !is_kept || self.is_due(sysctl, *value));
        steps.extend(due.map(|(sysctl, value)| Step::SetSysctl((*sysctl).clone(), *value)));
    }

    fn is_due(&self, sysctl: &Sysctl, value: i32) -> bool {
        let spread = sysctl.family == Family::V6
            && sysctl.scope != Scope::All
            && self.spread.contains(&sysctl.setting);
        spread || self.observed.get(sysctl) != Some(&value)
    }
}
