//! What probes found, over a restart.

use super::probes::{
    ANSWER, NO_ANSWER, STEP, alive, one_site, owner, pass, reachable, state, two_sites,
};
use super::world::{World, key, name};
use lockgate::model::Config;
use lockgate::probe::{Outcome, TRIAL};
use lockgate::status::{ConditionStatus, SiteReason, SiteState};

const UP: (SiteState, SiteReason) = (SiteState::Up, SiteReason::SessionAlive);
const LOST: (SiteState, SiteReason) = (SiteState::Blackholed, SiteReason::ProbesLost);

/// The next process, which knows what this one wrote down.
fn restart(world: &World, config: &Config) -> World {
    let mut next = World::on(world.kernel.clone());
    next.gateway.handle_lost_sites(world.gateway.lost_sites());
    next.serve(config);
    next
}

/// A site whose devices fell silent.
fn lost(config: &Config) -> World {
    let mut world = World::new();
    world.serve(config);
    pass(&mut world, 10, |_, _| ANSWER);
    pass(&mut world, 20, |_, _| NO_ANSWER);
    assert_eq!(state(&mut world, "hq"), LOST);
    world
}

/// For eight seconds it was: its networks were advertised, and withdrawn again.
#[test]
fn a_site_that_was_lost_was_taken_for_reachable_after_a_restart() {
    let mut next = restart(&lost(&one_site()), &one_site());
    assert_eq!(state(&mut next, "hq").0, SiteState::NeverConnected);
    assert_eq!(reachable(&mut next, "hq").0, ConditionStatus::False);
    for _ in 0..20 {
        pass(&mut next, 1, |_, _| NO_ANSWER);
        assert_eq!(state(&mut next, "hq"), LOST);
    }
    let events = next.tenant(&name("acme")).events;
    assert!(events.iter().all(|it| !it.message.contains("→ Up")), "{events:?}");
    // And over another one, that comes before its tunnel does.
    let mut next = restart(&next, &one_site());
    next.pass(STEP);
    let mut next = restart(&next, &one_site());
    pass(&mut next, 1, |_, _| NO_ANSWER);
    assert_eq!(state(&mut next, "hq"), LOST);

    pass(&mut next, 7, |_, _| ANSWER);
    assert_eq!(state(&mut next, "hq"), UP);
    assert!(next.gateway.lost_sites().is_empty());
}

/// It is asked as soon as its tunnel is up, and one answer is enough.
#[test]
fn a_site_that_came_back_meanwhile_is_there_with_its_first_answer() {
    let mut next = restart(&lost(&one_site()), &one_site());
    pass(&mut next, 1, |_, _| ANSWER);
    assert_eq!(state(&mut next, "hq"), UP);
}

/// Nothing can answer before the first handshake.
#[test]
fn a_site_that_was_reachable_is_not_taken_for_lost_while_its_tunnel_comes_up() {
    let mut world = World::new();
    world.serve(&one_site());
    pass(&mut world, 10, |_, _| ANSWER);
    let mut next = restart(&world, &one_site());
    for _ in 0..40 {
        next.pass(STEP);
        for (tenant, shot) in std::mem::take(&mut next.shots) {
            next.gateway.handle_probe(&tenant, &shot.probe, shot.number, NO_ANSWER, next.now);
        }
        assert!(next.gateway.lost_sites().is_empty(), "that is the tunnel's");
    }
    let alive = alive(&next);
    next.sample(&name("acme"), &[(key(1), alive)]);
    assert_eq!(state(&mut next, "hq"), UP);
    pass(&mut next, 10, |_, _| ANSWER);
    let events = next.tenant(&name("acme")).events;
    assert!(events.iter().all(|it| !it.message.contains("Blackholed")), "{events:?}");
}

/// The other site serves on from the first device that the next process makes; the lost
/// one has its networks back after its trial, as ever.
#[test]
fn a_backup_that_served_serves_on_over_a_restart() {
    let mut world = World::new();
    world.serve(&two_sites());
    pass(&mut world, 10, |_, _| ANSWER);
    pass(&mut world, 20, |world, _| if owner(world) == "hq" { NO_ANSWER } else { ANSWER });
    assert_eq!((owner(&world), state(&mut world, "hq")), ("backup", LOST));
    let mut next = restart(&world, &two_sites());
    assert_eq!(owner(&next), "backup");
    let main_is_back = |world: &World, _| -> Outcome {
        assert!(["hq", "backup"].contains(&owner(world)));
        ANSWER
    };
    for _ in 0..20 {
        pass(&mut next, 1, main_is_back);
        assert_eq!(owner(&next), "backup");
    }
    pass(&mut next, 2 * TRIAL.as_secs(), main_is_back);
    assert_eq!(owner(&next), "hq");
    assert_eq!(state(&mut next, "hq"), UP);
}
