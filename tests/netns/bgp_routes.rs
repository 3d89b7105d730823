//! What a stock BIRD says becomes routes of its tenant's namespace, and no other's;
//! what the gateway says hangs on the sites.

use crate::bgp_stage::{Ask, BIRD, NETNS, attach, bird_config, learned, start_bird};
use crate::bgp_stage::{tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::class_document;

#[test]
fn what_bird_says_is_in_the_tenants_table_until_it_is_withdrawn() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        // Outside of the list, and shorter than it has it.
        let bad = ["10.99.0.0/24", "10.140.0.0/16"];
        let apps = [&["10.140.1.0/24", "10.140.2.128/25"][..], &bad].concat();
        let bird = start_bird(lab, &at, &bird_config(&apps, &["10.140.9.0/24"], ""));
        let all = ["10.140.1.0/24", "10.140.2.128/25", "10.140.9.0/24"];
        wait_learned(lab, NETNS, &all);
        for line in learned(lab, NETNS) {
            assert!(line.contains(&format!("via {BIRD} dev lg-fabric metric 32")), "{line}");
        }
        assert!(lab.ip(At::Underlay, "route show").lines().all(|line| !line.contains("10.140")));

        bird.say("disable more");
        wait_learned(lab, NETNS, &all[..2]);
        bird.say("enable more");
        wait_learned(lab, NETNS, &all);
        // Nothing of this is a fault.
        gateway.wait_programmed();
        bird.say("disable lockgate");
        wait_learned(lab, NETNS, &[]);
        gateway.wait_programmed();
    });
}
