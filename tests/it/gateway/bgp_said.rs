//! A site whose router says which of its declared networks it has: routes, rules,
//! allowed IPs and what the fabric is told are of those.

use super::bgp::{Router, Scene, fabric_bgp};
use super::world::{World, config, keyed, name, with_sites};
use crate::bgp_scene::{announce, attributes, nlri, withdraw};
use crate::sim_kernel::SimKernel;
use lockgate::bgp::session::SessionState;
use lockgate::bgp::{NeighborName, Update};
use lockgate::gateway::SocketEvent;
use lockgate::model::{Config, Site, SiteBgp, SitePrefix};
use lockgate::net::{Asn, Prefix};
use lockgate::reconcile::{
    Conversation, Fate, Leg, Packet, Payload, RouteTarget, Transport, leaks, trace,
};
use lockgate::status::SiteState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The customer's router among those of a scene, and its backup's.
const CUSTOMER: usize = 1;
const SECOND: usize = 2;

/// The ends of the tunnel of the site of that number.
fn ends(number: u8) -> (IpAddr, IpAddr) {
    ([10, 255, number, 0].into(), [10, 255, number, 1].into())
}

fn speaking(name: &str, number: u8, prefixes: &[&str]) -> Site {
    let mut site = keyed(name, number, prefixes);
    site.bgp = Some(SiteBgp {
        remote_asn: Asn::new(65_010).unwrap(),
        neighbor: ends(number).1,
        password: None,
        maximum_prefixes: 50,
        restart_after: Duration::from_secs(300),
        hold_time: Duration::from_secs(90),
        role: None,
        strict_role: false,
    });
    site
}

fn with(sites: Vec<Site>) -> Config {
    let mut tenant = with_sites("acme", sites);
    tenant.fabric.bgp = Some(fabric_bgp());
    config(vec![tenant])
}

/// One tenant whose only site speaks BGP.
fn documents() -> Config {
    with(vec![speaking("hq", 1, &["192.168.0.0/16", "10.77.0.0/16=10.78.0.0/16"])])
}

fn router(scene: &Scene, site: &str, number: u8) -> Router {
    let name = NeighborName::Site(site.parse().unwrap());
    Router::new(name, 65_010, ends(number), scene.world.now.mono)
}

/// Served, all sessions up, and the site too.
fn up_on(kernel: Option<SimKernel>, documents: &Config) -> Scene {
    let mut scene = Scene::on(kernel.map_or_else(World::new, World::on));
    let customer = router(&scene, "hq", 1);
    scene.routers.push(customer);
    scene.world.serve(documents);
    scene.settle();
    scene.world.pass(Duration::from_secs(2));
    scene.settle();
    for router in &scene.routers {
        assert_eq!(router.session.state(), SessionState::Established);
    }
    scene.handshake(true);
    scene
}

fn up() -> Scene {
    up_on(None, &documents())
}

fn said(number: u8, networks: &[&str]) -> Update {
    let hop = ends(number).1.to_string();
    announce(attributes(&hop, &[65_010]), networks.iter().map(|network| nlri(network)).collect())
}

/// The networks that may be sent to the peer of that number and come from it.
fn allowed(scene: &Scene, number: u8) -> Vec<String> {
    let peers = &scene.world.devices[&scene.acme].peers;
    let far = Prefix::host(ends(number).1);
    let all = peers[&super::world::key(number)].allowed_ips.iter().filter(|it| **it != far);
    all.map(ToString::to_string).collect()
}

/// What becomes in the kernel, as it is, of a packet from an application to `device`.
fn fate(scene: &Scene, device: &str) -> Fate {
    let packet = Packet {
        source: "10.136.40.9".parse().unwrap(),
        destination: device.parse().unwrap(),
        payload: Payload::Ports { transport: Transport::Tcp, source: 40_000, destination: 22 },
        conversation: Conversation::New,
        leg: Leg::Fabric,
    };
    let documents = documents();
    let tenant = &documents.tenants[&scene.acme];
    trace(&scene.world.kernel.state.tenants[&scene.acme], tenant, &packet).fate
}

fn unreachable(scene: &Scene) -> Vec<String> {
    let namespace = &scene.world.kernel.state.tenants[&scene.acme];
    let routes = namespace.routes.iter().filter(|(key, _)| key.metric == 64);
    let all = routes.filter(|(_, route)| route.target == RouteTarget::Unreachable);
    all.map(|(key, _)| key.prefix.to_string()).collect()
}

#[test]
fn what_is_declared_and_not_said_went_everywhere() {
    let mut scene = up();
    assert_eq!(allowed(&scene, 1), [""; 0]);
    assert_eq!(scene.told(), [""; 0]);
    assert_ne!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
    // Even where the fabric has a wider route.
    assert_eq!(unreachable(&scene), ["10.78.0.0/16", "192.168.0.0/16"]);

    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24", "192.168.7.128/25", "10.77.3.0/24"]));
    assert_eq!(allowed(&scene, 1), ["10.78.3.0/24", "192.168.7.0/24"]);
    assert_eq!(scene.told(), ["10.78.3.0/24", "192.168.7.0/24"]);
    assert_eq!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
    assert_eq!(fate(&scene, "10.78.3.1"), Fate::Forwarded);
    assert_ne!(fate(&scene, "192.168.8.1"), Fate::Forwarded);
    let peer = &scene.world.devices[&scene.acme].peers[&super::world::key(1)];
    let real = |it: &lockgate::wireguard::Translation| (it.real.to_string(), it.alias.to_string());
    assert_eq!(
        peer.translations.iter().map(real).collect::<Vec<_>>(),
        [("10.77.3.0/24".to_owned(), "10.78.3.0/24".to_owned())]
    );
    let found = leaks(&documents(), &scene.world.kernel.state, scene.world.kernel.placement);
    assert_eq!(found, []);
    let site = scene.world.site(&name("acme"), "hq");
    let installed: Vec<bool> = site.prefixes.iter().map(|prefix| prefix.installed).collect();
    assert_eq!(installed, [true, true]);

    scene.world.pass(Duration::from_secs(2));
    scene.say_by(CUSTOMER, withdraw("192.168.7.0/24"));
    scene.world.pass(Duration::from_secs(2));
    scene.settle();
    assert_eq!(allowed(&scene, 1), ["10.78.3.0/24", "192.168.7.128/25"]);
    assert_eq!(scene.told(), ["10.78.3.0/24", "192.168.7.128/25"]);
    assert_ne!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
    assert_eq!(fate(&scene, "192.168.7.129"), Fate::Forwarded);
}

#[test]
fn with_the_session_all_of_it_is_withdrawn() {
    let mut scene = up();
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    // Neither end keeps what a router had said that does not preserve it.
    let mut without = documents();
    let tenant = Arc::make_mut(without.tenants.values_mut().next().unwrap());
    tenant.sites.values_mut().next().unwrap().bgp.as_mut().unwrap().maximum_prefixes = 40;
    scene.world.load(&without);
    scene.settle();
    assert_eq!(allowed(&scene, 1), [""; 0]);
    assert_eq!(scene.told(), [""; 0]);
    assert_ne!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
}

/// Who restarts gracefully forwards on, and what it said is served meanwhile.
#[test]
fn a_router_that_restarts_gracefully_is_served_meanwhile() {
    let mut scene = up();
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    let (ours, _) = scene.routers[CUSTOMER].pipe.take().unwrap();
    scene.tell(CUSTOMER, ours, &SocketEvent::Closed("reset".to_owned()));
    scene.world.pass(Duration::from_millis(900));
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24"]);
    assert_eq!(scene.told(), ["192.168.7.0/24"]);
    assert_eq!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
}

/// A process that is killed leaves routes behind: by those it is known what was said, and
/// served until the router has said it all again.
#[test]
fn a_restart_forgot_what_a_customers_router_had_said() {
    let mut scene = up();
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24", "192.168.9.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    let kernel = scene.world.kernel;
    let rules = kernel.state.tenants[&scene.acme].ruleset.clone();
    let mut scene = Scene::on(World::on(kernel));
    scene.world.serve(&documents());
    assert!(scene.world.kernel.state.tenants[&scene.acme].ruleset == rules);
    let made = scene.world.log().into_iter().filter(|line| line.starts_with(' '));
    assert_eq!(made.collect::<Vec<_>>(), [""; 0], "nothing is made anew");
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24", "192.168.9.0/24"]);
    let customer = router(&scene, "hq", 1);
    scene.routers.push(customer);
    scene.settle();
    scene.world.pass(Duration::from_secs(61));
    scene.settle();
    assert_eq!(scene.routers[CUSTOMER].session.state(), SessionState::Established);
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24", "192.168.9.0/24"]);
    scene.say_by(CUSTOMER, said(1, &["192.168.9.0/24"]));
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24", "192.168.9.0/24"], "that may not be all");
    scene.end_of_rib(CUSTOMER);
    scene.world.pass(Duration::from_secs(1));
    assert_eq!(allowed(&scene, 1), ["192.168.9.0/24"]);
    assert_ne!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
    assert_eq!(fate(&scene, "192.168.9.1"), Fate::Forwarded);
}

/// Without a router that ever comes back, all of it goes after two minutes.
#[test]
fn what_was_said_before_a_restart_does_not_stay_for_ever() {
    let mut scene = up();
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    let mut scene = Scene::on(World::on(scene.world.kernel));
    scene.world.serve(&documents());
    scene.world.pass(Duration::from_secs(119));
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24"]);
    scene.world.pass(Duration::from_secs(3));
    scene.settle();
    assert_eq!(allowed(&scene, 1), [""; 0]);
    assert_ne!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
}

/// A router that takes back and says again all the time costs no more than learned routes
/// do: the rules are made anew twice a second at most.
#[test]
fn a_router_that_flaps_had_the_rules_made_anew_each_time() {
    let mut scene = up();
    scene.world.pass(Duration::from_secs(2));
    scene.world.log();
    for _ in 0..200 {
        scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
        scene.world.pass(Duration::from_millis(10));
        scene.say_by(CUSTOMER, withdraw("192.168.7.0/24"));
        scene.world.pass(Duration::from_millis(10));
    }
    let log = scene.world.log();
    let rules = log.iter().filter(|line| line.contains("~ ruleset")).count();
    assert!((2..=10).contains(&rules), "{rules}");
    scene.world.pass(Duration::from_secs(2));
    scene.settle();
    assert_eq!((allowed(&scene, 1), scene.told()), (Vec::new(), Vec::new()));
    assert_ne!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
}

/// Of two sites with the same network the second has what the first does not say.
#[test]
fn a_backup_did_not_take_over_what_the_first_took_back() {
    let mut second = speaking("second", 2, &["192.168.0.0/16"]);
    second.priority = 50;
    let documents = with(vec![speaking("hq", 1, &["192.168.0.0/16"]), second]);
    let mut scene = Scene::on(World::new());
    for (site, number) in [("hq", 1), ("second", 2)] {
        let router = router(&scene, site, number);
        scene.routers.push(router);
    }
    scene.world.serve(&documents);
    scene.settle();
    scene.world.pass(Duration::from_secs(2));
    scene.settle();
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    scene.say_by(SECOND, said(2, &["192.168.7.0/24", "192.168.8.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24"]);
    assert_eq!(allowed(&scene, 2), ["192.168.8.0/24"]);
    scene.say_by(CUSTOMER, withdraw("192.168.7.0/24"));
    scene.world.pass(Duration::from_secs(2));
    assert_eq!(allowed(&scene, 1), [""; 0]);
    assert_eq!(allowed(&scene, 2), ["192.168.7.0/24", "192.168.8.0/24"]);
    assert_eq!(fate(&scene, "192.168.7.1"), Fate::Forwarded);
    // And back.
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24"]);
    assert_eq!(allowed(&scene, 2), ["192.168.8.0/24"]);
}

/// A customer that keeps a session says what it has; the documents are refused meanwhile.
#[test]
fn a_tenant_whose_documents_are_refused_followed_its_routers_no_more() {
    let mut scene = up();
    let mut refused = Config::default();
    refused.refused.push(lockgate::model::Refusal {
        tenant: scene.acme.clone(),
        site: None,
        reason: lockgate::model::RefusalReason::ALL[0],
        message: "no".to_owned(),
    });
    scene.world.serve(&refused);
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    scene.settle();
    assert_eq!(allowed(&scene, 1), ["192.168.7.0/24"]);
    assert_eq!(scene.told(), ["192.168.7.0/24"]);
    // Nor was its state looked at.
    scene.world.pass(Duration::from_secs(600));
    scene.handshake(false);
    assert_ne!(scene.world.site(&name("acme"), "hq").state, SiteState::Up);
}

/// Neighbors hear that others are to be used, for two seconds; what they say meanwhile is
/// no reason to stay.
#[test]
fn a_tenant_that_was_leaving_stayed_because_its_customer_said_something() {
    let mut scene = up();
    scene.say_by(CUSTOMER, said(1, &["192.168.7.0/24"]));
    scene.world.pass(Duration::from_secs(2));
    scene.world.serve(&Config::default());
    scene.settle();
    scene.world.pass(Duration::from_millis(500));
    scene.say_by(CUSTOMER, said(1, &["192.168.8.0/24"]));
    scene.world.pass(Duration::from_millis(500));
    scene.handshake(false);
    scene.world.pass(Duration::from_secs(5));
    scene.settle();
    assert_eq!(scene.world.kernel.state.tenants.len(), 0);
}

#[test]
fn what_is_on_the_link_needs_no_word() {
    let site = speaking("hq", 1, &["10.255.1.0/31", "192.168.0.0/16"]);
    let tenant = Arc::new(with_sites("acme", vec![site]));
    let mut speaking = Arc::unwrap_or_clone(tenant);
    speaking.fabric.bgp = Some(fabric_bgp());
    let bound = lockgate::reconcile::Said::default().bound(&Arc::new(speaking));
    let hq = &bound.sites.values().next().unwrap();
    let on_link = SitePrefix { real: "10.255.1.0/31".parse().unwrap(), alias: None };
    assert_eq!(hq.prefixes, [on_link]);
    assert_eq!(hq.declared().len(), 2);
}
