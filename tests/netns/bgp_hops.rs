//! A next hop is looked for where the tenant is, and nowhere else.

use crate::bgp_stage::{
    Ask, GATEWAY, LAB, NETNS, attach, build_lab, learned, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::raw_speaker::{RawSpeaker, attribute, open, update};
use crate::wireguard_stage::class_document;
use lockgate::status::RibPage;

const BOLT: &str = "lockgate.bolt.gw";

/// The way to the other tenant's site, a device of the site, and the host's own network.
const ELSEWHERE: [[u8; 4]; 3] = [[172, 30, 0, 2], [10, 64, 0, 10], [203, 0, 113, 9]];

#[test]
fn a_next_hop_that_only_another_tenant_has_leads_nowhere() {
    lab::run(|lab| {
        build_lab(lab);
        lab.address(At::Underlay, "lo", "203.0.113.1/24");
        let bolt = Ask { tenant: "bolt", port: 51_822, ..Ask::default() };
        let documents = class_document()
            + &tenant_document(&Ask::default())
            + &tenant_document(&bolt)
            + &LAB.replace("namespace: acme", "namespace: bolt");
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let (at, _) = (attach(lab, "acme"), attach(lab, "bolt"));
        // It is there, for the other one.
        let way = lab.ip(BOLT, "route get 10.64.0.10");
        assert!(way.contains("via 172.30.0.2"), "{way}");
        // Whether a carrier was there yet is nothing of this.
        let routes = || lab.ip(BOLT, "route show").replace(" linkdown", "");
        let before = routes();

        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        let said = |hop: [u8; 4], network: u8| {
            let attributes = [
                attribute(0x40, 1, &[0]),
                attribute(0x40, 2, &[2, 1, 0, 0, 0xfd, 0xe9]),
                attribute(0x40, 3, &hop),
            ];
            update(&attributes, &[24, 10, 140, network])
        };
        for (network, hop) in (1..).zip(ELSEWHERE) {
            raw.send(&said(hop, network));
        }
        raw.send(&said([10, 136, 40, 2], 9));
        wait_learned(lab, NETNS, &["10.140.9.0/24"]);
        for network in 1..=3 {
            let path = format!("/api/v1/tenants/acme/gw/rib?prefix=10.140.{network}.0/24");
            let page: RibPage = serde_json::from_str(&gateway.page(&path)).unwrap();
            let [one] = &page.networks[..] else { panic!("{page:?}") };
            let state = &one.paths[0].state;
            assert!(state.starts_with("not installed: "), "{network}: {state}");
        }
        assert_eq!(learned(lab, NETNS).len(), 1);
        assert_eq!(routes(), before);
        wait_until("the gateway to be content", PATIENCE, || {
            let diff = gateway.lockgate(At::Underlay, &["diff"]);
            if diff.status.success() { Ok(()) } else { Err(diff) }
        });
    });
}
