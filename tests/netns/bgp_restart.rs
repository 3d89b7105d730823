//! One end of a session is killed and started again: the other keeps what it was told, the
//! kernel what was learned, and packets go on.
#![allow(clippy::disallowed_methods, reason = "a flow goes on for a while")]

use crate::bgp_stage::{
    APP, Ask, DEVICE, LAB, LAB_BGP, NETNS, attach, bird_config, build_lab, customer_config,
    start_bird, tenant_document, wait_learned,
};
use crate::bird::{BIRD_2, Bird};
use crate::flow::Flow;
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, Process, wait_until};
use crate::wireguard_stage::{TENANT, class_document};
use lockgate::status::{NeighborState, SiteState, Snapshot};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A thousand packets a second, both ways.
const INTERVAL: Duration = Duration::from_millis(1);

/// Packets between a device and an application, and what the kernels at both ends of the
/// session do to the routes they go by.
pub(crate) struct Traffic {
    flows: [Flow; 2],
    monitors: [Process; 2],
}

impl Traffic {
    /// Begins, and waits until some have arrived.
    pub(crate) fn start(lab: &Lab, at: &str) -> Self {
        let flows = [
            Flow::start(lab, ("customer", DEVICE), (at, APP), INTERVAL),
            Flow::start(lab, (at, APP), ("customer", DEVICE), INTERVAL),
        ];
        for flow in &flows {
            flow.wait_arrival_after(Instant::now());
        }
        let monitors = [NETNS, at].map(|netns| {
            lab.spawn_command(At::Underlay, &["ip", "-n", netns, "monitor", "route"], |command| {
                command.stdout(Stdio::piped());
            })
        });
        Self { flows, monitors }
    }

    /// Goes on for a while and ends: no packet was lost, and no route was ever taken out.
    pub(crate) fn check_nothing_lost(self) {
        std::thread::sleep(Duration::from_secs(2));
        for (flow, way) in self.flows.into_iter().zip(["to the application", "to the device"]) {
            let arrivals = flow.stop();
            assert!(1_000 < arrivals.sent, "{}", arrivals.sent);
            assert_eq!(arrivals.lost(), [0; 0], "{way}, of {}", arrivals.sent);
        }
        for (monitor, network) in self.monitors.into_iter().zip(["10.140.1.0/24", "10.64.0.0/16"]) {
            let seen = monitor.into_stdout();
            let gone: Vec<&str> = seen
                .lines()
                .filter(|line| line.starts_with("Deleted") && line.contains(network))
                .collect();
            assert_eq!(gone, [""; 0], "{seen}");
        }
    }
}

#[test]
fn no_packet_is_lost_when_the_gateway_is_killed_and_started_again() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "lo", &format!("{APP}/32"));
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &["10.140.2.0/24"], ""));
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        let traffic = Traffic::start(lab, &at);

        gateway.kill();
        bird.wait_established("lockgate", false);
        gateway.spawn();
        bird.wait_established("lockgate", true);
        // Until what was kept is said again, and that it was all.
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        gateway.wait_programmed();
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        // What BIRD has no more goes once it has said all.
        bird.say("disable more");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        traffic.check_nothing_lost();
    });
}

/// Rules and routes of a site whose router says what it has stand by what it had said.
#[test]
fn no_packet_is_lost_of_a_customer_that_speaks_bgp_when_the_gateway_is_killed() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB + LAB_BGP;
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "lo", &format!("{APP}/32"));
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], ""));
        let config = customer_config(&["10.64.0.0/16"], &["10.64.7.0/24"]);
        let customer = Bird::start(lab, "customer", &config);
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        let all = ["10.140.1.0/24", "10.64.0.0/16", "10.64.7.0/24"];
        wait_learned(lab, NETNS, &all);
        let traffic = Traffic::start(lab, &at);

        gateway.kill();
        customer.wait_established("lockgate", false);
        gateway.spawn();
        customer.wait_established("lockgate", true);
        bird.wait_established("lockgate", true);
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        gateway.wait_programmed();
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &all);
        customer.say("disable more");
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.64.0.0/16"]);
        traffic.check_nothing_lost();
    });
}

/// We go on by what it said, and it by what we said, which its kernel still has.
#[test]
fn no_packet_is_lost_when_the_neighbor_is_killed_and_started_again() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "lo", &format!("{APP}/32"));
        let config = |more: &[&str]| {
            let usual = bird_config(&["10.140.1.0/24"], more, "");
            let kernel = "protocol kernel {";
            assert!(usual.contains(kernel));
            usual.replace(kernel, "protocol kernel { graceful restart; persist;")
        };
        let bird = start_bird(lab, &at, &config(&["10.140.2.0/24"]));
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        let both = ["10.140.1.0/24", "10.140.2.0/24"];
        wait_learned(lab, NETNS, &both);
        let traffic = Traffic::start(lab, &at);

        bird.kill();
        let prefixes = |snapshot: &Snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.map(|bgp| (bgp.neighbors[0].state, bgp.neighbors[0].prefixes))
        };
        gateway.wait("its routes to be kept past the session", |snapshot| {
            prefixes(snapshot).is_some_and(|(state, prefixes)| {
                state != NeighborState::Established && prefixes.stale == 2
            })
        });
        wait_learned(lab, NETNS, &both);
        let bird = Bird::start_again(lab, &at, BIRD_2.into(), &config(&[]));
        bird.wait_established("lockgate", true);
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        // What it has no more goes once it has said all, and the rest is no longer stale.
        wait_learned(lab, NETNS, &both[..1]);
        gateway.wait("nothing to be stale", |snapshot| {
            prefixes(snapshot).is_some_and(|(_, prefixes)| prefixes.stale == 0)
        });
        wait_until("BIRD to be done with its recovery", PATIENCE, || {
            let said = bird.say("show status");
            if said.contains("Graceful restart") { Err(said) } else { Ok(()) }
        });
        traffic.check_nothing_lost();
    });
}

/// What BIRD has no more when the gateway is back goes when BIRD has said all.
#[test]
fn a_route_that_went_while_the_gateway_was_away_goes() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let mut gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &["10.140.2.0/24"], ""));
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        gateway.kill();
        bird.wait_established("lockgate", false);
        bird.say("disable more");
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        gateway.spawn();
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let diff = gateway.lockgate(At::Underlay, &["diff"]);
        assert_eq!((diff.status.code(), &*diff.stdout), (Some(0), &b""[..]), "{diff:?}");
        // With `--keep` nothing goes either, and BIRD keeps what it was told.
        gateway.wait_programmed();
        gateway.kill();
        gateway.argument(&["--keep"]);
        gateway.spawn();
        gateway.wait_programmed();
        assert!(gateway.terminate().success());
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
    });
}
