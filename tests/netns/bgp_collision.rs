//! Both ends dial at the same moment, again and again: of two connections one is kept, and
//! a session that came up stays up (RFC 4271 §6.8).
//!
//! To have them meet for certain one end stands still while the other dials it and its own
//! time to dial comes: on waking it has both to do at once. Half of the BIRDs have a
//! lower identifier than ours, so that each side's connection is the one to be kept.
//!
//! One way to lose a session is the neighbor's alone, and is counted apart: who speaks
//! graceful restart takes a dial that it accepts after the session came up for our
//! restart, closes that session without a word and goes on with the other
//! (RFC 4724 §4.2). Its own log says so, and routes are kept over it.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how often they met is said; that nothing happens takes a time"
)]

use crate::bgp_range::document;
use crate::bgp_stage::{GATEWAY, LAB, attach, build_lab};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use lockgate::status::{NeighborSnapshot, NeighborState};
use rustix::process::Signal;
use std::time::Duration;

/// Neighbors on both sides of our identifier, 10.136.40.1, each with and without graceful
/// restart, which has its own way with a second connection (RFC 4724 §4.2).
const NEIGHBORS: usize = 12;

const ROUNDS: usize = 3;

/// More than our wait before a dial is tried again, and BIRD's.
const STILL: Duration = Duration::from_secs(7);

fn address(n: usize) -> String {
    format!("10.136.40.{}", 10 + n)
}

/// One of them: a BIRD has one session with a neighbor, whatever its addresses.
fn bird_config(n: usize) -> String {
    let (identifier, restart) = (if n.is_multiple_of(2) { 1 } else { 200 }, n % 4 < 2);
    format!(
        "router id {identifier}.1.1.{};
protocol device {{}}
protocol bgp lockgate {{
  local {} as 65001; neighbor {GATEWAY} as 64600; strict bind on;
  connect delay time 4; connect retry time 5; error wait time 1, 3;
  graceful restart {};
  debug {{ events }};
  ipv4 {{ import all; export none; }};
}}
",
        1 + n,
        address(n),
        if restart { "on" } else { "off" },
    )
}

fn neighbors(gateway: &Gateway<'_>) -> Vec<NeighborSnapshot> {
    gateway.tenant("acme/gw").bgp.unwrap().neighbors
}

/// Whether a BIRD has taken a second connection for a restart of ours, as it may once
/// both speak of restarts.
fn saw_restart(bird: &Bird<'_>) -> bool {
    bird.log().contains("Neighbor graceful restart detected")
}

/// How many connections were turned down for another (Cease/7), whoever said it.
fn collisions(all: &[NeighborSnapshot]) -> u64 {
    let kinds = all.iter().flat_map(|it| &it.notifications);
    kinds.filter(|it| (it.code, it.subcode) == (6, 7)).map(|it| it.count.0).sum()
}

fn flaps(all: &[NeighborSnapshot]) -> u64 {
    all.iter().map(|it| it.flaps.0).sum()
}

fn wait_all_up(gateway: &Gateway<'_>, birds: &[Bird<'_>]) {
    wait_until("every session to be up", 2 * PATIENCE, || {
        let all = neighbors(gateway);
        let up = all.iter().filter(|it| it.state == NeighborState::Established).count();
        let theirs = birds.iter().filter(|bird| bird.is_established("lockgate")).count();
        if (up, theirs) == (NEIGHBORS, NEIGHBORS) { Ok(()) } else { Err((up, theirs)) }
    });
}

#[test]
fn sessions_that_both_ends_dial_at_once_come_up_and_stay_up() {
    lab::run(|lab| {
        build_lab(lab);
        let listed = (0..NEIGHBORS)
            .map(|n| format!("{{name: n{n}, address: {}, remoteASN: 65001}}", address(n)))
            .collect::<Vec<_>>()
            .join(", ");
        let gateway = Gateway::start(lab, At::Underlay, &(document(&listed) + LAB));
        let at = attach(lab, "acme");
        for n in 0..NEIGHBORS {
            lab.address(&at, "apps-acme", &format!("{}/24", address(n)));
        }
        let start = || -> Vec<Bird<'_>> {
            (0..NEIGHBORS).map(|n| Bird::start(lab, &at, &bird_config(n))).collect()
        };
        let mut birds = start();
        wait_all_up(&gateway, &birds);
        let mut met = 0;
        for round in 0..2 * ROUNDS {
            let who = if round.is_multiple_of(2) { "BIRD" } else { "we" };
            birds.drain(..).for_each(Bird::kill);
            wait_until("every session to be down", PATIENCE, || {
                let all = neighbors(&gateway);
                let up = all.iter().filter(|it| it.state == NeighborState::Established).count();
                if up == 0 { Ok(()) } else { Err(up) }
            });
            let before = neighbors(&gateway);
            birds = start();
            if round.is_multiple_of(2) {
                birds.iter().for_each(Bird::freeze);
                std::thread::sleep(STILL);
                birds.iter().for_each(Bird::thaw);
            } else {
                gateway.signal(Signal::STOP);
                std::thread::sleep(STILL);
                gateway.signal(Signal::CONT);
            }
            wait_all_up(&gateway, &birds);
            // Whatever comes late has come by then.
            std::thread::sleep(Duration::from_secs(6));
            wait_all_up(&gateway, &birds);
            let after = neighbors(&gateway);
            let (collided, flapped) =
                (collisions(&after) - collisions(&before), flaps(&after) - flaps(&before));
            println!("round {round}, {who} stood still: {collided} met, {flapped} flapped");
            met += collided;
            let log = birds[0].log();
            assert!(log.contains("session established"), "it says what it takes for what: {log:?}");
            let flapped = after.iter().zip(&before).filter(|(now, then)| now.flaps != then.flaps);
            for (now, then) in flapped {
                let n: usize = now.name.as_str().trim_start_matches('n').parse().unwrap();
                let is_once = now.flaps.0 == then.flaps.0 + 1;
                if is_once && saw_restart(&birds[n]) {
                    println!("{}: BIRD took the other for a restart", now.name);
                    continue;
                }
                let (name, error) = (&now.name, &now.last_error);
                panic!("{name}: {error:?}\n{}\n{}", birds[n].log(), gateway.log());
            }
        }
        // Or nothing was tried.
        assert!(NEIGHBORS as u64 / 2 < met, "{met} met");
    });
}
