//! One session with a route reflector, shared by tenants: what each hears, and what it
//! holds of that.

use crate::bgp_scene::{name, namespace, tenant};
use crate::bgp_vpn_messages::{Network, say, say_wrongly, take_back};
use lockgate::bgp::proto::{Offer, RestartOffer};
use lockgate::bgp::session::{
    ConnectionId, DownReason, Event, Output, Session, SessionConfig, SessionState, StopReason,
};
use lockgate::bgp::speaker::{Happening, SocketWork, Speaker};
use lockgate::bgp::{Family, NeighborName, SharedSession};
use lockgate::model::{Class, Tenant, VpnReflector};
use lockgate::net::{Asn, Instant, TenantName};
use lockgate::reconcile::Said;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2));
const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);

fn reflector() -> VpnReflector {
    VpnReflector {
        name: "rr1".to_owned(),
        address: THEIRS.into(),
        local_asn: Asn::new(64_512).unwrap(),
        router_id: Ipv4Addr::new(10, 1, 0, 2),
        remote_asn: Asn::new(64_512).unwrap(),
        ttl_security: None,
        password: None,
    }
}

/// A tenant that takes VPN routes of these targets, `ASN:value` of the cluster's.
fn of_targets(namespace: &str, targets: &[u32]) -> Tenant {
    let mut tenant = tenant();
    tenant.name = TenantName::new(namespace, "gw").unwrap();
    let class = Class { vpn_reflectors: vec![reflector()], ..(*tenant.class).clone() };
    tenant.class = Arc::new(class);
    let import = &mut tenant.fabric.bgp.as_mut().unwrap().import;
    import.route_targets =
        targets.iter().map(|value| format!("64512:{value}").parse().unwrap()).collect();
    tenant
}

/// The reflector, the session with it, and the tenants' speakers.
struct Scene {
    shared: SharedSession,
    reflector: Session,
    /// The connection: our number of it, and the reflector's.
    pipe: Option<(ConnectionId, ConnectionId)>,
    speakers: BTreeMap<TenantName, Speaker>,
    /// What each was told, in words.
    heard: BTreeMap<TenantName, Vec<String>>,
    /// How often each family was asked for again.
    asked: BTreeMap<Family, u32>,
    now: Instant,
}

impl Scene {
    fn new(tenants: &[Tenant]) -> Self {
        let now = Instant::from_secs(5_000);
        let mut config = SessionConfig::new(Offer {
            local_asn: Asn::new(64_512).unwrap(),
            remote_asn: Asn::new(64_512).unwrap(),
            router_id: THEIRS,
            hold_time: 90,
            least_hold_time: 0,
            families: vec![Family::Ipv4Vpn, Family::RouteTargets],
            required_families: Vec::new(),
            add_path_receive: false,
            extended_messages: false,
            extended_next_hop: false,
            restart: Some(RestartOffer {
                restart_time: 60,
                restarting: false,
                notification: false,
                forwarding_preserved: vec![Family::Ipv4Vpn],
            }),
            long_lived: None,
            role: None,
            strict_role: false,
            allowed_own_as: 0,
        });
        config.passive = true;
        let mut session = Session::new(config, 1, now);
        session.start(now);
        let mut scene = Self {
            shared: SharedSession::new(&reflector(), (ConnectionId::default(), 3), now),
            reflector: session,
            pipe: None,
            speakers: BTreeMap::new(),
            heard: BTreeMap::new(),
            asked: BTreeMap::new(),
            now,
        };
        for tenant in tenants {
            scene.serve(tenant);
        }
        scene.settle();
        scene
    }

    /// A tenant comes, or its documents change.
    fn serve(&mut self, tenant: &Tenant) {
        match self.speakers.get_mut(&tenant.name) {
            Some(speaker) => speaker.configure(tenant, 5, self.now),
            None => {
                let mut speaker =
                    Speaker::new(tenant, None, (ConnectionId::default(), 3), self.now);
                speaker.surround(&namespace(""), self.now);
                self.speakers.insert(tenant.name.clone(), speaker);
            }
        }
        self.share();
    }

    /// What the gateway does after anything about a tenant.
    fn share(&mut self) {
        for (tenant, speaker) in &mut self.speakers {
            self.shared.want(tenant, speaker.wanted_of(&rr()), false, self.now);
            if !speaker.hears(&rr()) {
                self.shared.greet(tenant, self.now);
            }
            if speaker.take_asks_again(&rr()) {
                self.shared.ask_again(self.now);
            }
        }
    }

    /// Carries everything until nobody has anything.
    fn settle(&mut self) {
        for _ in 0..200 {
            let mut is_done = true;
            while let Some((tenant, event)) = self.shared.poll_event() {
                is_done = false;
                self.heard.entry(tenant.clone()).or_default().push(words(&event));
                let Some(speaker) = self.speakers.get_mut(&tenant) else { continue };
                speaker.hear(&rr(), event, self.now);
            }
            self.share();
            while let Some(work) = self.shared.poll_work() {
                is_done = false;
                self.carry_out(work);
            }
            while let Some(output) = self.reflector.poll_output() {
                is_done = false;
                self.carry_back(output);
            }
            if is_done {
                return;
            }
        }
        panic!("it goes round in circles");
    }

    fn carry_out(&mut self, work: SocketWork) {
        match work {
            SocketWork::Dial(ours) => {
                let theirs = self.reflector.handle_incoming(THEIRS.into(), OURS, self.now);
                self.pipe = Some((ours, theirs));
                self.shared.handle_connected(ours, (OURS, THEIRS.into()), self.now);
            }
            SocketWork::Write(ours) => {
                let bytes = self.shared.unsent(ours).to_vec();
                self.shared.handle_written(ours, bytes.len(), self.now);
                let Some((_, theirs)) = self.pipe.filter(|pipe| pipe.0 == ours) else { return };
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let taken = self.reflector.handle_bytes(theirs, rest, self.now).max(1);
                    rest = &rest[taken..];
                }
            }
            SocketWork::Close { connection, last } => {
                let Some((ours, theirs)) = self.pipe.filter(|pipe| pipe.0 == connection) else {
                    return;
                };
                assert_eq!(ours, connection);
                self.pipe = None;
                if !last.is_empty() {
                    self.reflector.handle_bytes(theirs, &last, self.now);
                }
                self.reflector.handle_closed(theirs, "closed", self.now);
            }
        }
    }

    fn carry_back(&mut self, output: Output) {
        match output {
            Output::Write(theirs) => {
                let bytes = self.reflector.unsent(theirs).to_vec();
                self.reflector.handle_written(theirs, bytes.len(), self.now);
                if let Some((ours, _)) = self.pipe.filter(|pipe| pipe.1 == theirs) {
                    self.shared.handle_bytes(ours, &bytes, self.now);
                }
            }
            Output::Close { connection, last } => {
                if let Some((ours, _)) = self.pipe.take_if(|pipe| pipe.1 == connection) {
                    self.shared.handle_bytes(ours, &last, self.now);
                    self.shared.handle_closed(ours, "closed", self.now);
                }
            }
            Output::Event(Event::RefreshAsked(family)) => {
                *self.asked.entry(family).or_default() += 1;
            }
            Output::Dial(_) | Output::Event(_) => {}
        }
    }

    /// The reflector says this.
    fn say(&mut self, message: &[u8]) {
        let (ours, _) = self.pipe.unwrap();
        self.shared.handle_bytes(ours, message, self.now);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = [self.shared.poll_timeout(), self.reflector.poll_timeout()];
            let due = due.into_iter().flatten();
            let due = due.chain(self.speakers.values().filter_map(|it| it.poll_timeout())).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            self.shared.handle_timeout(self.now);
            self.reflector.handle_timeout(self.now);
            for speaker in self.speakers.values_mut() {
                speaker.handle_timeout(self.now);
            }
            self.share();
            self.settle();
        }
        self.now = end;
    }

    /// What a tenant was told since this was asked last.
    fn heard(&mut self, namespace: &str) -> Vec<String> {
        self.heard.remove(&TenantName::new(namespace, "gw").unwrap()).unwrap_or_default()
    }

    fn speaker(&mut self, namespace: &str) -> &mut Speaker {
        self.speakers.get_mut(&TenantName::new(namespace, "gw").unwrap()).unwrap()
    }

    /// What a tenant holds, of whom else there is nothing.
    fn held(&self, namespace: &str) -> Vec<String> {
        let speaker = &self.speakers[&TenantName::new(namespace, "gw").unwrap()];
        speaker.explain_all().flat_map(|it| it.paths).map(|path| path_words(&path)).collect()
    }
}

fn path_words(path: &lockgate::bgp::ExplainedPath) -> String {
    let distinguisher = path.nlri.distinguisher.unwrap().0[7];
    format!("{distinguisher}:{} {}", path.nlri.prefix, path.state)
}

fn rr() -> NeighborName {
    name("reflector/rr1")
}

fn words(event: &Event) -> String {
    let nlri = |all: &[lockgate::bgp::Nlri]| -> String {
        all.iter().map(|it| format!(" {}:{}", it.distinguisher.unwrap().0[7], it.prefix)).collect()
    };
    match event {
        Event::Established(_) => "up".to_owned(),
        Event::Update(update) => {
            let said: String = update.announced.iter().map(|it| nlri(&it.nlri)).collect();
            format!("said{said} gone{}", nlri(&update.withdrawn))
        }
        Event::TreatedAsWithdrawn(_, networks) => format!("treated{}", nlri(networks)),
        Event::EndOfRib(family) => format!("all of {family}"),
        Event::RefreshAsked(_) | Event::Writable => panic!("that is for nobody: {event:?}"),
        Event::RefreshBegun(family) => format!("{family} again"),
        Event::RefreshEnded(family) => format!("{family} again, all"),
        Event::Down { keeps_routes: true, .. } => "down, kept".to_owned(),
        Event::Down { keeps_routes: false, .. } => "down".to_owned(),
    }
}

fn two() -> Scene {
    let mut scene = Scene::new(&[of_targets("acme", &[40]), of_targets("beta", &[41])]);
    for tenant in ["acme", "beta"] {
        assert_eq!(scene.heard(tenant), ["up"]);
    }
    scene
}

#[test]
fn each_tenant_hears_what_is_of_its_targets_and_nothing_else() {
    let mut scene = two();
    scene.say(&say(&[Network(1, 1)], &[40]));
    scene.say(&say(&[Network(2, 1), Network(2, 2)], &[41]));
    scene.say(&say(&[Network(3, 3)], &[99]));
    scene.say(&say(&[Network(4, 4)], &[99, 40, 41]));
    assert_eq!(scene.heard("acme"), ["said 1:192.168.1.0/26 gone", "said 4:192.168.4.0/26 gone"]);
    assert_eq!(
        scene.heard("beta"),
        ["said 2:192.168.1.0/26 2:192.168.2.0/26 gone", "said 4:192.168.4.0/26 gone"]
    );
    assert_eq!(scene.held("acme"), ["1:192.168.1.0/26 best", "4:192.168.4.0/26 best"]);
    let of_beta = ["2:192.168.1.0/26 best", "2:192.168.2.0/26 best", "4:192.168.4.0/26 best"];
    assert_eq!(scene.held("beta"), of_beta);
    assert_eq!((scene.shared.not_kept(), scene.shared.tenants()), (1, 2));
}

#[test]
fn what_is_taken_back_is_told_to_who_has_it_alone() {
    let mut scene = two();
    scene.say(&say(&[Network(1, 1)], &[40]));
    scene.say(&say(&[Network(2, 2)], &[41]));
    scene.say(&say(&[Network(3, 3)], &[99]));
    for tenant in ["acme", "beta"] {
        scene.heard(tenant);
    }
    scene.say(&take_back(&[Network(1, 1), Network(3, 3), Network(9, 9)]));
    scene.say(&say_wrongly(Network(2, 2)));
    assert_eq!(scene.heard("acme"), ["said gone 1:192.168.1.0/26"]);
    assert_eq!(scene.heard("beta"), ["said gone 2:192.168.2.0/26", "treated 2:192.168.2.0/26"]);
    assert!(scene.held("acme").is_empty() && scene.held("beta").is_empty());
}

/// A network that was said again with another target was another's as well.
#[test]
fn a_network_given_another_target_is_taken_from_who_had_it() {
    let mut scene = two();
    scene.say(&say(&[Network(1, 1)], &[40]));
    scene.say(&say(&[Network(1, 1)], &[41]));
    assert_eq!(scene.heard("acme"), ["said 1:192.168.1.0/26 gone", "said gone 1:192.168.1.0/26"]);
    assert_eq!(scene.heard("beta"), ["said 1:192.168.1.0/26 gone"]);
    assert!(scene.held("acme").is_empty());
    scene.say(&say(&[Network(1, 1)], &[99]));
    assert_eq!(scene.heard("beta"), ["said gone 1:192.168.1.0/26"]);
    assert!(scene.held("beta").is_empty());
    scene.say(&say(&[Network(1, 1)], &[40]));
    assert_eq!(scene.heard("beta"), <[&str; 0]>::default());
    assert_eq!(scene.held("acme"), ["1:192.168.1.0/26 best"]);
}

#[test]
fn who_comes_later_hears_everything_and_others_nothing_of_it() {
    let mut scene = two();
    scene.say(&say(&[Network(5, 5)], &[42]));
    for number in 0..20 {
        scene.serve(&of_targets(&format!("late{number}"), &[42]));
        scene.settle();
    }
    assert_eq!(scene.heard("late0"), ["up"]);
    // They are asked for together, and not twenty times.
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.asked.get(&Family::Ipv4Vpn), Some(&1));
    scene.say(&say(&[Network(5, 5)], &[42]));
    assert_eq!(scene.held("late19"), ["5:192.168.5.0/26 best"]);
    scene.serve(&of_targets("acme", &[40, 42]));
    scene.pass(Duration::from_millis(500));
    assert_eq!(scene.asked.get(&Family::Ipv4Vpn), Some(&1), "not that soon again");
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.asked.get(&Family::Ipv4Vpn), Some(&2));
    assert_eq!(scene.heard("beta"), <[&str; 0]>::default());
    // What it wants no more it lets go of, and hears no more.
    scene.say(&say(&[Network(5, 5)], &[42]));
    assert_eq!(scene.held("acme"), ["5:192.168.5.0/26 best"]);
    scene.serve(&of_targets("acme", &[40]));
    scene.settle();
    assert!(scene.held("acme").is_empty());
    scene.heard("acme");
    scene.say(&say(&[Network(5, 6)], &[42]));
    assert_eq!(scene.heard("acme"), <[&str; 0]>::default());
}

#[test]
fn a_tenant_for_which_too_much_is_said_hears_no_more_and_others_go_on() {
    let mut acme = of_targets("acme", &[40]);
    let import = &mut acme.fabric.bgp.as_mut().unwrap().import;
    (import.maximum_prefixes, import.restart_after) = (2, Duration::from_secs(60));
    let mut scene = Scene::new(&[acme, of_targets("beta", &[41])]);
    scene.say(&say(&[Network(2, 1)], &[41]));
    scene.say(&say(&[Network(1, 1), Network(1, 2), Network(1, 3)], &[40]));
    assert!(scene.held("acme").is_empty());
    let mut happened = Vec::new();
    while let Some(event) = scene.speaker("acme").poll_event() {
        happened.push(event.what);
    }
    assert_eq!(happened.last(), Some(&Happening::OverLimit));
    // What more is said goes nowhere, and nothing is remembered of it.
    scene.heard("acme");
    let before = scene.shared.not_kept();
    scene.say(&say(&[Network(1, 4)], &[40]));
    assert_eq!(scene.heard("acme"), <[&str; 0]>::default());
    assert_eq!(scene.shared.not_kept(), before + 1);
    scene.say(&take_back(&[Network(1, 1)]));
    assert_eq!(scene.heard("acme"), <[&str; 0]>::default());
    assert_eq!(scene.held("beta"), ["2:192.168.1.0/26 best"]);
    assert_eq!(scene.reflector.state(), SessionState::Established);
    // After its time it is asked for again.
    scene.pass(Duration::from_secs(59));
    assert_eq!(scene.asked.get(&Family::Ipv4Vpn), None);
    scene.pass(Duration::from_secs(3));
    assert_eq!(scene.heard("acme"), ["up"]);
    assert_eq!(scene.asked.get(&Family::Ipv4Vpn), Some(&1));
    scene.say(&say(&[Network(1, 1)], &[40]));
    assert_eq!(scene.held("acme"), ["1:192.168.1.0/26 best"]);
}

/// Of more distinguishers than a tenant's speaker knows none is held there, so its own
/// maximum never ends this.
#[test]
fn what_is_remembered_of_who_was_told_has_a_bound() {
    let mut scene = Scene::new(&[]);
    scene.shared = SharedSession::new(&reflector(), (ConnectionId::default(), 3), scene.now);
    scene.shared = scene.shared.with_maximum(3);
    scene.serve(&of_targets("acme", &[40]));
    scene.settle();
    for distinguisher in 1..4 {
        scene.say(&say(&[Network(distinguisher, 1)], &[40]));
    }
    assert_eq!(scene.reflector.state(), SessionState::Established);
    scene.say(&say(&[Network(4, 1)], &[40]));
    assert_ne!(scene.reflector.state(), SessionState::Established);
    assert!(scene.held("acme").is_empty());
    let sent = scene.shared.sample().counters.notifications_sent;
    assert_eq!(sent.get(&(6, 1)), Some(&1));
    // After its time it begins anew.
    scene.pass(Duration::from_secs(290));
    assert_ne!(scene.reflector.state(), SessionState::Established);
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.reflector.state(), SessionState::Established);
}

#[test]
fn the_session_is_there_while_somebody_wants_something_of_it() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.shared.sample().state, SessionState::Stopped);
    scene.serve(&of_targets("acme", &[40]));
    scene.settle();
    assert_eq!(scene.reflector.state(), SessionState::Established);
    scene.serve(&of_targets("acme", &[]));
    scene.settle();
    assert_eq!(scene.shared.sample().state, SessionState::Stopped);
    assert_ne!(scene.reflector.state(), SessionState::Established);
    assert!(scene.speaker("acme").sample().reflectors.is_empty());
}

/// What it had said is kept while it restarts, by each tenant its own, and goes when it was
/// not said again.
#[test]
fn routes_are_kept_over_the_reflectors_restart() {
    let mut scene = two();
    scene.say(&say(&[Network(1, 1), Network(1, 2)], &[40]));
    scene.say(&say(&[Network(2, 1)], &[41]));
    let (ours, theirs) = scene.pipe.take().unwrap();
    scene.reflector.handle_closed(theirs, "killed", scene.now);
    scene.shared.handle_closed(ours, "reset", scene.now);
    scene.settle();
    assert_eq!(scene.heard("beta").last().unwrap(), "down, kept");
    assert_eq!(scene.held("acme").len(), 2);
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.reflector.state(), SessionState::Established);
    assert_eq!(scene.held("acme").len(), 2);
    scene.say(&say(&[Network(1, 2)], &[40]));
    scene.reflector.end_of_rib(Family::Ipv4Vpn, scene.now).unwrap();
    scene.settle();
    assert_eq!(scene.held("acme"), ["1:192.168.2.0/26 best"]);
    assert!(scene.held("beta").is_empty());
    // It is ended for good, and nothing is kept.
    scene.reflector.stop(&StopReason::Shutdown { text: String::new() }, scene.now);
    scene.settle();
    assert_eq!(scene.heard("acme").last().unwrap(), "down");
    assert!(scene.held("acme").is_empty());
    let mut last = None;
    while let Some(event) = scene.speaker("acme").poll_event() {
        last = Some(event.what);
    }
    assert!(matches!(last, Some(Happening::Down(DownReason::Received(_), false))));
}

/// Routes that an earlier process installed went before their reflector had the time to
/// say them: it was not waited for.
#[test]
fn what_an_earlier_process_learned_stays_until_the_reflector_has_said_all() {
    let mut acme = of_targets("acme", &[40]);
    acme.fabric.bgp.as_mut().unwrap().neighbors.clear();
    acme.sites.clear();
    let mut scene = Scene::new(&[]);
    let held = Some(Said::default());
    let mut speaker = Speaker::new(&acme, held, (ConnectionId::default(), 3), scene.now);
    speaker.surround(&namespace(""), scene.now);
    scene.speakers.insert(acme.name.clone(), speaker);
    scene.share();
    scene.settle();
    scene.say(&say(&[Network(1, 1)], &[40]));
    assert!(scene.speaker("acme").keeps_unsaid());
    scene.reflector.end_of_rib(Family::Ipv4Vpn, scene.now).unwrap();
    scene.settle();
    assert!(!scene.speaker("acme").keeps_unsaid());
}

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    Say(Vec<Network>, Vec<u32>),
    TakeBack(Vec<Network>),
    /// A tenant wants these from now on.
    Want(usize, Vec<u32>),
}

fn step() -> impl Strategy<Value = Step> {
    let network = || (0..3_u8, 0..4_u8).prop_map(|(vpn, at)| Network(vpn, at));
    let networks = || prop::collection::vec(network(), 1..4);
    let targets = |most| prop::collection::btree_set(40..44_u32, 0..most);
    prop_oneof![
        6 => (networks(), targets(3)).prop_map(|(networks, targets)| {
            Step::Say(networks, targets.into_iter().collect())
        }),
        3 => networks().prop_map(Step::TakeBack),
        1 => (0..3_usize, targets(3)).prop_map(|(tenant, targets)| {
            Step::Want(tenant, targets.into_iter().collect())
        }),
    ]
}

const TENANTS: [&str; 3] = ["acme", "beta", "gamma"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each tenant holds all that carries one of its targets as it was said last, and nothing
    /// else.
    #[test]
    fn each_holds_what_carries_its_targets_whatever_is_said_and_wanted(steps in prop::collection::vec(step(), 1..40)) {
        let mut wanted: Vec<Vec<u32>> = vec![vec![40], vec![41], vec![40, 42]];
        let tenants = |wanted: &[Vec<u32>]| -> Vec<Tenant> {
            let all = TENANTS.iter().zip(wanted);
            all.map(|(namespace, targets)| of_targets(namespace, targets)).collect()
        };
        let mut scene = Scene::new(&tenants(&wanted));
        // What the reflector has.
        let mut has: BTreeMap<Network, Vec<u32>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Say(networks, targets) => {
                    if scene.pipe.is_none() {
                        continue;
                    }
                    scene.say(&say(&networks, &targets));
                    has.extend(networks.iter().map(|network| (*network, targets.clone())));
                }
                Step::TakeBack(networks) => {
                    if scene.pipe.is_none() {
                        continue;
                    }
                    scene.say(&take_back(&networks));
                    networks.iter().for_each(|network| drop(has.remove(network)));
                }
                Step::Want(tenant, targets) => {
                    wanted[tenant] = targets;
                    let tenant = of_targets(TENANTS[tenant], &wanted[tenant]);
                    let was_up = scene.pipe.is_some();
                    scene.serve(&tenant);
                    scene.pass(Duration::from_secs(10));
                    if was_up && scene.pipe.is_none() {
                        has.clear();
                    }
                    // It says everything again when it is asked to.
                    if !std::mem::take(&mut scene.asked).is_empty() {
                        for (network, targets) in &has {
                            scene.say(&say(&[*network], targets));
                        }
                    }
                }
            }
            for (tenant, targets) in tenants(&wanted).iter().zip(&wanted) {
                let is_own =
                    |of: &&Vec<u32>| of.iter().any(|target| targets.contains(target));
                let own = has.iter().filter(|(_, of)| is_own(of));
                let own = own.map(|(network, _)| {
                    format!("{}:192.168.{}.0/26", network.0, network.1)
                });
                let own: BTreeSet<String> = own.collect();
                let held = scene.held(tenant.name.namespace());
                let held: BTreeSet<String> = held
                    .iter()
                    .map(|it| it.split_once(' ').unwrap().0.to_owned())
                    .collect();
                prop_assert_eq!(held, own, "{}", tenant.name);
            }
        }
    }
}
