//! Keys that are changed with an overlap, under a flow of packets both ways: what is lost
//! over it, with a customer's router that somebody else wrote.
#![allow(clippy::disallowed_methods, reason = "when a stock one begins cannot be seen")]

use crate::gateway::{Gateway, site_of};
use crate::lab::{self, Lab};
use crate::wireguard_flow::Stream;
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, backend, documents, key, psk, socket};
use lockgate::net::PublicKey;
use lockgate::status::{Backend, KeyRole, SiteState};
use std::process::Output;
use std::time::Duration;

/// The customer's keys, one after the other.
const FIRST: u8 = 7;
const SECOND: u8 = 8;

/// Datagrams a second, each way. The stock ones keep 128 packets that wait for a handshake,
/// and a busy machine takes its time for one: at 1,000 a second some were lost in them.
const PACE: u64 = 250;

/// What a stock peer loses when it changes over to another key of ours: what was sent to
/// it in the old session until its first message by the new key arrived. It has forgotten
/// that session by then, with the peer that it had for us, and nobody else knew; from that
/// message on we wait for the new one. So it is the time that the stock peer takes to begin
/// a handshake, and the way here: a datagram or two, and on two processors that do
/// everything at most this.
const ON_ITS_WAY: u64 = PACE / 10;

/// How long a busy stock peer takes to begin a handshake after its key was set. When it is
/// set again meanwhile, wireguard-go begins two at once and waits for the second's answer;
/// of two in 20 ms every WireGuard takes the first, and it tries again after 5 s.
const BEGINS: Duration = Duration::from_millis(100);

/// The stock ones of which a key can be set while they run.
fn each(test: impl Fn(&Lab, Engine) + Copy + Send + 'static) {
    let can = [Engine::DebianWireguardGo, Engine::WireguardGo];
    std::thread::scope(|scope| {
        for engine in Engine::installed().into_iter().filter(|engine| can.contains(engine)) {
            scope.spawn(move || lab::run(move |lab| test(lab, engine)));
        }
    });
}

fn dials_in(gateway: &Gateway<'_>, own: u8) -> Customer {
    Customer {
        endpoint: Some(socket(V4.gateway, PORT)),
        keepalive: 1,
        ..Customer::new(key(own), gateway.public_key(TENANT))
    }
}

fn flows(lab: &Lab) -> [Stream; 2] {
    [
        Stream::start(lab, "app", "device", V4.device, PACE, u64::MAX),
        Stream::start(lab, "device", "app", V4.app, PACE, u64::MAX),
    ]
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs `lockgate keys` and gives its exit code and what it says.
fn keys(gateway: &Gateway<'_>, words: &[&str]) -> (i32, String) {
    let path = |name: &str| gateway.path(name).to_str().unwrap().to_owned();
    let (run, state) = (path("run"), path("state"));
    let program = env!("CARGO_BIN_EXE_lockgate");
    let line = [program, "--runtime-dir", &run, "--state-dir", &state, "keys"];
    let output = gateway.lab().output(lab::At::Underlay, &[&line, words].concat());
    (output.status.code().unwrap(), text(&output))
}

fn uses(gateway: &Gateway<'_>, own: PublicKey) {
    gateway.wait("the key in use to be shown", |snapshot| {
        let site = site_of(snapshot, TENANT, SITE).unwrap();
        site.state == SiteState::Up && site.public_key == Some(own)
    });
}

/// The networks followed a customer's next key a second late: what it sent meanwhile was
/// dropped, and what it was sent went to the key it had no more.
#[test]
fn a_customer_that_changes_over_to_its_next_key_loses_nothing() {
    each(|lab, engine| {
        let stage = Stage::new(lab);
        let [first, second] = [FIRST, SECOND].map(|number| key(number).public());
        let gateway = stage.start(&documents(first, "", ""));
        let router = Router::start(lab, "router", engine, &dials_in(&gateway, FIRST));
        stage.wait_traffic("app", "device", V4.device);
        uses(&gateway, first);

        let words = ["rotate", TENANT, "--site", SITE, "--public-key", &second.to_string()];
        let (code, said) = keys(&gateway, &words);
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains(&format!("publicKey: {first}\n    nextPublicKey: {second}")),
            "{said}"
        );
        let flows = flows(lab);
        gateway.apply(&documents(first, &format!("nextPublicKey: {second}"), ""));
        let (code, said) = keys(&gateway, &["retire", TENANT, "--site", SITE]);
        assert!(code == 1 && said.contains("still uses its old key"), "{code} {said}");
        // Forth and back, as a customer does that is not sure.
        for own in [SECOND, FIRST, SECOND] {
            router.set_key(&key(own));
            uses(&gateway, key(own).public());
            let site = gateway.site(TENANT, SITE);
            let used: Vec<_> = site.keys.iter().filter(|it| it.is_used).collect();
            assert_eq!(used.len(), 1, "{:?}", site.keys);
            let role = if own == FIRST { KeyRole::Customer } else { KeyRole::CustomerNext };
            assert_eq!(used[0].role, role);
        }
        let (code, said) = keys(&gateway, &["retire", TENANT, "--site", SITE]);
        assert!(
            code == 0 && said.contains(&format!("and write\n    publicKey: {second}")),
            "{said}"
        );
        gateway.apply(&documents(second, "", ""));
        stage.wait_traffic("app", "device", V4.device);
        for (flow, which) in flows.into_iter().zip(["to", "from"]) {
            if backend() == Backend::Kernel {
                // The kernel lets one peer have a network; it is given to the other one when
                // we look, twenty times a second.
                let (missing, sent) = flow.stop();
                assert!(missing.len() as u64 <= 4 * PACE && 0 < sent, "{}", missing.len());
            } else {
                flow.assert_unharmed(&format!("{engine:?}, {which} the customer"));
            }
        }
    });
}

/// From none to one and to another: no session ends, and neither end waits for the other.
/// A kernel's peer has one at a time, and finds out which at the customer's second attempt.
#[test]
fn a_preshared_key_is_changed_without_a_loss() {
    each(|lab, engine| {
        let is_kernel = backend() == Backend::Kernel;
        let stage = Stage::new(lab);
        let public = key(FIRST).public();
        let mut gateway = Gateway::new(lab, lab::At::Underlay);
        for (name, seed) in [("one", 1), ("two", 2)] {
            gateway.secret("acme", name, "psk", psk(seed).to_base64().as_str());
        }
        let with = |first: &str, next: &str| {
            let reference = |field: &str, name: &str| match name {
                "" => String::new(),
                name => format!("{field}: {{name: {name}, key: psk}},"),
            };
            let both = reference("presharedKeySecretRef", first)
                + &reference("nextPresharedKeySecretRef", next);
            documents(public, both.trim_end_matches(','), "")
        };
        gateway.write("documents.yaml", &with("", ""));
        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();
        let customer = dials_in(&gateway, FIRST);
        let router = Router::start(lab, "router", engine, &customer);
        stage.wait_traffic("app", "device", V4.device);
        let changes = [("", "one", 1), ("one", "two", 2)];
        for (before, after, seed) in changes.into_iter().take(if is_kernel { 1 } else { 2 }) {
            let flows = flows(lab);
            gateway.apply(&with(before, after));
            let handshakes = gateway.site(TENANT, SITE).handshakes.0;
            router.set_psk(&customer, &psk(seed));
            // It is used from its next handshake on, which is begun by another private key.
            for own in [SECOND, FIRST] {
                router.set_key(&key(own));
                std::thread::sleep(BEGINS);
            }
            gateway.wait("the next preshared key to be in use", |snapshot| {
                let site = site_of(snapshot, TENANT, SITE).unwrap();
                handshakes < site.handshakes.0 && site.uses_next_preshared_key == Some(true)
            });
            let (code, said) = keys(&gateway, &["retire", TENANT, "--site", SITE]);
            assert!(code == 0 && said.contains("next preshared key"), "{said}");
            let handshakes = gateway.site(TENANT, SITE).handshakes;
            gateway.apply(&with(after, ""));
            stage.wait_traffic("app", "device", V4.device);
            assert_eq!(gateway.site(TENANT, SITE).handshakes, handshakes, "the session goes on");
            for (flow, which) in flows.into_iter().zip(["to", "from"]) {
                if is_kernel {
                    assert!(0 < flow.stop().1);
                } else {
                    let change = format!("from {before:?} to {after}");
                    flow.assert_unharmed(&format!("{engine:?}, {which} the customer, {change}"));
                }
            }
        }
    });
}

/// The gateway's own key, with the verbs a person would use. From the customer nothing is
/// lost; for what is lost to it, see [`ON_ITS_WAY`]. The kernel's WireGuard has one key, so
/// the tunnels change over to ours and back, where the documents leave us the choice.
#[test]
fn a_gateway_changes_its_key_while_its_customers_talk() {
    each(|lab, engine| {
        let stage = Stage::new(lab);
        let documents = documents(key(FIRST).public(), "", "");
        let gateway = stage.start(&documents);
        let is_kernel = backend() == Backend::Kernel;
        if is_kernel {
            let (code, said) = keys(&gateway, &["rotate", TENANT]);
            assert!(code == 2 && said.contains("has one private key"), "{code} {said}");
            let class = "backend: Kernel";
            assert!(documents.contains(class));
            gateway.apply(&documents.replace(class, "backend: Auto"));
        }
        // Which backend carries the tunnels, and why.
        let assert_carried = |by: Backend, why: &str| {
            let tenant = gateway.tenant(TENANT);
            assert_eq!((tenant.backend, tenant.backend_reason.as_str()), (by, why));
        };
        let mut customer = dials_in(&gateway, FIRST);
        let router = Router::start(lab, "router", engine, &customer);
        stage.wait_traffic("app", "device", V4.device);
        let old = gateway.public_key(TENANT);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        let (code, said) = keys(&gateway, &["retire", TENANT]);
        assert!(code == 0 && said.contains("nothing to retire"), "{code} {said}");

        let flows = flows(lab);
        let (code, said) = keys(&gateway, &["rotate", TENANT]);
        assert!(code == 0 && said.contains("Both are good"), "{code} {said}");
        let new = gateway.tenant(TENANT).next_public_key.unwrap();
        assert!(said.contains(&new.to_string()) && old != new, "{said}");
        if is_kernel {
            assert!(said.contains("until\nthe old one is retired Lockgate's own"), "{said}");
            assert_carried(
                Backend::Userspace,
                "customers change over to the gateway's next key, and the kernel's WireGuard has one",
            );
            stage.wait_traffic("app", "device", V4.device);
            gateway.wait_state(TENANT, SITE, SiteState::Up);
        }
        assert_eq!(gateway.public_key(TENANT), old);
        let run = gateway.path("run").to_str().unwrap().to_owned();
        let words = ["--runtime-dir", &run, "customer-config", SITE, "--host", V4.gateway];
        let printed = text(&gateway.lockgate(lab::At::Underlay, &words));
        assert!(printed.contains(&format!("PublicKey = {new}")), "{printed}");
        let (code, said) = keys(&gateway, &["retire", TENANT]);
        assert!(code == 1 && said.contains("site hq uses the old key"), "{code} {said}");
        assert_eq!(gateway.tenant(TENANT).next_public_key, Some(new), "nothing has changed");
        let (code, said) = keys(&gateway, &["rotate", TENANT]);
        assert!(code == 0 && said.contains(&new.to_string()), "it is not made again: {said}");

        customer.gateway = new;
        router.change_gateway(old, &customer);
        gateway.wait("the site to use the next key", |snapshot| {
            site_of(snapshot, TENANT, SITE).unwrap().gateway_public_key == Some(new)
        });
        let handshakes = gateway.site(TENANT, SITE).handshakes;
        let (code, said) = keys(&gateway, &["retire", TENANT]);
        assert!(code == 0 && said.contains("is retired"), "{code} {said}");
        assert_eq!(gateway.public_key(TENANT), new);
        assert_eq!(gateway.tenant(TENANT).next_public_key, None);
        stage.wait_traffic("app", "device", V4.device);
        let site = gateway.site(TENANT, SITE);
        if is_kernel {
            assert_carried(Backend::Kernel, "the kernel has WireGuard");
            gateway.wait_state(TENANT, SITE, SiteState::Up);
            assert!(flows.map(Stream::stop).iter().all(|(_, sent)| 0 < *sent));
            return;
        }
        assert_eq!(site.handshakes, handshakes, "the session goes on");
        assert_eq!(site.gateway_public_key, Some(new));
        let [down, up] = flows;
        up.assert_unharmed(&format!("{engine:?}: from the customer"));
        let (missing, sent) = down.stop();
        let lost = missing.len() as u64;
        assert!(
            lost <= ON_ITS_WAY && 0 < sent,
            "{engine:?}: {lost} of {sent} lost to the customer"
        );
    });
}

/// A gateway that is killed in the middle, and begun again, is known by both keys.
#[test]
fn a_gateway_that_ends_while_its_key_is_changed_has_both_when_it_is_back() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let mut gateway = stage.start(&documents(key(FIRST).public(), "", ""));
        if backend() == Backend::Kernel {
            return;
        }
        let mut customer = dials_in(&gateway, FIRST);
        let router = Router::start(lab, "router", Engine::newest(), &customer);
        stage.wait_traffic("app", "device", V4.device);
        let old = gateway.public_key(TENANT);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        assert_eq!(keys(&gateway, &["rotate", TENANT]).0, 0);
        let made = gateway.tenant(TENANT).keys;
        gateway.kill();
        gateway.spawn();
        gateway.wait_programmed();
        let tenant = gateway.tenant(TENANT);
        let new = tenant.next_public_key.unwrap();
        let when = |keys: &[lockgate::status::KeySnapshot]| -> Vec<_> {
            keys.iter().map(|key| (key.public_key, key.since)).collect()
        };
        assert_eq!(when(&tenant.keys), when(&made), "as old as they are");
        stage.wait_traffic("app", "device", V4.device);
        customer.gateway = new;
        router.change_gateway(old, &customer);
        gateway.wait_for("the next key to be used", Duration::from_secs(30), |snapshot| {
            site_of(snapshot, TENANT, SITE).unwrap().gateway_public_key == Some(new)
        });
        stage.wait_traffic("app", "device", V4.device);
        gateway.kill();
        let (code, said) = keys(&gateway, &["retire", TENANT]);
        assert!(code == 1 && said.contains("nobody knows which sites use it"), "{code} {said}");
        let (code, said) = keys(&gateway, &["retire", TENANT, "--force"]);
        assert!(code == 0, "{said}");
        gateway.spawn();
        gateway.wait_programmed();
        assert_eq!(gateway.public_key(TENANT), new);
        stage.wait_traffic("app", "device", V4.device);
    });
}
