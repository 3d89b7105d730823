//! Which site serves a prefix, and which key a customer has.

use super::world::{World, config, key, keyed, name, peer, with_sites};
use lockgate::model::Config;
use lockgate::net::{Prefix, PublicKey};
use lockgate::reconcile::Borrowed;
use lockgate::status::{EventReason, SiteState};
use lockgate::wireguard::PeerSample;
use std::time::Duration;

const LAN: &str = "192.168.1.0/24";

fn two_sites() -> Config {
    let mut backup = keyed("backup", 2, &[LAN]);
    backup.priority = 50;
    config(vec![with_sites("acme", vec![keyed("main", 1, &[LAN]), backup])])
}

/// A peer that shook hands `ago` and has missed `timeouts` since.
fn sample(world: &World, ago: u64, timeouts: u64) -> PeerSample {
    let at = world.now.wall.before(Duration::from_secs(ago));
    PeerSample {
        endpoint: Some("198.51.100.7:51820".parse().unwrap()),
        last_handshake: Some(at),
        last_received: Some(at),
        received_bytes: 1,
        handshakes: 1,
        handshake_timeouts: timeouts,
        ..PeerSample::default()
    }
}

fn owner(world: &World) -> PublicKey {
    let lan: Prefix = LAN.parse().unwrap();
    let device = &world.devices[&name("acme")];
    let mut owners = device.peers.iter().filter(|(_, peer)| peer.allowed_ips.contains(&lan));
    let owner = *owners.next().expect("an owner").0;
    assert_eq!(owners.next(), None, "two peers have {LAN}");
    owner
}

#[test]
fn a_prefix_goes_to_the_backup_while_the_first_is_down_and_comes_back() {
    let mut world = World::new();
    let acme = name("acme");
    world.serve(&two_sites());
    assert_eq!(owner(&world), key(1));
    let both = [(key(1), sample(&world, 0, 0)), (key(2), sample(&world, 0, 0))];
    world.sample(&acme, &both);
    assert_eq!(owner(&world), key(1));

    world.pass(Duration::from_secs(200));
    world.log();
    let both = [(key(1), sample(&world, 200, 9)), (key(2), sample(&world, 5, 0))];
    world.sample(&acme, &both);
    assert_eq!(world.site(&acme, "main").state, SiteState::Down);
    assert_eq!(owner(&world), key(2));
    assert_eq!(world.deeds(), ["configure acme/gw"]);
    let reasons: Vec<_> = world.tenant(&acme).events.iter().map(|it| it.reason).collect();
    assert!(reasons.contains(&EventReason::SiteStateChanged));

    let again = PeerSample { handshakes: 2, received_bytes: 2, ..sample(&world, 0, 9) };
    let both = [(key(1), again), (key(2), sample(&world, 5, 0))];
    world.sample(&acme, &both);
    assert_eq!(world.site(&acme, "main").state, SiteState::Up);
    assert_eq!(owner(&world), key(1));
}

#[test]
fn a_route_is_shown_as_the_site_that_serves_it_and_not_as_its_backup() {
    let mut world = World::new();
    world.serve(&two_sites());
    let routes = world.tenant(&name("acme")).routes;
    let lan = routes.iter().find(|route| route.prefix.to_string() == LAN).unwrap();
    assert_eq!(lan.site.as_ref().map(ToString::to_string).as_deref(), Some("main"));
}

#[test]
fn when_no_site_is_usable_the_first_keeps_the_prefix() {
    let mut world = World::new();
    let acme = name("acme");
    world.serve(&two_sites());
    let both = [(key(1), sample(&world, 0, 0)), (key(2), sample(&world, 0, 0))];
    world.sample(&acme, &both);
    world.pass(Duration::from_secs(200));
    let both = [(key(1), sample(&world, 200, 9)), (key(2), sample(&world, 200, 9))];
    world.sample(&acme, &both);
    assert_eq!(owner(&world), key(1));
}

/// Who of the two is served is the device's to know, which sees the handshake.
#[test]
fn the_next_key_is_shown_with_its_handshake_and_not_before() {
    let mut world = World::new();
    let acme = name("acme");
    let mut site = keyed("hq", 1, &[LAN]);
    peer(&mut site).next_public_key = Some(key(9));
    world.serve(&config(vec![with_sites("acme", vec![site])]));
    let first = [(key(1), sample(&world, 10, 0)), (key(9), PeerSample::default())];
    world.sample(&acme, &first);
    assert_eq!(world.site(&acme, "hq").public_key, Some(key(1)));
    let peers = &world.devices[&acme].peers;
    let (first, second) = (&peers[&key(1)], &peers[&key(9)]);
    assert_eq!((first.twin(), first.is_second()), (Some(key(9)), false));
    assert_eq!((second.twin(), second.is_second()), (Some(key(1)), true));
    assert!(!first.allowed_ips.is_empty());
    assert_eq!(first.allowed_ips, second.allowed_ips);

    let next = [(key(1), sample(&world, 10, 0)), (key(9), sample(&world, 0, 0))];
    world.sample(&acme, &next);
    assert_eq!(world.site(&acme, "hq").public_key, Some(key(9)));
    // The old one may still come back.
    assert!(world.devices[&acme].peers.contains_key(&key(1)));
}

#[test]
fn where_a_peer_was_last_heard_is_told_to_the_next_process() {
    let mut world = World::new();
    let acme = name("acme");
    let config = config(vec![with_sites("acme", vec![keyed("hq", 1, &[LAN])])]);
    world.serve(&config);
    let heard = [(key(1), sample(&world, 0, 0))];
    world.sample(&acme, &heard);
    let mut next = World::on(world.kernel.clone());
    next.gateway.handle_memory(world.gateway.endpoints(), Borrowed::default());
    next.serve(&config);
    let peer = &next.devices[&acme].peers[&key(1)];
    assert_eq!(peer.last_endpoint, Some("198.51.100.7:51820".parse().unwrap()));
    assert!(peer.initiate, "it waits for the customer's fifteen seconds of silence");
}
