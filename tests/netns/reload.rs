//! New documents for a running gateway: whoever they are not about notices
//! nothing, and a set with errors changes nothing.
#![allow(clippy::disallowed_methods, reason = "who changes rules beside us takes its time")]

use crate::flow::{Flow, Stream};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::raised::Raised;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    FAMILIES, PORT, PREFIXES, SITE, Stage, TENANT, TUNNEL, V4, V6, key, site_document, socket,
    tenant_document,
};
use lockgate::daemon::accepted;
use lockgate::net::Timestamp;
use lockgate::status::{ReloadOutcome, SiteState};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The customer's key, and those of who is changed beside it.
const CUSTOMER: u8 = 7;
const OTHER: u8 = 8;

/// A thousand datagrams a second.
const INTERVAL: Duration = Duration::from_millis(1);

/// The tenant and its site, which stay as they are.
fn unchanged() -> String {
    tenant_document("") + &site_document(SITE, key(CUSTOMER).public(), &PREFIXES, TUNNEL, "")
}

/// The tenant's other site.
fn other_site(seed: u8, prefix: &str, more: &str) -> String {
    let wireguard = "tunnelAddresses: [10.255.31.0/31]";
    site_document("lab", key(seed).public(), &[prefix], wireguard, more)
}

/// Another tenant with one site.
fn other_tenant(port: u16, prefix: &str, more: &str) -> String {
    format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: bolt}}
spec:
  listenPort: {port}
  appPrefixes: [10.136.40.0/24]
  fabric:
    veth: {{peer: bolt-apps, addresses: [10.136.40.1/24]}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: bolt}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard: {{publicKey: {}, tunnelAddresses: [10.255.30.0/31]}}
  prefixes: [{{cidr: {prefix}}}]
  {more}
",
        key(OTHER).public()
    )
}

/// What is beside the unchanged tenant and site, in turn.
fn neighbors() -> Vec<String> {
    let ssh = "allow: [{direction: ToSite, protocol: TCP, ports: [22]}]";
    let site = other_site(9, "192.168.7.0/24", "");
    vec![
        site.clone() + &other_tenant(51_900, "192.168.1.0/24", ""),
        // Other networks, other rules.
        other_site(9, "192.168.8.0/24", ssh) + &other_tenant(51_900, "192.168.2.0/24", ssh),
        // Other keys, another port.
        other_site(10, "192.168.8.0/24", ssh) + &other_tenant(51_901, "192.168.2.0/24", ssh),
        // A site fewer, a tenant fewer.
        other_tenant(51_901, "192.168.2.0/24", ""),
        site,
    ]
}

/// How long a handshake is waited for before it is begun again, and some.
const REKEY_TIMEOUT: Duration = Duration::from_secs(6);

/// A gateway that serves a customer, and what is around it.
struct Scene<'lab> {
    stage: Stage<'lab>,
    gateway: Gateway<'lab>,
    _router: Router<'lab>,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab) -> Self {
        let stage = Stage::new(lab);
        let gateway = stage.start(&(unchanged() + &neighbors()[0]));
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let router = Router::start(lab, "router", Engine::patient(), &customer);
        for family in FAMILIES {
            stage.wait_traffic("device", "app", family.app);
        }
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        Self { stage, gateway, _router: router }
    }

    /// Its session: when it was begun, the how manieth it is, with whom.
    fn session(&self) -> (Timestamp, u64, Option<SocketAddr>) {
        let site = self.gateway.site(TENANT, SITE);
        let begun = site.last_handshake_time.expect("it shook hands");
        (begun, site.handshakes.0, site.endpoint)
    }
}

#[test]
fn a_reload_is_not_noticed_by_whom_it_is_not_about() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        // Had both ends begun at once, one might begin again (WireGuard paper §6.4).
        wait_until("a session that stays", PATIENCE, || {
            let taken = scene.gateway.snapshot().taken;
            let (begun, ..) = scene.session();
            if begun + REKEY_TIMEOUT < taken { Ok(()) } else { Err((begun, taken)) }
        });
        let session = scene.session();
        // Not IPv6 from the site: of 65,535 datagrams wireguard-go gives one a
        // checksum of zero, which no receiver takes (RFC 8200 §8.1).
        let flows = [
            Flow::start(lab, ("app", V6.app), ("device", V6.device), INTERVAL),
            Flow::start(lab, ("device", V4.device), ("app", V4.app), INTERVAL),
        ];
        let stream = Stream::start(lab, "app", ("device", V4.device));
        for by_signal in [true, false] {
            for neighbors in neighbors().iter().cycle().skip(1).take(neighbors().len()) {
                let documents = unchanged() + neighbors;
                let generation = scene.gateway.snapshot().config.loaded_generation;
                let before = stream.received();
                if by_signal {
                    scene.gateway.apply(&documents);
                } else {
                    // A change of the file is noticed by itself.
                    scene.gateway.write("documents.yaml", &documents);
                    scene.gateway.wait("the new documents to be accepted", |snapshot| {
                        generation < snapshot.config.loaded_generation
                    });
                    scene.gateway.wait_programmed();
                }
                wait_until("the stream to go on", PATIENCE, || {
                    let received = stream.received();
                    if before < received { Ok(()) } else { Err(received) }
                });
            }
        }
        for arrivals in flows.map(Flow::stop) {
            let (sent, lost) = (arrivals.sent, arrivals.lost());
            assert!(1_000 < sent, "only {sent} were sent");
            let (count, first, last) = (lost.len(), lost.first(), lost.last());
            let gap = arrivals.longest_gap();
            assert_eq!(count, 0, "of {sent}, {first:?} to {last:?}; longest gap {gap:?}");
        }
        assert!(1_000_000 < stream.stop());
        assert_eq!(scene.session(), session, "the session is the one before");
        scene.stage.assert_traffic(V4);
    });
}

#[test]
fn a_set_with_errors_changes_nothing_and_is_told_everywhere() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let (gateway, session) = (&scene.gateway, scene.session());
        let loaded = gateway.snapshot().config.loaded_generation;
        let id = gateway.id();
        // One prefix at two sites of a tenant; beside it a change that is good.
        let wrong = unchanged()
            + &other_site(9, PREFIXES[0], "priority: 100")
            + &other_tenant(51_901, "192.168.2.0/24", "");
        let flow = Flow::start(lab, ("app", V4.app), ("device", V4.device), INTERVAL);
        let errors = gateway.apply_refused(&wrong);
        assert!(errors.iter().any(|it| it.contains(PREFIXES[0])), "{errors:?}");

        let config = gateway.snapshot().config;
        assert_eq!(config.loaded_generation, loaded);
        assert_eq!(config.last_reload.unwrap().outcome, ReloadOutcome::Refused);
        let log = gateway.log();
        assert!(errors.iter().all(|error| log.contains(error.as_str())), "{errors:?}\n{log}");
        let check = gateway.lockgate(At::Underlay, &["check"]);
        assert_eq!(check.status.code(), Some(1), "{check:?}");
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(errors.iter().all(|error| said.contains(error.as_str())), "{errors:?}\n{said}");
        // The good change is not in force either: the whole set or nothing.
        assert_eq!(gateway.tenant("bolt/gw").listen_port, 51_900);

        // With the file gone there is nothing to read, which is no wish either.
        std::fs::remove_file(gateway.path("config").join("documents.yaml")).unwrap();
        gateway.signal(Signal::HUP);
        gateway.wait("the empty directory to be refused", |snapshot| {
            snapshot
                .config
                .last_reload
                .as_ref()
                .is_some_and(|it| it.outcome == ReloadOutcome::Refused && it.errors != errors)
        });
        let arrivals = flow.stop();
        assert_eq!(arrivals.lost(), [0; 0], "of {}", arrivals.sent);
        assert_eq!(scene.session(), session, "the session is the one before");

        // And the next good set is taken.
        gateway.apply(&(unchanged() + &other_tenant(51_901, "192.168.2.0/24", "")));
        assert_eq!(gateway.tenant("bolt/gw").listen_port, 51_901);
        assert_eq!(gateway.id(), id);
        scene.stage.assert_traffic(V6);
    });
}

#[test]
fn a_gateway_that_started_again_with_an_error_in_its_documents_served_less_than_before() {
    lab::run(|lab| {
        let mut scene = Scene::new(lab);
        let kept = scene.gateway.path("state").join(accepted::FILE);
        wait_until("the set to be kept", PATIENCE, || kept.exists().then_some(()).ok_or(()));
        let good = unchanged() + &other_tenant(51_900, "192.168.2.0/24", "");
        // The error is the other tenant's; the change is of the one that is sound.
        let wrong = good.replace("51900", "70000").replace(PREFIXES[0], "192.168.99.0/24");
        for documents in [Some(wrong.as_str()), None] {
            scene.gateway.kill();
            match documents {
                Some(documents) => scene.gateway.write("documents.yaml", documents),
                None => {
                    std::fs::remove_file(scene.gateway.path("config").join("documents.yaml"))
                        .unwrap();
                }
            }
            scene.gateway.spawn_as_it_is();
            let snapshot = scene.gateway.wait("the set it had", |snapshot| {
                snapshot.tenants.len() == 2
                    && snapshot.config.last_reload.as_ref().is_some_and(|reload| {
                        reload.outcome == ReloadOutcome::Refused && !reload.errors.is_empty()
                    })
            });
            assert!(snapshot.refused.is_empty(), "{:?}", snapshot.refused);
            assert_eq!(scene.gateway.tenant("bolt/gw").listen_port, 51_900);
            scene.stage.wait_traffic("device", "app", V4.app);
            scene.stage.assert_traffic(V4);
        }
        // What is put back is taken.
        scene.gateway.apply(&(unchanged() + &other_tenant(51_901, "192.168.2.0/24", "")));
        assert_eq!(scene.gateway.tenant("bolt/gw").listen_port, 51_901);
        scene.stage.assert_traffic(V6);
    });
}

/// N7: transactions of somebody else between the reading of ours and its end.
#[test]
fn rules_change_while_another_program_changes_its_own() {
    lab::run(|lab| {
        let scene = Scene::new(lab);
        let netns = scene.gateway.tenant(TENANT).netns;
        let (ended, made) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    lab.command_output(
                        &netns,
                        &["nft", "add table inet other; delete table inet other"],
                    );
                    made.fetch_add(1, Ordering::Relaxed);
                    // A look at the rules takes a moment in which nobody changes any.
                    std::thread::sleep(2 * began.elapsed());
                }
            });
            let raised = Raised(&ended);
            for neighbors in neighbors().iter().cycle().skip(1).take(2 * neighbors().len()) {
                scene.gateway.apply(&(unchanged() + neighbors));
            }
            drop(raised);
        });
        let made = made.load(Ordering::Relaxed);
        assert!(10 < made, "only {made} transactions beside ours");
        let diff = scene.gateway.lockgate(At::Underlay, &["diff"]);
        assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
        scene.stage.assert_traffic(V4);
    });
}
