//! Routers that dial in out of a range: several BIRDs' worth of sessions, GoBGP that is
//! killed, and who does not know the password.

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, tenant_document, wait_learned,
};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::gobgp::{GoBgp, is_installed};
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::{BgpSnapshot, NeighborState, Snapshot};
use std::time::Duration;

/// The tenant's document with `neighbors` in place of its only one.
pub(crate) fn document(neighbors: &str) -> String {
    let usual = format!("{{name: tor, address: {BIRD}, remoteASN: 65001}}");
    let document = tenant_document(&Ask::default());
    assert!(document.contains(&usual));
    class_document() + &document.replace(&usual, neighbors)
}

/// A BIRD with a session `lockgate` to the gateway from `address`, which has a network to
/// say; `more` is added to the session.
pub(crate) fn bird_config(address: &str, network: &str, more: &str) -> String {
    format!(
        "log stderr all;
router id {address};
protocol device {{}}
protocol static {{ ipv4; route {network} blackhole; }}
protocol bgp lockgate {{
  local {address} as 65001; neighbor {GATEWAY} as 64600; strict bind on;
  connect delay time 1; connect retry time 2; error wait time 1, 3;
  ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
  {more}
}}
"
    )
}

fn bgp(snapshot: &Snapshot) -> Option<&BgpSnapshot> {
    snapshot.tenants.first()?.bgp.as_ref()
}

/// The neighbors that are up, by name.
fn up(snapshot: &Snapshot) -> Vec<&str> {
    let neighbors = bgp(snapshot).into_iter().flat_map(|bgp| &bgp.neighbors);
    let up = neighbors.filter(|it| it.state == NeighborState::Established);
    up.map(|neighbor| neighbor.name.as_str()).collect()
}

#[test]
fn bird_dials_in_from_three_addresses_where_two_are_allowed() {
    lab::run(|lab| {
        build_lab(lab);
        let range = "{name: nodes, range: 10.136.40.0/28, remoteASN: 65001, maximum: 2}";
        let gateway = Gateway::start(lab, At::Underlay, &(document(range) + LAB));
        let at = attach(lab, "acme");
        for address in ["10.136.40.3/24", "10.136.40.4/24", "10.136.40.77/24"] {
            lab.address(&at, "apps-acme", address);
        }
        let bird = |address, network| Bird::start(lab, &at, &bird_config(address, network, ""));
        let two = bird(BIRD, "10.140.2.0/24");
        let three = bird("10.136.40.3", "10.140.3.0/24");
        two.wait_established("lockgate", true);
        three.wait_established("lockgate", true);
        wait_learned(lab, NETNS, &["10.140.2.0/24", "10.140.3.0/24"]);
        two.wait_told("lockgate", &["10.64.0.0/16"]);
        gateway.wait("both to be shown", |snapshot| {
            up(snapshot) == ["nodes/10.136.40.2", "nodes/10.136.40.3"]
        });

        // The third is refused and told so; who is outside is not answered at all.
        let four = bird("10.136.40.4", "10.140.4.0/24");
        let outside = bird("10.136.40.77", "10.140.77.0/24");
        wait_until("the third to be refused", PATIENCE, || {
            let said = four.say("show protocols all lockgate");
            if said.contains("Connection rejected") { Ok(()) } else { Err(said) }
        });
        let full = gateway.wait("it to be counted", |snapshot| {
            bgp(snapshot).is_some_and(|bgp| 0 < bgp.ranges[0].refused.0)
        });
        assert_eq!(bgp(&full).unwrap().ranges[0].neighbors, 2);
        let shown = gateway.show(&["neighbors"]);
        assert!(shown.contains("2 of 2") && shown.contains("nodes/10.136.40.3"), "{shown}");
        assert!(!four.is_established("lockgate") && !outside.is_established("lockgate"));
        let metrics = gateway.page("/metrics");
        assert!(!metrics.contains("10.136.40.3"), "an address is no label");
        assert!(metrics.contains(
            "lockgate_bgp_range_neighbors{tenant=\"acme/gw\",neighbor=\"nodes\",established=\"true\"} 2"
        ), "{metrics}");

        // One goes: the third has its place, and what the first said is gone.
        two.say("disable lockgate");
        four.wait_established("lockgate", true);
        wait_learned(lab, NETNS, &["10.140.3.0/24", "10.140.4.0/24"]);
        gateway.wait("the third in place of the first", |snapshot| {
            up(snapshot) == ["nodes/10.136.40.3", "nodes/10.136.40.4"]
        });
        gateway.wait("the first to be forgotten", |snapshot| {
            bgp(snapshot).is_some_and(|bgp| bgp.neighbors.len() == 2)
        });
        assert!(!outside.is_established("lockgate"));
        gateway.wait_programmed();
    });
}

/// GoBGP restarts gracefully and is gone for good: its routes are kept for its restart
/// time and no longer, and so is what is known of it.
#[test]
fn gobgp_out_of_a_range_is_killed_and_its_routes_are_swept() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let range = "{name: nodes, range: 10.136.40.0/28, remoteASN: 65001}";
        let gateway = Gateway::start(lab, At::Underlay, &(document(range) + LAB));
        let at = attach(lab, "acme");
        let config = format!(
            "[global.config]
  as = 65001
  router-id = \"{BIRD}\"
[[neighbors]]
  [neighbors.config]
    neighbor-address = \"{GATEWAY}\"
    peer-as = 64600
  [neighbors.timers.config]
    connect-retry = 2
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 8
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = \"ipv4-unicast\"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"
        );
        let mut gobgp = GoBgp::start(lab, &at, &config);
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        gobgp.wait_told(GATEWAY, &["10.64.0.0/16"]);
        // Back within its time it goes on with the same neighbor.
        gobgp.kill();
        gateway.wait("its routes to be stale", |snapshot| {
            bgp(snapshot).is_some_and(|bgp| bgp.neighbors.iter().any(|it| it.prefixes.stale == 1))
        });
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        gobgp.spawn(&["-r"]);
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        gobgp.wait_told(GATEWAY, &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        gobgp.kill();
        gateway.wait("its routes to be stale again", |snapshot| {
            bgp(snapshot).is_some_and(|bgp| bgp.neighbors.iter().any(|it| it.prefixes.stale == 1))
        });
        gateway.wait("it to be forgotten", |snapshot| {
            bgp(snapshot).is_some_and(|bgp| bgp.neighbors.is_empty())
        });
        wait_learned(lab, NETNS, &[]);
    });
}

/// All of the range has to sign (TCP-MD5 with a prefix), and who is named by address
/// has a password of its own.
#[test]
#[allow(clippy::disallowed_methods, reason = "that nothing happens takes a time")]
fn nobody_out_of_a_range_is_let_in_without_its_password() {
    lab::run(|lab| {
        let neighbors = "{name: nodes, range: 10.136.40.0/28, remoteASN: 65001, \
             passwordSecretRef: {name: bgp, key: nodes}}, \
             {name: third, address: 10.136.40.3, remoteASN: 65001, \
             passwordSecretRef: {name: bgp, key: third}}";
        let mut gateway = Gateway::new(lab, At::Underlay);
        gateway.write("documents.yaml", &document(neighbors));
        gateway.secret("acme", "bgp", "nodes", "kept-canary-one");
        gateway.secret("acme", "bgp", "third", "kept-canary-two");
        gateway.spawn();
        gateway.wait_programmed();
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "10.136.40.3/24");
        let two = |password| Bird::start(lab, &at, &bird_config(BIRD, "10.140.2.0/24", password));
        let three = |password| {
            Bird::start(lab, &at, &bird_config("10.136.40.3", "10.140.3.0/24", password))
        };
        for wrong in ["", "password \"kept-canary-two\";"] {
            let bird = two(wrong);
            std::thread::sleep(Duration::from_secs(6));
            assert!(!bird.is_established("lockgate"), "with {wrong:?}");
            let snapshot = gateway.snapshot();
            let known = bgp(&snapshot).unwrap().neighbors.len();
            assert_eq!(known, 1, "nobody but who is named: {wrong:?}");
        }
        // The password of the range does not do for who has another.
        let wrong = three("password \"kept-canary-one\"; passive;");
        std::thread::sleep(Duration::from_secs(6));
        assert!(!wrong.is_established("lockgate"));
        drop(wrong);
        let bird = two("password \"kept-canary-one\";");
        bird.wait_established("lockgate", true);
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        drop(bird);
        let bird = three("password \"kept-canary-two\";");
        bird.wait_established("lockgate", true);
        wait_learned(lab, NETNS, &["10.140.3.0/24"]);
    });
}
