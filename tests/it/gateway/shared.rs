//! Sessions that tenants share, in the machine: who is of them, and when they are there.

use super::bgp::fabric_bgp;
use super::world::{World, config, name, usual};
use lockgate::bgp::speaker::SocketWork;
use lockgate::model::{Class, Config, Tenant, VpnReflector};
use lockgate::net::Asn;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// A tenant of a class that has a reflector `rr1`, each class another one.
fn of_class(namespace: &str, class: &str, address: [u8; 4]) -> Tenant {
    let mut tenant = usual(namespace);
    let reflector = VpnReflector {
        name: "rr1".to_owned(),
        address: Ipv4Addr::from(address).into(),
        local_asn: Asn::new(64_512).unwrap(),
        router_id: Ipv4Addr::new(10, 1, 0, 2),
        remote_asn: Asn::new(64_512).unwrap(),
        ttl_security: None,
        password: None,
    };
    tenant.class = Arc::new(Class {
        name: class.to_owned(),
        vpn_reflectors: vec![reflector],
        ..(*tenant.class).clone()
    });
    let mut bgp = fabric_bgp();
    bgp.neighbors.clear();
    bgp.import.route_targets = vec!["64512:40".parse().unwrap()];
    tenant.fabric.bgp = Some(bgp);
    tenant
}

fn documents() -> Config {
    config(vec![
        of_class("acme", "default", [10, 1, 0, 100]),
        of_class("beta", "default", [10, 1, 0, 100]),
        of_class("other", "special", [10, 2, 0, 100]),
    ])
}

/// The sessions, and how many tenants hear each.
fn sessions(world: &mut World) -> Vec<String> {
    let snapshot = world.gateway.snapshot(world.now);
    let all = snapshot.reflectors.iter();
    all.map(|it| format!("{}/{} at {}: {}", it.class, it.name, it.address, it.tenants)).collect()
}

/// What sockets were asked for since this was asked last: dials, by the session.
fn dialed(world: &mut World) -> Vec<String> {
    let all = std::mem::take(&mut world.shared).into_iter();
    let dials = all.filter(|(_, work)| matches!(work, SocketWork::Dial(_)));
    dials.map(|(name, _)| name.to_string()).collect()
}

#[test]
fn a_reflector_is_heard_by_the_tenants_of_its_class() {
    let mut world = World::new();
    world.serve(&documents());
    let [shared, alone] = ["default/rr1 at 10.1.0.100", "special/rr1 at 10.2.0.100"];
    assert_eq!(sessions(&mut world), [format!("{shared}: 2"), format!("{alone}: 1")]);
    assert_eq!(dialed(&mut world), ["default/rr1", "special/rr1"]);
    for tenant in ["acme", "other"] {
        let bgp = world.tenant(&name(tenant)).bgp.unwrap();
        let names: Vec<&str> = bgp.neighbors.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["reflector/rr1"], "{tenant}");
    }
    // One that goes leaves the session to the others; with the last it ends.
    let mut without = documents();
    without.tenants.remove(&name("acme"));
    without.tenants.remove(&name("other"));
    world.serve(&without);
    world.pass(Duration::from_secs(5));
    assert_eq!(sessions(&mut world), [format!("{shared}: 1")]);
    // Another address is another session, of nobody else's.
    let moved = config(vec![of_class("beta", "default", [10, 1, 0, 101])]);
    world.serve(&moved);
    assert_eq!(sessions(&mut world), ["default/rr1 at 10.1.0.101: 1"]);
    assert_eq!(dialed(&mut world).last().unwrap(), "default/rr1");
    world.serve(&config(Vec::new()));
    world.pass(Duration::from_secs(5));
    assert_eq!(sessions(&mut world), <[String; 0]>::default());
}

/// Nothing of it may be kept waiting: the process is to end.
#[test]
fn nothing_is_shared_any_more_after_the_end() {
    let mut world = World::new();
    world.serve(&documents());
    world.gateway.stop(world.now);
    world.drain();
    world.pass(Duration::from_secs(5));
    assert!(world.gateway.is_done());
    assert!(sessions(&mut world).iter().all(|it| it.ends_with(": 0")));
    assert_eq!(world.gateway.poll_timeout(), None);
}
