//! A tenant's BGP in the machine: a neighbor that is a session in this process, a
//! simulated kernel, and time that the test moves.

use super::world::{World, config, keyed, name, with_sites};
use crate::bgp_scene::{announce, attributes, fabric_neighbor, import, nlri, withdraw};
use crate::sim_kernel::SimKernel;
use lockgate::bgp::proto::{Offer, RestartOffer};
use lockgate::bgp::session::{ConnectionId, Event, Output, Session, SessionConfig, SessionState};
use lockgate::bgp::{Attributes, Community, Family, NeighborName, Update};
use lockgate::gateway::{BgpAction, SocketEvent};
use lockgate::model::{BgpExport, BgpImport, Config, FabricBgp};
use lockgate::net::{Asn, Instant, TenantName};
use lockgate::status::{ConditionType, EventReason, RouteSource};
use lockgate::wireguard::PeerSample;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 136, 40, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 136, 40, 2));

/// One tenant with a site and one neighbor on its fabric link.
fn documents() -> Config {
    let mut tenant = with_sites("acme", vec![keyed("hq", 1, &["192.168.1.0/24"])]);
    tenant.fabric.bgp = Some(fabric_bgp());
    config(vec![tenant])
}

/// BGP with that neighbor.
pub(super) fn fabric_bgp() -> FabricBgp {
    FabricBgp {
        local_asn: Asn::new(64_600).unwrap(),
        router_id: Ipv4Addr::new(10, 136, 40, 1),
        neighbors: vec![fabric_neighbor("tor", "10.136.40.2", 65_001)],
        import: BgpImport {
            prefixes: vec![import("10.140.0.0/16", 24, 32)],
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: Vec::new(),
            maximum_prefixes: 1_000,
            restart_after: Duration::from_secs(300),
        },
        export: BgpExport::default(),
    }
}

/// A router at the other end of a link.
pub(super) struct Router {
    name: NeighborName,
    /// The ends of that link: the gateway's, and its own.
    ends: (IpAddr, IpAddr),
    pub(super) session: Session,
    /// Its connection: the gateway's number of it, and its own.
    pub(super) pipe: Option<(ConnectionId, ConnectionId)>,
    told: BTreeMap<String, Arc<Attributes>>,
    last: Vec<u8>,
}

impl Router {
    pub(super) fn new(name: NeighborName, asn: u32, ends: (IpAddr, IpAddr), now: Instant) -> Self {
        let IpAddr::V4(router_id) = ends.1 else { panic!("a router of IPv4") };
        let mut config = SessionConfig::new(Offer {
            local_asn: Asn::new(asn).unwrap(),
            remote_asn: Asn::new(64_600).unwrap(),
            router_id,
            hold_time: 90,
            least_hold_time: 0,
            families: vec![Family::Ipv4Unicast],
            required_families: Vec::new(),
            add_path_receive: false,
            extended_messages: false,
            extended_next_hop: false,
            restart: Some(RestartOffer {
                restart_time: 60,
                restarting: false,
                notification: false,
                forwarding_preserved: vec![Family::Ipv4Unicast],
            }),
            long_lived: None,
            role: None,
            strict_role: false,
            allowed_own_as: 0,
        });
        config.passive = true;
        let mut session = Session::new(config, 1, now);
        session.start(now);
        Self { name, ends, session, pipe: None, told: BTreeMap::new(), last: Vec::new() }
    }

    fn note(&mut self, update: Update) {
        for gone in update.withdrawn {
            self.told.remove(&gone.prefix.to_string());
        }
        for said in update.announced {
            for nlri in said.nlri {
                self.told.insert(nlri.prefix.to_string(), Arc::clone(&said.attributes));
            }
        }
    }
}

/// All of it.
pub(super) struct Scene {
    pub(super) world: World,
    /// The one of the fabric, and others.
    pub(super) routers: Vec<Router>,
    pub(super) acme: TenantName,
}

impl Scene {
    pub(super) fn on(world: World) -> Self {
        let tor = NeighborName::Fabric("tor".to_owned());
        let router = Router::new(tor, 65_001, (OURS, THEIRS), world.now.mono);
        Self { world, routers: vec![router], acme: name("acme") }
    }

    /// Served, with the session up.
    pub(super) fn up() -> Self {
        let mut scene = Self::on(World::new());
        scene.world.serve(&documents());
        scene.settle();
        assert_eq!(scene.routers[0].session.state(), SessionState::Established);
        scene.world.pass(Duration::from_secs(2));
        scene.settle();
        scene
    }

    /// Something happens on a connection of a router.
    pub(super) fn tell(&mut self, at: usize, id: ConnectionId, event: &SocketEvent) {
        let name = &self.routers[at].name;
        self.world.gateway.handle_socket(&self.acme, name, id, event, self.world.now);
        self.world.drain();
    }

    /// Carries bytes until nobody has any.
    pub(super) fn settle(&mut self) {
        for _ in 0..500 {
            self.world.drain();
            if !self.step() {
                return;
            }
        }
        panic!("they never fall silent");
    }

    fn step(&mut self) -> bool {
        let mut moved = false;
        let now = self.world.now.mono;
        for (_, action) in std::mem::take(&mut self.world.bgp) {
            let at = |name: &NeighborName| self.routers.iter().position(|it| it.name == *name);
            match action {
                BgpAction::Dial(name, id) => {
                    let Some(at) = at(&name) else { continue };
                    let router = &mut self.routers[at];
                    let (local, remote) = router.ends;
                    router.pipe = Some((id, router.session.handle_incoming(remote, local, now)));
                    self.tell(at, id, &SocketEvent::Connected { local, remote });
                    moved = true;
                }
                BgpAction::Close { neighbor, connection, last } => {
                    let Some(at) = at(&neighbor) else { continue };
                    let router = &mut self.routers[at];
                    if let Some((_, theirs)) = router.pipe.take_if(|(ours, _)| *ours == connection)
                    {
                        router.last.clone_from(&last);
                        router.session.handle_bytes(theirs, &last, now);
                        router.session.handle_closed(theirs, "closed", now);
                    }
                }
                BgpAction::Listen(_) | BgpAction::Write(..) => {}
            }
        }
        for at in 0..self.routers.len() {
            moved |= self.carry(at);
        }
        moved
    }

    /// Carries what there is between the gateway and a router.
    fn carry(&mut self, at: usize) -> bool {
        let now = self.world.now.mono;
        let router = &mut self.routers[at];
        while let Some(output) = router.session.poll_output() {
            match output {
                Output::Event(Event::Update(update)) => router.note(update),
                Output::Dial(_) | Output::Write(_) | Output::Close { .. } | Output::Event(_) => {}
            }
        }
        let Some((ours, theirs)) = router.pipe else { return false };
        let mut moved = false;
        let bytes = self.world.gateway.unsent(&self.acme, &router.name, ours).to_vec();
        if !bytes.is_empty() {
            self.tell(at, ours, &SocketEvent::Written(bytes.len()));
            self.routers[at].session.handle_bytes(theirs, &bytes, now);
            moved = true;
        }
        let router = &mut self.routers[at];
        let bytes = router.session.unsent(theirs).to_vec();
        if !bytes.is_empty() {
            router.session.handle_written(theirs, bytes.len(), now);
            self.tell(at, ours, &SocketEvent::Bytes(bytes));
            moved = true;
        }
        moved
    }

    pub(super) fn say(&mut self, update: Update) {
        self.say_by(0, update);
    }

    pub(super) fn say_by(&mut self, at: usize, mut update: Update) {
        self.routers[at].session.advertise(&mut update, self.world.now.mono).unwrap();
        self.settle();
    }

    /// The tenant's learned routes as its status has them.
    fn shown(&mut self) -> Vec<String> {
        let acme = self.acme.clone();
        let routes = self.world.tenant(&acme).routes.into_iter();
        let learned = routes.filter(|route| route.source == RouteSource::Bgp && route.installed);
        learned.map(|route| format!("{} {} {:?}", route.prefix, route.link, route.via)).collect()
    }

    pub(super) fn announce(&mut self, networks: &[&str]) {
        let networks = networks.iter().map(|network| nlri(network)).collect();
        self.say(announce(attributes("10.136.40.2", &[65_001]), networks));
    }

    pub(super) fn end_of_rib(&mut self, at: usize) {
        self.routers[at].session.end_of_rib(Family::Ipv4Unicast, self.world.now.mono).unwrap();
        self.settle();
    }

    /// The learned routes the kernel holds.
    pub(super) fn learned(&self) -> Vec<String> {
        let Some(namespace) = self.world.kernel.state.tenants.get(&self.acme) else {
            return Vec::new();
        };
        let learned = namespace.routes.iter().filter(|(key, _)| key.metric == 32);
        learned.map(|(key, route)| format!("{} {route}", key.prefix)).collect()
    }

    pub(super) fn told(&self) -> Vec<&str> {
        self.routers[0].told.keys().map(String::as_str).collect()
    }

    /// The site's peer shook hands now, or a long time ago.
    pub(super) fn handshake(&mut self, is_now: bool) {
        let at = is_now.then_some(self.world.now.wall);
        let sample = PeerSample { last_handshake: at, last_received: at, ..PeerSample::default() };
        let (acme, key) = (self.acme.clone(), super::world::key(1));
        self.world.sample(&acme, &[(key, sample)]);
        self.settle();
    }
}

pub(super) const TO: &str = "dev lg-fabric via 10.136.40.2";

#[test]
fn a_route_that_drops_was_not_among_those_that_are_shown() {
    let mut scene = Scene::up();
    scene.announce(&["10.140.1.0/24"]);
    let drops = Attributes {
        communities: vec![Community::BLACKHOLE],
        ..attributes("10.136.40.2", &[65_001])
    };
    scene.say(announce(drops, vec![nlri("10.140.2.0/24")]));
    scene.world.pass(Duration::from_millis(600));
    assert_eq!(
        scene.shown(),
        ["10.140.1.0/24 lg-fabric Some(10.136.40.2)", "10.140.2.0/24 blackhole None"]
    );
}

#[test]
fn what_is_said_is_in_the_kernel_at_once_and_looked_at_once_after() {
    let mut scene = Scene::up();
    scene.world.log();
    scene.announce(&["10.140.1.0/24", "10.140.2.0/24"]);
    scene.announce(&["10.140.3.0/24"]);
    assert_eq!(scene.learned(), [1, 2, 3].map(|n| format!("10.140.{n}.0/24 {TO}")));
    scene.say(withdraw("10.140.2.0/24"));
    assert_eq!(scene.learned().len(), 2);
    assert_eq!(scene.world.deeds(), ["apply acme/gw"; 3], "without a look in between");
    scene.world.pass(Duration::from_millis(600));
    assert_eq!(scene.world.deeds(), ["observe acme/gw"], "one for all of it");
    // What is not named is not taken.
    scene.announce(&["10.99.0.0/24"]);
    assert_eq!(scene.learned().len(), 2);
    let acme = scene.acme.clone();
    let tenant = scene.world.tenant(&acme);
    assert!(tenant.conditions.holds(ConditionType::Isolated), "{:?}", tenant.conditions);
    let events: Vec<EventReason> = tenant.events.iter().map(|event| event.reason).collect();
    assert!(events.contains(&EventReason::SessionEstablished), "{events:?}");
    assert!(!events.contains(&EventReason::DriftRepaired), "{events:?}");
}

#[test]
fn a_learned_route_that_somebody_takes_away_is_made_again() {
    let mut scene = Scene::up();
    scene.announce(&["10.140.1.0/24"]);
    scene.world.pass(Duration::from_secs(1));
    let acme = scene.acme.clone();
    let namespace = scene.world.kernel.state.tenants.get_mut(&acme).unwrap();
    namespace.routes.retain(|key, _| key.metric != 32);
    scene.world.gateway.handle_dirty(&acme, scene.world.now);
    scene.settle();
    assert_eq!(scene.learned(), [format!("10.140.1.0/24 {TO}")]);
    let events = scene.world.tenant(&acme).events;
    assert_eq!(events.last().unwrap().reason, EventReason::DriftRepaired);
}

#[test]
fn a_site_is_told_of_while_it_is_up() {
    let mut scene = Scene::up();
    assert_eq!(scene.told(), [""; 0]);
    scene.handshake(true);
    assert_eq!(scene.told(), ["192.168.1.0/24"]);
    // Its device is gone: nothing of the site's can pass.
    let acme = scene.acme.clone();
    scene.world.gateway.handle_device_failure(&acme, "lost".to_owned(), scene.world.now);
    while let Some(output) = scene.world.gateway.poll_output() {
        if let lockgate::gateway::Output::Bgp(name, action) = output {
            scene.world.bgp.push((name, action));
        } else {
            scene.world.pending.push_back(output);
        }
    }
    scene.step();
    scene.step();
    assert_eq!(scene.told(), [""; 0], "before anything else is done");
}

/// What a process that is killed leaves behind stays until its neighbors had the
/// time to say it again, as far as the documents allow it.
#[test]
fn what_an_earlier_process_learned_stays_until_all_is_said() {
    let mut scene = Scene::up();
    scene.announce(&["10.140.1.0/24", "10.140.2.0/24", "10.140.3.0/28"]);
    let kernel: SimKernel = scene.world.kernel;
    let mut scene = Scene::on(World::on(kernel));
    let mut documents = documents();
    let tenant = documents.tenants.values_mut().next().unwrap();
    // In these, a third is not allowed any more.
    let bgp = Arc::make_mut(tenant).fabric.bgp.as_mut().unwrap();
    bgp.import.prefixes = vec![import("10.140.0.0/16", 24, 24)];
    scene.world.serve(&documents);
    assert_eq!(scene.learned().len(), 2, "{:#?}", scene.learned());
    scene.settle();
    scene.world.pass(Duration::from_secs(61));
    scene.settle();
    assert_eq!(scene.learned().len(), 2, "nobody has said that this is all");
    scene.announce(&["10.140.2.0/24"]);
    scene.end_of_rib(0);
    assert_eq!(scene.learned(), [format!("10.140.2.0/24 {TO}")]);
    let acme = scene.acme.clone();
    let events = scene.world.tenant(&acme).events;
    assert!(events.iter().all(|it| it.reason != EventReason::DriftRepaired), "{events:#?}");
}

#[test]
fn a_tenant_that_goes_says_so_and_is_not_waited_for_long() {
    let mut scene = Scene::up();
    scene.handshake(true);
    scene.announce(&["10.140.1.0/24"]);
    scene.world.gateway.stop(scene.world.now);
    scene.settle();
    let told = &scene.routers[0].told["192.168.1.0/24"];
    assert!(told.communities.contains(&Community::GRACEFUL_SHUTDOWN), "{told:?}");
    assert_eq!(scene.learned().len(), 1, "others are found meanwhile");
    scene.world.pass(Duration::from_secs(2));
    scene.settle();
    // Cease, administrative shutdown, with a text (RFC 9003).
    assert_eq!(scene.routers[0].last.get(18..21), Some(&[3, 6, 2][..]));
    scene.world.pass(Duration::from_secs(1));
    assert!(scene.world.gateway.is_done());
    assert_eq!(scene.world.kernel.state.tenants.len(), 0);
}

#[test]
fn bgp_that_is_taken_out_of_the_documents_takes_its_routes_along() {
    let mut scene = Scene::up();
    scene.announce(&["10.140.1.0/24"]);
    let mut without = documents();
    Arc::make_mut(without.tenants.values_mut().next().unwrap()).fabric.bgp = None;
    scene.world.load(&without);
    scene.settle();
    assert_eq!(scene.learned(), [""; 0]);
    assert_eq!(scene.routers[0].last.get(18..21), Some(&[3, 6, 3][..]), "Cease, de-configured");
    scene.world.assert_settled(&without);
    // And back, at once where the other end does not wait after what it was told.
    scene.routers[0].session.start(scene.world.now.mono);
    scene.world.load(&documents());
    scene.settle();
    assert_eq!(scene.routers[0].session.state(), SessionState::Established);
}

#[test]
fn who_is_no_neighbor_is_nobodys_connection() {
    let mut scene = Scene::up();
    let other: IpAddr = "10.136.40.3".parse().unwrap();
    let (acme, now) = (scene.acme.clone(), scene.world.now);
    let gateway = &mut scene.world.gateway;
    assert_eq!(gateway.handle_incoming(&acme, OURS, other, now), None);
    // Nor is a neighbor at an address where it is not listened for.
    let tunnel: IpAddr = "10.255.1.0".parse().unwrap();
    assert_eq!(gateway.handle_incoming(&acme, tunnel, THEIRS, now), None);
    assert!(gateway.handle_incoming(&acme, OURS, THEIRS, now).is_some());
}
