//! Neighbors that connect out of a range: who is let in, what they are called, and
//! when each is forgotten.

use crate::bgp_scene::{announce, attributes, fabric_neighbor, name, namespace, nlri, tenant};
use lockgate::bgp::proto::{Offer, RestartOffer};
use lockgate::bgp::session::{
    ConnectionId, Output, Session, SessionConfig, SessionState, StopReason,
};
use lockgate::bgp::speaker::{Happening, SocketWork, Speaker, SpeakerSample};
use lockgate::bgp::{Family, NeighborName};
use lockgate::model::{BgpNeighbor, NeighborAt, Tenant};
use lockgate::net::{Asn, Instant};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The tenant of the scene, whose nodes 10.1.0.0–10.1.0.15 may connect.
fn with_range(maximum: usize) -> Tenant {
    let mut tenant = tenant();
    let at = NeighborAt::Range { prefix: "10.1.0.0/28".parse().unwrap(), maximum };
    let range = BgpNeighbor { at, ..fabric_neighbor("nodes", "10.1.0.0", 65_001) };
    tenant.fabric.bgp.as_mut().unwrap().neighbors.push(range);
    tenant
}

/// A router that dials in.
struct Node {
    address: IpAddr,
    asn: u32,
    session: Session,
    /// Its connection: the speaker's name and number of it, and its own.
    pipe: Option<(NeighborName, ConnectionId, ConnectionId)>,
}

struct Scene {
    speaker: Speaker,
    nodes: Vec<Node>,
    now: Instant,
    happened: Vec<(String, Happening)>,
}

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 20));

impl Scene {
    fn new(tenant: &Tenant) -> Self {
        let now = Instant::from_secs(5_000);
        let mut speaker = Speaker::new(tenant, None, (ConnectionId::default(), 3), now);
        speaker.surround(&namespace(""), now);
        Self { speaker, nodes: Vec::new(), now, happened: Vec::new() }
    }

    /// A node that wants a session, with graceful restart for `restart` seconds.
    fn node(&mut self, address: &str, asn: u32, restart: u16) -> usize {
        let address: Ipv4Addr = address.parse().unwrap();
        let restart = (restart != 0).then(|| RestartOffer {
            restart_time: restart,
            restarting: false,
            notification: true,
            forwarding_preserved: vec![Family::Ipv4Unicast],
        });
        let config = SessionConfig::new(Offer {
            local_asn: Asn::new(asn).unwrap(),
            remote_asn: Asn::new(64_512).unwrap(),
            router_id: address,
            hold_time: 90,
            least_hold_time: 0,
            families: vec![Family::Ipv4Unicast],
            required_families: Vec::new(),
            add_path_receive: false,
            extended_messages: false,
            extended_next_hop: false,
            restart,
            long_lived: None,
            role: None,
            strict_role: false,
            allowed_own_as: 0,
        });
        let mut session = Session::new(config, 1, self.now);
        session.start(self.now);
        self.nodes.push(Node { address: address.into(), asn, session, pipe: None });
        self.settle();
        self.nodes.len() - 1
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            if !self.step() {
                return;
            }
        }
        panic!("they never fall silent");
    }

    fn step(&mut self) -> bool {
        let mut moved = false;
        while let Some(io) = self.speaker.poll_io() {
            match io.what {
                SocketWork::Close { connection, last } => {
                    let is_it = |node: &&mut Node| {
                        node.pipe
                            .as_ref()
                            .is_some_and(|(name, id, _)| *name == io.neighbor && *id == connection)
                    };
                    let Some(node) = self.nodes.iter_mut().find(is_it) else { continue };
                    let (_, _, theirs) = node.pipe.take().unwrap();
                    node.session.handle_bytes(theirs, &last, self.now);
                    node.session.handle_closed(theirs, "closed", self.now);
                    moved = true;
                }
                SocketWork::Dial(_) => {
                    assert!(io.neighbor.range().is_none(), "nobody out of a range is dialed");
                }
                SocketWork::Write(_) => {}
            }
        }
        while let Some(event) = self.speaker.poll_event() {
            self.happened.push((event.neighbor.to_string(), event.what));
        }
        for node in &mut self.nodes {
            while let Some(output) = node.session.poll_output() {
                match output {
                    Output::Dial(theirs) => {
                        node.session.handle_connected(theirs, node.address, OURS, self.now);
                        let whose = self.speaker.handle_incoming(OURS, node.address, self.now);
                        match whose {
                            Some((name, id)) => node.pipe = Some((name, id, theirs)),
                            None => node.session.handle_closed(theirs, "reset", self.now),
                        }
                        moved = true;
                    }
                    Output::Close { last, .. } => {
                        let Some((name, ours, _)) = node.pipe.take() else { continue };
                        self.speaker.handle_bytes(&name, ours, &last, self.now);
                        self.speaker.handle_closed(&name, ours, "closed", self.now);
                        moved = true;
                    }
                    Output::Write(_) | Output::Event(_) => {}
                }
            }
            let Some((name, ours, theirs)) = node.pipe.clone() else { continue };
            let bytes = self.speaker.unsent(&name, ours).to_vec();
            if !bytes.is_empty() {
                self.speaker.handle_written(&name, ours, bytes.len(), self.now);
                node.session.handle_bytes(theirs, &bytes, self.now);
                moved = true;
            }
            let bytes = node.session.unsent(theirs).to_vec();
            if !bytes.is_empty() {
                node.session.handle_written(theirs, bytes.len(), self.now);
                self.speaker.handle_bytes(&name, ours, &bytes, self.now);
                moved = true;
            }
        }
        moved
    }

    /// Lets so many seconds pass, one by one.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.speaker.handle_timeout(self.now);
            for node in &mut self.nodes {
                node.session.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    fn say(&mut self, node: usize, prefix: &str) {
        let Node { address, asn, .. } = self.nodes[node];
        let said = attributes(&address.to_string(), &[asn]);
        let mut update = announce(said, vec![nlri(prefix)]);
        self.nodes[node].session.advertise(&mut update, self.now).unwrap();
        self.settle();
    }

    /// The node is gone without a word, and does not come back.
    fn lose(&mut self, node: usize) {
        let node = self.nodes.remove(node);
        let (name, ours, _) = node.pipe.expect("connected");
        self.speaker.handle_closed(&name, ours, "lost", self.now);
        self.settle();
    }

    fn is_up(&self, node: usize) -> bool {
        self.nodes[node].session.state() == SessionState::Established
    }

    fn sample(&self) -> SpeakerSample {
        self.speaker.sample()
    }

    /// The neighbors out of ranges.
    fn dynamic(&self) -> Vec<String> {
        let sample = self.sample();
        let names = sample.neighbors.keys().filter(|name| name.range().is_some());
        names.map(ToString::to_string).collect()
    }

    fn routes(&self) -> usize {
        self.speaker.routes().len()
    }
}

#[test]
fn who_connects_out_of_a_range_is_a_neighbor_until_it_goes() {
    let mut scene = Scene::new(&with_range(100));
    let (first, second) = (scene.node("10.1.0.8", 65_001, 0), scene.node("10.1.0.9", 65_001, 0));
    assert!(scene.is_up(first) && scene.is_up(second));
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.8", "nodes/10.1.0.9"]);
    scene.say(first, "192.168.72.64/26");
    scene.say(second, "192.168.72.128/26");
    assert_eq!(scene.routes(), 2);
    let told = &scene.sample().neighbors[&name("nodes/10.1.0.8")];
    assert_eq!((told.counts.accepted, told.endpoint.passive), (1, true));
    scene.lose(first);
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.9"]);
    assert_eq!(scene.routes(), 1);
    // What was counted of who is gone is still counted.
    let range = &scene.sample().ranges["nodes"];
    assert_eq!((range.neighbors, range.counters.flaps, range.counters.established), (1, 1, 2));
    // The same one again is another neighbor, with numbers of its own.
    let again = scene.node("10.1.0.8", 65_001, 0);
    assert!(scene.is_up(again));
    assert_eq!(scene.sample().ranges["nodes"].counters.established, 3);
    // Outside of it nobody is.
    let stranger = scene.node("10.1.0.16", 65_001, 0);
    assert!(!scene.is_up(stranger) && scene.dynamic().len() == 2);
}

#[test]
fn one_too_many_is_told_so_and_comes_in_when_there_is_room() {
    let mut scene = Scene::new(&with_range(2));
    for address in ["10.1.0.8", "10.1.0.9", "10.1.0.10"] {
        scene.node(address, 65_001, 0);
    }
    assert!(scene.is_up(0) && scene.is_up(1) && !scene.is_up(2));
    assert_eq!(scene.dynamic().len(), 2);
    let (error, _) = scene.nodes[2].session.sample().last_error.unwrap();
    assert!(error.contains("Connection Rejected (6/5)"), "{error}");
    scene.pass(40);
    assert!(!scene.is_up(2));
    let full = |(_, what): &&(String, Happening)| *what == Happening::RangeFull(2);
    assert_eq!(scene.happened.iter().filter(full).count(), 1, "said once: {:?}", scene.happened);
    assert!(1 < scene.sample().ranges["nodes"].refused);
    scene.lose(0);
    scene.pass(60);
    assert!(scene.is_up(1), "the third has the place now");
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.9", "nodes/10.1.0.10"]);
}

#[test]
fn who_is_named_by_address_is_not_of_the_range() {
    let mut scene = Scene::new(&with_range(1));
    // 10.1.0.1 is `tor`.
    let tor = scene.node("10.1.0.1", 65_001, 0);
    let node = scene.node("10.1.0.8", 65_001, 0);
    assert!(scene.is_up(tor) && scene.is_up(node), "it does not take the range's place");
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.8"]);
    // One that is named from now on was of the range until then.
    let mut changed = with_range(1);
    let bgp = changed.fabric.bgp.as_mut().unwrap();
    bgp.neighbors.insert(0, fabric_neighbor("eighth", "10.1.0.8", 65_001));
    scene.speaker.configure(&changed, 4, scene.now);
    scene.settle();
    assert!(scene.dynamic().is_empty() && !scene.is_up(node));
    scene.pass(30);
    assert!(scene.is_up(node));
    let eighth = &scene.sample().neighbors[&name("eighth")];
    assert_eq!(eighth.session.state, SessionState::Established);
}

/// Routes that are kept past a session have an owner until they go, and it goes with
/// them.
#[test]
fn stale_routes_of_a_range_are_swept_with_their_neighbor() {
    let mut scene = Scene::new(&with_range(2));
    let node = scene.node("10.1.0.8", 65_001, 60);
    scene.say(node, "192.168.72.64/26");
    scene.lose(node);
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.8"]);
    let kept = &scene.sample().neighbors[&name("nodes/10.1.0.8")];
    assert_eq!((kept.counts.stale, scene.routes()), (1, 1));
    scene.pass(59);
    assert_eq!((scene.dynamic().len(), scene.routes()), (1, 1));
    scene.pass(2);
    assert_eq!((scene.dynamic().len(), scene.routes()), (0, 0), "GoBGP keeps them for ever");
    // Back in time, it takes up what is its own.
    let node = scene.node("10.1.0.8", 65_001, 60);
    scene.say(node, "192.168.72.64/26");
    scene.lose(node);
    let node = scene.node("10.1.0.8", 65_001, 60);
    assert!(scene.is_up(node));
    assert_eq!(scene.routes(), 1);
    scene.nodes[node].session.end_of_rib(Family::Ipv4Unicast, scene.now).unwrap();
    scene.settle();
    assert_eq!((scene.dynamic().len(), scene.routes()), (1, 0));
}

#[test]
fn one_that_says_too_much_is_left_alone_as_any_other() {
    let mut tenant = with_range(2);
    tenant.fabric.bgp.as_mut().unwrap().import.maximum_prefixes = 1;
    let mut scene = Scene::new(&tenant);
    let node = scene.node("10.1.0.8", 65_001, 0);
    scene.say(node, "192.168.72.64/26");
    scene.say(node, "192.168.72.128/26");
    assert!(!scene.is_up(node));
    scene.pass(120);
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.8"], "it does not come back by being forgotten");
    assert!(!scene.is_up(node));
    scene.pass(600);
    assert!(scene.is_up(node));
}

#[test]
fn who_has_another_as_is_no_neighbor_for_long() {
    let mut scene = Scene::new(&with_range(1));
    let wrong = scene.node("10.1.0.8", 65_009, 0);
    assert!(!scene.is_up(wrong));
    let held = &scene.sample().neighbors[&name("nodes/10.1.0.8")];
    let (error, _) = held.session.last_error.clone().unwrap();
    assert!(error.contains("(2/2)"), "{error}");
    scene.nodes.remove(wrong);
    scene.pass(10);
    assert!(scene.dynamic().is_empty());
}

#[test]
fn a_range_that_changes_lets_go_of_who_is_not_of_it_any_more() {
    let mut scene = Scene::new(&with_range(5));
    let (near, far) = (scene.node("10.1.0.3", 65_001, 0), scene.node("10.1.0.9", 65_001, 0));
    assert!(scene.is_up(near) && scene.is_up(far));
    let mut narrow = with_range(5);
    let bgp = narrow.fabric.bgp.as_mut().unwrap();
    bgp.neighbors.last_mut().unwrap().at =
        NeighborAt::Range { prefix: "10.1.0.0/29".parse().unwrap(), maximum: 5 };
    scene.speaker.configure(&narrow, 4, scene.now);
    scene.settle();
    assert!(scene.is_up(near) && !scene.is_up(far));
    assert_eq!(scene.dynamic(), ["nodes/10.1.0.3"]);
    // Nobody is let in while everything ends.
    let text = "the end".to_owned();
    scene.speaker.stop(&StopReason::Shutdown { text }, scene.now);
    let late = scene.node("10.1.0.4", 65_001, 0);
    assert!(!scene.is_up(late));
}
