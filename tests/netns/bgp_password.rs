//! A session is signed with the password both ends have, or does not come about.

use crate::bgp_stage::{Ask, NETNS, attach, bird_config, tenant_document, wait_learned};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::class_document;
use std::time::Duration;

/// Longer than either end waits before it dials again.
const TRIED: Duration = Duration::from_secs(8);

#[test]
#[allow(clippy::disallowed_methods, reason = "that nothing happens takes a time")]
fn a_session_needs_the_same_password_on_both_ends() {
    lab::run(|lab| {
        let neighbor = ", passwordSecretRef: {name: bgp, key: tor}";
        let mut gateway = Gateway::new(lab, At::Underlay);
        let ask = Ask { neighbor, ..Ask::default() };
        gateway.write("documents.yaml", &(class_document() + &tenant_document(&ask)));
        gateway.secret("acme", "bgp", "tor", "kept-canary-one\n");
        gateway.spawn();
        gateway.wait_programmed();
        let at = attach(lab, "acme");
        let config = |password: &str| bird_config(&["10.140.1.0/24"], &[], password);
        for wrong in ["", "password \"kept-canary-two\";"] {
            let bird = Bird::start(lab, &at, &config(wrong));
            std::thread::sleep(TRIED);
            assert!(!bird.is_established("lockgate"), "with {wrong:?}");
        }
        let bird = Bird::start(lab, &at, &config("password \"kept-canary-one\";"));
        bird.wait_established("lockgate", true);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        // Another password is another session.
        gateway.secret("acme", "bgp", "tor", "kept-canary-three");
        bird.wait_established("lockgate", false);
        gateway.secret("acme", "bgp", "tor", "kept-canary-one");
        bird.wait_established("lockgate", true);
        for said in [gateway.log(), gateway.page("/api/v1/status"), gateway.page("/metrics")] {
            assert!(!said.contains("canary"), "a secret was shown");
        }
    });
}
