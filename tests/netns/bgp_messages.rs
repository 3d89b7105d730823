//! What BIRD says in messages of more than 4,096 bytes (RFC 8654), and what it says once
//! more because we asked for it (RFC 2918).

use crate::bgp_stage::{
    Ask, NETNS, attach, bird_config, start_bird, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::class_document;
use lockgate::status::{NeighborSnapshot, NeighborState, Snapshot};

/// The longest without RFC 8654.
const USUAL: usize = 4_096;

/// The lengths that the headers of BGP in `frame` have (RFC 4271 §4.1).
fn lengths(frame: &[u8]) -> impl Iterator<Item = usize> {
    const MARKER: [u8; 16] = [0xff; 16];
    let heads = frame.windows(19).filter(|head| head[..16] == MARKER && head[16] != 0xff);
    heads.map(|head| usize::from(u16::from_be_bytes([head[16], head[17]])))
}

/// One route with so many communities that it goes into no usual message.
#[test]
fn a_long_message_is_taken_where_both_have_said_that_they_can() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let communities = (0..400).map(|n| format!("bgp_large_community.add((65001, 1, {n}));"));
        let communities: String = communities.collect();
        let session = "enable extended messages on;";
        let config = bird_config(&["10.140.1.0/24"], &[], session);
        let usual = "export where source = RTS_STATIC;";
        assert!(config.contains(usual), "{config}");
        let long =
            format!("export filter {{ {communities} if source = RTS_STATIC then accept; }};");
        let capture = lab.capture(at.as_str(), "apps-acme");
        let _bird = start_bird(lab, &at, &config.replace(usual, &long));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let frames = capture.frames();
        let longest = frames.iter().flat_map(|frame| lengths(frame)).max().unwrap_or_default();
        assert!(USUAL < longest, "{longest}");
        let rib = gateway.show(&["rib", "10.140.1.0/24"]);
        assert!(rib.contains("65001:1:0") && rib.contains("65001:1:399"), "{rib}");
    });
}

#[test]
fn what_was_refused_is_asked_for_once_more_when_it_is_wanted_and_the_session_stays() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let narrow = "10.140.0.0/16, ge: 24, le: 32";
        assert!(documents.contains(narrow), "{documents}");
        let gateway =
            Gateway::start(lab, At::Underlay, &documents.replace(narrow, "10.140.1.0/24"));
        let at = attach(lab, "acme");
        let _bird =
            start_bird(lab, &at, &bird_config(&["10.140.1.0/24", "10.140.2.0/24"], &[], ""));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let session = || {
            let neighbor = |snapshot: &Snapshot| {
                snapshot.tenants[0].bgp.as_ref().map(|bgp| bgp.neighbors[0].clone())
            };
            let is_up = |it: &NeighborSnapshot| it.state == NeighborState::Established;
            let snapshot =
                gateway.wait("the session", |all| neighbor(all).as_ref().is_some_and(is_up));
            neighbor(&snapshot).unwrap().since
        };
        let since = session();
        gateway.apply(&documents);
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        assert_eq!(session(), since);
        // And let go of, without a word to anybody.
        gateway.apply(&documents.replace(narrow, "10.140.2.0/24"));
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        assert_eq!(session(), since);
    });
}
