//! What a stock BIRD says becomes routes of its tenant's namespace, and no other's;
//! what the gateway says hangs on the sites.

use crate::bgp_stage::{Ask, BIRD, NETNS, attach, bird_config, learned, start_bird};
use crate::bgp_stage::{tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::class_document;
use lockgate::status::{EventReason, NeighborState};

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

        // The status follows within a tenth of a second.
        gateway.wait("the status to show all of it", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| {
                bgp.learned_routes == 3 && bgp.neighbors[0].prefixes.received == 5
            })
        });
        let all_of = gateway.show(&["rib"]);
        for (network, state) in [
            ("10.140.1.0/24", "best"),
            ("10.99.0.0/24", "refused: "),
            ("10.140.0.0/16", "refused: "),
        ] {
            let one = gateway.show(&["rib", network]);
            let line = one.lines().last().unwrap();
            assert!(line.contains(network) && line.contains(state), "{one}");
            assert!(line.contains("65001") && line.contains("tor"), "{one}");
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert!(all_of.lines().any(|it| words(it) == words(line)), "{all_of}");
        }
        assert_eq!(gateway.show(&["rib", "10.1.2.0/24"]).lines().count(), 1, "nobody said it");
        let neighbors = gateway.show(&["neighbors"]);
        let tor = neighbors.lines().find(|line| line.contains("tor")).unwrap();
        assert!(tor.contains("Established") && tor.contains("fabric, external"), "{neighbors}");
        let routes = gateway.show(&["routes"]);
        assert_eq!(routes.lines().filter(|line| line.contains("BGP")).count(), 3, "{routes}");
        let metrics = gateway.page("/metrics");
        let tor = "{tenant=\"acme/gw\",neighbor=\"tor\"}";
        for line in [
            format!("lockgate_bgp_neighbor_up{tor} 1"),
            // Two connections that met may have counted one.
            format!("lockgate_bgp_flaps_total{tor} "),
            "lockgate_bgp_prefixes{tenant=\"acme/gw\",neighbor=\"tor\",stage=\"received\"} 5"
                .to_owned(),
            "lockgate_bgp_prefixes{tenant=\"acme/gw\",neighbor=\"tor\",stage=\"accepted\"} 3"
                .to_owned(),
        ] {
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }

        bird.say("disable more");
        wait_learned(lab, NETNS, &all[..2]);
        bird.say("enable more");
        wait_learned(lab, NETNS, &all);
        // Nothing of this is a fault.
        gateway.wait_programmed();
        bird.say("disable lockgate");
        wait_learned(lab, NETNS, &[]);
        gateway.wait_programmed();
        gateway.wait("the session to be shown as over", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].state != NeighborState::Established)
        });
        let events = gateway.tenant("acme/gw").events;
        let has = |reason| events.iter().any(|event| event.reason == reason);
        assert!(
            has(EventReason::SessionEstablished) && has(EventReason::SessionDown),
            "{events:#?}"
        );
        assert!(!has(EventReason::DriftRepaired), "{events:#?}");
    });
}
