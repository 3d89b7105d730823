//! A router that stands still: its connection stays, and nothing is heard on it.

use crate::bgp_odd_stage::neighbor;
use crate::bgp_stage::{
    Ask, NETNS, attach, bird_config, start_bird, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::NeighborState;

#[test]
fn a_router_that_stands_still_loses_its_session_at_the_hold_time_and_comes_back() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let short = "hold time 3; keepalive time 1;";
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], short));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        bird.freeze();
        // BIRD does not say that it keeps routes over a NOTIFICATION (RFC 8538 §4).
        wait_learned(lab, NETNS, &[]);
        wait_until("the hold time to be shown as the reason", PATIENCE, || {
            let seen = neighbor(&gateway);
            let is_it = seen.notifications.iter().any(|it| it.is_sent && it.code == 4);
            let is_over = seen.state != NeighborState::Established;
            if is_it && is_over && seen.flaps.0 == 1 { Ok(()) } else { Err(seen) }
        });
        bird.thaw();
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        assert_eq!(neighbor(&gateway).flaps.0, 1);
    });
}
