//! A tenant's speaker among routers that are sessions in this process: what they
//! say becomes routes, what they are told hangs on the sites.

use crate::bgp_scene::{announce, attributes, name, namespace, nlri, tenant, withdraw};
use lockgate::bgp::proto::{Flaw, Offer, RestartOffer};
use lockgate::bgp::session::{ConnectionId, Event, Output, Session, SessionConfig, SessionState};
use lockgate::bgp::speaker::{Happening, SocketWork, Speaker};
use lockgate::bgp::{Attributes, Community, Family, NeighborName, Update};
use lockgate::model::{Attachment, Tenant};
use lockgate::net::{Asn, Instant, Role, SiteName};
use lockgate::reconcile::Said;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// A router at the other end, and what it was told.
struct Router {
    name: NeighborName,
    address: IpAddr,
    session: Session,
    /// Its connection: the speaker's number of it, and its own.
    pipe: Option<(ConnectionId, ConnectionId)>,
    told: BTreeMap<String, Arc<Attributes>>,
    ended: BTreeSet<Family>,
    /// What came in which order.
    heard: Vec<&'static str>,
}

impl Router {
    fn new(neighbor: &str, address: &str, asn: u32, restart_time: u16, now: Instant) -> Self {
        let address: Ipv4Addr = address.parse().unwrap();
        let mut config = SessionConfig::new(Offer {
            local_asn: Asn::new(asn).unwrap(),
            remote_asn: Asn::new(64_512).unwrap(),
            router_id: address,
            hold_time: 90,
            least_hold_time: 0,
            families: vec![Family::Ipv4Unicast, Family::Ipv6Unicast],
            required_families: Vec::new(),
            add_path_receive: false,
            extended_messages: false,
            extended_next_hop: false,
            restart: Some(RestartOffer {
                restart_time,
                restarting: false,
                notification: true,
                forwarding_preserved: vec![Family::Ipv4Unicast],
            }),
            long_lived: Some(300),
            role: None,
            strict_role: false,
            allowed_own_as: 0,
        });
        config.passive = true;
        let mut session = Session::new(config, 1, now);
        session.start(now);
        let (told, ended) = (BTreeMap::new(), BTreeSet::new());
        let (name, address, heard) = (name(neighbor), address.into(), Vec::new());
        Self { name, address, session, pipe: None, told, ended, heard }
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

    fn networks(&self) -> Vec<&str> {
        self.told.keys().map(String::as_str).collect()
    }
}

struct Scene {
    speaker: Speaker,
    routers: Vec<Router>,
    now: Instant,
    happened: Vec<(String, Happening)>,
}

impl Scene {
    fn new(tenant: &Tenant, restarted: bool) -> Self {
        Self::of(tenant, restarted, 60)
    }

    /// With routers that say that they take so many seconds to come back.
    fn of(tenant: &Tenant, restarted: bool, restart_time: u16) -> Self {
        let now = Instant::from_secs(5_000);
        let held = restarted.then(Said::default);
        let mut speaker = Speaker::new(tenant, held, (ConnectionId::default(), 3), now);
        speaker.surround(&namespace(""), now);
        let routers = [
            ("peer", "10.1.0.113", 64_512),
            ("tor", "10.1.0.1", 65_001),
            ("site/hq", "10.255.30.1", 65_010),
        ];
        let routers =
            routers.map(|(name, address, asn)| Router::new(name, address, asn, restart_time, now));
        Self { speaker, routers: routers.into(), now, happened: Vec::new() }
    }

    /// All of them up, with everything said that is to be said at the beginning.
    fn connected(tenant: &Tenant) -> Self {
        let mut scene = Self::new(tenant, false);
        scene.settle();
        for router in &scene.routers {
            assert_eq!(router.session.state(), SessionState::Established, "{}", router.name);
        }
        scene
    }

    fn own(&self, router: usize) -> IpAddr {
        let site = matches!(self.routers[router].name, NeighborName::Site(_));
        if site { "10.255.30.0" } else { "10.1.0.20" }.parse().unwrap()
    }

    /// Carries bytes until nobody has any.
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
            let Some(at) = self.routers.iter().position(|it| it.name == io.neighbor) else {
                continue;
            };
            let own = self.own(at);
            let router = &mut self.routers[at];
            match io.what {
                SocketWork::Dial(id) => {
                    let theirs = router.session.handle_incoming(router.address, own, self.now);
                    router.pipe = Some((id, theirs));
                    let ends = (own, router.address);
                    self.speaker.handle_connected(&io.neighbor, id, ends, self.now);
                    moved = true;
                }
                SocketWork::Write(_) => {}
                SocketWork::Close { connection, last } => {
                    if let Some((ours, theirs)) = router.pipe.filter(|(it, _)| *it == connection) {
                        assert_eq!(ours, connection);
                        router.pipe = None;
                        router.session.handle_bytes(theirs, &last, self.now);
                        router.session.handle_closed(theirs, "closed", self.now);
                        moved = true;
                    }
                }
            }
        }
        while let Some(event) = self.speaker.poll_event() {
            self.happened.push((event.neighbor.to_string(), event.what));
        }
        for router in &mut self.routers {
            let mut closed = false;
            while let Some(output) = router.session.poll_output() {
                match output {
                    Output::Event(Event::Update(update)) => {
                        router.heard.push("update");
                        router.note(update);
                    }
                    Output::Event(Event::RefreshBegun(_)) => router.heard.push("begun"),
                    Output::Event(Event::RefreshEnded(_)) => router.heard.push("ended"),
                    Output::Event(Event::TreatedAsWithdrawn(..)) => router.heard.push("amiss"),
                    Output::Event(Event::EndOfRib(family)) => drop(router.ended.insert(family)),
                    Output::Event(Event::Down { .. }) => {
                        router.told.clear();
                        router.ended.clear();
                    }
                    Output::Close { last, .. } => {
                        closed = true;
                        if let Some((ours, _)) = router.pipe {
                            self.speaker.handle_bytes(&router.name, ours, &last, self.now);
                        }
                    }
                    Output::Dial(_)
                    | Output::Write(_)
                    | Output::Event(
                        Event::Established(_) | Event::RefreshAsked(_) | Event::Writable,
                    ) => {}
                }
            }
            let Some((ours, theirs)) = router.pipe else { continue };
            if closed {
                router.pipe = None;
                self.speaker.handle_closed(&router.name, ours, "closed", self.now);
                moved = true;
                continue;
            }
            let bytes = self.speaker.unsent(&router.name, ours).to_vec();
            if !bytes.is_empty() {
                self.speaker.handle_written(&router.name, ours, bytes.len(), self.now);
                router.session.handle_bytes(theirs, &bytes, self.now);
                moved = true;
            }
            let bytes = router.session.unsent(theirs).to_vec();
            if !bytes.is_empty() {
                router.session.handle_written(theirs, bytes.len(), self.now);
                self.speaker.handle_bytes(&router.name, ours, &bytes, self.now);
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
            for router in &mut self.routers {
                router.session.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    fn say(&mut self, router: usize, mut update: Update) {
        self.routers[router].session.advertise(&mut update, self.now).unwrap();
        self.settle();
    }

    fn end_of_rib(&mut self, router: usize) {
        for family in [Family::Ipv4Unicast, Family::Ipv6Unicast] {
            self.routers[router].session.end_of_rib(family, self.now).unwrap();
        }
        self.settle();
    }

    /// The wire breaks without a word.
    fn cut(&mut self, router: usize) {
        let router = &mut self.routers[router];
        let (ours, theirs) = router.pipe.take().expect("connected");
        router.session.handle_closed(theirs, "cut", self.now);
        self.speaker.handle_closed(&router.name, ours, "cut", self.now);
    }

    fn up(&mut self, sites: &[&str]) {
        let sites: BTreeSet<SiteName> = sites.iter().map(|name| name.parse().unwrap()).collect();
        self.speaker.set_up(sites, self.now);
        self.settle();
    }

    fn routes(&self) -> Vec<String> {
        self.speaker.routes().iter().map(|(key, route)| format!("{key} {route}")).collect()
    }
}

#[test]
fn what_routers_say_becomes_routes_and_goes_with_them() {
    let mut scene = Scene::connected(&tenant());
    scene.say(0, announce(attributes("10.1.0.8", &[]), vec![nlri("192.168.72.64/26")]));
    // A pod that moved: its own route is longer than the block it came from.
    scene.say(0, announce(attributes("10.1.0.9", &[]), vec![nlri("192.168.72.70/32")]));
    // What is not named is not taken, and what is the customer's never.
    scene.say(0, announce(attributes("10.1.0.9", &[]), vec![nlri("10.9.0.0/16")]));
    scene.say(1, announce(attributes("10.1.0.1", &[65_001]), vec![nlri("10.200.1.0/24")]));
    let routes = scene.routes();
    assert_eq!(routes.len(), 2, "{routes:#?}");
    assert!(routes.iter().any(|it| it.contains("192.168.72.70/32") && it.contains("10.1.0.9")));
    scene.say(0, withdraw("192.168.72.70/32"));
    let routes = scene.routes();
    assert!(routes.len() == 1 && routes[0].contains("10.1.0.8"), "{routes:#?}");
    let sample = scene.speaker.sample();
    let peer = &sample.neighbors[&name("peer")];
    assert_eq!((peer.counts.held, peer.counts.accepted, peer.counts.serving), (2, 1, 1));
    scene.routers[0]
        .session
        .stop(&lockgate::bgp::session::StopReason::Shutdown { text: "over".to_owned() }, scene.now);
    scene.settle();
    assert_eq!(scene.routes(), [""; 0], "a shutdown is meant so: nothing is kept");
}

/// The next hop of the other family than the session's was our address on the
/// applications' link, where no customer can send to.
#[test]
fn a_customer_was_told_our_address_on_the_fabric_as_a_next_hop() {
    let mut tenant = tenant();
    tenant.app_prefixes.push("2001:db8:40::/64".parse().unwrap());
    tenant.fabric.addresses.push("2001:db8:1::20/64".parse().unwrap());
    for site in tenant.sites.values_mut() {
        if let Attachment::WireGuard(peer) = &mut site.attachment {
            peer.tunnel_addresses.push("2001:db8:30::/127".parse().unwrap());
        }
    }
    let scene = Scene::connected(&tenant);
    let told = |router: usize, network: &str| scene.routers[router].told[network].next_hop;
    assert_eq!(told(2, "192.168.0.0/16"), scene.own(2));
    assert_eq!(told(2, "2001:db8:40::/64"), "2001:db8:30::".parse::<IpAddr>().unwrap());
}

#[test]
fn a_customers_networks_are_advertised_only_while_the_site_is_up() {
    let mut scene = Scene::connected(&tenant());
    assert_eq!(scene.routers[0].networks(), [""; 0]);
    assert_eq!(scene.routers[0].ended.len(), 2, "nothing is said, and that this was all");
    assert_eq!(scene.routers[2].networks(), ["192.168.0.0/16"], "the customer gets the apps");

    scene.up(&["hq"]);
    for router in [0, 1] {
        // Its alias, where it has one.
        assert_eq!(scene.routers[router].networks(), ["10.200.1.0/24", "172.20.0.0/16"]);
        let told = &scene.routers[router].told["10.200.1.0/24"];
        assert_eq!(told.next_hop, scene.own(router));
        assert_eq!(told.med, Some(50));
        let path: Vec<u32> = told.as_path.systems().collect();
        assert_eq!(path, if router == 0 { vec![] } else { vec![64_512] });
        assert_eq!(told.local_pref, (router == 0).then_some(100));
    }
    scene.up(&["hq", "lab"]);
    assert_eq!(scene.routers[1].networks().len(), 3);
    scene.up(&["lab"]);
    assert_eq!(scene.routers[1].networks(), ["10.64.0.0/16"], "withdrawn, the session kept");
    assert_eq!(scene.routers[1].session.state(), SessionState::Established);
    assert_eq!(scene.routers[2].networks(), ["192.168.0.0/16"], "no customer hears of another");

    scene.speaker.begin_shutdown(scene.now);
    scene.settle();
    let told = &scene.routers[1].told["10.64.0.0/16"];
    assert!(told.communities.contains(&Community::GRACEFUL_SHUTDOWN));
}

#[test]
fn a_router_that_restarts_keeps_its_routes_until_it_has_said_everything() {
    let mut scene = Scene::connected(&tenant());
    let both = vec![nlri("192.168.72.64/26"), nlri("192.168.18.128/26")];
    scene.say(0, announce(attributes("10.1.0.8", &[]), both));
    scene.end_of_rib(0);
    scene.cut(0);
    scene.settle();
    assert_eq!(scene.routes().len(), 2, "kept, as stale");
    scene.pass(20);
    assert_eq!(scene.routers[0].session.state(), SessionState::Established, "it is back");
    assert_eq!(scene.routes().len(), 2);
    scene.say(0, announce(attributes("10.1.0.8", &[]), vec![nlri("192.168.72.64/26")]));
    assert_eq!(scene.routes().len(), 2);
    scene.end_of_rib(0);
    let routes = scene.routes();
    assert!(routes.len() == 1 && routes[0].contains("192.168.72.64/26"), "{routes:#?}");

    // One that does not come back.
    scene.cut(0);
    scene.routers[0].session.stop(&lockgate::bgp::session::StopReason::Release, scene.now);
    scene.pass(55);
    assert_eq!(scene.routes().len(), 1);
    scene.pass(10);
    assert_eq!(scene.routes(), [""; 0], "after its restart time");
}

/// What it said would lead nowhere for more than an hour.
#[test]
fn a_router_that_takes_an_hour_to_come_back_has_ten_minutes() {
    let mut scene = Scene::of(&tenant(), false, 4_095);
    scene.settle();
    scene.say(0, announce(attributes("10.1.0.8", &[]), vec![nlri("192.168.72.64/26")]));
    scene.cut(0);
    scene.routers.remove(0);
    scene.pass(599);
    assert_eq!(scene.routes().len(), 1);
    scene.pass(2);
    assert_eq!(scene.routes(), [""; 0]);
}

#[test]
fn a_neighbor_that_says_too_much_is_ended_and_tried_again_later() {
    let mut tenant = tenant();
    let site = tenant.sites.values_mut().find(|site| site.name.to_string() == "hq").unwrap();
    site.bgp.as_mut().unwrap().restart_after = Duration::from_secs(60);
    let mut scene = Scene::connected(&tenant);
    let many = (0..60).map(|at| nlri(&format!("172.20.{at}.0/24"))).collect();
    scene.say(2, announce(attributes("10.255.30.1", &[65_010]), many));
    assert!(
        scene.happened.iter().any(|(it, what)| it == "site/hq" && *what == Happening::OverLimit),
        "{:?}",
        scene.happened
    );
    assert_eq!(scene.routes(), [""; 0]);
    assert_ne!(scene.routers[2].session.state(), SessionState::Established);
    assert_eq!(scene.routers[0].session.state(), SessionState::Established, "nobody else's");
    scene.pass(55);
    assert_ne!(scene.routers[2].session.state(), SessionState::Established);
    scene.pass(25);
    assert_eq!(scene.routers[2].session.state(), SessionState::Established);
}

#[test]
fn a_speaker_that_restarted_leaves_routes_alone_until_everyone_has_spoken() {
    let mut alone = tenant();
    alone.sites.clear();
    alone.fabric.bgp.as_mut().unwrap().neighbors.truncate(1);
    let mut scene = Scene::new(&alone, true);
    assert!(scene.speaker.keeps_unsaid());
    scene.settle();
    assert!(scene.speaker.keeps_unsaid(), "it is up and has not said everything");
    scene.end_of_rib(0);
    assert!(!scene.speaker.keeps_unsaid());

    let mut scene = Scene::new(&alone, true);
    scene.now += Duration::from_secs(121);
    scene.speaker.handle_timeout(scene.now);
    assert!(!scene.speaker.keeps_unsaid(), "or until it has taken too long");
}

#[test]
fn changed_documents_end_no_session_they_are_not_about() {
    let mut scene = Scene::connected(&tenant());
    scene.up(&["hq"]);
    scene.say(0, announce(attributes("10.1.0.8", &[]), vec![nlri("192.168.72.64/26")]));
    let mut changed = tenant();
    {
        let bgp = changed.fabric.bgp.as_mut().unwrap();
        bgp.export.med = Some(7);
        bgp.import.prefixes.clear();
        bgp.neighbors.retain(|neighbor| neighbor.name != "tor");
    }
    scene.speaker.configure(&changed, 9, scene.now);
    scene.settle();
    let flaps = |scene: &Scene, name_of: &str| {
        scene.speaker.sample().neighbors[&name(name_of)].session.counters.flaps
    };
    assert_eq!((flaps(&scene, "peer"), flaps(&scene, "site/hq")), (0, 0));
    assert_eq!(scene.routers[0].told["10.200.1.0/24"].med, Some(7), "said anew");
    assert_eq!(scene.routes(), [""; 0], "judged anew");
    assert_ne!(scene.routers[1].session.state(), SessionState::Established);

    // A neighbor of another AS is another neighbor.
    changed.fabric.bgp.as_mut().unwrap().neighbors[0].remote_asn = Asn::new(64_999).unwrap();
    scene.speaker.configure(&changed, 9, scene.now);
    scene.settle();
    assert_ne!(scene.routers[0].session.state(), SessionState::Established);
    assert_eq!(scene.routers[2].session.state(), SessionState::Established);
}

#[test]
fn a_refresh_was_marked_as_begun_again_behind_what_it_said() {
    let mut scene = Scene::connected(&tenant());
    scene.up(&["hq"]);
    scene.routers[0].heard.clear();
    scene.routers[0].session.ask_refresh(Family::Ipv4Unicast, scene.now).unwrap();
    scene.settle();
    assert_eq!(scene.routers[0].heard, ["begun", "update", "ended"]);
}

/// Each time was answered with the whole table, and all tenants waited for that.
#[test]
fn a_neighbor_that_asked_a_thousand_times_at_once_was_told_everything_a_thousand_times() {
    let mut scene = Scene::connected(&tenant());
    scene.up(&["hq"]);
    scene.routers[0].heard.clear();
    for _ in 0..1_000 {
        scene.routers[0].session.ask_refresh(Family::Ipv4Unicast, scene.now).unwrap();
    }
    scene.settle();
    assert_eq!(scene.routers[0].heard, ["begun", "update", "ended"]);
}

#[test]
fn a_stranger_has_no_connection() {
    let mut scene = Scene::connected(&tenant());
    let ends = ["10.1.0.20".parse().unwrap(), "10.1.0.99".parse().unwrap()];
    assert_eq!(scene.speaker.handle_incoming(ends[0], ends[1], scene.now), None);
}

/// What the documents say we are to a neighbor holds for what it says (RFC 9234 §5),
/// and a route server is not in the paths that it passes on.
#[test]
fn what_we_are_to_a_neighbor_says_what_it_may_pass_on() {
    let taken = |role: Option<Role>, otc: Option<u32>, path: &[u32]| {
        let mut tenant = tenant();
        let bgp = tenant.fabric.bgp.as_mut().unwrap();
        bgp.neighbors[2].role = role;
        let mut scene = Scene::connected(&tenant);
        let said = Attributes { otc, ..attributes("10.1.0.1", path) };
        scene.say(1, announce(said, vec![nlri("192.168.72.64/26")]));
        let counters = &scene.speaker.sample().neighbors[&name("tor")].session.counters;
        let flaws: u64 = counters.flaws.iter().sum();
        assert_eq!(flaws + scene.routes().len() as u64, 1, "refused and counted, or taken");
        !scene.routes().is_empty()
    };
    let own = [65_001];
    assert!(taken(None, Some(65_001), &own));
    assert!(taken(Some(Role::Customer), Some(65_001), &own));
    assert!(!taken(Some(Role::Provider), Some(65_001), &own), "a leak of a customer's");
    assert!(!taken(Some(Role::Peer), Some(65_077), &own), "a leak of a peer's");
    assert!(taken(Some(Role::RouteServerClient), None, &[65_077]));
    assert!(!taken(Some(Role::Customer), None, &[65_077]));
}

/// Where several share our AS, a path may come through it as often as it is told.
#[test]
fn our_own_as_may_be_in_a_path_as_often_as_the_document_says() {
    let ours = 64_512;
    for (allowed, path, is_taken) in [
        (0, vec![65_001, ours], false),
        (1, vec![65_001, ours], true),
        (1, vec![65_001, ours, 65_002, ours], false),
        (2, vec![65_001, ours, 65_002, ours], true),
    ] {
        let mut tenant = tenant();
        tenant.fabric.bgp.as_mut().unwrap().neighbors[2].allow_own_asn = allowed;
        let mut scene = Scene::connected(&tenant);
        scene.say(1, announce(attributes("10.1.0.1", &path), vec![nlri("192.168.72.64/26")]));
        assert_eq!(!scene.routes().is_empty(), is_taken, "{path:?} where {allowed} are allowed");
        let sample = scene.speaker.sample();
        let looped = sample.neighbors[&name("tor")].session.counters.flaws[Flaw::AsLoop as usize];
        assert_eq!(looped, u64::from(!is_taken));
    }
}

/// A neighbor that is gone for longer than it said: its routes are kept for as long as the
/// document lets them, less than it asks for, and only where that is offered.
#[test]
fn routes_are_kept_for_long_where_the_document_says_so() {
    let no_llgr =
        Attributes { communities: vec![Community::NO_LLGR], ..attributes("10.1.0.1", &[65_001]) };
    for (offered, kept) in [(0, 0), (100, 100), (1_000, 300)] {
        let mut tenant = tenant();
        let bgp = tenant.fabric.bgp.as_mut().unwrap();
        bgp.neighbors[2].long_lived = Duration::from_secs(offered);
        let mut scene = Scene::connected(&tenant);
        let said = attributes("10.1.0.1", &[65_001]);
        scene.say(1, announce(said, vec![nlri("192.168.72.64/26")]));
        scene.say(1, announce(no_llgr.clone(), vec![nlri("192.168.72.128/26")]));
        scene.cut(1);
        scene.routers.remove(1);
        let shown = |scene: &Scene| {
            let explained = scene.speaker.explain("192.168.72.64/26".parse().unwrap());
            explained.map(|it| it.paths[0].to_string()).unwrap_or_default()
        };
        // It said that it takes 60 s to come back.
        scene.pass(59);
        assert_eq!(scene.routes().len(), 2, "{offered}");
        assert!(shown(&scene).ends_with(", stale"), "{}", shown(&scene));
        scene.pass(2);
        assert_eq!(scene.routes().len(), usize::from(kept != 0), "{offered}");
        if kept != 0 {
            assert!(shown(&scene).ends_with("long-lived stale"), "{}", shown(&scene));
            scene.pass(kept - 3);
            assert_eq!(scene.routes().len(), 1, "{offered}");
            scene.pass(3);
            assert_eq!(scene.routes().len(), 0, "{offered}");
        }
    }
}
