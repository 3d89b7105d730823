//! A session is signed with the password both ends have, or does not come about.

use crate::bgp_stage::{
    Ask, LAB, NETNS, attach, bird_config, build_lab, tenant_document, wait_learned,
};
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

/// A customer's router, too.
#[test]
#[allow(clippy::disallowed_methods, reason = "that nothing happens takes a time")]
fn a_customers_session_needs_the_same_password_on_both_ends() {
    lab::run(|lab| {
        build_lab(lab);
        let bgp = "  bgp: {remoteASN: 65010, neighbor: 172.30.0.2, holdTimeSeconds: 9, \
                   passwordSecretRef: {name: lab, key: bgp}}\n";
        let mut gateway = Gateway::new(lab, At::Underlay);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB + bgp;
        gateway.write("documents.yaml", &documents);
        gateway.secret("acme", "lab", "bgp", "kept-canary-one\n");
        gateway.spawn();
        gateway.wait_programmed();
        let bird = |password: &str| {
            let config = format!(
                "log \"/dev/null\" all;
router id 172.30.0.2;
protocol device {{}}
protocol static own {{ ipv4; route 10.64.7.0/24 blackhole; }}
protocol bgp lockgate {{
  local 172.30.0.2 as 65010;
  neighbor 172.30.0.1 as 64600;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  ipv4 {{ import all; export all; next hop self; }};
  {password}
}}
"
            );
            Bird::start(lab, "customer", &config)
        };
        for wrong in ["", "password \"kept-canary-two\";"] {
            let bird = bird(wrong);
            std::thread::sleep(TRIED);
            assert!(!bird.is_established("lockgate"), "with {wrong:?}");
        }
        let bird = bird("password \"kept-canary-one\";");
        bird.wait_established("lockgate", true);
        bird.wait_told("lockgate", &["10.136.40.0/24", "10.140.0.0/16"]);
        wait_learned(lab, NETNS, &["10.64.7.0/24"]);
        for said in [gateway.log(), gateway.page("/api/v1/status")] {
            assert!(!said.contains("canary"), "a secret was shown");
        }
    });
}
