//! BFD with neighbors that connect out of a range: watched from when their session comes
//! up until they are forgotten, and nobody else of the range is.

use super::bgp::fabric_bgp;
use super::world::{World, config, keyed, name, with_sites};
use crate::bgp_scene::fabric_neighbor;
use lockgate::bfd::{Arrival, Diagnostic, Hops, Packet, State};
use lockgate::bgp::NeighborName;
use lockgate::bgp::proto::Offer;
use lockgate::bgp::session::{ConnectionId, Output, Session, SessionConfig, SessionState};
use lockgate::gateway::{BfdAction, BgpAction, SocketEvent};
use lockgate::model::{BgpNeighbor, Config, FabricBgp, NeighborAt};
use lockgate::net::{Asn, TenantName};
use lockgate::status::{BfdState, NeighborSnapshot};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 136, 40, 1));

fn node(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 136, 40, last).into()
}

/// A tenant of whose range each is watched, or not.
fn documents(bfd: bool) -> Config {
    let at = NeighborAt::Range { prefix: "10.136.40.0/28".parse().unwrap(), maximum: 14 };
    let range = BgpNeighbor { at, bfd, ..fabric_neighbor("nodes", "10.136.40.0", 65_001) };
    let mut tenant = with_sites("acme", vec![keyed("hq", 1, &["192.168.1.0/24"])]);
    tenant.fabric.bgp = Some(FabricBgp { neighbors: vec![range], ..fabric_bgp() });
    config(vec![tenant])
}

/// A router that connects, and what it knows of the gateway.
struct Node {
    address: IpAddr,
    session: Session,
    whose: NeighborName,
    ours: ConnectionId,
    theirs: ConnectionId,
}

struct Scene {
    world: World,
    acme: TenantName,
    nodes: Vec<Node>,
    /// The last packet that each was sent.
    sent: BTreeMap<IpAddr, Packet>,
    /// Whom sockets are held for.
    open: Vec<IpAddr>,
    /// The source port of each of those.
    ports: BTreeMap<IpAddr, u16>,
    /// Last words of connections that were ended.
    closed: Vec<Vec<u8>>,
}

impl Scene {
    fn new(bfd: bool) -> Self {
        let mut world = World::new();
        world.serve(&documents(bfd));
        let mut scene = Self {
            world,
            acme: name("acme"),
            nodes: Vec::new(),
            sent: BTreeMap::new(),
            open: Vec::new(),
            ports: BTreeMap::new(),
            closed: Vec::new(),
        };
        scene.settle();
        scene
    }

    /// Who is at this address connects, and says nothing yet.
    fn connect(&mut self, address: IpAddr) {
        let mut config = SessionConfig::new(Offer {
            local_asn: Asn::new(65_001).unwrap(),
            remote_asn: Asn::new(64_600).unwrap(),
            router_id: Ipv4Addr::new(10, 136, 40, 2),
            hold_time: 90,
            least_hold_time: 0,
            families: vec![lockgate::bgp::Family::Ipv4Unicast],
            required_families: Vec::new(),
            add_path_receive: false,
            extended_messages: false,
            extended_next_hop: false,
            restart: None,
            long_lived: None,
            role: None,
            strict_role: false,
            allowed_own_as: 0,
        });
        config.passive = true;
        let now = self.world.now;
        let mut session = Session::new(config, 1, now.mono);
        session.start(now.mono);
        let whose = self.world.gateway.handle_incoming(&self.acme, OURS, address, now);
        let (whose, ours) = whose.expect("it is let in");
        let theirs = session.handle_incoming(address, OURS, now.mono);
        self.nodes.push(Node { address, session, whose, ours, theirs });
        self.drain();
    }

    /// As far as an established session.
    fn arrive(&mut self, address: IpAddr) {
        self.connect(address);
        self.settle();
        let node = self.nodes.last().unwrap();
        assert_eq!(node.session.state(), SessionState::Established);
    }

    fn drain(&mut self) {
        self.world.drain();
        for (_, action) in std::mem::take(&mut self.world.bfd) {
            match action {
                BfdAction::Open(open) => {
                    self.open = open.keys().copied().collect();
                    let ports = open.iter().map(|(at, endpoint)| (*at, endpoint.source_port));
                    self.ports = ports.collect();
                }
                BfdAction::Send(to, bytes) => {
                    self.sent.insert(to, Packet::decode(&bytes).unwrap());
                }
            }
        }
        for (_, action) in std::mem::take(&mut self.world.bgp) {
            if let BgpAction::Close { neighbor, connection, last } = action {
                self.nodes.retain(|it| (&it.whose, it.ours) != (&neighbor, connection));
                self.closed.push(last);
            }
        }
    }

    fn settle(&mut self) {
        let acme = self.acme.clone();
        for _ in 0..200 {
            self.drain();
            let mut moved = false;
            let now = self.world.now;
            for Node { session, whose, ours, theirs, .. } in &mut self.nodes {
                while let Some(output) = session.poll_output() {
                    assert!(!matches!(output, Output::Close { .. }), "{output:?}");
                }
                let gateway = &mut self.world.gateway;
                let bytes = gateway.unsent(&acme, whose, *ours).to_vec();
                if !bytes.is_empty() {
                    let written = SocketEvent::Written(bytes.len());
                    gateway.handle_socket(&acme, whose, *ours, &written, now);
                    session.handle_bytes(*theirs, &bytes, now.mono);
                    moved = true;
                }
                let bytes = session.unsent(*theirs).to_vec();
                if !bytes.is_empty() {
                    session.handle_written(*theirs, bytes.len(), now.mono);
                    gateway.handle_socket(&acme, whose, *ours, &SocketEvent::Bytes(bytes), now);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
        panic!("they never fall silent");
    }

    fn pass(&mut self, time: Duration) {
        self.world.pass(time);
        self.settle();
    }

    /// Its BFD says this.
    fn say(&mut self, remote: IpAddr, state: State) {
        let packet = Packet {
            diagnostic: Diagnostic::NONE,
            state,
            poll: false,
            is_final: true,
            control_plane_independent: false,
            demand: false,
            detect_multiplier: 3,
            my_discriminator: 77,
            your_discriminator: self.sent.get(&remote).map_or(0, |it| it.my_discriminator),
            desired_min_tx: Duration::from_millis(300),
            required_min_rx: Duration::from_millis(300),
            required_min_echo_rx: Duration::ZERO,
        };
        let arrival = Arrival { remote, hops: Hops::Single, ttl: 255 };
        let now = self.world.now;
        self.world.gateway.handle_bfd(&self.acme, &arrival, &packet.encode(), now);
        self.settle();
    }

    fn bring_up(&mut self, remote: IpAddr) {
        // Its first packet comes within a second.
        self.pass(Duration::from_secs(1));
        self.say(remote, State::Down);
        self.say(remote, State::Init);
        assert_eq!(self.bfd(remote), Some(BfdState::Up));
    }

    fn neighbors(&mut self) -> Vec<NeighborSnapshot> {
        let acme = self.acme.clone();
        self.world.tenant(&acme).bgp.unwrap().neighbors
    }

    fn bfd(&mut self, address: IpAddr) -> Option<BfdState> {
        let found = self.neighbors().into_iter().find(|it| it.address == address)?;
        found.bfd.map(|it| it.state)
    }
}

#[test]
fn who_only_connects_is_not_watched_and_who_comes_up_is() {
    let mut scene = Scene::new(true);
    assert_eq!(scene.open, [] as [IpAddr; 0]);
    scene.connect(node(2));
    assert_eq!(scene.neighbors().len(), 1);
    assert_eq!(scene.open, [] as [IpAddr; 0], "it has not said a word");
    scene.settle();
    assert_eq!(scene.open, [node(2)]);
    scene.bring_up(node(2));
    scene.arrive(node(3));
    assert_eq!(scene.open, [node(2), node(3)]);
    assert_ne!(scene.ports[&node(2)], scene.ports[&node(3)]);
    assert_eq!(scene.bfd(node(2)), Some(BfdState::Up), "another's coming is nothing to it");
    assert_eq!(scene.bfd(node(3)), Some(BfdState::Down));
    let mut scene = Scene::new(false);
    scene.arrive(node(2));
    assert_eq!((scene.open.len(), scene.bfd(node(2))), (0, None));
}

#[test]
fn who_falls_silent_is_taken_down_and_not_watched_any_more() {
    let mut scene = Scene::new(true);
    scene.arrive(node(2));
    scene.arrive(node(3));
    scene.bring_up(node(2));
    let first = scene.sent[&node(2)].my_discriminator;
    scene.pass(Duration::from_millis(899));
    assert!(scene.closed.is_empty());
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.closed.len(), 1, "{:?}", scene.closed);
    assert!(scene.closed[0].ends_with(&[3, 6, 10]), "{:?}", scene.closed);
    let left: Vec<IpAddr> = scene.neighbors().iter().map(|it| it.address).collect();
    assert_eq!(left, [node(3)], "BFD that never came up takes nobody down");
    assert_eq!(scene.sent[&node(2)].state, State::AdminDown);
    assert_eq!(scene.open, [node(2), node(3)], "while it is told");
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.open, [node(3)]);
    // It is back, and another session watches it.
    scene.arrive(node(2));
    assert_eq!(scene.open, [node(2), node(3)]);
    scene.bring_up(node(2));
    assert_ne!(scene.sent[&node(2)].my_discriminator, first);
}

/// It goes before it is told, and comes back meanwhile.
#[test]
fn who_comes_back_at_once_is_watched_anew() {
    let mut scene = Scene::new(true);
    scene.arrive(node(2));
    scene.bring_up(node(2));
    let gone = scene.nodes.pop().unwrap();
    let (acme, now) = (scene.acme.clone(), scene.world.now);
    let closed = SocketEvent::Closed("reset".to_owned());
    scene.world.gateway.handle_socket(&acme, &gone.whose, gone.ours, &closed, now);
    scene.settle();
    assert_eq!(scene.bfd(gone.address), None);
    assert_eq!(scene.sent[&gone.address].state, State::AdminDown);
    scene.arrive(gone.address);
    assert_eq!(scene.bfd(gone.address), Some(BfdState::Down));
    scene.bring_up(gone.address);
    scene.pass(Duration::from_millis(500));
    scene.say(gone.address, State::Up);
    assert_eq!(scene.open, [gone.address]);
}

#[test]
fn a_reload_begins_to_watch_who_is_up_and_ends_it() {
    let mut scene = Scene::new(false);
    scene.arrive(node(2));
    scene.world.serve(&documents(true));
    scene.settle();
    assert_eq!(scene.open, [node(2)]);
    scene.bring_up(node(2));
    scene.world.serve(&documents(false));
    scene.settle();
    assert_eq!(scene.bfd(node(2)), None);
    assert_eq!(scene.sent[&node(2)].state, State::AdminDown);
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.open, [] as [IpAddr; 0]);
    assert!(scene.closed.is_empty(), "its BGP goes on");
}

/// Each took the port that was drawn first, and the sixty-fifth found none.
#[test]
fn neighbors_that_came_one_by_one_were_to_send_from_one_port() {
    let mut scene = Scene::new(true);
    for last in (2..=13).rev() {
        scene.arrive(node(last));
    }
    let mut ports: Vec<u16> = scene.ports.values().copied().collect();
    ports.sort_unstable();
    ports.dedup();
    assert!(10 < ports.len(), "of twelve: {ports:?}");
}
