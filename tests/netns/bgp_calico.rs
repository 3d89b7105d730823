//! A node of Calico's: BIRD 1.6 with the configuration that its templates write, for
//! the cluster that was reported. Blocks are blackholes on the node that has them, the
//! session is internal and passive, paths have identifiers.

use crate::bgp_stage::{DEVICE, LAB, NETNS, build_lab, learned, wait_learned};
use crate::bird::{Bird, bird_1};
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::{TENANT, class_document};
use lockgate::status::SiteState;

/// What `confd` makes of its templates for a node with one global peer, less what it
/// does for the mesh and the kernel's other tables.
const NODE: &str = "log \"/dev/null\" all;
router id 10.1.0.8;
function calico_aggr() {
  if ( net = 192.168.72.64/26 ) then { accept; }
  if ( net ~ 192.168.72.64/26 ) then { reject; }
}
filter calico_export_to_bgp_peers {
  calico_aggr();
  if ( net ~ 192.168.0.0/16 ) then { accept; }
  reject;
}
filter calico_kernel_programming { if ( net ~ 192.168.0.0/16 ) then { reject; } accept; }
protocol static { route 192.168.72.64/26 blackhole; }
protocol static borrowed { route 192.168.127.199/32 via \"apps-acme\"; }
protocol static inside { route 192.168.72.70/32 via \"apps-acme\"; }
protocol static others { route 10.99.0.0/24 blackhole; }
protocol kernel { persist; scan time 2; import none; export filter calico_kernel_programming; graceful restart; }
protocol device { scan time 2; }
protocol direct { interface \"apps-acme\"; }
template bgp bgp_template {
  local as 64512;
  gateway recursive;
  import all;
  export filter calico_export_to_bgp_peers;
  add paths on;
  graceful restart;
  connect delay time 2;
  connect retry time 5;
  error wait time 5,30;
}
protocol bgp lockgate from bgp_template {
  multihop;
  neighbor 10.1.0.20 as 64512;
  source address 10.1.0.8;
  passive on;
}
";

const GATEWAY: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  listenPort: 51821
  appPrefixes: [192.168.0.0/16]
  fabric:
    veth: {peer: apps-acme, addresses: [10.1.0.20/24], mtu: 1500}
    bgp:
      localASN: 64512
      routerID: 10.1.0.20
      neighbors: [{name: node8, address: 10.1.0.8, remoteASN: 64512}]
      import: {prefixes: [{cidr: 192.168.0.0/16, ge: 26, le: 32}]}
";

#[test]
fn a_calico_nodes_blocks_are_learned_and_kept_over_a_restart() {
    let Some(programs) = bird_1() else { return };
    lab::run(move |lab| {
        build_lab(lab);
        let mut gateway = Gateway::start(lab, At::Underlay, &(class_document() + GATEWAY + LAB));
        lab.add("node8");
        lab.ip(At::Underlay, "link set apps-acme netns node8");
        lab.ip("node8", "link set apps-acme up");
        lab.address("node8", "apps-acme", "10.1.0.8/24");
        let bird = Bird::start_program(lab, "node8", programs, NODE);
        bird.wait_established("lockgate", true);
        // The block as a whole and the borrowed address; what lies inside the block is
        // the block's, and what is in no pool is not even said.
        let all = ["192.168.127.199", "192.168.72.64/26"];
        wait_learned(lab, NETNS, &all);
        assert!(learned(lab, NETNS).iter().all(|line| line.contains("via 10.1.0.8 dev lg-fabric")));
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        let told = bird.say("show route 10.64.0.0/16 all");
        // Above 2147482623 Calico would put it before its own.
        assert!(
            told.contains("BGP.local_pref: 100") && told.contains("BGP.next_hop: 10.1.0.20"),
            "{told}"
        );
        // Nodes program what is outside of the pools.
        assert!(
            lab.ip("node8", "route get 10.64.0.10").contains(&format!("{DEVICE} via 10.1.0.20"))
        );

        gateway.kill();
        bird.wait_established("lockgate", false);
        wait_learned(lab, NETNS, &all);
        assert_eq!(bird.told("lockgate"), ["10.64.0.0/16"], "it helps the restart");
        gateway.spawn();
        bird.wait_established("lockgate", true);
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &all);
        bird.say("disable borrowed");
        wait_learned(lab, NETNS, &all[1..]);
    });
}
