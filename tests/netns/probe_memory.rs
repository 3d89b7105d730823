//! What probes found, over a restart of the gateway.

use crate::bgp_stage::{Ask, attach, bird_config, start_bird, tenant_document};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::probes::{CUSTOMER, dial, wait_probe};
use crate::wireguard_stage::{
    PREFIXES, SITE, Stage, TENANT, V4, class_document, key, site_document,
};
use lockgate::status::{ProbeState, SiteReason, SiteState};

/// A site that is lost was advertised for eight seconds by every new process.
#[test]
fn a_network_that_was_lost_was_advertised_after_a_restart() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        let probes = format!("probes: [{{address: {}, intervalSeconds: 1}}]", V4.device);
        let tunnel = "tunnelAddresses: [10.255.30.0/31]";
        let documents = class_document()
            + &tenant_document(&Ask::default())
            + &site_document(SITE, key(CUSTOMER).public(), &PREFIXES[..1], tunnel, &probes);
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let bird = start_bird(lab, &at, &bird_config(&[], &[], ""));
        let _router = dial(lab, &gateway);
        wait_probe(&gateway, (TENANT, SITE), V4.device, ProbeState::Answered);
        bird.wait_told("lockgate", &[PREFIXES[0]]);
        lab.ip("device", "link set lan down");
        gateway.wait_state(TENANT, SITE, SiteState::Blackholed);
        bird.wait_told("lockgate", &[]);
        let memory = gateway.path("state").join("memory.json");
        wait_until("the verdict to be written", PATIENCE, || {
            let text = std::fs::read_to_string(&memory).unwrap();
            let is_written = text.contains(r#""lostSites":{"acme/gw":["hq"]}"#);
            if is_written { Ok(()) } else { Err(text) }
        });

        gateway.kill();
        let before = gateway.log().len();
        gateway.spawn();
        gateway.wait_programmed();
        let site = gateway.wait_state(TENANT, SITE, SiteState::Blackholed);
        assert_eq!(site.reason, SiteReason::ProbesLost);
        bird.wait_established("lockgate", true);
        assert!(bird.told("lockgate").is_empty(), "{:?}", bird.told("lockgate"));
        let log = gateway.log();
        let states: Vec<&str> = log[before..].lines().filter(|it| it.contains(" → ")).collect();
        assert!(states.iter().all(|it| !it.contains("→ Up")), "{states:?}");
    });
}
