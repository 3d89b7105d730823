//! What is said while a tenant's namespace is looked at.

use super::bgp::{Scene, TO};
use super::world::World;
use crate::bgp_scene::{announce, attributes, nlri, withdraw};
use lockgate::bgp::{NeighborName, Update};
use lockgate::gateway::{Output as Asked, SocketEvent};
use lockgate::reconcile::{Namespace, RouteKey};
use std::time::Duration;

/// What is asked for of this kind, and is then for the test to do.
fn take(world: &mut World, which: impl Fn(&Asked) -> bool) -> Asked {
    world.collect();
    let at = world.pending.iter().position(which).expect("it was asked for");
    world.pending.remove(at).unwrap()
}

/// A look begins; what it sees is for the test to bring.
fn begin_look(scene: &mut Scene) -> Option<Namespace> {
    scene.world.gateway.handle_dirty(&scene.acme, scene.world.now);
    take(&mut scene.world, |it| matches!(it, Asked::Observe(_)));
    scene.world.kernel.state.tenants.get(&scene.acme).cloned()
}

/// The look ends.
fn end_look(scene: &mut Scene, seen: Option<Namespace>) {
    scene.world.gateway.handle_observed(&scene.acme, Ok(seen), scene.world.now);
}

fn said(network: &str) -> Update {
    announce(attributes("10.136.40.2", &[65_001]), vec![nlri(network)])
}

/// The gateway hears it; what it asks for then is not done.
fn hear(scene: &mut Scene, mut update: Update) {
    let now = scene.world.now;
    scene.routers[0].session.advertise(&mut update, now.mono).unwrap();
    let (ours, theirs) = scene.routers[0].pipe.unwrap();
    let bytes = scene.routers[0].session.unsent(theirs).to_vec();
    scene.routers[0].session.handle_written(theirs, bytes.len(), now.mono);
    let event = SocketEvent::Bytes(bytes);
    let tor = NeighborName::Fabric("tor".to_owned());
    scene.world.gateway.handle_socket(&scene.acme, &tor, ours, &event, now);
}

#[test]
fn a_route_said_during_a_look_waited_for_its_end() {
    let mut scene = Scene::up();
    scene.announce(&["10.140.1.0/24", "10.140.2.0/24"]);
    scene.world.pass(Duration::from_secs(1));
    let acme = scene.acme.clone();
    let seen = begin_look(&mut scene);
    scene.announce(&["10.140.3.0/24"]);
    scene.say(withdraw("10.140.1.0/24"));
    assert_eq!(scene.learned(), [2, 3].map(|n| format!("10.140.{n}.0/24 {TO}")));
    // What it shows is older than what was done meanwhile.
    scene.world.log();
    end_look(&mut scene, seen);
    scene.settle();
    assert_eq!(scene.world.log(), [""; 0], "nothing is undone or done twice");
    scene.world.pass(Duration::from_secs(1));
    assert_eq!(scene.world.deeds(), ["observe acme/gw"], "and it is looked at once more");

    // The look comes to its end while steps are under way.
    let seen = begin_look(&mut scene);
    hear(&mut scene, said("10.140.4.0/24"));
    let apply = take(&mut scene.world, |it| matches!(it, Asked::Apply(..)));
    let namespace = scene.world.kernel.state.tenants.get_mut(&acme).unwrap();
    let lost = namespace.routes.keys().find(|key| key.metric == 32).copied().unwrap();
    namespace.routes.remove(&lost);
    let mut seen = seen.unwrap();
    seen.routes.remove(&lost);
    end_look(&mut scene, Some(seen));
    scene.world.collect();
    assert!(scene.world.pending.is_empty(), "one list of steps at a time");
    scene.world.act(apply);
    scene.settle();
    assert_eq!(scene.learned(), [2, 3, 4].map(|n| format!("10.140.{n}.0/24 {TO}")));
}

/// The look shows how it was before either, and the steps that are through are about what
/// was said first.
#[test]
fn a_route_said_twice_during_a_look_stayed_as_it_was_said_first() {
    for (first, then) in [
        (said("10.140.2.0/24"), withdraw("10.140.2.0/24")),
        (withdraw("10.140.1.0/24"), said("10.140.1.0/24")),
    ] {
        for is_other_lost in [false, true] {
            let mut scene = Scene::up();
            scene.announce(&["10.140.1.0/24", "10.140.3.0/24"]);
            scene.world.pass(Duration::from_secs(1));
            let mut seen = begin_look(&mut scene);
            hear(&mut scene, first.clone());
            let apply = take(&mut scene.world, |it| matches!(it, Asked::Apply(..)));
            hear(&mut scene, then.clone());
            if is_other_lost {
                // Then there is something to be done by what the look shows, too.
                let lost = RouteKey::learned("10.140.3.0/24".parse().unwrap());
                let held = scene.world.kernel.state.tenants.get_mut(&scene.acme).unwrap();
                for namespace in [held, seen.as_mut().unwrap()] {
                    assert!(namespace.routes.remove(&lost).is_some());
                }
            }
            end_look(&mut scene, seen);
            scene.world.act(apply);
            scene.settle();
            // Not only after the look that follows some time later.
            assert_eq!(scene.learned(), [1, 3].map(|n| format!("10.140.{n}.0/24 {TO}")));
        }
    }
}
