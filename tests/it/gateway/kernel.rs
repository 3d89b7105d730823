//! The way of a tenant's namespace: made, changed, repaired, removed.

use super::world::{World, config, keyed, name, usual, with_sites};
use crate::random_config::{Lot, random_config};
use crate::sim_kernel::{SimKernel, write};
use lockgate::gateway::Output;
use lockgate::model::{Config, Placement, Refusal, RefusalReason};
use lockgate::net::{ManagedName, TenantName};
use lockgate::reconcile::Step;
use lockgate::status::{ConditionType, EventReason, ReloadOutcome};
use std::time::Duration;

fn serving(names: &[&str]) -> (World, Config) {
    let mut world = World::new();
    let config = config(names.iter().map(|name| usual(name)).collect());
    world.serve(&config);
    world.assert_settled(&config);
    world.log();
    (world, config)
}

fn events(world: &mut World, tenant: &TenantName) -> Vec<EventReason> {
    world.tenant(tenant).events.iter().map(|event| event.reason).collect()
}

#[test]
fn a_new_tenant_is_looked_at_made_looked_at_again_and_attached() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    world.serve(&config);
    let order = ["observe acme/gw", "apply acme/gw", "observe acme/gw", "attach acme/gw"];
    assert_eq!(world.deeds(), order);
    world.assert_settled(&config);
    assert!(world.tenant(&name("acme")).conditions.holds(ConditionType::Ready));
}

#[test]
fn rules_come_before_links_and_links_before_the_device() {
    let mut world = World::new();
    world.serve(&config(vec![usual("acme")]));
    let log = world.log();
    let at = |what: &str| log.iter().position(|line| line.contains(what)).expect("a step");
    assert!(at("+ netns") < at("~ ruleset"));
    assert!(at("~ ruleset") < at("+ link lg-wg"));
    assert!(at("+ link lg-wg") < at("attach"));
}

#[test]
fn a_removed_tenant_carries_nothing_before_its_rules_go() {
    let (mut world, _) = serving(&["acme", "bolt"]);
    world.serve(&config(vec![usual("bolt")]));
    let deeds = world.deeds();
    assert_eq!(deeds[0], "detach acme/gw");
    assert!(deeds.iter().all(|line| line.ends_with("acme/gw")), "{deeds:?}");
    world.assert_settled(&config(vec![usual("bolt")]));
    assert!(!world.kernel.state.tenants.contains_key(&name("acme")));
}

#[test]
fn a_tenant_that_comes_back_while_it_goes_is_looked_at_before_it_is_attached() {
    let (mut world, config) = serving(&["acme"]);
    world.load(&Config::default());
    // Up to the removal of its namespace, which has begun and not ended.
    while !matches!(world.pending.front(), Some(Output::Apply(..))) {
        world.collect();
        if let Some(output) = world.pending.pop_front_if(|it| !matches!(it, Output::Apply(..))) {
            world.act(output);
        }
    }
    world.load(&config);
    world.collect();
    let early: Vec<_> =
        world.pending.iter().filter(|it| matches!(it, Output::Attach(..))).collect();
    assert!(early.is_empty(), "attached by what was seen before: {early:?}");
    world.drain();
    world.assert_settled(&config);
}

#[test]
fn a_refused_tenant_goes_on_as_it_was() {
    let (mut world, _) = serving(&["acme", "bolt"]);
    let mut half = config(vec![usual("bolt")]);
    half.refused.push(Refusal {
        tenant: name("acme"),
        site: None,
        reason: RefusalReason::Invalid,
        message: "no".to_owned(),
    });
    world.serve(&half);
    assert_eq!(world.deeds(), [""; 0]);
    assert!(world.devices.contains_key(&name("acme")));
    assert!(world.kernel.state.tenants.contains_key(&name("acme")));
    // Nor does it go when a new process finds its namespace.
    let mut next = World::on(world.kernel.clone());
    next.load(&half);
    next.gateway.handle_present(vec![name("acme"), name("bolt")], next.now);
    next.pass(Duration::from_secs(300));
    assert!(next.kernel.state.tenants.contains_key(&name("acme")));
}

#[test]
fn a_namespace_that_nobody_wants_is_removed_at_the_start() {
    let (world, _) = serving(&["acme", "bolt"]);
    let mut next = World::on(world.kernel);
    next.load(&config(vec![usual("bolt")]));
    next.gateway.handle_present(vec![name("acme"), name("bolt")], next.now);
    next.drain();
    next.assert_settled(&config(vec![usual("bolt")]));
    let deeds = next.log();
    assert!(!deeds.iter().any(|line| line.contains("  bolt")), "bolt was touched: {deeds:#?}");
}

#[test]
fn documents_with_errors_change_nothing_and_are_told() {
    let (mut world, _) = serving(&["acme", "bolt"]);
    world.gateway.handle_refused_config(vec!["x.yaml: no".to_owned()], world.now);
    world.drain();
    assert_eq!(world.deeds(), [""; 0]);
    let reload = world.snapshot().config.last_reload.unwrap();
    assert_eq!(reload.outcome, ReloadOutcome::Refused);
    assert_eq!(reload.errors, ["x.yaml: no"]);
    for tenant in ["acme", "bolt"] {
        assert!(events(&mut world, &name(tenant)).contains(&EventReason::ConfigRefused));
    }
}

#[test]
fn the_same_documents_again_ask_for_nothing() {
    let (mut world, config) = serving(&["acme", "bolt"]);
    world.serve(&config);
    assert_eq!(world.deeds(), [""; 0]);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.config.loaded_generation, 2);
    assert_eq!(snapshot.config.applied_generation, 2);
}

#[test]
fn one_tenants_change_is_nothing_to_the_other() {
    let (mut world, _) = serving(&["acme", "bolt"]);
    let sites = vec![keyed("hq", 1, &["192.168.7.0/24"])];
    let changed = config(vec![usual("bolt"), with_sites("acme", sites)]);
    world.serve(&changed);
    let log = world.log();
    assert!(!log.is_empty() && log.iter().all(|line| line.contains("acme/gw")), "{log:#?}");
    world.assert_settled(&changed);
}

#[test]
fn drift_is_repaired_and_told() {
    let (mut world, config) = serving(&["acme", "bolt"]);
    let acme = name("acme");
    world.kernel.state.tenants.get_mut(&acme).unwrap().ruleset = None;
    world.gateway.handle_dirty(&acme, world.now);
    world.drain();
    assert_eq!(world.deeds(), ["observe acme/gw", "apply acme/gw", "observe acme/gw"]);
    world.assert_settled(&config);
    assert!(events(&mut world, &acme).contains(&EventReason::DriftRepaired));
    assert!(!events(&mut world, &name("bolt")).contains(&EventReason::DriftRepaired));
}

#[test]
fn tenants_that_began_together_were_all_looked_at_together() {
    let names: Vec<String> = (0..60).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut world, _) = serving(&names);
    let mut looks = Vec::new();
    for _ in 0..60 {
        world.pass(Duration::from_secs(1));
        looks.push(world.log().iter().filter(|line| line.starts_with("observe")).count());
    }
    assert!(60 <= looks.iter().sum::<usize>(), "{looks:?}");
    assert!(looks.iter().all(|looks| *looks <= 8), "{looks:?}");
}

#[test]
fn drift_that_nobody_told_of_is_found_within_a_minute() {
    let (mut world, config) = serving(&["acme"]);
    world.kernel.state.tenants.get_mut(&name("acme")).unwrap().routes.clear();
    world.pass(Duration::from_secs(60));
    world.assert_settled(&config);
}

#[test]
fn a_deleted_namespace_is_made_anew() {
    let (mut world, config) = serving(&["acme"]);
    let acme = name("acme");
    world.kernel.step(&acme, &Step::DeleteLink(ManagedName::fabric()));
    world.kernel.state.tenants.remove(&acme);
    world.lose_tuns();
    world.gateway.handle_dirty(&acme, world.now);
    world.pass(Duration::from_secs(2));
    world.assert_settled(&config);
}

#[test]
fn stopping_leaves_nothing() {
    let (mut world, _) = serving(&["acme", "bolt"]);
    world.gateway.stop(world.now);
    world.drain();
    assert!(world.gateway.is_done());
    assert!(world.kernel.state.tenants.is_empty());
    assert!(world.devices.is_empty());
}

#[test]
fn documents_that_come_while_stopping_bring_nobody_back() {
    let (mut world, config) = serving(&["acme"]);
    world.gateway.stop(world.now);
    world.serve(&config);
    assert!(world.gateway.is_done());
    assert!(world.kernel.state.tenants.is_empty());
}

#[test]
fn a_condition_keeps_the_time_it_last_changed() {
    let (mut world, config) = serving(&["acme"]);
    let acme = name("acme");
    let since = |world: &mut World| {
        let conditions = world.tenant(&acme).conditions;
        conditions.find(ConditionType::Programmed).unwrap().last_transition_time
    };
    let first = since(&mut world);
    world.pass(Duration::from_secs(500));
    world.serve(&config);
    assert_eq!(since(&mut world), first);
    world.broken.insert(acme.clone());
    let sites = vec![keyed("hq", 1, &["192.168.7.0/24", "192.168.8.0/24"])];
    let began = world.now.wall;
    world.serve(&super::world::config(vec![with_sites("acme", sites)]));
    assert_eq!(since(&mut world), began);
    let reload = world.tenant(&acme).conditions;
    assert!(!reload.holds(ConditionType::Ready));
    world.broken.clear();
    world.pass(Duration::from_secs(40));
    assert!(began < since(&mut world));
    assert!(world.tenant(&acme).conditions.holds(ConditionType::Ready));
}

/// In a pod the links are somebody else's and stay, and so did what was set on
/// them: they went on forwarding, with no rules any more.
#[test]
fn a_pod_went_on_forwarding_when_the_tenant_was_gone() {
    for seed in 0..200 {
        let mut lot = Lot(seed);
        let mut pod = SimKernel::new(Placement::Current);
        // Somebody forwards on one of the links, and this is not to end.
        let forwards = "net.ipv6.conf.ens1.forwarding".parse().unwrap();
        write(pod.state.tenants.get_mut(&name("acme")).unwrap(), &forwards, 1);
        let before = pod.state.clone();
        let mut world = World::on(pod);
        let mut serves = false;
        for _ in 0..3 {
            let config = random_config(&mut lot, Placement::Current);
            serves |= !config.tenants.is_empty();
            world.serve(&config);
            // The process is killed, and another one has what was written down.
            let mut next = World::on(world.kernel.clone());
            let borrowed = world.gateway.borrowed().clone();
            next.gateway.handle_memory(world.gateway.endpoints(), borrowed);
            next.serve(&config);
            world = next;
        }
        world.gateway.stop(world.now);
        world.drain();
        assert!(world.gateway.is_done());
        let acme = name("acme");
        let (before, after) = (&before.tenants[&acme], &world.kernel.state.tenants[&acme]);
        for (sysctl, value) in &before.sysctls {
            assert_eq!(after.sysctls[sysctl], *value, "seed {seed}: {sysctl}, serving: {serves}");
        }
        assert_eq!(after.ruleset, None);
        assert!(after.links.keys().eq(before.links.keys()), "seed {seed}");
    }
}

/// In a pod all tenants have the same namespace. One that came while another
/// went lost its rules and its TUN to the other's going.
#[test]
fn in_a_pod_a_tenant_came_before_the_other_was_gone() {
    let mut world = World::on(SimKernel::new(Placement::Current));
    world.serve(&config(vec![usual("acme")]));
    world.load(&config(vec![usual("bolt")]));
    let (acme, bolt) = (name("acme"), name("bolt"));
    for _ in 0..20 {
        world.collect();
        let output = world.pending.pop_front().expect("the other one comes");
        if matches!(&output, Output::Observe(name) if *name == bolt) {
            let pod = &world.kernel.state.tenants[&acme];
            assert_eq!(pod.ruleset, None, "the one before has not gone yet");
            assert!(world.devices.is_empty());
            return;
        }
        world.act(output);
    }
    panic!("the other one never comes");
}
