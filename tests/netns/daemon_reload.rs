//! What becomes of documents that change under a running gateway: taken whole or
//! not at all, and never half written.

use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{PORT, SITE, Stage, TENANT, V4, documents, key, psk, socket};
use lockgate::status::{EventReason, SiteState};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A tenant of this name, with one site.
fn tenant(name: &str, port: u16, site: &str) -> String {
    format!(
        "apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {name}}}
spec:
  listenPort: {port}
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: {name}-apps, addresses: [10.136.40.1/24]}}}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: {name}}}
spec:
  gatewayRef: {{name: gw}}
  prefixes: [{{cidr: 192.168.1.0/24}}]
  {site}
"
    )
}

/// A WireGuard site, in flow style.
fn tunnel() -> String {
    let key = key(7).public();
    format!("type: WireGuard\n  wireGuard: {{publicKey: {key}, tunnelAddresses: [10.255.30.0/31]}}")
}

fn two(lab: &Lab) -> Gateway<'_> {
    let mut gateway = Gateway::new(lab, At::Underlay);
    gateway.write("acme.yaml", &tenant("acme", 51_821, &tunnel()));
    gateway.write("bolt.yaml", &tenant("bolt", 51_822, &tunnel()));
    gateway.spawn();
    gateway.wait_programmed();
    gateway
}

/// What tells a namespace from another of the same name.
fn namespace(tenant: &str) -> u64 {
    fs::metadata(format!("/run/netns/lockgate.{tenant}.gw")).unwrap().ino()
}

fn wait_log(gateway: &Gateway<'_>, text: &str) {
    wait_until(&format!("{text:?} in the log"), PATIENCE, || {
        let log = gateway.log();
        if log.contains(text) { Ok(()) } else { Err(log) }
    });
}

/// As `cat new > acme.yaml` does on a slow disk, and an editor that writes in place.
#[test]
fn a_file_that_was_empty_for_a_moment_cost_its_tenant_everything() {
    lab::run(|lab| {
        let gateway = two(lab);
        let (before, generation) = (namespace("acme"), gateway.snapshot().config.loaded_generation);
        let file = gateway.path("config").join("acme.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, "").unwrap();
        wait_log(&gateway, "looked for once more");
        fs::write(&file, text).unwrap();
        gateway.wait("the documents to be read again", |snapshot| {
            generation < snapshot.config.loaded_generation
        });
        gateway.wait_programmed();
        assert_eq!(namespace("acme"), before);
        let events = gateway.tenant("acme/gw").events;
        let added = events.iter().filter(|event| event.reason == EventReason::TenantAdded);
        assert_eq!(added.count(), 1, "{events:#?}");
    });
}

#[test]
fn a_tenant_whose_documents_stay_away_goes() {
    lab::run(|lab| {
        let gateway = two(lab);
        let bolt = namespace("bolt");
        fs::remove_file(gateway.path("config").join("acme.yaml")).unwrap();
        gateway.wait("acme to go", |snapshot| snapshot.tenants.len() == 1);
        wait_until("its namespace to go", PATIENCE, || {
            let there = fs::exists("/run/netns/lockgate.acme.gw").unwrap();
            if there { Err("it is there") } else { Ok(()) }
        });
        assert_eq!(namespace("bolt"), bolt);
        wait_log(&gateway, "tenant_removed");
        assert!(gateway.log().contains("looked for once more"), "{}", gateway.log());
    });
}

#[test]
fn what_makes_a_site_that_site_could_be_changed_under_way() {
    lab::run(|lab| {
        let vlan = |id| {
            let vlan =
                format!("{{parent: eth2, id: {id}, addresses: [10.1.0.7/24], nextHop: 10.1.0.1}}");
            tenant("acme", 51_821, &format!("type: VLAN\n  vlan: {vlan}"))
        };
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &vlan(30));
        gateway.spawn();
        gateway.wait("the first set", |snapshot| snapshot.config.loaded_generation == 1);
        let errors = gateway.apply_refused(&vlan(31));
        assert_eq!(errors.len(), 1, "{errors:?}");
        let place = "SiteAttachment/acme/hq: spec.vlan.id: cannot be changed; make another site";
        assert!(errors[0].ends_with(place), "{errors:?}");
        assert!(gateway.log().contains(place), "{}", gateway.log());
        // Another type is another site too; the same again is none.
        let errors = gateway.apply_refused(&tenant("acme", 51_821, &tunnel()));
        assert!(errors[0].contains("spec.type: cannot be changed"), "{errors:?}");
        gateway.write("documents.yaml", &vlan(30));
        gateway.wait("the set in force again", |snapshot| snapshot.config.loaded_generation == 2);
    });
}

#[test]
fn a_secret_that_comes_later_is_taken() {
    lab::run(|lab| {
        let gateway = two(lab);
        let secret = "type: WireGuard\n  wireGuard: {publicKey: KEY, presharedKeySecretRef: {name: psk, key: psk}}";
        let text = tenant("acme", 51_821, &secret.replace("KEY", &key(7).public().to_string()));
        gateway.write("acme.yaml", &text);
        gateway.wait("the site to be left out", |snapshot| !snapshot.refused.is_empty());
        gateway.secret("acme", "psk", "psk", &psk(3).to_base64());
        gateway.wait("the site to be served", |snapshot| snapshot.refused.is_empty());
        assert_eq!(gateway.tenant("acme/gw").sites.len(), 1);
    });
}

#[test]
fn a_directory_that_was_away_was_not_watched_again() {
    lab::run(|lab| {
        let gateway = two(lab);
        let config = gateway.path("config");
        let away = gateway.path("away");
        fs::rename(&config, &away).unwrap();
        gateway.signal(Signal::HUP);
        gateway.wait("the documents to be missed", |snapshot| {
            let last = snapshot.config.last_reload.as_ref().unwrap();
            last.errors.iter().any(|error| error.contains("cannot read"))
        });
        // Another directory of the same name, as a deployment makes it.
        fs::create_dir(&config).unwrap();
        for name in ["acme.yaml", "bolt.yaml"] {
            fs::copy(away.join(name), config.join(name)).unwrap();
        }
        gateway.signal(Signal::HUP);
        let found = |snapshot: &lockgate::status::Snapshot| snapshot.config.loaded_generation;
        let before = found(&gateway.wait("them to be found", |snapshot| {
            snapshot.config.last_reload.as_ref().unwrap().errors.is_empty()
        }));
        gateway.write("bolt.yaml", &tenant("bolt", 51_823, &tunnel()));
        gateway.wait("a change to be seen", |snapshot| before < found(snapshot));
        gateway.wait("the new port", |snapshot| {
            snapshot.tenants.iter().any(|tenant| tenant.listen_port == 51_823)
        });
    });
}

/// With directories of its own, and so with a lock of its own.
#[test]
fn a_second_gateway_took_the_first_ones_tenants_for_left_behind() {
    lab::run(|lab| {
        let mut gateway = two(lab);
        let (id, before) = (gateway.id(), namespace("acme"));
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("documents.yaml"), tenant("other", 51_900, &tunnel())).unwrap();
        let second = |more: &[&str]| {
            let (run, state, documents) = (path("run"), path("state"), path("documents.yaml"));
            let words = [env!("CARGO_BIN_EXE_lockgate"), "--runtime-dir", &run, "--state-dir"];
            let words = [&words, &[&state, "run", "--no-status", "-f", &documents][..], more];
            let ended = lab.output(At::Underlay, &words.concat());
            (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
        };
        let (code, said) = second(&[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("another lockgate runs"), "{said}");
        assert_eq!(namespace("acme"), before);
        gateway.assert_alive(id);
        let events = gateway.tenant("acme/gw").events;
        assert!(events.iter().all(|it| it.reason != EventReason::DriftRepaired), "{events:#?}");
    });
}

#[test]
fn a_change_of_state_was_nowhere_in_the_log() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(7).public(), "", ""));
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(7), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        wait_log(&gateway, "site_state_changed");
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("site_state_changed")).unwrap();
        for part in ["INFO", "tenant=acme/gw", "site=hq", "state=Up", "reason=session_alive"] {
            assert!(line.contains(part), "no {part} in {line}");
        }
    });
}

/// The handshakes come, are answered, and are not believed: that nobody began is
/// not what an engineer should read.
#[test]
fn a_preshared_key_on_one_side_only_was_called_waiting_for_the_customer() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(7).public(), "", ""));
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            psk: Some(psk(3)),
            ..Customer::new(key(7), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        gateway.wait("the reason", |snapshot| {
            crate::gateway::site_of(snapshot, TENANT, SITE).is_some_and(|site| {
                site.state == SiteState::NeverConnected
                    && site.reason.to_string() == "handshake_unconfirmed"
            })
        });
    });
}

/// What a rule is called by the kernel, with its text: one made anew has another.
fn rules(lab: &Lab) -> Vec<String> {
    let words = ["ip", "netns", "exec", "lockgate.acme.gw", "nft", "-a", "list", "ruleset"];
    let text = String::from_utf8(lab.output(At::Underlay, &words).stdout).unwrap();
    let rules =
        text.lines().filter(|line| line.contains("comment \"") && line.contains("# handle"));
    rules.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_change_of_one_network_made_every_rule_of_its_tenant_anew() {
    lab::run(|lab| {
        let text = tenant("acme", 51_821, &tunnel());
        let gateway = Gateway::start(lab, At::Underlay, &text);
        let before = rules(lab);
        assert!(20 < before.len(), "{before:#?}");
        gateway.apply(&text.replace("192.168.1.0", "192.168.9.0"));
        assert_eq!(rules(lab), before);
        // What lets less pass has chains of its own, and the others stay.
        let allow = "allow: [{direction: ToSite, protocol: TCP, ports: [22]}]";
        gateway.apply(&text.replace("  prefixes:", &format!("  {allow}\n  prefixes:")));
        let closed = rules(lab);
        assert!(closed.iter().any(|rule| rule.contains("dport 22")), "{closed:#?}");
        assert!(before.iter().all(|rule| closed.contains(rule)), "{closed:#?}");
        gateway.apply(&text);
        assert_eq!(rules(lab), before);
    });
}
