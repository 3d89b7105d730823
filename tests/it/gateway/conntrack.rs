//! A tenant's connection tracking: when it is told of, and what is shown.

use super::world::{World, config, name, usual};
use lockgate::net::TenantName;
use lockgate::reconcile::ConntrackSample;
use lockgate::status::{DropPlace, EventReason};
use std::collections::BTreeMap;

/// Tells of the table, and gives what is then said of it since the last call.
fn tell(world: &mut World, tenant: &TenantName, entries: u32, dropped: u64) -> Vec<String> {
    let events = |world: &mut World| {
        let events = world.tenant(tenant).events.into_iter();
        let of_table = events.filter(|event| event.reason == EventReason::ConntrackLimit);
        of_table.flat_map(|it| vec![it.message; it.count.0 as usize]).collect::<Vec<_>>()
    };
    let before = events(world).len();
    let sample = ConntrackSample { entries, maximum: 1_000, dropped, evicted: 7 };
    world.gateway.handle_counters(tenant, BTreeMap::new(), Some(sample), world.now);
    events(world).split_off(before)
}

#[test]
fn a_full_connection_table_is_told_of_once_and_its_drops_are_shown() {
    let (mut world, acme) = (World::new(), name("acme"));
    world.serve(&config(vec![usual("acme"), usual("bolt")]));
    assert_eq!(world.tenant(&acme).conntrack, None);
    let nothing = Vec::<String>::new();
    // What was lost before anybody looked is shown, and no news.
    assert_eq!(tell(&mut world, &acme, 899, 5), nothing);
    assert!(tell(&mut world, &acme, 900, 5)[0].starts_with("900 of 1000 conversations"));
    assert_eq!(tell(&mut world, &acme, 950, 5), nothing);
    assert_eq!(tell(&mut world, &acme, 810, 5), nothing);
    assert_eq!(tell(&mut world, &acme, 900, 5), nothing);
    let full = tell(&mut world, &acme, 1_000, 8);
    assert!(full[0].contains("were dropped (8 so far)"), "{full:?}");
    assert_eq!(tell(&mut world, &acme, 1_000, 9), nothing);
    assert!(tell(&mut world, &acme, 700, 9)[0].ends_with("there is room again"));
    // It was full between two looks.
    assert!(tell(&mut world, &acme, 600, 10)[0].contains("were dropped"));

    let tenant = world.tenant(&acme);
    let table = tenant.conntrack.unwrap();
    assert_eq!((table.entries, table.maximum, table.evicted.0), (600, 1_000, 7));
    let drop = tenant.drops.iter().find(|it| it.place == DropPlace::Conntrack).unwrap();
    assert_eq!((drop.reason.as_str(), drop.packets.0), ("table_full", 10));
    assert_eq!(world.tenant(&name("bolt")).conntrack, None);
}

#[test]
fn a_connection_table_without_end_is_never_full() {
    let (mut world, acme) = (World::new(), name("acme"));
    world.serve(&config(vec![usual("acme")]));
    let sample = ConntrackSample { entries: u32::MAX, ..ConntrackSample::default() };
    world.gateway.handle_counters(&acme, BTreeMap::new(), Some(sample), world.now);
    assert!(!world.tenant(&acme).conntrack.unwrap().is_nearly_full());
    let mut events = world.tenant(&acme).events.into_iter();
    assert!(!events.any(|event| event.reason == EventReason::ConntrackLimit));
}
