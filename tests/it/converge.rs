//! Properties of plans over thousands of states by lot, on a simulated kernel.

use crate::random_config::{Lot, random_config};
use crate::sim_kernel::{SimKernel, foreign, vandalize};
use lockgate::model::Placement;
use lockgate::net::TenantName;
use lockgate::reconcile::{
    Device, Family, Hop, KernelState, LinkKind, Namespace, Route, RouteKey, RouteTarget, desired,
    plan,
};
use std::collections::BTreeSet;

const PLACEMENTS: [Placement; 2] = [Placement::PerTenant, Placement::Current];

#[test]
fn one_apply_converges_from_anywhere_to_anywhere() {
    for seed in 0..2_000 {
        let (mut kernel, desired, placement) = somewhere(seed);
        let before = foreign(&kernel);
        kernel.apply(&plan(&desired, &kernel.state, placement));
        let again = plan(&desired, &kernel.state, placement);
        assert_eq!(again.to_string(), "", "seed {seed}");
        assert_holds(&desired, &kernel.state, seed);
        assert_eq!(foreign(&kernel), before, "seed {seed}: something foreign was touched");
    }
}

#[test]
fn a_plan_broken_off_at_any_step_is_taken_up_again() {
    for seed in 0..120 {
        let (start, desired, placement) = somewhere(seed);
        let whole = plan(&desired, &start.state, placement);
        for (tenant, steps) in &whole.tenants {
            let mut kernel = start.clone();
            for done in 0..steps.len() {
                if 0 < done {
                    kernel.step(tenant, &steps[done - 1]);
                }
                let mut kernel = kernel.clone();
                kernel.apply(&plan(&desired, &kernel.state, placement));
                assert!(plan(&desired, &kernel.state, placement).is_empty(), "seed {seed}");
                assert_holds(&desired, &kernel.state, seed);
            }
        }
    }
}

#[test]
fn every_step_may_be_repeated() {
    use lockgate::reconcile::Step;
    for seed in 0..300 {
        let (mut kernel, desired, placement) = somewhere(seed);
        for (tenant, steps) in &plan(&desired, &kernel.state, placement).tenants {
            for step in steps {
                kernel.step(tenant, step);
                // What the shell makes of EEXIST and ENODEV is the shell's.
                let once = matches!(
                    step,
                    Step::CreateNetns
                        | Step::DeleteNetns
                        | Step::CreateLink(..)
                        | Step::DeleteLink(..)
                        | Step::ReturnLink(..)
                );
                if !once {
                    let state = kernel.state.clone();
                    kernel.step(tenant, step);
                    assert_eq!(kernel.state, state, "seed {seed}: {step}");
                }
            }
        }
    }
}

#[test]
fn isolation_is_not_open_at_any_step() {
    for seed in 0..2_000 {
        let (mut kernel, desired, placement) = somewhere(seed);
        let whole = plan(&desired, &kernel.state, placement);
        for (tenant, steps) in &whole.tenants {
            let first = kernel.state.tenants.get(tenant).and_then(|n| n.ruleset.clone());
            let wanted = desired.tenants.get(tenant).and_then(|n| n.ruleset.clone());
            for step in steps {
                let before = kernel.state.tenants.get(tenant).is_some_and(forwards);
                kernel.step(tenant, step);
                let Some(namespace) = kernel.state.tenants.get(tenant) else { continue };
                if forwards(namespace) {
                    // While it is taken away the rules it had remain in force.
                    let rules = if wanted.is_some() { &wanted } else { &first };
                    assert_eq!(
                        &namespace.ruleset, rules,
                        "seed {seed}: after {step} packets pass without the rules"
                    );
                    assert!(before || wanted.is_some(), "seed {seed}: {step} opened a way");
                }
            }
        }
    }
}

/// Whether the tenant's tunnels and something else are up together.
fn forwards(namespace: &Namespace) -> bool {
    let ours = |kind: &LinkKind| *kind != LinkKind::Foreign;
    let tunnel = namespace
        .links
        .values()
        .any(|link| matches!(link.kind, LinkKind::Tun | LinkKind::WireGuard) && link.up);
    tunnel && 1 < namespace.links.values().filter(|link| link.up && ours(&link.kind)).count()
}

/// A kernel that held one config and was then worked on by vandals, and what it
/// should hold.
fn somewhere(seed: u64) -> (SimKernel, KernelState, Placement) {
    let mut lot = Lot(seed);
    let placement = PLACEMENTS[lot.below(2)];
    let mut kernel = SimKernel::new(placement);
    if !lot.one_in(4) {
        let mut first = desired(&random_config(&mut lot, placement), placement);
        learn(&mut first, &mut lot);
        kernel.apply(&plan(&first, &kernel.state, placement));
        for _ in 0..lot.below(5) {
            vandalize(&mut kernel, &mut lot);
        }
    }
    let mut desired = desired(&random_config(&mut lot, placement), placement);
    learn(&mut desired, &mut lot);
    (kernel, desired, placement)
}

/// Routes as BGP would bring them, over links that are there.
fn learn(state: &mut KernelState, lot: &mut Lot) {
    for namespace in state.tenants.values_mut() {
        let links: Vec<Device> = namespace.links.keys().cloned().collect();
        // Without v6 there is no such table.
        let v6 = namespace.routes.contains_key(&RouteKey::last(Family::V6));
        let prefixes = ["10.8.1.0/24", "10.8.2.0/24", "2001:db8:9::/64"];
        for prefix in prefixes.into_iter().take(if v6 { 3 } else { 2 }) {
            let via = |lot: &mut Lot| {
                lot.pick(&[
                    None,
                    Some("10.255.0.1".parse().unwrap()),
                    Some("fe80::1".parse().unwrap()),
                ])
            };
            let target = match lot.below(4) {
                0 => RouteTarget::Blackhole,
                1 if !links.is_empty() => {
                    RouteTarget::Link { device: lot.pick(&links), via: via(lot), source: None }
                }
                2 if !links.is_empty() => {
                    let hop = |lot: &mut Lot| Hop { device: lot.pick(&links), via: via(lot) };
                    let hops: BTreeSet<Hop> = (0..4).map(|_| hop(lot)).collect();
                    if hops.len() < 2 {
                        continue;
                    }
                    RouteTarget::Multipath(hops)
                }
                _ => continue,
            };
            let key = RouteKey::learned(prefix.parse().unwrap());
            namespace.routes.insert(key, Route { target });
        }
    }
}

/// Checks that `observed` holds all that is desired and nothing of ours beside it.
#[track_caller]
fn assert_holds(desired: &KernelState, observed: &KernelState, seed: u64) {
    let empty = Namespace::default();
    let name = TenantName::new("acme", "gw").unwrap();
    for (tenant, have) in &observed.tenants {
        let want = desired.tenants.get(tenant).unwrap_or_else(|| {
            // The pod's namespace outlives its tenant.
            assert_eq!(*tenant, name, "seed {seed}: {tenant} is still there");
            &empty
        });
        assert_eq!(have.ruleset, want.ruleset, "seed {seed}");
        assert_eq!(have.routes, want.routes, "seed {seed}");
        for (sysctl, value) in &want.sysctls {
            assert_eq!(have.sysctls.get(sysctl), Some(value), "seed {seed}: {sysctl}");
        }
        for (device, link) in &have.links {
            match want.links.get(device) {
                None => assert_eq!(link.kind, LinkKind::Foreign, "seed {seed}: {device}"),
                Some(wanted) if wanted.kind == LinkKind::Foreign => {}
                Some(wanted) => {
                    assert_eq!(link.kind, wanted.kind, "seed {seed}: {device}");
                    assert_eq!(link.addresses, wanted.addresses, "seed {seed}: {device}");
                    assert!(wanted.mtu.is_none() || link.mtu == wanted.mtu, "seed {seed}");
                    assert!(link.up, "seed {seed}: {device} is down");
                }
            }
        }
        assert!(want.links.keys().all(|device| have.links.contains_key(device)), "seed {seed}");
    }
    assert!(desired.tenants.keys().all(|tenant| observed.tenants.contains_key(tenant)));
}
