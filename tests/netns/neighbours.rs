//! Who sends to addresses of a network on the link, one after the other: the kernel
//! looks for each, and remembers it in a table that all tenants share.

use crate::bgp_stage::{DEVICE, LAB, build_lab};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::{class_document, socket};
use lockgate::model::limits::{APPS_MET, NEIGHBORS_MET_SECONDS};
use lockgate::status::SiteState;
use std::net::Ipv4Addr;

const TENANT: &str = "acme/gw";
const NETNS: &str = "lockgate.acme.gw";

/// The applications' network, all of it on the link.
const APPS: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [10.140.0.0/16]
  fabric: {veth: {peer: apps-acme, addresses: [10.140.0.1/16]}}
";
const APP: &str = "10.140.0.2";
const SECOND_APP: &str = "10.140.0.3";

/// Addresses that the customer tries: more than the kernel remembers by default.
const TRIED: u32 = 1_500;

/// The neighbours on the fabric link, whether found or looked for.
fn neighbours(lab: &Lab) -> usize {
    lab.ip(NETNS, "-4 neigh show dev lg-fabric nud all").lines().count()
}

#[test]
fn a_customer_that_tried_all_addresses_filled_the_table_of_all() {
    lab::run(|lab| {
        build_lab(lab);
        let gateway = Gateway::start(lab, At::Underlay, &(class_document() + APPS + LAB));
        lab.add("app");
        lab.ip(At::Underlay, "link set apps-acme netns app");
        lab.ip("app", "link set apps-acme up");
        for address in [APP, SECOND_APP] {
            lab.address("app", "apps-acme", &format!("{address}/16"));
        }
        lab.route("app", "10.64.0.0/16", "10.140.0.1");
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        let echoes = [APP, SECOND_APP].map(|app| lab.udp_echo("app", socket(app, 0)));
        let device = lab.udp("customer", socket(DEVICE, 0));
        let asks = |app: usize| lab.udp_ask(&device, echoes[app].address, b"there?").is_some();
        wait_until("traffic", PATIENCE, || if asks(0) { Ok(()) } else { Err("no answer") });

        let before = neighbours(lab);
        let first = Ipv4Addr::new(10, 140, 1, 1).to_bits();
        for address in first..first + TRIED {
            // An error is the ICMP error about an earlier one.
            let _ = device.send_to(b"anybody?", (Ipv4Addr::from_bits(address), 9));
        }
        let limit = APPS_MET as usize;
        gateway.wait_firewall_drops(TENANT, "neighbor_limit", u64::from(TRIED) - limit as u64);
        assert!(neighbours(lab) <= before + limit, "{} neighbours", neighbours(lab));
        assert!(asks(0), "whom it knows it reaches");
        assert!(!asks(1), "nobody new meanwhile");
        let room = PATIENCE.max(std::time::Duration::from_secs(NEIGHBORS_MET_SECONDS.into())) * 2;
        wait_until("room again", room, || if asks(1) { Ok(()) } else { Err("no answer") });

        // The rules are as they are to be, with what the kernel put in them.
        let observed = gateway.lockgate(At::Underlay, &["diff"]);
        assert!(observed.status.success(), "{}", String::from_utf8_lossy(&observed.stdout));
    });
}
