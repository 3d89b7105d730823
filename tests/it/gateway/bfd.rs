//! BFD in the machine: which sockets it asks for, and what follows when a neighbor is
//! found dead.

use super::bgp::fabric_bgp;
use super::world::{World, config, keyed, name, with_sites};
use lockgate::bfd::{Arrival, Diagnostic, Hops, Packet, State};
use lockgate::bgp::NeighborName;
use lockgate::gateway::{BfdAction, BfdEndpoint, BgpAction, SocketEvent};
use lockgate::model::{BgpNeighbor, Config};
use lockgate::net::TenantName;
use lockgate::status::{BfdState, EventReason};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 136, 40, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 136, 40, 2));

/// A tenant whose neighbors are these, and watched if so.
fn documents(neighbors: Vec<BgpNeighbor>) -> Config {
    let mut tenant = with_sites("acme", vec![keyed("hq", 1, &["192.168.1.0/24"])]);
    tenant.fabric.bgp = Some(lockgate::model::FabricBgp { neighbors, ..fabric_bgp() });
    config(vec![tenant])
}

fn tor(bfd: bool) -> BgpNeighbor {
    BgpNeighbor { bfd, ..crate::bgp_scene::fabric_neighbor("tor", "10.136.40.2", 65_001) }
}

struct Scene {
    world: World,
    acme: TenantName,
    /// What the neighbor knows: our number of the session.
    ours: u32,
    sent: Vec<Packet>,
    open: Option<BTreeMap<IpAddr, BfdEndpoint>>,
    /// Connections that were ended, with their last words.
    closed: Vec<Vec<u8>>,
}

impl Scene {
    fn new(bfd: bool) -> Self {
        let mut world = World::new();
        world.serve(&documents(vec![tor(bfd)]));
        let mut scene = Self {
            world,
            acme: name("acme"),
            ours: 0,
            sent: Vec::new(),
            open: None,
            closed: Vec::new(),
        };
        scene.settle();
        scene
    }

    /// As far as up, with a connection of BGP that stands.
    fn up() -> Self {
        let mut scene = Self::new(true);
        // The first session was made while its rules were.
        scene.pass(Duration::from_secs(1));
        scene.say(State::Down);
        scene.say(State::Init);
        assert_eq!(scene.state(), BfdState::Up);
        scene.closed.clear();
        scene
    }

    /// Takes up what sockets are to do.
    fn settle(&mut self) {
        self.world.drain();
        for (_, action) in std::mem::take(&mut self.world.bfd) {
            match action {
                BfdAction::Open(open) => self.open = Some(open),
                BfdAction::Send(to, bytes) => {
                    assert_eq!(to, THEIRS);
                    let packet = Packet::decode(&bytes).unwrap();
                    self.ours = packet.my_discriminator;
                    self.sent.push(packet);
                }
            }
        }
        for (tenant, action) in std::mem::take(&mut self.world.bgp) {
            match action {
                BgpAction::Dial(neighbor, id) => {
                    let event = SocketEvent::Connected { local: OURS, remote: THEIRS };
                    let now = self.world.now;
                    self.world.gateway.handle_socket(&tenant, &neighbor, id, &event, now);
                    self.world.drain();
                }
                BgpAction::Close { last, .. } => self.closed.push(last),
                BgpAction::Listen(_) | BgpAction::Write(..) => {}
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.world.pass(time);
        self.settle();
    }

    /// The neighbor says this.
    fn say(&mut self, state: State) {
        let packet = Packet {
            diagnostic: Diagnostic::NONE,
            state,
            poll: false,
            is_final: true,
            control_plane_independent: false,
            demand: false,
            detect_multiplier: 3,
            my_discriminator: 77,
            your_discriminator: self.ours,
            desired_min_tx: Duration::from_millis(300),
            required_min_rx: Duration::from_millis(300),
            required_min_echo_rx: Duration::ZERO,
        };
        let arrival = Arrival { remote: THEIRS, hops: Hops::Single, ttl: 255 };
        let now = self.world.now;
        self.world.gateway.handle_bfd(&self.acme, &arrival, &packet.encode(), now);
        self.settle();
    }

    fn state(&mut self) -> BfdState {
        let acme = self.acme.clone();
        let bgp = self.world.tenant(&acme).bgp.unwrap();
        bgp.neighbors[0].bfd.as_ref().map_or(BfdState::AdminDown, |bfd| bfd.state)
    }

    fn events(&mut self) -> Vec<EventReason> {
        let acme = self.acme.clone();
        self.world.tenant(&acme).events.iter().map(|event| event.reason).collect()
    }
}

#[test]
fn who_is_not_to_be_watched_is_not() {
    let mut scene = Scene::new(false);
    scene.pass(Duration::from_secs(5));
    assert_eq!((scene.open, scene.sent.len()), (None, 0));
}

#[test]
fn sockets_are_for_the_neighbors_there_are() {
    let scene = Scene::up();
    let open = scene.open.unwrap();
    let endpoint = &open[&THEIRS];
    assert_eq!((open.len(), endpoint.hops), (1, Hops::Single));
    assert_eq!((&endpoint.at[..], endpoint.local), (&[OURS][..], Some(OURS)));
    assert!(49_152 <= endpoint.source_port, "{}", endpoint.source_port);

    let mut world = World::new();
    let far =
        BgpNeighbor { bfd: true, ..crate::bgp_scene::fabric_neighbor("rr", "10.200.0.1", 65_001) };
    world.serve(&documents(vec![tor(true), far]));
    world.pass(Duration::from_secs(2));
    let opened = world.bfd.iter().rev().find_map(|(_, action)| match action {
        BfdAction::Open(open) => Some(open),
        BfdAction::Send(..) => None,
    });
    let rr = &opened.unwrap()[&IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1))];
    assert_eq!((rr.hops, &rr.at[..], rr.local), (Hops::Multiple, &[OURS][..], None));
}

/// As in a pod, whose addresses nobody writes down.
#[test]
fn who_has_no_address_in_the_documents_hears_at_whatever_it_has() {
    let mut world = World::new();
    let mut config = documents(vec![tor(true)]);
    for tenant in config.tenants.values_mut() {
        std::sync::Arc::make_mut(tenant).fabric.addresses.clear();
    }
    world.serve(&config);
    world.pass(Duration::from_secs(2));
    let opened = world.bfd.iter().find_map(|(_, action)| match action {
        BfdAction::Open(open) => open.get(&THEIRS),
        BfdAction::Send(..) => None,
    });
    let tor = opened.unwrap();
    assert_eq!((tor.hops, &tor.at[..]), (Hops::Multiple, &[Ipv4Addr::UNSPECIFIED.into()][..]));
}

/// RFC 9384: Cease/10, within the detection time and not the hold time.
#[test]
fn a_silent_neighbor_is_taken_down() {
    let mut scene = Scene::up();
    scene.pass(Duration::from_millis(899));
    assert!(scene.closed.is_empty() && scene.state() == BfdState::Up);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.closed.len(), 1);
    assert!(scene.closed[0].ends_with(&[3, 6, 10]), "{:?}", scene.closed);
    assert_eq!(scene.state(), BfdState::Down);
    let events = scene.events();
    assert!(events.contains(&EventReason::BfdUp), "{events:?}");
    assert!(events.contains(&EventReason::BfdDown), "{events:?}");
}

#[test]
fn a_neighbor_that_says_it_is_down_is_taken_down_and_one_that_was_shut_is_not() {
    let mut scene = Scene::up();
    scene.say(State::Down);
    assert_eq!(scene.closed.len(), 1, "at once");
    let mut scene = Scene::up();
    scene.say(State::AdminDown);
    assert_eq!(scene.state(), BfdState::Down);
    scene.pass(Duration::from_secs(3));
    assert!(scene.closed.is_empty(), "RFC 5882 §3.2");
}

#[test]
fn bfd_that_never_comes_up_keeps_nobody_from_anything() {
    let mut scene = Scene::new(true);
    scene.pass(Duration::from_secs(60));
    assert!(scene.closed.is_empty() && scene.state() == BfdState::Down);
    assert!(!scene.events().contains(&EventReason::BfdDown));
}

#[test]
fn a_reload_that_changes_nothing_of_a_neighbor_leaves_it_alone() {
    let mut scene = Scene::up();
    let (ours, open) = (scene.ours, scene.open.take());
    let mut config = documents(vec![tor(true)]);
    for tenant in config.tenants.values_mut() {
        let tenant = std::sync::Arc::make_mut(tenant);
        tenant.fabric.bgp.as_mut().unwrap().import.prefixes.clear();
    }
    scene.world.serve(&config);
    scene.settle();
    scene.say(State::Up);
    scene.pass(Duration::from_millis(500));
    scene.say(State::Up);
    assert_eq!(scene.state(), BfdState::Up);
    assert!(scene.closed.is_empty() && scene.ours == ours && open.is_some());
    assert_eq!(scene.open, None, "no socket is made anew");
}

#[test]
fn what_is_not_watched_any_more_is_told_so_on_purpose_and_its_bgp_goes_on() {
    let mut scene = Scene::up();
    scene.sent.clear();
    scene.world.serve(&documents(vec![tor(false)]));
    scene.settle();
    assert_eq!(scene.sent.last().unwrap().state, State::AdminDown);
    assert_eq!(scene.open.as_ref().unwrap().len(), 1, "while it is told");
    scene.pass(Duration::from_secs(5));
    assert!(scene.sent.iter().all(|packet| packet.state == State::AdminDown));
    assert_eq!(scene.open.as_ref().unwrap().len(), 0);
    assert!(scene.closed.is_empty());
    let neighbor = NeighborName::Fabric("tor".to_owned()).to_string();
    let acme = scene.acme.clone();
    let bgp = scene.world.tenant(&acme).bgp.unwrap();
    assert!(bgp.neighbors[0].name == neighbor && bgp.neighbors[0].bfd.is_none());
}

#[test]
fn who_ends_as_planned_says_so() {
    let mut scene = Scene::up();
    scene.sent.clear();
    scene.world.gateway.end_bfd(scene.world.now);
    scene.settle();
    assert_eq!(scene.sent.last().unwrap().state, State::AdminDown);

    let mut scene = Scene::up();
    scene.sent.clear();
    scene.world.serve(&config(Vec::new()));
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.sent.last().unwrap().state, State::AdminDown);
    assert_eq!(scene.open.unwrap().len(), 0);
}
