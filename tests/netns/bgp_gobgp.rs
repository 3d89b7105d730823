//! A stock GoBGP as the fabric's router: routes both ways, several paths to a
//! network, what it is asked to carry, and its restart.

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, learned, tenant_document, wait_learned,
};
use crate::gateway::Gateway;
use crate::gobgp::{GoBgp, is_installed};
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::status::{NeighborState, RibPage, RibPath};

/// Its configuration; `more` belongs to the session.
fn config(more: &str) -> String {
    format!(
        "[global.config]
  as = 65001
  router-id = \"{BIRD}\"
[[neighbors]]
  [neighbors.config]
    neighbor-address = \"{GATEWAY}\"
    peer-as = 64600
  [neighbors.timers.config]
    connect-retry = 2
{more}"
    )
}

const RESTART: &str = "  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 60
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = \"ipv4-unicast\"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
";

fn paths(gateway: &Gateway<'_>, network: &str) -> Vec<RibPath> {
    let page = gateway.page(&format!("/api/v1/tenants/acme/gw/rib?prefix={network}"));
    let page: RibPage = serde_json::from_str(&page).unwrap();
    page.networks.into_iter().flat_map(|network| network.paths).collect()
}

/// Waits until what is shown of the paths to `network` is `expected`: each next hop and
/// what became of the path.
fn wait_paths(gateway: &Gateway<'_>, network: &str, expected: &[(&str, &str)]) -> Vec<RibPath> {
    wait_until(&format!("the paths {expected:?}"), PATIENCE, || {
        let mut all = paths(gateway, network);
        all.sort_by_key(|path| path.next_hop);
        let is_it = all.len() == expected.len()
            && all.iter().zip(expected).all(|(path, (hop, state))| {
                path.next_hop.to_string() == *hop && path.state.starts_with(state)
            });
        if is_it { Ok(all) } else { Err(all) }
    })
}

#[test]
fn gobgp_and_the_gateway_tell_each_other_what_they_have() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let gobgp = GoBgp::start(lab, &at, &config(""));
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        gobgp.add(&format!("10.99.0.0/24 nexthop {BIRD}"));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        assert!(learned(lab, NETNS)[0].contains(&format!("via {BIRD} dev lg-fabric")));
        gobgp.wait_told(GATEWAY, &["10.64.0.0/16"]);
        let told = gobgp.say(&format!("neighbor {GATEWAY} adj-in"));
        assert!(told.contains(GATEWAY) && told.contains("64600"), "{told}");
        // It goes both ways with what is changed on a session that is up.
        gobgp.add(&format!("10.140.2.0/24 nexthop {BIRD}"));
        gobgp.delete("10.140.1.0/24");
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        gateway.apply(&(class_document() + &tenant_document(&Ask::default())));
        gobgp.wait_told(GATEWAY, &[]);
        // It says everything again when it is asked to, and is asked.
        gobgp.say(&format!("neighbor {GATEWAY} softresetout"));
        gobgp.say(&format!("neighbor {GATEWAY} disable"));
        wait_learned(lab, NETNS, &[]);
        gobgp.say(&format!("neighbor {GATEWAY} enable"));
        wait_learned(lab, NETNS, &["10.140.2.0/24"]);
        gateway.wait_programmed();
    });
}

/// Two of its own paths to one network, told apart by their numbers (RFC 7911).
#[test]
fn gobgp_says_two_paths_and_both_are_heard() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let several = "  [neighbors.add-paths.config]\n    send-max = 4\n";
        let gobgp = GoBgp::start(lab, &at, &config(several));
        let other = "10.136.40.3";
        gobgp.add(&format!("10.140.1.0/24 identifier 1 nexthop {BIRD}"));
        gobgp.add(&format!("10.140.1.0/24 identifier 2 nexthop {other} med 7"));
        // The lower MED is better, of one neighboring system (RFC 4271 §9.1.2.2 c).
        let both = wait_paths(&gateway, "10.140.1.0/24", &[(BIRD, "best"), (other, "lost")]);
        assert_ne!(both[0].path_id, both[1].path_id);
        assert!(learned(lab, NETNS)[0].contains(&format!("via {BIRD} ")));
        // One goes: the other is there already.
        gobgp.delete(&format!("10.140.1.0/24 identifier 1 nexthop {BIRD}"));
        wait_paths(&gateway, "10.140.1.0/24", &[(other, "best")]);
        wait_until("the other to serve", PATIENCE, || {
            let lines = learned(lab, NETNS);
            let is = lines.len() == 1 && lines[0].contains(&format!("via {other} "));
            if is { Ok(()) } else { Err(lines) }
        });
        gobgp.delete(&format!("10.140.1.0/24 identifier 2 nexthop {other} med 7"));
        wait_learned(lab, NETNS, &[]);
    });
}

/// What carries the tenant's community is taken, and nothing else (RFC 8092).
#[test]
fn only_what_carries_the_large_community_is_taken_of_gobgp() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        let document = tenant_document(&Ask::default())
            .replace("import: {prefixes:", "import: {communities: [\"65001:1:40\"], prefixes:");
        assert!(document.contains("65001:1:40"));
        let gateway = Gateway::start(lab, At::Underlay, &(class_document() + &document));
        let at = attach(lab, "acme");
        let gobgp = GoBgp::start(lab, &at, &config(""));
        for (network, communities) in [
            (1, "large-community 65001:1:40"),
            (2, "large-community 65001:1:41"),
            (3, ""),
            (4, "community 65001:40"),
            (5, "large-community 65001:1:39,65001:1:40 community 65001:7"),
        ] {
            gobgp.add(&format!("10.140.{network}.0/24 nexthop {BIRD} {communities}"));
        }
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.5.0/24"]);
        for network in 2..=4 {
            let network = format!("10.140.{network}.0/24");
            wait_paths(&gateway, &network, &[(BIRD, "refused: ")]);
        }
        let five = wait_paths(&gateway, "10.140.5.0/24", &[(BIRD, "best")]);
        assert_eq!(five[0].communities, ["65001:7", "65001:1:39", "65001:1:40"]);
        // It is said anew without it, and with it.
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        wait_learned(lab, NETNS, &["10.140.5.0/24"]);
        gobgp.add(&format!("10.140.3.0/24 nexthop {BIRD} large-community 65001:1:40"));
        wait_learned(lab, NETNS, &["10.140.3.0/24", "10.140.5.0/24"]);
    });
}

/// GoBGP is killed and started again: its routes are kept meanwhile, what it has no
/// more goes once it has said all, and it keeps ours over a restart of the gateway.
#[test]
fn routes_are_kept_while_gobgp_is_killed_and_started_again() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let mut gobgp = GoBgp::start(lab, &at, &config(RESTART));
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        gobgp.add(&format!("10.140.2.0/24 nexthop {BIRD}"));
        let both = ["10.140.1.0/24", "10.140.2.0/24"];
        wait_learned(lab, NETNS, &both);
        gobgp.wait_told(GATEWAY, &["10.64.0.0/16"]);

        // It cannot be reached before it has its networks again: it would say that
        // it has none.
        let close = "add table inet closed
add chain inet closed in { type filter hook input priority 0; }
add rule inet closed in tcp dport 179 drop
add rule inet closed in tcp sport 179 drop";
        lab.nft(&at, close);
        gobgp.kill();
        let is_over = |gateway: &Gateway<'_>| {
            gateway.wait("the session to be over, and its routes kept", |snapshot| {
                let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
                bgp.is_some_and(|bgp| {
                    let seen = &bgp.neighbors[0];
                    seen.state != NeighborState::Established && seen.prefixes.stale == 2
                })
            })
        };
        is_over(&gateway);
        let monitor =
            lab.spawn_command(At::Underlay, &["ip", "-n", NETNS, "monitor", "route"], |it| {
                it.stdout(std::process::Stdio::piped());
            });
        wait_learned(lab, NETNS, &both);
        gobgp.spawn(&["-r"]);
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        wait_learned(lab, NETNS, &both);
        lab.nft(&at, "delete table inet closed");
        wait_learned(lab, NETNS, &both[..1]);
        gobgp.wait_told(GATEWAY, &["10.64.0.0/16"]);
        let seen = monitor.into_stdout();
        let gone = |network: &str| {
            seen.lines().any(|line| line.starts_with("Deleted") && line.contains(network))
        };
        assert!(gone(both[1]) && !gone(both[0]), "{seen}");

        gateway.kill();
        wait_until("GoBGP to see that", PATIENCE, || {
            let said = gobgp.say("neighbor");
            if said.contains("Establ") { Err(said) } else { Ok(()) }
        });
        let kept = gobgp.say("global rib");
        assert!(kept.contains("10.64.0.0/16"), "it helps the restart: {kept}");
        wait_learned(lab, NETNS, &both[..1]);
        gateway.spawn();
        gateway.wait_programmed();
        gobgp.wait_told(GATEWAY, &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &both[..1]);
    });
}

/// GoBGP is gone for longer than it takes to restart: its routes are kept for long, but
/// for those that must not be (NO_LLGR), and go at the end (RFC 9494).
#[test]
fn routes_of_gobgp_are_kept_for_long_and_go_at_the_end() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        let neighbor = ", longLivedStaleSeconds: 3600";
        let documents = class_document() + &tenant_document(&Ask { neighbor, ..Ask::default() });
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let long_lived = "  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 4
    long-lived-enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = \"ipv4-unicast\"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
    [neighbors.afi-safis.long-lived-graceful-restart.config]
      enabled = true
      restart-time = 20
";
        let mut gobgp = GoBgp::start(lab, &at, &config(long_lived));
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        gobgp.add(&format!("10.140.2.0/24 nexthop {BIRD} community no-llgr"));
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        gobgp.kill();
        wait_until("its routes to be stale", PATIENCE, || {
            let found = paths(&gateway, "10.140.1.0/24");
            let is = found.iter().any(|path| path.is_stale && !path.is_long_lived);
            if is { Ok(()) } else { Err(found) }
        });
        wait_until("them to be so for long", PATIENCE, || {
            let found = paths(&gateway, "10.140.1.0/24");
            if found.iter().any(|path| path.is_long_lived) { Ok(()) } else { Err(found) }
        });
        let kept = paths(&gateway, "10.140.1.0/24");
        assert_eq!(kept[0].communities, ["65535:6"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        assert!(gateway.show(&["rib"]).contains("long-lived stale"));
        // Back within that time it takes up what is its own.
        gobgp.spawn(&["-r"]);
        gobgp.add(&format!("10.140.1.0/24 nexthop {BIRD}"));
        wait_until("them to be fresh", PATIENCE, || {
            let found = paths(&gateway, "10.140.1.0/24");
            if found.iter().any(|path| !path.is_stale) { Ok(()) } else { Err(found) }
        });
        gobgp.kill();
        wait_until("them to be so for long", PATIENCE, || {
            let found = paths(&gateway, "10.140.1.0/24");
            if found.iter().any(|path| path.is_long_lived) { Ok(()) } else { Err(found) }
        });
        wait_until("them to be gone", PATIENCE * 2, || {
            let lines = learned(lab, NETNS);
            if lines.is_empty() { Ok(()) } else { Err(lines) }
        });
    });
}
