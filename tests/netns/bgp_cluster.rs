//! The reported cluster, live: five nodes of Calico's, each a BIRD 1.6 as its templates
//! configure it, on one link with the gateway.
//!
//! ```text
//!   customer ─ gateway ─┬─ node 6   192.168.18.128/26
//!                       ├─ node 7   192.168.127.192/26
//!                       ├─ node 8   192.168.72.64/26
//!                       ├─ node 9   192.168.165.128/26
//!                       ├─ node 10  192.168.229.192/26
//!                       └─ 10.1.0.113, a route reflector, in one of the two
//! ```
//! Blocks are blackholes on the node that has them, communities are set on export, a pod
//! that moved and a service are networks of one address.

use crate::bgp_stage::{DEVICE, LAB, NETNS, build_lab};
use crate::bird::{Bird, bird_1};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use std::path::Path;

/// Each node's number, which is the last of its address, and its block.
const NODES: [(u8, &str); 5] = [
    (6, "192.168.18.128/26"),
    (7, "192.168.127.192/26"),
    (8, "192.168.72.64/26"),
    (9, "192.168.165.128/26"),
    (10, "192.168.229.192/26"),
];

/// The service, which nodes 9 and 10 announce.
const SERVICE: &str = "192.168.11.66";
/// A pod of node 8's block, and where it moves.
const POD: &str = "192.168.72.70";

/// With a mesh: 6, 7 and 8 have an AS each, one of them of four bytes, and peer with one
/// another; 9 and 10 are a rack with an AS of its own.
fn asn(node: u8) -> u32 {
    match node {
        8 => 4_200_000_008,
        9 | 10 => 64_520,
        other => 64_500 + u32::from(other),
    }
}

/// What `confd` makes of its templates: a node of `asn`, with these `peers`.
fn node_config(node: u8, block: &str, asn: u32, peers: &str) -> String {
    let service = if 9 <= node { format!("route {SERVICE}/32 blackhole;") } else { String::new() };
    format!(
        "log \"/dev/null\" all;
router id 10.1.0.{node};
function apply_communities() {{
  if ( net ~ 192.168.0.0/16 ) then {{
    bgp_community.add((64512, 40));
    bgp_large_community.add((64512, 1, {node}));
  }}
}}
function calico_aggr() {{
  if ( net = {block} ) then {{ accept; }}
  if ( net ~ {block} ) then {{ reject; }}
}}
filter calico_export_to_bgp_peers {{
  apply_communities();
  calico_aggr();
  if ( net ~ 192.168.0.0/16 ) then {{ accept; }}
  reject;
}}
filter calico_kernel_programming {{ if ( net ~ 192.168.0.0/16 ) then {{ reject; }} accept; }}
protocol static {{ route {block} blackhole; {service} }}
protocol static moved {{ disabled; route {POD}/32 via \"eth0\"; }}
protocol kernel {{ persist; scan time 2; import none; export filter calico_kernel_programming; graceful restart; }}
protocol device {{ scan time 2; }}
protocol direct {{ interface \"eth0\"; }}
template bgp bgp_template {{
  local as {asn};
  multihop;
  gateway recursive;
  import all;
  export filter calico_export_to_bgp_peers;
  source address 10.1.0.{node};
  add paths on;
  graceful restart;
  connect delay time 2; connect retry time 5; error wait time 5,30;
}}
{peers}"
    )
}

fn peer(name: &str, address: &str, asn: u32, more: &str) -> String {
    format!("protocol bgp {name} from bgp_template {{ neighbor {address} as {asn}; {more} }}\n")
}

/// A document whose gateway is `address`, in `asn`, with these neighbors.
fn document(address: &str, asn: u32, neighbors: &str) -> String {
    let tenant = format!(
        "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: acme}}
spec:
  listenPort: 51821
  appPrefixes: [192.168.0.0/16]
  fabric:
    veth: {{peer: apps-acme, addresses: [{address}/24], mtu: 1500}}
    bgp:
      localASN: {asn}
      routerID: {address}
      neighbors: [{neighbors}]
      import:
        prefixes: [{{cidr: 192.168.0.0/16, ge: 26, le: 32}}]
        communities: [\"64512:40\"]
"
    );
    class_document() + &tenant + LAB
}

/// Builds the link, the nodes on it, and 10.1.0.113.
fn build(lab: &Lab) {
    build_lab(lab);
    // The device answers from its own address, and pods are found by it.
    lab.route("customer", "192.168.0.0/16", "172.30.0.1");
    lab.add("fabric");
    lab.ip("fabric", "link add lan type bridge");
    lab.ip("fabric", "link set lan up");
    let hosts = NODES.iter().map(|(node, _)| (format!("node{node}"), format!("10.1.0.{node}/24")));
    for (name, address) in hosts.chain([("rr".to_owned(), "10.1.0.113/24".to_owned())]) {
        lab.add(&name);
        lab.veth((At::Netns("fabric"), &name), (At::Netns(&name), "eth0"));
        lab.ip("fabric", &format!("link set {name} master lan"));
        lab.address(name.as_str(), "eth0", &address);
    }
}

/// Puts the gateway on the link.
fn join(lab: &Lab) {
    lab.ip(At::Underlay, "link set apps-acme netns fabric");
    lab.ip("fabric", "link set apps-acme master lan up");
}

/// Waits until each network is reached by these nodes, and there are no others.
fn wait_ways(lab: &Lab, ways: &[(&str, &[u8])]) {
    wait_until(&format!("{ways:?}"), PATIENCE * 2, || {
        let text = lab.ip(NETNS, "-4 route show proto 76 metric 32");
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace().peekable();
            if !line.starts_with(['\t', ' ']) {
                found.push((words.next().unwrap_or_default().to_owned(), Vec::new()));
            }
            while let Some(word) = words.next() {
                if word == "via"
                    && let Some(node) = words.peek().and_then(|hop| hop.strip_prefix("10.1.0."))
                    && let Some((_, nodes)) = found.last_mut()
                {
                    nodes.push(node.parse().unwrap());
                }
            }
        }
        for (_, nodes) in &mut found {
            nodes.sort_unstable();
        }
        found.sort();
        let mut expected: Vec<(String, Vec<u8>)> =
            ways.iter().map(|(network, nodes)| ((*network).to_owned(), nodes.to_vec())).collect();
        expected.sort();
        if found == expected { Ok(()) } else { Err(text) }
    });
}

/// The blocks and the service, each by the nodes that have it.
const ALL: [(&str, &[u8]); 6] = [
    ("192.168.18.128/26", &[6]),
    ("192.168.127.192/26", &[7]),
    ("192.168.72.64/26", &[8]),
    ("192.168.165.128/26", &[9]),
    ("192.168.229.192/26", &[10]),
    (SERVICE, &[9, 10]),
];

/// A pod that answers at a node.
fn pod(lab: &Lab, node: &str, what: &str) {
    lab.ip(node, &format!("address {what} {POD}/32 dev lo"));
}

fn wait_answers(lab: &Lab) {
    wait_until("the pod to answer the device", PATIENCE, || {
        let ping = lab.output("customer", &["ping", "-c1", "-W1", "-I", DEVICE, POD]);
        if ping.status.success() { Ok(()) } else { Err(ping) }
    });
}

/// The pod moves from node 8 to 7, and dies there.
fn check_move(lab: &Lab, birds: &[Bird<'_>]) {
    pod(lab, "node8", "add");
    wait_answers(lab);
    pod(lab, "node8", "del");
    pod(lab, "node7", "add");
    birds[1].say("enable moved");
    let moved = [&ALL[..], &[(POD, &[7])]].concat();
    wait_ways(lab, &moved);
    wait_answers(lab);
    birds[1].say("disable moved");
    wait_ways(lab, &ALL);
    // What comes to it now is its block's node's to drop.
    let way = lab.ip(NETNS, &format!("route get {POD}"));
    assert!(way.contains("via 10.1.0.8"), "{way}");
}

fn start<'lab>(
    lab: &'lab Lab,
    programs: &Path,
    config: impl Fn(u8, &str) -> String,
) -> Vec<Bird<'lab>> {
    let birds = NODES.iter().map(|(node, block)| {
        let at = format!("node{node}");
        Bird::start_program(lab, &at, programs.to_owned(), &config(*node, block))
    });
    birds.collect()
}

/// Each node peers with the gateway, as with a router that every node has; what one has
/// heard of another it says, too, by itself: such a way is longer and serves nothing.
#[test]
fn the_reported_cluster_is_routed_by_its_mesh() {
    let Some(programs) = bird_1() else { return };
    lab::run(move |lab| {
        build(lab);
        let neighbors: Vec<String> = NODES
            .iter()
            .map(|(node, _)| {
                let asn = asn(*node);
                format!("{{name: node{node}, address: 10.1.0.{node}, remoteASN: {asn}}}")
            })
            .collect();
        let document = document("10.1.0.20", 64_600, &neighbors.join(", "));
        let gateway = Gateway::start(lab, At::Underlay, &document);
        join(lab);
        let config = |node: u8, block: &str| {
            let others = [6, 7, 8].into_iter().filter(|other| node <= 8 && *other != node);
            let mesh = others.map(|other| {
                // The mesh is dialed from one end.
                let passive = if other < node { "passive on;" } else { "" };
                let name = format!("Mesh_10_1_0_{other}");
                peer(&name, &format!("10.1.0.{other}"), asn(other), passive)
            });
            let global = peer("lockgate", "10.1.0.20", 64_600, "");
            node_config(node, block, asn(node), &(mesh.collect::<String>() + &global))
        };
        let birds = start(lab, &programs, config);
        for bird in &birds {
            bird.wait_established("lockgate", true);
            bird.wait_told("lockgate", &["10.64.0.0/16"]);
        }
        birds[2].wait_established("Mesh_10_1_0_6", true);
        wait_ways(lab, &ALL);
        // The way over another node is known, and why it is not taken; and it says whose
        // the block is.
        wait_until("the way over node 6 to be shown", PATIENCE, || {
            let shown = gateway.show(&["rib", "192.168.72.64/26"]);
            let mut lines = shown.lines().filter(|line| line.contains("64506 4200000008"));
            if lines.any(|line| line.contains("lost: ")) { Ok(()) } else { Err(shown) }
        });
        let page = gateway.page("/api/v1/tenants/acme/gw/rib?prefix=192.168.72.64/26");
        assert!(page.contains("64512:1:8"), "{page}");
        check_move(lab, &birds);

        // One node of the two that have the service is no more: the other has it alone.
        birds[3].say("disable lockgate");
        let fewer: Vec<_> = ALL.iter().filter(|(_, nodes)| *nodes != [9]).copied().collect();
        let fewer: Vec<_> = fewer
            .into_iter()
            .map(|(network, nodes)| (network, if nodes.len() == 2 { &[10][..] } else { nodes }))
            .collect();
        wait_ways(lab, &fewer);
        birds[3].say("enable lockgate");
        wait_ways(lab, &ALL);
        gateway.wait_programmed();
    });
}

/// The nodes are one AS with the gateway and peer with the reflector alone: next hops are
/// the nodes', and both ways to the service come on one session (RFC 4456, RFC 7911).
#[test]
fn the_reported_cluster_is_routed_behind_its_route_reflector() {
    let Some(programs) = bird_1() else { return };
    lab::run(move |lab| {
        build(lab);
        let neighbor = "{name: rr, address: 10.1.0.113, remoteASN: 64512}";
        let gateway = Gateway::start(lab, At::Underlay, &document("10.1.0.20", 64_512, neighbor));
        join(lab);
        let clients = NODES.iter().map(|(node, _)| (format!("node{node}"), *node));
        let clients = clients.chain([("lockgate".to_owned(), 20)]).map(|(name, last)| {
            format!("protocol bgp {name} from reflected {{ neighbor 10.1.0.{last} as 64512; }}\n")
        });
        let reflector = format!(
            "log \"/dev/null\" all;
router id 10.1.0.113;
protocol device {{ scan time 2; }}
protocol direct {{ interface \"eth0\"; }}
template bgp reflected {{
  local as 64512; source address 10.1.0.113; multihop; gateway recursive;
  rr client; rr cluster id 244.0.0.1;
  import all; export where source = RTS_BGP;
  add paths on; graceful restart;
  connect delay time 2; connect retry time 5; error wait time 5,30;
}}
{}",
            clients.collect::<String>()
        );
        let rr = Bird::start_program(lab, "rr", programs.clone(), &reflector);
        let birds = start(lab, &programs, |node, block| {
            node_config(node, block, 64_512, &peer("Node_rr", "10.1.0.113", 64_512, ""))
        });
        rr.wait_established("lockgate", true);
        wait_ways(lab, &ALL);
        for bird in &birds {
            bird.wait_told_of("Node_rr", "10.64.0.0/16");
        }
        let told = birds[0].say("show route 10.64.0.0/16 all");
        assert!(told.contains("BGP.next_hop: 10.1.0.20"), "{told}");
        check_move(lab, &birds);

        // What is kept over the reflector's restart is kept of all nodes.
        rr.kill();
        gateway.wait("its routes to be kept", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| 7 <= bgp.neighbors[0].prefixes.stale)
        });
        wait_ways(lab, &ALL);
        let rr = Bird::start_again(lab, "rr", programs.clone(), &reflector);
        rr.wait_established("lockgate", true);
        gateway.wait("nothing to be stale", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].prefixes.stale == 0)
        });
        wait_ways(lab, &ALL);
        gateway.wait_programmed();
    });
}
