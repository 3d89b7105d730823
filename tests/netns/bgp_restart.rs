//! The gateway is killed and started again: BIRD keeps what it was told, the kernel
//! what was learned, and packets go on.
#![allow(clippy::disallowed_methods, reason = "a flow goes on for a while")]

use crate::bgp_stage::{
    APP, Ask, DEVICE, LAB, NETNS, attach, bird_config, build_lab, start_bird, tenant_document,
    wait_learned,
};
use crate::flow::Flow;
use crate::gateway::Gateway;
use crate::lab::{self, At};
use crate::wireguard_stage::{TENANT, class_document};
use lockgate::status::SiteState;
use std::process::Stdio;
use std::time::{Duration, Instant};

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
        let interval = Duration::from_millis(2);
        let flows = [
            Flow::start(lab, ("customer", DEVICE), (&at, APP), interval),
            Flow::start(lab, (&at, APP), ("customer", DEVICE), interval),
        ];
        for flow in &flows {
            flow.wait_arrival_after(Instant::now());
        }
        let watch = |netns: &str| {
            let words = ["ip", "-n", netns, "monitor", "route"];
            lab.spawn_command(At::Underlay, &words, |command| {
                command.stdout(Stdio::piped());
            })
        };
        let monitors = [watch(NETNS), watch(&at)];

        gateway.kill();
        bird.wait_established("lockgate", false);
        gateway.spawn();
        bird.wait_established("lockgate", true);
        // Until what was kept is said again, and that it was all.
        gateway.wait_state(TENANT, "lab", SiteState::Up);
        std::thread::sleep(Duration::from_secs(2));
        gateway.wait_programmed();
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        // What BIRD has no more goes once it has said all.
        bird.say("disable more");
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        for (flow, way) in flows.into_iter().zip(["to the application", "to the device"]) {
            let arrivals = flow.stop();
            assert!(500 < arrivals.sent, "{}", arrivals.sent);
            assert_eq!(arrivals.lost(), [0; 0], "{way}, of {}", arrivals.sent);
        }
        for (monitor, network) in monitors.into_iter().zip(["10.140.1.0/24", "10.64.0.0/16"]) {
            let seen = monitor.into_stdout();
            let gone: Vec<&str> = seen
                .lines()
                .filter(|line| line.starts_with("Deleted") && line.contains(network))
                .collect();
            assert_eq!(gone, [""; 0], "{seen}");
        }
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
