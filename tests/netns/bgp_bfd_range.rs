//! BFD with stock BIRDs that dial in out of a range: each is watched while it is there,
//! and one that stands still is gone within a second and not within the hold time.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how long it took is said and bounded"
)]

use crate::bgp_range::{bird_config, document};
use crate::bgp_stage::{BIRD, GATEWAY, NETNS, attach, wait_learned};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, slowness, wait_until};
use lockgate::status::{BfdState, BgpSnapshot, NeighborState};
use std::time::{Duration, Instant};

const WATCH: &str = "protocol bfd watch { interface \"*\" { multiplier 3; }; }\n";

/// What a packet needs three times over, and a loaded machine to act on it.
const SOON: Duration = Duration::from_millis(1_500);

fn bgp(gateway: &Gateway<'_>) -> BgpSnapshot {
    gateway.tenant("acme/gw").bgp.unwrap()
}

/// What the neighbors out of the range are at, by the last number of their address.
fn states(gateway: &Gateway<'_>) -> Vec<(String, NeighborState, Option<BfdState>)> {
    let neighbors = bgp(gateway).neighbors.into_iter();
    neighbors.map(|it| (it.name, it.state, it.bfd.map(|bfd| bfd.state))).collect()
}

fn wait_states(gateway: &Gateway<'_>, wanted: &[(&str, Option<BfdState>)]) {
    wait_until(&format!("{wanted:?}"), PATIENCE, || {
        let found = states(gateway);
        let same = found.len() == wanted.len()
            && found.iter().zip(wanted).all(|(found, (name, bfd))| {
                (found.0.as_str(), found.1, found.2) == (name, NeighborState::Established, *bfd)
            });
        if same { Ok(()) } else { Err(format!("{found:?} {}", gateway.log())) }
    });
}

#[test]
fn who_dials_in_out_of_a_range_is_watched_while_it_is_there() {
    lab::run(|lab| {
        let range = "{name: nodes, range: 10.136.40.0/28, remoteASN: 65001, bfd: true}";
        let gateway = Gateway::start(lab, At::Underlay, &document(range));
        let at = attach(lab, "acme");
        for address in ["10.136.40.3/24", "10.136.40.4/24"] {
            lab.address(&at, "apps-acme", address);
        }
        assert!(states(&gateway).is_empty(), "nobody is there, and nobody is watched");
        let bird = |address: &str, network: &str, more: &str, watch: &str| {
            let more = format!("graceful restart off; {more}");
            let config = bird_config(address, network, &more) + watch;
            Bird::start(lab, &at, &config)
        };
        let two = bird(BIRD, "10.140.2.0/24", "bfd on;", WATCH);
        let three = bird("10.136.40.3", "10.140.3.0/24", "", "");
        let (up, down) = (Some(BfdState::Up), Some(BfdState::Down));
        let both = [("nodes/10.136.40.2", up), ("nodes/10.136.40.3", down)];
        wait_states(&gateway, &both);
        wait_until("BIRD to say so, too", PATIENCE, || {
            let said = two.say("show bfd sessions");
            let is_up = said.lines().any(|it| it.contains(GATEWAY) && it.contains(" Up "));
            if is_up { Ok(()) } else { Err(said) }
        });
        wait_learned(lab, NETNS, &["10.140.2.0/24", "10.140.3.0/24"]);
        let metrics = gateway.page("/metrics");
        let of_range = "lockgate_bfd_range_neighbors{tenant=\"acme/gw\",neighbor=\"nodes\",up=";
        for (value, count) in [("true", 1), ("false", 1)] {
            let line = format!("{of_range}\"{value}\"}} {count}");
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }
        assert!(!metrics.contains("10.136.40.2"), "an address is no label");
        let table = gateway.show(&["neighbors"]);
        let line = table.lines().find(|line| line.contains("nodes/10.136.40.2")).unwrap();
        assert!(line.contains("Established") && line.contains(" Up "), "{table}");

        // One stands still: it is gone, and the other, who speaks no BFD, is not.
        two.freeze();
        let frozen = Instant::now();
        wait_learned(lab, NETNS, &["10.140.3.0/24"]);
        println!("routes gone {:?} after a router of a range stood still", frozen.elapsed());
        assert!(frozen.elapsed() < SOON * slowness(), "{:?}", frozen.elapsed());
        wait_states(&gateway, &[("nodes/10.136.40.3", down)]);
        two.thaw();
        wait_states(&gateway, &both);
        wait_learned(lab, NETNS, &["10.140.2.0/24", "10.140.3.0/24"]);

        // Who goes by himself is watched no more, and is let in again.
        two.say("disable lockgate");
        wait_states(&gateway, &[("nodes/10.136.40.3", down)]);
        two.say("enable lockgate");
        wait_states(&gateway, &both);
        assert!(three.is_established("lockgate"));
        let flaps = bgp(&gateway).neighbors.iter().map(|it| it.flaps.0).sum::<u64>();
        assert_eq!(flaps, 0, "of those that are there: {:?}", states(&gateway));
        gateway.wait_programmed();
    });
}
