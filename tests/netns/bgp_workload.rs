//! A gateway that is a pod, as its own Calico node's BGP peer (`localWorkloadSelector`): the
//! pod has an address and no network, and dials a link-local address that all nodes share.
//!
//! ```text
//!   customer ─ lan0 [pod: the gateway, --netns current] eth0 ─ cali1 [node: BIRD 1.6]
//!              172.30.0.1                       10.65.0.2/32   169.254.0.179/32
//! ```

use crate::bgp_stage::{DEVICE, LAB, learned, wait_learned};
use crate::bird::{Bird, bird_1};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;

const DOCUMENT: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  appPrefixes: [192.168.0.0/16]
  fabric:
    bgp:
      localASN: 65401
      routerID: 10.65.0.2
      neighbors: [{name: node, address: 169.254.0.179, remoteASN: 64512}]
      import: {prefixes: [{cidr: 192.168.0.0/16, ge: 26, le: 32}]}
";

/// What `confd` makes of its templates for a local workload that peers.
const NODE: &str = "log \"/dev/null\" all;
router id 10.1.0.8;
filter calico_export { if ( net ~ 192.168.0.0/16 ) then { accept; } reject; }
filter calico_kernel_programming { if ( net ~ 192.168.0.0/16 ) then { reject; } accept; }
protocol static { route 192.168.72.64/26 blackhole; route 10.65.0.2/32 via \"cali1\"; }
protocol kernel { persist; scan time 2; import none; export filter calico_kernel_programming; graceful restart; }
protocol device { scan time 2; }
protocol direct { interface \"uplink\"; }
protocol bgp lockgate {
  local as 64512;
  multihop;
  neighbor 10.65.0.2 as 65401;
  source address 169.254.0.179;
  gateway recursive;
  import all;
  export filter calico_export;
  add paths on;
  graceful restart;
  passive on;
  connect delay time 2; connect retry time 5; error wait time 5,30;
}
";

/// The pod as its node makes it, and the node.
fn build(lab: &Lab) {
    for name in ["pod", "node", "core", "customer"] {
        lab.add(name);
    }
    lab.veth((At::Netns("pod"), "eth0"), (At::Netns("node"), "cali1"));
    lab.address("pod", "eth0", "10.65.0.2/32");
    lab.ip("pod", "route add 169.254.1.1 dev eth0 scope link");
    lab.ip("pod", "route add default via 169.254.1.1 dev eth0");
    // The node answers for everything that is elsewhere.
    lab.veth((At::Netns("node"), "uplink"), (At::Netns("core"), "nodes"));
    lab.address("node", "uplink", "10.1.0.8/24");
    lab.route("node", "default", "10.1.0.1");
    lab.address("node", "cali1", "169.254.0.179/32");
    lab.ip("node", "route add 10.65.0.2 dev cali1 scope link");
    for set in [
        "net.ipv4.ip_forward=1",
        "net.ipv4.conf.cali1.proxy_arp=1",
        "net.ipv4.neigh.cali1.proxy_delay=0",
    ] {
        lab.command_output("node", &["sysctl", "-qw", set]);
    }
    // A pod of the node's.
    lab.address("node", "lo", "192.168.72.70/32");
    lab.veth((At::Netns("pod"), "lan0"), (At::Netns("customer"), "lan"));
    lab.address("customer", "lan", "172.30.0.2/24");
    lab.address("customer", "lo", &format!("{DEVICE}/32"));
    lab.route("customer", "192.168.0.0/16", "172.30.0.1");
}

#[test]
fn a_pod_peers_with_its_own_calico_node() {
    let Some(programs) = bird_1() else { return };
    lab::run(move |lab| {
        build(lab);
        let bird = Bird::start_program(lab, "node", programs, NODE);
        let mut gateway = Gateway::new(lab, "pod");
        gateway.argument(&["--netns", "current"]);
        gateway.write("documents.yaml", &(class_document() + DOCUMENT + LAB));
        gateway.spawn();
        gateway.wait_programmed();
        bird.wait_established("lockgate", true);
        wait_learned(lab, "pod", &["192.168.72.64/26"]);
        let line = &learned(lab, "pod")[0];
        assert!(line.contains("via 169.254.0.179 dev eth0"), "{line}");
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        let way = lab.ip("node", "route get 10.64.0.10");
        assert!(way.contains("via 10.65.0.2 dev cali1"), "{way}");
        wait_until("the pod to answer the device", PATIENCE, || {
            let ping =
                lab.output("customer", &["ping", "-c1", "-W1", "-I", DEVICE, "192.168.72.70"]);
            if ping.status.success() { Ok(()) } else { Err((ping, lab.ip("pod", "route"))) }
        });
        // It is found again after a restart of the pod's process.
        gateway.kill();
        bird.wait_established("lockgate", false);
        gateway.spawn();
        bird.wait_established("lockgate", true);
        wait_learned(lab, "pod", &["192.168.72.64/26"]);
        gateway.wait_programmed();
    });
}
