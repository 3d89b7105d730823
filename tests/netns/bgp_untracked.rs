//! What the gateway speaks with its neighbors is not among its customers'
//! conversations, and is none the worse for that: errors about it are heard, and nobody
//! comes in by it.

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, bird_config, build_lab, start_bird, tenant_document,
    wait_learned,
};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::raw_speaker::{RawSpeaker, open};
use crate::wireguard_stage::{TENANT, class_document};
use lockgate::status::BfdState;
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::time::Duration;

/// How many conversations are tracked in the tenant's namespace.
fn tracked(lab: &Lab) -> String {
    lab.command_output(NETNS, &["cat", "/proc/sys/net/netfilter/nf_conntrack_count"])
}

/// Dials from the port of BGP, as a neighbor could, to another one.
fn dial_from_bgp(lab: &Lab, at: &str, port: u16) -> bool {
    lab.within(at, || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        let from: SocketAddr = format!("{BIRD}:179").parse().unwrap();
        socket.bind(&from.into()).unwrap();
        let to: SocketAddr = format!("{GATEWAY}:{port}").parse().unwrap();
        socket.connect_timeout(&to.into(), Duration::from_millis(500)).is_ok()
    })
}

/// A session that we dialled and one that the neighbor did, with BFD beside; and one
/// with a customer's router.
#[test]
fn what_is_said_with_neighbors_was_among_the_customers_conversations() {
    lab::run(|lab| {
        build_lab(lab);
        let bgp = "  bgp: {remoteASN: 65010, neighbor: 172.30.0.2, holdTimeSeconds: 9}\n";
        let neighbor = ", bfd: true";
        let documents = tenant_document(&Ask { neighbor, ..Ask::default() }) + LAB + bgp;
        let gateway = Gateway::start(lab, At::Underlay, &(class_document() + &documents));
        let at = attach(lab, "acme");

        // The port it speaks from opens no other one to a neighbor.
        let _listener = lab.within(NETNS, || std::net::TcpListener::bind((GATEWAY, 22)).unwrap());
        assert!(!dial_from_bgp(lab, &at, 22));
        gateway.wait_firewall_drops(TENANT, "to_gateway", 1);

        let config = bird_config(&["10.140.1.0/24"], &[], "bfd on; passive on;")
            + "protocol bfd watch { interface \"*\" { multiplier 3; }; }\n";
        let bird = start_bird(lab, &at, &config);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let customer = Bird::start(
            lab,
            "customer",
            "log \"/dev/null\" all;
router id 172.30.0.2;
protocol device {}
protocol bgp lockgate {
  local 172.30.0.2 as 65010;
  neighbor 172.30.0.1 as 64600;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  ipv4 { import all; export none; };
}
",
        );
        customer.wait_established("lockgate", true);
        gateway.wait("BFD to be up", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            let watched = bgp.and_then(|bgp| bgp.neighbors[0].bfd.as_ref());
            watched.is_some_and(|it| it.state == BfdState::Up)
        });
        assert_eq!(tracked(lab).trim(), "0");

        bird.kill();
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let _raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        assert_eq!(tracked(lab).trim(), "0");
        // It counts, when there is something to count.
        assert!(lab.ping(&at, GATEWAY));
        assert_ne!(tracked(lab).trim(), "0");
    });
}

/// A router on the way has a link too narrow for what is said, and says so:
///
/// ```text
///   gateway ─ fabric link ─ middle ─ narrow ─ far
///   10.136.40.1             10.136.40.254     10.136.50.2 (BIRD)
/// ```
#[test]
fn a_narrow_link_on_the_way_to_a_neighbor_is_heard_of() {
    lab::run(|lab| {
        build_lab(lab);
        let networks: Vec<String> = (0..600_u32)
            .map(|n| format!("{{cidr: 10.64.{}.{}/28}}", n / 16, n % 16 * 16))
            .collect();
        let many = format!("prefixes: [{}]", networks.join(", "));
        let documents = tenant_document(&Ask::default())
            .replace(
                &format!("addresses: [{GATEWAY}/24], mtu: 1500"),
                "addresses: [10.136.40.1/24], nextHops: [10.136.40.254], mtu: 1500",
            )
            .replace(&format!("address: {BIRD}"), "address: 10.136.50.2")
            + &LAB.replace("prefixes: [{cidr: 10.64.0.0/16}]", &many);
        assert!(documents.contains("nextHops: [10.136.40.254]") && documents.contains("/28"));
        let _gateway = Gateway::start(lab, At::Underlay, &(class_document() + &documents));
        lab.add("middle");
        lab.add("far");
        lab.ip(At::Underlay, "link set apps-acme netns middle");
        lab.ip("middle", "link set apps-acme up");
        lab.address("middle", "apps-acme", "10.136.40.254/24");
        lab.veth((At::Netns("middle"), "far"), (At::Netns("far"), "near"));
        lab.ip("middle", "link set far mtu 1280");
        lab.address("middle", "far", "10.136.50.1/24");
        lab.address("far", "near", "10.136.50.2/24");
        lab.route("far", "10.136.40.0/24", "10.136.50.1");
        lab.command_output("middle", &["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
        let bird = start_bird(
            lab,
            "far",
            "log \"/dev/null\" all;
router id 10.136.50.2;
protocol device {}
protocol bgp lockgate {
  local 10.136.50.2 as 65001; neighbor 10.136.40.1 as 64600; multihop;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  ipv4 { import all; export none; };
}
",
        );
        wait_until("BIRD to hear all of it", PATIENCE, || {
            let told = bird.told("lockgate").len();
            if told == networks.len() { Ok(()) } else { Err(told) }
        });
        // And it was told by the error: what fits the narrow link is known.
        let way = lab.ip(NETNS, "route get 10.136.50.2");
        assert!(way.contains("mtu 1280"), "{way}");
        assert_eq!(tracked(lab).trim(), "0");
    });
}
