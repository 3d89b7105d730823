//! Who sends to addresses of a network on the link, one after the other: the kernel
//! looks for each, and remembers it in a table that all tenants share.

use crate::bgp_stage::{DEVICE, LAB, build_lab};
use crate::capture::frame_socket;
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::{class_document, socket};
use lockgate::model::limits::{APPS_MET, HOSTS_MET, NEIGHBORS_MET_SECONDS};
use lockgate::status::SiteState;
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};

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

/// The site's link in a network with room for many.
fn wide_lab() -> String {
    LAB.replace("172.30.0.1/24", "172.30.0.1/16")
}

/// Addresses in it that nobody has.
fn hosts() -> impl Iterator<Item = Ipv4Addr> {
    let first = Ipv4Addr::new(172, 30, 1, 1).to_bits();
    (first..first + TRIED).map(Ipv4Addr::from_bits)
}

/// Serves the customer on that link, and gives the neighbours on it.
fn serve<'lab>(lab: &'lab Lab) -> (Gateway<'lab>, impl Fn() -> usize + 'lab) {
    build_lab(lab);
    let gateway = Gateway::start(lab, At::Underlay, &(class_document() + APPS + &wide_lab()));
    gateway.wait_state(TENANT, "lab", SiteState::Up);
    let known = || lab.ip(NETNS, "-4 neigh show dev lan0 nud all").lines().count();
    (gateway, known)
}

/// Nothing of what passes this rule is left for ARP: no other setting bounds it.
#[test]
fn a_customer_that_asked_as_everyone_on_its_link_filled_the_table_of_all() {
    lab::run(|lab| {
        let (gateway, known) = serve(lab);
        let before = known();
        let wire = lab.within("customer", || frame_socket("lan"));
        let foe = [2, 0, 0, 0, 0x66, 0x66];
        for host in hosts() {
            let mut frame = [[0xff; 6], foe].concat();
            frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
            frame.extend(foe);
            frame.extend(host.octets());
            frame.extend([0, 0, 0, 0, 0, 0, 172, 30, 0, 1]);
            wire.send(&frame).unwrap();
        }
        // A second's worth at once, and that of some seconds more.
        const HEARD: usize = 400;
        gateway.wait_firewall_drops(TENANT, "neighbor_limit", u64::from(TRIED) - HEARD as u64);
        let learned = known() - before;
        assert!((1..HEARD).contains(&learned), "{learned} of {TRIED} askers are remembered");
        gateway.wait_state(TENANT, "lab", SiteState::Up);

        // The table is ours, and what is not as it was made is made anew.
        let is_settled = || {
            let observed = gateway.lockgate(At::Underlay, &["diff"]);
            if observed.status.success() { Ok(()) } else { Err(observed) }
        };
        wait_until("nothing to do", PATIENCE, is_settled);
        lab.command_output(NETNS, &["nft", "add", "rule", "arp", "lockgate", "input", "drop"]);
        lab.command_output(NETNS, &["nft", "delete", "table", "inet", "lockgate"]);
        wait_until("the rules to be made anew", PATIENCE, is_settled);
        let listed = lab.command_output(NETNS, &["nft", "list", "table", "arp", "lockgate"]);
        assert_eq!(listed.matches("drop").count(), 2, "the site's and the fabric's:\n{listed}");
        lab.command_output(NETNS, &["nft", "delete", "table", "arp", "lockgate"]);
        wait_until("the table to be there again", PATIENCE, || {
            let there = lab.output(NETNS, &["nft", "list", "table", "arp", "lockgate"]);
            if there.status.success() { is_settled() } else { Err(there) }
        });
        gateway.wait_programmed();
    });
}

/// Whoever is told that a packet's time is over is a neighbour that is looked for.
#[test]
#[allow(clippy::disallowed_methods, reason = "no faster than the kernel answers")]
fn a_customer_that_was_answered_as_everyone_on_its_link_filled_the_table_of_all() {
    lab::run(|lab| {
        let (gateway, known) = serve(lab);
        let before = known();
        lab.within("customer", || {
            for host in hosts() {
                let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
                sender.set_ip_transparent_v4(true).unwrap();
                sender.bind(&SocketAddr::from((host, 0)).into()).unwrap();
                sender.set_ttl_v4(1).unwrap();
                sender.send_to(b"how far?", &socket(APP, 9).into()).unwrap();
                // The kernel says it a thousand times a second (`icmp_msgs_per_sec`).
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let limit = HOSTS_MET as usize;
        gateway.wait_firewall_drops(TENANT, "neighbor_limit", 100);
        let learned = known() - before;
        assert!((1..=limit).contains(&learned), "{learned} of {TRIED} were looked for");
        gateway.wait_state(TENANT, "lab", SiteState::Up);
    });
}
