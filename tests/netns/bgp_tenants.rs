//! Two tenants with the same addresses, each with a BIRD of its own: what one says is
//! nowhere at the other's.

use crate::bgp_stage::{
    Ask, NETNS, attach, bird_config, start_bird, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_raw::RawCustomer;
use crate::wireguard_stage::{Stage, V4, class_document, key, site_document, socket};

const BOLT: &str = "lockgate.bolt.gw";

/// The site of one of them; both have the same network and tunnel.
fn site(tenant: &str, seed: u8) -> String {
    let tunnel = "tunnelAddresses: [10.255.30.0/31]";
    let text = site_document("hq", key(seed).public(), &["192.168.1.0/24"], tunnel, "");
    text.replace("namespace: acme", &format!("namespace: {tenant}"))
}

#[test]
fn what_one_tenants_bird_says_is_nowhere_at_anothers() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        let bolt = Ask { tenant: "bolt", port: 51_822, ..Ask::default() };
        let documents = class_document()
            + &tenant_document(&Ask::default())
            + &site("acme", 7)
            + &tenant_document(&bolt)
            + &site("bolt", 8);
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let (at, other) = (attach(lab, "acme"), attach(lab, "bolt"));
        let both = "10.140.1.0/24";
        let acme = start_bird(lab, &at, &bird_config(&[both], &["10.140.2.0/24"], ""));
        let bolt = start_bird(lab, &other, &bird_config(&[both], &["10.140.3.0/24"], ""));
        wait_learned(lab, NETNS, &[both, "10.140.2.0/24"]);
        wait_learned(lab, BOLT, &[both, "10.140.3.0/24"]);
        // Both customers have the same network; one of them dials in.
        let dial = |tenant: &str, port, seed, from| {
            let to = (gateway.public_key(tenant), socket(V4.gateway, port));
            let customer = RawCustomer::new(lab, "router", from, &key(seed), to);
            customer.connect();
            customer
        };
        let _first = dial("acme/gw", 51_821, 7, V4.router[0]);
        acme.wait_told("lockgate", &["192.168.1.0/24"]);
        assert_eq!(bolt.told("lockgate"), [""; 0]);
        let _second = dial("bolt/gw", 51_822, 8, V4.router[0]);
        bolt.wait_told("lockgate", &["192.168.1.0/24"]);
        // What one withdraws stays with the other, and so does a session.
        acme.say("disable apps");
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        wait_learned(lab, BOLT, &[both, "10.140.3.0/24"]);
        // One that freezes is waited for and holds up nobody: the other is heard at
        // once all the same.
        acme.freeze();
        bolt.say("disable more");
        wait_learned(lab, BOLT, &[both]);
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        acme.kill();
        bolt.say("enable more");
        wait_learned(lab, BOLT, &[both, "10.140.3.0/24"]);
        assert!(bolt.is_established("lockgate"));
        let routes = || lab.ip(At::Underlay, "route show proto 76");
        wait_until("nothing to be in the underlay", PATIENCE, || {
            if routes().is_empty() { Ok(()) } else { Err(routes()) }
        });
    });
}
