//! Sites whose devices are asked, and what follows when they fall silent.

use super::vlans::{link, tell, vlan, way};
use super::world::{World, config, key, keyed, name, with_sites};
use lockgate::gateway::Output;
use lockgate::model::limits::PROBES_UNDER_WAY;
use lockgate::model::{Config, Probe, Site};
use lockgate::net::{Prefix, TenantName};
use lockgate::probe::{Failure, Outcome, TRIAL, Target};
use lockgate::reconcile::Answer;
use lockgate::status::{
    ConditionReason, ConditionStatus, ConditionType, EventReason, ProbeState, SiteReason, SiteState,
};
use lockgate::wireguard::PeerSample;
use std::time::Duration;

const LAN: &str = "192.168.1.0/24";
const DEVICE: &str = "192.168.1.10";
pub(super) const ANSWER: Outcome = Outcome::Answered(Duration::from_millis(5));
pub(super) const NO_ANSWER: Outcome = Outcome::Lost(Failure::Timeout);
pub(super) const STEP: Duration = Duration::from_millis(500);

pub(super) fn probing(mut site: Site, targets: &[(&str, Option<u16>)]) -> Site {
    let probe = |(address, tcp_port): &(&str, Option<u16>)| Probe {
        address: address.parse().unwrap(),
        tcp_port: *tcp_port,
        interval: Duration::from_secs(5),
    };
    site.probes = targets.iter().map(probe).collect();
    site
}

pub(super) fn hq() -> Site {
    probing(keyed("hq", 1, &[LAN]), &[(DEVICE, None)])
}

pub(super) fn one_site() -> Config {
    config(vec![with_sites("acme", vec![hq()])])
}

/// A main site and its backup, both asking the same device.
pub(super) fn two_sites() -> Config {
    let mut backup = probing(keyed("backup", 2, &[LAN]), &[(DEVICE, None)]);
    backup.priority = 50;
    config(vec![with_sites("acme", vec![hq(), backup])])
}

/// A peer that has just shaken hands.
pub(super) fn alive(world: &World) -> PeerSample {
    PeerSample {
        last_handshake: Some(world.now.wall),
        last_received: Some(world.now.wall),
        received_bytes: 1,
        handshakes: 1,
        ..PeerSample::default()
    }
}

/// Time passes; tunnels 1 and 2 stand meanwhile, and devices answer as `device` says.
pub(super) fn pass(world: &mut World, seconds: u64, device: impl Fn(&World, Target) -> Outcome) {
    for _ in 0..seconds * 2 {
        let alive = alive(world);
        let tenants: Vec<TenantName> = world.devices.keys().cloned().collect();
        for tenant in tenants {
            world.sample(&tenant, &[(key(1), alive), (key(2), alive)]);
        }
        world.pass(STEP);
        for (tenant, shot) in std::mem::take(&mut world.shots) {
            let outcome = device(world, shot.probe.target);
            world.gateway.handle_probe(&tenant, &shot.probe, shot.number, outcome, world.now);
            world.drain();
        }
    }
}

/// Whose tunnel has the network.
pub(super) fn owner(world: &World) -> &'static str {
    let lan: Prefix = LAN.parse().unwrap();
    let peers = &world.devices[&name("acme")].peers;
    match [1, 2].map(|number| peers[&key(number)].allowed_ips.contains(&lan)) {
        [true, false] => "hq",
        [false, true] => "backup",
        other => panic!("{other:?}"),
    }
}

pub(super) fn reachable(
    world: &mut World,
    site: &str,
) -> (ConditionStatus, ConditionReason, String) {
    let site = world.site(&name("acme"), site);
    let condition = site.conditions.find(ConditionType::Reachable).unwrap();
    (condition.status, condition.reason, condition.message.clone())
}

pub(super) fn state(world: &mut World, site: &str) -> (SiteState, SiteReason) {
    let site = world.site(&name("acme"), site);
    (site.state, site.reason)
}

#[test]
fn a_device_that_answers_is_reachable_and_shown() {
    let mut world = World::new();
    world.serve(&one_site());
    assert_eq!(reachable(&mut world, "hq").0, ConditionStatus::Unknown);
    pass(&mut world, 20, |_, _| ANSWER);
    assert_eq!(state(&mut world, "hq"), (SiteState::Up, SiteReason::SessionAlive));
    let (status, reason, message) = reachable(&mut world, "hq");
    assert_eq!((status, reason), (ConditionStatus::True, ConditionReason::ProbesAnswered));
    assert_eq!(message, "192.168.1.10 answers");
    let probe = &world.site(&name("acme"), "hq").probes[0];
    assert_eq!((probe.state, probe.lost.0), (ProbeState::Answered, 0));
    assert_eq!(probe.last_micros, Some(5_000));
    assert_eq!(probe.recent.micros.len() as u64, probe.sent.0);
    assert!(2 < probe.sent.0);
    let events = world.tenant(&name("acme")).events;
    assert!(events.iter().all(|it| it.reason != EventReason::ProbeAnswered), "it is no news");
}

#[test]
fn nothing_is_asked_before_a_tunnel_can_carry_it() {
    let mut world = World::new();
    world.broken.insert(name("acme"));
    world.serve(&one_site());
    pass(&mut world, 60, |_, _| panic!("asked without rules and links"));
    world.broken.clear();
    world.pass(Duration::from_secs(400));
    assert!(!world.shots.is_empty());
}

#[test]
fn a_tunnel_that_shakes_hands_with_a_dead_network_behind_it_was_up() {
    let mut world = World::new();
    world.serve(&one_site());
    pass(&mut world, 10, |_, _| ANSWER);
    pass(&mut world, 20, |_, _| NO_ANSWER);
    assert_eq!(state(&mut world, "hq"), (SiteState::Blackholed, SiteReason::ProbesLost));
    let site = world.site(&name("acme"), "hq");
    assert!(site.message.contains("192.168.1.10: no answer"), "{}", site.message);
    assert!(!site.conditions.holds(ConditionType::Connected));
    let (status, reason, message) = reachable(&mut world, "hq");
    assert_eq!((status, reason), (ConditionStatus::False, ConditionReason::ProbesLost));
    assert_eq!(message, "192.168.1.10: no answer");
    let events = world.tenant(&name("acme")).events;
    let told = |reason, text: &str| {
        events.iter().any(|it| it.reason == reason && it.message.contains(text))
    };
    assert!(told(EventReason::ProbeFailed, "192.168.1.10: no answer"), "{events:?}");
    assert!(told(EventReason::SiteStateChanged, "192.168.1.10"), "{events:?}");

    pass(&mut world, 7, |_, _| ANSWER);
    assert_eq!(state(&mut world, "hq"), (SiteState::Up, SiteReason::SessionAlive));
    assert_eq!(reachable(&mut world, "hq").0, ConditionStatus::True);
    let events = world.tenant(&name("acme")).events;
    assert_eq!(events.iter().filter(|it| it.reason == EventReason::ProbeAnswered).count(), 1);
}

#[test]
fn one_dead_device_of_several_is_told_and_takes_nothing_down() {
    let mut world = World::new();
    let site = probing(keyed("hq", 1, &[LAN]), &[(DEVICE, None), ("192.168.1.11", Some(22))]);
    world.serve(&config(vec![with_sites("acme", vec![site])]));
    let dead = |_: &World, target: Target| match target.tcp_port {
        Some(_) => NO_ANSWER,
        None => ANSWER,
    };
    pass(&mut world, 30, dead);
    assert_eq!(state(&mut world, "hq").0, SiteState::Up);
    let (status, reason, message) = reachable(&mut world, "hq");
    assert_eq!((status, reason), (ConditionStatus::False, ConditionReason::ProbeFailed));
    assert_eq!(message, "192.168.1.11:22: no answer");
}

#[test]
fn a_port_that_refuses_takes_nothing_down() {
    let mut world = World::new();
    let site = probing(keyed("hq", 1, &[LAN]), &[(DEVICE, Some(22))]);
    world.serve(&config(vec![with_sites("acme", vec![site])]));
    pass(&mut world, 30, |_, _| Outcome::Refused(Duration::from_millis(1)));
    assert_eq!(state(&mut world, "hq").0, SiteState::Up);
    let (status, _, message) = reachable(&mut world, "hq");
    assert_eq!(
        (status, message.as_str()),
        (ConditionStatus::False, "192.168.1.10:22 refuses the connection")
    );
}

#[test]
fn answers_never_keep_a_dead_tunnel_up() {
    let mut world = World::new();
    let acme = name("acme");
    world.serve(&one_site());
    pass(&mut world, 10, |_, _| ANSWER);
    let dead = dead(&world);
    world.sample(&acme, &[(key(1), dead)]);
    world.pass(Duration::from_secs(6));
    for (tenant, shot) in std::mem::take(&mut world.shots) {
        world.gateway.handle_probe(&tenant, &shot.probe, shot.number, ANSWER, world.now);
    }
    assert_eq!(state(&mut world, "hq"), (SiteState::Down, SiteReason::HandshakeTimeout));
}

#[test]
fn a_backup_serves_while_no_device_answers_behind_the_first() {
    let mut world = World::new();
    world.serve(&two_sites());
    pass(&mut world, 10, |_, _| ANSWER);
    assert_eq!(owner(&world), "hq");
    // What is asked goes by the first: of the backup it says nothing.
    let probe = world.site(&name("acme"), "backup").probes[0].clone();
    assert_eq!((probe.state, probe.sent.0), (ProbeState::StandingBy, 0));
    assert_eq!(reachable(&mut world, "backup").0, ConditionStatus::Unknown);
    assert_eq!(state(&mut world, "backup").0, SiteState::Up);

    let behind_backup = |world: &World, _| if owner(world) == "hq" { NO_ANSWER } else { ANSWER };
    pass(&mut world, 20, behind_backup);
    assert_eq!(owner(&world), "backup");
    assert_eq!(state(&mut world, "hq").0, SiteState::Blackholed);
    assert_eq!(reachable(&mut world, "hq").0, ConditionStatus::False);
    assert_eq!(reachable(&mut world, "backup").0, ConditionStatus::True);
    let sent = world.site(&name("acme"), "hq").probes[0].sent;
    pass(&mut world, 60, behind_backup);
    assert_eq!(world.site(&name("acme"), "hq").probes[0].sent, sent, "it would ask the other");
    assert_eq!(owner(&world), "backup", "an answer behind the backup is none of the first");
}

#[test]
fn a_site_that_lost_its_network_to_a_backup_never_had_it_back() {
    let mut world = World::new();
    world.serve(&two_sites());
    pass(&mut world, 10, |_, _| ANSWER);
    let behind_backup = |world: &World, _| if owner(world) == "hq" { NO_ANSWER } else { ANSWER };
    pass(&mut world, 20, behind_backup);
    assert_eq!(owner(&world), "backup");

    // It is tried: still nobody there, so the backup goes on, for longer.
    let mut changes = Vec::new();
    for _ in 0..(TRIAL * 5 / 4).as_secs() + 20 {
        let before = owner(&world);
        pass(&mut world, 1, behind_backup);
        if owner(&world) != before {
            changes.push(owner(&world));
        }
    }
    assert_eq!(changes, ["hq", "backup"]);
    // The network behind the first is repaired.
    pass(&mut world, (TRIAL * 3).as_secs(), |_, _| ANSWER);
    assert_eq!(owner(&world), "hq");
    assert_eq!(state(&mut world, "hq").0, SiteState::Up);
    assert_eq!(reachable(&mut world, "hq").0, ConditionStatus::True);
}

/// The first shots of a trial went by the site before, which answered for the other.
#[test]
fn an_answer_of_before_a_takeover_was_taken_for_one_of_after_it() {
    let mut world = World::new();
    world.serve(&two_sites());
    pass(&mut world, 10, |_, _| ANSWER);
    let behind_backup = |world: &World, _| if owner(world) == "hq" { NO_ANSWER } else { ANSWER };
    pass(&mut world, 20, behind_backup);
    assert_eq!(owner(&world), "backup");
    world.shots.clear();
    let mut held = Vec::new();
    for _ in 0..(TRIAL * 5 / 4).as_secs() * 2 {
        world.now = world.now + STEP;
        world.gateway.handle_timeout(world.now);
        world.collect();
        while let Some(output) = world.pending.pop_front() {
            match output {
                Output::Configure(..) => held.push(output),
                Output::Probe(_, shot) => {
                    assert!(held.is_empty(), "{} asks by the backup", shot.probe.site);
                    let acme = name("acme");
                    let probe = &shot.probe;
                    world.gateway.handle_probe(&acme, probe, shot.number, ANSWER, world.now);
                }
                Output::Apply(..)
                | Output::Attach(..)
                | Output::Bfd(..)
                | Output::Bgp(..)
                | Output::Detach(_)
                | Output::Observe(_)
                | Output::Shared(..)
                | Output::Resolve(_) => world.act(output),
            }
        }
    }
    assert_eq!(held.len(), 1, "the trial begins with the tunnel being told");
    world.act(held.remove(0));
    world.pass(STEP);
    assert!(world.shots.iter().any(|(_, shot)| shot.probe.site.as_str() == "hq"));
}

/// What only the one site has is asked all the time: no trial is needed.
#[test]
fn an_address_that_no_other_site_has_brings_its_site_back_at_once() {
    let mut world = World::new();
    let mut backup = keyed("backup", 2, &[LAN]);
    backup.priority = 50;
    let main = probing(keyed("hq", 1, &[LAN]), &[("10.255.1.1", None)]);
    world.serve(&config(vec![with_sites("acme", vec![main, backup])]));
    pass(&mut world, 10, |_, _| NO_ANSWER);
    pass(&mut world, 10, |_, _| NO_ANSWER);
    assert_eq!(owner(&world), "backup");
    pass(&mut world, 7, |_, _| ANSWER);
    assert_eq!(owner(&world), "hq");
}

#[test]
fn with_nobody_to_take_over_a_site_keeps_its_network_and_is_asked_on() {
    let mut world = World::new();
    world.serve(&two_sites());
    pass(&mut world, 60, |_, _| NO_ANSWER);
    assert_eq!(owner(&world), "hq", "of two that carry nothing the first");
    assert_eq!(state(&mut world, "backup").0, SiteState::Blackholed);
    pass(&mut world, 10, |_, _| ANSWER);
    assert_eq!((owner(&world), state(&mut world, "hq").0), ("hq", SiteState::Up));
}

/// A peer that shook hands long ago and does not any more.
fn dead(world: &World) -> PeerSample {
    PeerSample {
        last_handshake: Some(world.now.wall.before(Duration::from_secs(200))),
        received_bytes: 1,
        handshakes: 1,
        handshake_timeouts: 9,
        ..PeerSample::default()
    }
}

/// What could not pass a tunnel that was down was held against what is behind it, for
/// as long as a trial takes where another site served meanwhile.
#[test]
fn a_tunnel_that_came_back_was_blackholed_for_what_was_lost_while_it_was_down() {
    let acme = name("acme");
    for config in [one_site(), two_sites()] {
        let mut world = World::new();
        world.serve(&config);
        pass(&mut world, 10, |_, _| ANSWER);
        let dead = dead(&world);
        for _ in 0..60 {
            world.sample(&acme, &[(key(1), dead)]);
            world.pass(STEP);
            for (tenant, shot) in std::mem::take(&mut world.shots) {
                let (probe, now) = (&shot.probe, world.now);
                world.gateway.handle_probe(&tenant, probe, shot.number, NO_ANSWER, now);
                world.drain();
            }
        }
        assert_eq!(state(&mut world, "hq").0, SiteState::Down);
        let alive = alive(&world);
        world.sample(&acme, &[(key(1), alive)]);
        assert_eq!(state(&mut world, "hq").0, SiteState::Up, "nothing was asked yet");
        pass(&mut world, 1, |_, _| ANSWER);
        assert_eq!(reachable(&mut world, "hq").0, ConditionStatus::True, "it was asked at once");
    }
    // Where nobody is behind it, that is found out as ever.
    let mut world = World::new();
    world.serve(&one_site());
    pass(&mut world, 30, |_, _| NO_ANSWER);
    assert_eq!(state(&mut world, "hq"), (SiteState::Blackholed, SiteReason::ProbesLost));
    let events = world.tenant(&acme).events;
    let states: Vec<&str> = events
        .iter()
        .filter(|it| it.reason == EventReason::SiteStateChanged)
        .filter_map(|it| it.message.split(':').next())
        .collect();
    assert_eq!(states, ["NeverConnected → Up", "Up → Blackholed"]);
}

#[test]
fn a_vlan_is_up_only_while_its_devices_answer_too() {
    let mut world = World::new();
    let acme = name("acme");
    let tagged = probing(vlan("lab", 30, &[LAN]), &[(DEVICE, None)]);
    let mut backup = keyed("hq", 1, &[LAN]);
    backup.priority = 50;
    world.serve(&config(vec![with_sites("acme", vec![tagged.clone(), backup])]));
    let vlan = link(&tagged).0.to_string();
    for _ in 0..10 {
        tell(&mut world, &acme, &tagged, true, Answer::Answers);
        pass(&mut world, 1, |_, _| ANSWER);
    }
    assert_eq!(state(&mut world, "lab"), (SiteState::Up, SiteReason::NextHopReachable));
    assert_eq!(way(&world, &acme, LAN), vlan);
    for _ in 0..20 {
        tell(&mut world, &acme, &tagged, true, Answer::Answers);
        pass(&mut world, 1, |_, _| NO_ANSWER);
    }
    assert_eq!(state(&mut world, "lab"), (SiteState::Down, SiteReason::ProbesLost));
    assert_eq!(way(&world, &acme, LAN), "lg-wg");
    assert!(world.tenant(&acme).conditions.holds(ConditionType::Isolated));
    // The next hop's silence is the nearer cause.
    tell(&mut world, &acme, &tagged, true, Answer::Silent);
    assert_eq!(state(&mut world, "lab"), (SiteState::Down, SiteReason::NextHopUnreachable));
    for _ in 0..(TRIAL * 5 / 4).as_secs() + 10 {
        tell(&mut world, &acme, &tagged, true, Answer::Answers);
        pass(&mut world, 1, |_, _| ANSWER);
    }
    assert_eq!(state(&mut world, "lab").0, SiteState::Up);
    assert_eq!(way(&world, &acme, LAN), vlan);
}

#[test]
fn a_site_without_probes_any_more_is_judged_without_them() {
    let mut world = World::new();
    world.serve(&one_site());
    pass(&mut world, 30, |_, _| NO_ANSWER);
    assert_eq!(state(&mut world, "hq").0, SiteState::Blackholed);
    world.serve(&config(vec![with_sites("acme", vec![keyed("hq", 1, &[LAN])])]));
    assert_eq!(state(&mut world, "hq"), (SiteState::Up, SiteReason::SessionAlive));
    let site = world.site(&name("acme"), "hq");
    assert_eq!(site.conditions.find(ConditionType::Reachable), None);
    assert!(site.probes.is_empty());
    world.shots.clear();
    pass(&mut world, 60, |_, _| panic!("nobody is to be asked"));
}

#[test]
fn a_tenants_silent_device_is_nothing_to_another_with_the_same_address() {
    let mut world = World::new();
    world.serve(&config(vec![with_sites("acme", vec![hq()]), with_sites("bolt", vec![hq()])]));
    for _ in 0..60 {
        pass(&mut world, 0, |_, _| ANSWER);
        let alive = alive(&world);
        for tenant in ["acme", "bolt"] {
            world.sample(&name(tenant), &[(key(1), alive)]);
        }
        world.pass(STEP);
        for (tenant, shot) in std::mem::take(&mut world.shots) {
            let outcome = if tenant == name("acme") { NO_ANSWER } else { ANSWER };
            world.gateway.handle_probe(&tenant, &shot.probe, shot.number, outcome, world.now);
        }
    }
    assert_eq!(world.site(&name("acme"), "hq").state, SiteState::Blackholed);
    let bolt = world.site(&name("bolt"), "hq");
    assert_eq!((bolt.state, bolt.probes[0].lost.0), (SiteState::Up, 0));
}

#[test]
fn no_more_of_all_tenants_are_under_way_than_may_be() {
    let mut world = World::new();
    let addresses: Vec<String> = (1..=16).map(|n| format!("192.168.1.{n}")).collect();
    let targets: Vec<(&str, Option<u16>)> =
        addresses.iter().map(|address| (address.as_str(), None)).collect();
    let tenants: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    let site = || probing(keyed("hq", 1, &[LAN]), &targets);
    world.serve(&config(tenants.iter().map(|tenant| with_sites(tenant, vec![site()])).collect()));
    world.pass(Duration::from_secs(30));
    assert_eq!(world.shots.len(), PROBES_UNDER_WAY, "nobody has been told of any");
    // Each that comes back makes room for another.
    for round in 0..10 {
        let shots = std::mem::take(&mut world.shots);
        for (tenant, shot) in shots {
            world.gateway.handle_probe(&tenant, &shot.probe, shot.number, ANSWER, world.now);
        }
        world.pass(STEP);
        assert!(world.shots.len() <= PROBES_UNDER_WAY, "round {round}");
    }
    for tenant in &tenants {
        let probes = world.site(&name(tenant), "hq").probes;
        assert!(probes.iter().all(|probe| 0 < probe.sent.0), "{tenant} had its turn");
    }
}

#[test]
fn a_tenant_that_goes_asks_nobody() {
    let mut world = World::new();
    world.serve(&one_site());
    pass(&mut world, 10, |_, _| ANSWER);
    world.serve(&config(Vec::new()));
    world.shots.clear();
    world.pass(Duration::from_secs(60));
    assert!(world.shots.is_empty());
    assert!(world.snapshot().tenants.is_empty());
}
