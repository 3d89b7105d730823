//! Tenants with the very same addresses, side by side on the live gateway: who
//! reaches whom is what the documents say and nothing more, and no tenant's
//! bytes are ever seen where another's belong, also while the gateway is told
//! to change, is killed, and gives one tenant's place to another.

use crate::answerer::Answerer;
use crate::canary::{self, Canary};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, slowness};
use crate::matrix::{Cell, cells, differences, name, predict};
use crate::sniffer::Sniffer;
use crate::tenants::{Side, Tenant, Tenants, config, documents};
use crate::trespass::Trespass;
use crate::wireguard_router::{Engine, Router};
use crate::wireguard_stage::{assert_backend, psk};
use lockgate::net::PrivateKey;
use lockgate::status::SiteState;
use std::collections::BTreeSet;

/// The canaries nobody sent into a tunnel: they show that a wire is listened to.
const CLEAR: u8 = 255;

/// Between all there is and nothing.
const ACME: Tenant =
    Tenant { name: "acme", router: "router-acme", mark: 1, number: 1, allow: None, with_psk: true };

const BOLT: Tenant = Tenant {
    name: "bolt",
    router: "router-bolt",
    mark: 2,
    number: 2,
    allow: Some(
        "[{direction: ToSite, protocol: TCP, ports: [22]}, {direction: ToSite, protocol: ICMP},
          {direction: FromSite, protocol: UDP, ports: [514]}]",
    ),
    with_psk: false,
};

const CORP: Tenant = Tenant {
    name: "corp",
    router: "router-corp",
    mark: 3,
    number: 3,
    allow: Some("[{direction: FromSite, protocol: Any}]"),
    with_psk: true,
};

const DUNE: Tenant = Tenant {
    name: "dune",
    router: "router-dune",
    mark: 4,
    number: 4,
    allow: Some(
        "[{direction: ToSite, protocol: UDP, ports: [160-169]},
          {direction: FromSite, protocol: TCP, ports: [22]}]",
    ),
    with_psk: false,
};

/// Takes the place of `dune`: its port, its networks, and other rules.
const EDEN: Tenant = Tenant {
    name: "eden",
    router: "router-eden",
    mark: 5,
    allow: Some("[{direction: ToSite, protocol: Any}, {direction: FromSite, protocol: ICMP}]"),
    with_psk: true,
    ..DUNE
};

/// `bolt` with other rules.
const BOLT_CHANGED: Tenant = Tenant {
    allow: Some(
        "[{direction: FromSite, protocol: TCP, ports: [443]}, {direction: ToSite, protocol: UDP}]",
    ),
    ..BOLT
};

/// Tenants on a gateway, everyone's answerers, and an ear on every leg.
struct Town<'lab> {
    lab: &'lab Lab,
    tenants: Tenants<'lab>,
    gateway: Gateway<'lab>,
    sniffer: Sniffer,
    answerers: Vec<Answerer>,
    routers: Vec<Router<'lab>>,
}

impl<'lab> Town<'lab> {
    fn new(lab: &'lab Lab, inhabitants: &[Tenant]) -> Self {
        let tenants = Tenants::new(lab);
        let mut gateway = Gateway::new(lab, At::Underlay);
        inhabitants.iter().for_each(|tenant| settle(&tenants, &gateway, tenant));
        gateway.write("documents.yaml", &documents(inhabitants));
        gateway.spawn();
        gateway.wait_programmed();
        let (answerers, routers) = (Vec::new(), Vec::new());
        let mut town =
            Self { lab, tenants, gateway, sniffer: Sniffer::start(), answerers, routers };
        town.sniffer.listen("underlay", lab.capture_all(At::Underlay));
        inhabitants.iter().for_each(|tenant| town.move_in(tenant));
        town
    }

    /// Attaches a tenant that the gateway serves to the rest of the world.
    fn move_in(&mut self, tenant: &Tenant) {
        assert_backend(&self.gateway, &tenant.full_name());
        self.tenants.attach_app(tenant);
        for (leg, at, link) in legs(tenant) {
            self.sniffer.listen(&format!("{} {leg}", tenant.name), self.lab.capture(&at, &link));
        }
        let wire = self.lab.capture(tenant.router, "uplink");
        self.sniffer.listen(&format!("{} wire", tenant.name), wire);
        let all = self.lab.capture_all(&tenant.netns());
        self.sniffer.listen(&format!("{} netns", tenant.name), all);
        for side in Side::BOTH {
            self.answerers.push(Answerer::start(
                self.lab,
                &tenant.host(side),
                &name(tenant.name, side),
                tenant.mark,
                &tenant.addresses(side),
            ));
        }
        let engines = Engine::installed();
        let engine = engines[self.routers.len() % engines.len()];
        let public = self.gateway.public_key(&tenant.full_name());
        self.routers.push(self.tenants.start_router(tenant, engine, public));
        self.gateway.wait_state(&tenant.full_name(), "hq", SiteState::Up);
    }

    /// Who reaches whom is what the documents say.
    fn assert_matrix(&self, served: &[Tenant], askers: &[Tenant]) {
        let predicted = predict(&config(served), askers, &cells(askers));
        let allowed = predicted.values().flatten().count();
        let enough = 10 * served.len();
        assert!(
            enough < allowed && allowed < predicted.len() / 2,
            "{allowed} of {}",
            predicted.len()
        );
        let differences = differences(self.lab, askers, &predicted);
        assert!(differences.is_empty(), "{differences:#?}\n{}", self.gateway.log());
    }

    /// Every leg of a tenant is listened to, and so is the wire.
    fn assert_heard(&self, tenant: &Tenant) {
        for (leg, ..) in legs(tenant) {
            self.sniffer.wait_canary(&format!("{} {leg}", tenant.name), tenant.mark);
        }
        let clear = Canary { owner: CLEAR, number: u64::from(tenant.mark) }.bytes();
        let (gateway, own) = tenant.outer();
        let socket = self.lab.udp(tenant.router, std::net::SocketAddr::new(own, 0));
        socket.send_to(&clear, (gateway, 9)).unwrap();
        self.sniffer.wait_canary(&format!("{} wire", tenant.name), CLEAR);
        self.sniffer.wait_canary("underlay", CLEAR);
    }

    /// No canary was seen where it does not belong, and nothing was overheard.
    fn assert_kept_apart(&self, tenants: &[Tenant]) {
        for (leg, seen) in self.sniffer.seen() {
            let (of, leg_name) = leg.split_once(' ').unwrap_or(("", leg.as_str()));
            let own = tenants.iter().find(|tenant| tenant.name == of).map(|tenant| tenant.mark);
            let is_outside = leg_name == "wire" || leg_name == "underlay";
            let may = if is_outside { CLEAR } else { own.unwrap() };
            let strange: BTreeSet<_> = seen.canaries.keys().filter(|mark| **mark != may).collect();
            assert!(strange.is_empty(), "on {leg} canaries of {strange:?}: {seen:?}");
            assert!(!is_outside || 100 < seen.sealed, "{leg}: {seen:?}");
            assert_eq!(seen.lost, 0, "{leg}: {seen:?}");
        }
    }

    /// Neither what is said nor what is secret shows in what the gateway says.
    fn assert_discreet(&self, tenants: &[Tenant]) {
        let mut said = vec![("the log", self.gateway.log())];
        for page in ["/api/v1/status", "/metrics", "/"] {
            said.push((page, self.gateway.page(page)));
        }
        for (place, text) in &said {
            assert!(text.len() > 200, "{place}: {text}");
            assert!(!canary::is_shown(text), "a canary in {place}");
            for (whose, secret) in tenants.iter().flat_map(|it| self.secrets(it)) {
                assert!(!text.contains(&secret), "{whose} in {place}");
            }
        }
    }

    /// Secrets in every form they could be printed in.
    fn secrets(&self, tenant: &Tenant) -> Vec<(String, String)> {
        let file = self.gateway.path("state").join(format!("keys/{}.gw.key", tenant.name));
        let mut secrets = Vec::new();
        if let Ok(text) = std::fs::read_to_string(file) {
            let key: PrivateKey = text.trim().parse().unwrap();
            secrets.push(("private key", text.trim().to_owned()));
            secrets.push(("private key", hex(key.as_bytes())));
        }
        if tenant.with_psk {
            secrets.push(("preshared key", psk(tenant.mark).to_base64().to_string()));
            secrets.push(("preshared key", hex(psk(tenant.mark).as_bytes())));
        }
        let of = |what: &str| format!("the {what} of {}", tenant.name);
        secrets.into_iter().map(|(what, secret)| (of(what), secret)).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What there must be of a tenant before the gateway serves it.
fn settle(tenants: &Tenants<'_>, gateway: &Gateway<'_>, tenant: &Tenant) {
    tenants.build(tenant);
    if tenant.with_psk {
        gateway.secret(tenant.name, "psk", "psk", psk(tenant.mark).to_base64().as_str());
    }
}

/// The links a tenant's packets pass in clear: what each is, where, its name.
fn legs(tenant: &Tenant) -> [(&'static str, String, String); 4] {
    [
        ("LAN", tenant.host(Side::Device), "lan".to_owned()),
        ("TUN", tenant.netns(), "lg-wg".to_owned()),
        ("fabric", tenant.netns(), "lg-fabric".to_owned()),
        ("app", tenant.host(Side::App), format!("apps-{}", tenant.name)),
    ]
}

/// These tenants, with `acme` and `corp`. Where everything takes longer, without:
/// the questions are with the square of the tenants.
fn with_others(tenants: &[Tenant]) -> Vec<Tenant> {
    let others = if slowness() == 1 { [ACME, CORP].as_slice() } else { &[] };
    tenants.iter().chain(others).copied().collect()
}

#[test]
fn tenants_with_the_same_addresses_are_kept_apart_through_changes_and_crashes() {
    lab::run(|lab| {
        let [first, changed, replaced, everyone] = [
            [BOLT, DUNE].as_slice(),
            &[BOLT_CHANGED, DUNE],
            &[BOLT_CHANGED, EDEN],
            &[BOLT, DUNE, EDEN],
        ]
        .map(with_others);
        let mut town = Town::new(lab, &first);
        town.assert_matrix(&first, &first);
        first.iter().for_each(|tenant| town.assert_heard(tenant));

        let sets = [&first, &changed, &replaced].map(|set| config(set));
        let questions = cells(&first);
        let predicted = sets.map(|set| predict(&set, &first, &questions));
        let never = |cell: &&Cell| predicted.iter().all(|answers| answers[*cell].is_none());
        let forbidden: Vec<Cell> = questions.iter().filter(never).copied().collect();
        let trespass = Trespass::start(lab, &first, &forbidden);

        town.gateway.apply(&documents(&changed));
        town.assert_matrix(&changed, &first);

        town.gateway.kill();
        town.gateway.spawn();
        town.gateway.wait_programmed();
        town.assert_matrix(&changed, &first);

        settle(&town.tenants, &town.gateway, &EDEN);
        town.gateway.apply(&documents(&replaced));
        town.move_in(&EDEN);
        town.assert_matrix(&replaced, &everyone);
        town.assert_heard(&EDEN);

        let (asked, answered) = trespass.stop();
        assert!(answered.is_empty(), "{answered:#?}");
        assert!(3_000 < asked, "only {asked} questions were asked");
        town.assert_kept_apart(&everyone);
        town.assert_discreet(&everyone);
    });
}
