//! A tenant's namespace that somebody removes by hand: it is made again, and all that listens
//! and asks from it is there again, too.

use crate::bgp_stage::{
    Ask, BIRD, NETNS, attach, bird_config, start_bird, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_router::{Customer, Engine, Router};
use crate::wireguard_stage::{
    PORT, SITE, Stage, TENANT, TUNNEL, V4, class_document, key, site_document, socket,
};
use lockgate::status::{BfdState, NeighborState, ProbeState, Snapshot};
use std::process::Output;

const CUSTOMER: u8 = 7;

const APPS: &str = "10.140.1.0/24";

fn documents() -> String {
    let ask = Ask { neighbor: ", bfd: true", ..Ask::default() };
    let probe = format!("probes: [{{address: {}, intervalSeconds: 1}}]", V4.tunnel[1]);
    class_document()
        + &tenant_document(&ask)
        + "  testPage: true\n"
        + &site_document(SITE, key(CUSTOMER).public(), &["192.168.1.0/24"], TUNNEL, &probe)
}

/// Whether a BGP session and its BFD are up, and how often the probe was answered.
fn seen(snapshot: &Snapshot) -> Option<(NeighborState, BfdState, u64)> {
    let tenant = snapshot.tenants.first()?;
    let neighbor = tenant.bgp.as_ref()?.neighbors.first()?;
    let probe = tenant.sites.first()?.probes.first()?;
    let answers = if probe.state == ProbeState::Answered { probe.sent.0 } else { 0 };
    Some((neighbor.state, neighbor.bfd.as_ref()?.state, answers))
}

#[test]
fn listeners_stayed_in_a_namespace_that_was_removed_by_hand() {
    lab::run(|lab| {
        let _stage = Stage::new(lab);
        let gateway = Gateway::start(lab, At::Underlay, &documents());
        let customer = Customer {
            endpoint: Some(socket(V4.gateway, PORT)),
            keepalive: 1,
            ..Customer::new(key(CUSTOMER), gateway.public_key(TENANT))
        };
        let _router = Router::start(lab, "router", Engine::any(), &customer);
        let bird_at = attach(lab, "acme");
        let session = "bfd on;";
        let watch = "protocol bfd watch { interface \"*\" { multiplier 3; }; }\n";
        let config = bird_config(&[APPS], &[], session) + watch;
        let _bird = start_bird(lab, &bird_at, &config);
        let page = || {
            let url = format!("http://{}/", V4.tunnel[0]);
            let Output { stdout, stderr, .. } =
                lab.output("router", &["curl", "-sS", "--max-time", "3", &url]);
            let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
            if text.starts_with("Lockgate: the tunnel works.") { Ok(()) } else { Err(text) }
        };
        let all_is_well = |after: u64| {
            wait_until("the test page", PATIENCE, page);
            wait_learned(lab, NETNS, &[APPS]);
            let snapshot = gateway.wait("BGP, BFD and the probe", |snapshot| {
                seen(snapshot).is_some_and(|(bgp, bfd, answers)| {
                    bgp == NeighborState::Established && bfd == BfdState::Up && after < answers
                })
            });
            seen(&snapshot).unwrap().2
        };
        let answers = all_is_well(0);

        let number =
            || lab.output(At::Underlay, &["stat", "-Lc%i", &format!("/run/netns/{NETNS}")]);
        let before = number().stdout;
        lab.remove(NETNS);
        wait_until("another namespace", PATIENCE, || match number().stdout {
            now if now.is_empty() || now == before => Err(now),
            _ => Ok(()),
        });
        // The old one is gone with its links, so that the other end is here anew.
        wait_until("the fabric link", PATIENCE, || {
            let move_it = ["ip", "link", "set", "apps-acme", "netns", &bird_at];
            let output = lab.output(At::Underlay, &move_it);
            if output.status.success() { Ok(()) } else { Err(output) }
        });
        lab.ip(&bird_at, "link set apps-acme up");
        lab.address(&bird_at, "apps-acme", &format!("{BIRD}/24"));
        all_is_well(answers);
        assert!(!gateway.log().contains("cannot listen"), "{}", gateway.log());
    });
}
