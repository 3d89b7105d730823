//! What fails is tried again, less and less often, and disturbs nobody else.

use super::world::{World, config, keyed, name, usual, with_sites};
use lockgate::gateway::Output;
use lockgate::model::FabricLink;
use lockgate::status::{
    ConditionReason, ConditionStatus, ConditionType, EventReason, SiteReason, SiteState,
};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_failing_tenant_backs_off_and_leaves_the_other_alone() {
    let mut world = World::new();
    let config = config(vec![usual("acme"), usual("bolt")]);
    let (acme, bolt) = (name("acme"), name("bolt"));
    world.broken.insert(acme.clone());
    world.serve(&config);
    assert!(world.devices.contains_key(&bolt));
    assert!(world.tenant(&bolt).conditions.holds(ConditionType::Ready));
    let conditions = world.tenant(&acme).conditions;
    let programmed = conditions.find(ConditionType::Programmed).unwrap();
    assert_eq!(programmed.reason, ConditionReason::ApplyFailed);
    assert!(programmed.message.contains("no"), "{}", programmed.message);

    world.log();
    world.pass(Duration::from_secs(50));
    let log = world.log();
    let tries = log.iter().filter(|line| *line == "apply acme/gw").count();
    assert!((5..=10).contains(&tries), "{tries} tries in 50 s");
    // Of the other no more than the look that each has within a minute.
    let of_other: Vec<_> = log.iter().filter(|line| !line.contains("acme")).collect();
    assert!(of_other.is_empty() || of_other == ["observe bolt/gw"], "{log:#?}");
    // The same failure is one event, however often.
    let events = world.tenant(&acme).events;
    let failures = events.iter().filter(|event| event.reason == EventReason::StepFailed);
    assert!(failures.count() <= 2, "{events:#?}");

    world.broken.clear();
    world.pass(Duration::from_secs(31));
    world.assert_settled(&config);
}

/// That is not for want of the customer.
#[test]
fn a_site_of_a_tenant_that_fails_was_called_waiting_for_its_customer() {
    let mut world = World::new();
    let acme = name("acme");
    world.broken.insert(acme.clone());
    world.serve(&config(vec![usual("acme")]));
    let site = world.site(&acme, "hq");
    assert_eq!((site.state, site.reason), (SiteState::NeverConnected, SiteReason::NotProgrammed));
    world.broken.clear();
    world.pass(Duration::from_secs(31));
    assert_ne!(world.site(&acme, "hq").reason, SiteReason::NotProgrammed);
}

#[test]
fn a_fabric_that_cannot_be_had_was_called_programmed() {
    let mut world = World::new();
    let acme = name("acme");
    let mut tenant = usual("acme");
    tenant.fabric.link = FabricLink::Pod("eth0".parse().unwrap());
    world.serve(&config(vec![tenant, usual("bolt")]));
    let conditions = world.tenant(&acme).conditions;
    let programmed = conditions.find(ConditionType::Programmed).unwrap();
    assert_eq!(programmed.status, ConditionStatus::False);
    assert_eq!(programmed.reason, ConditionReason::Unsupported);
    assert!(!conditions.holds(ConditionType::Ready));
    assert!(world.tenant(&name("bolt")).conditions.holds(ConditionType::Ready));
}

#[test]
fn a_namespace_that_cannot_be_looked_at_is_tried_again() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    let acme = name("acme");
    world.load(&config);
    world.collect();
    world.pending.clear();
    world.gateway.handle_observed(&acme, Err("out of memory".to_owned()), world.now);
    world.drain();
    assert!(world.devices.is_empty());
    world.pass(Duration::from_secs(1));
    world.assert_settled(&config);
}

/// N12: what is told while a look is under way may be about what it has passed by.
#[test]
fn a_change_behind_a_look_that_had_begun_is_seen() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    let acme = name("acme");
    world.serve(&config);
    world.gateway.handle_dirty(&acme, world.now);
    world.collect();
    assert!(matches!(world.pending.pop_front(), Some(Output::Observe(_))));
    let seen = world.kernel.state.tenants.get(&acme).cloned();
    world.kernel.state.tenants.get_mut(&acme).unwrap().routes.clear();
    world.gateway.handle_dirty(&acme, world.now);
    world.gateway.handle_observed(&acme, Ok(seen), world.now);
    world.drain();
    world.assert_settled(&config);
}

#[test]
fn a_link_of_the_underlay_that_comes_late_is_taken_at_once() {
    let mut world = World::new();
    let config = config(vec![usual("acme")]);
    world.broken.insert(name("acme"));
    world.serve(&config);
    world.pass(Duration::from_secs(300));
    world.broken.clear();
    world.gateway.handle_underlay(world.now);
    world.drain();
    world.assert_settled(&config);
}

#[test]
fn a_failing_tenant_can_be_removed() {
    let mut world = World::new();
    world.broken.insert(name("acme"));
    world.serve(&config(vec![usual("acme"), usual("bolt")]));
    world.broken.clear();
    world.serve(&config(vec![usual("bolt")]));
    world.assert_settled(&config(vec![usual("bolt")]));
    assert!(!world.kernel.state.tenants.contains_key(&name("acme")));
}

#[test]
fn a_set_was_called_applied_before_the_tenant_it_changed_was_told() {
    let mut world = World::new();
    let mut config = config(vec![usual("acme"), usual("bolt")]);
    world.serve(&config);
    let site = keyed("hq", 1, &["192.168.2.0/24"]);
    config.tenants.insert(name("bolt"), Arc::new(with_sites("bolt", vec![site])));
    world.load(&config);
    let generations = |world: &mut World| {
        let config = world.snapshot().config;
        (config.loaded_generation, config.applied_generation)
    };
    assert_eq!(generations(&mut world), (2, 1));
    world.drain();
    assert_eq!(generations(&mut world), (2, 2));
}
