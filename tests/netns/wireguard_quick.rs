//! What `lockgate customer-config` prints is all that a customer needs, besides
//! its own private key.

use crate::gateway::Gateway;
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::wireguard_router::{Engine, Router};
use crate::wireguard_stage::{FAMILIES, SITE, Stage, TENANT, V4, documents, key, psk};
use lockgate::status::SiteState;

/// The customer's key.
const CUSTOMER: u8 = 7;

/// The customer's file for wg-quick(8), as the running gateway prints it.
fn printed(lab: &Lab, gateway: &Gateway<'_>, words: &[&str]) -> String {
    let path = |name: &str| gateway.path(name).to_str().unwrap().to_owned();
    let mut all = vec![env!("CARGO_BIN_EXE_lockgate").to_owned()];
    all.extend(["--runtime-dir".to_owned(), path("run")]);
    all.extend(["customer-config", SITE, "--format", "wg-quick", "-f"].map(str::to_owned));
    all.extend([path("config"), "--secrets".to_owned(), path("secrets")]);
    all.extend(words.iter().map(|&word| word.to_owned()));
    lab.command_output(At::Underlay, &all)
}

fn check(wireguard: &'static str, words: &'static [&'static str]) {
    Engine::each(move |lab, engine| {
        if engine == Engine::Lockgate {
            return;
        }
        let stage = Stage::new(lab);
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.secret("acme", "hq-psk", "psk", psk(3).to_base64().as_str());
        let documents = documents(key(CUSTOMER).public(), wireguard, "");
        let documents = documents.replace("vpn.example.net", V4.gateway);
        gateway.write("documents.yaml", &documents);
        gateway.spawn();
        gateway.wait_programmed();
        stage.attach_app();

        let text = printed(lab, &gateway, words);
        let own = key(CUSTOMER).to_base64();
        let filled = text.replace("<your private key>", own.as_str());
        assert_ne!(filled, text, "{text}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lockgate.conf");
        std::fs::write(&file, filled).unwrap();
        let _router = Router::start_quick(lab, "router", engine, &file);
        // As the file says how to verify it.
        wait_until("the gateway to answer", PATIENCE, || {
            if lab.ping("router", V4.tunnel[0]) { Ok(()) } else { Err("silence") }
        });
        gateway.wait_state(TENANT, SITE, SiteState::Up);
        for family in FAMILIES {
            stage.assert_traffic(family);
            assert!(lab.ping("router", family.tunnel[0]), "{engine:?}: the gateway answers");
        }
    });
}

#[test]
fn a_customer_that_dials_in_needs_nothing_but_its_key() {
    check("", &[]);
}

#[test]
fn a_customer_that_is_dialled_needs_nothing_but_its_key() {
    check(
        "presharedKeySecretRef: {name: hq-psk, key: psk}, endpoint: {host: 198.51.100.2, port: 51900}",
        &["--with-psk"],
    );
}

#[test]
fn a_customer_that_dials_in_over_ipv6_needs_nothing_but_its_key() {
    check("persistentKeepaliveSeconds: 7", &["--host", "2001:db8:f::1"]);
}
