//! A neighbor that does too much of everything: connections, networks, changes. It
//! costs what is bounded, and who is in earnest is served all the same.

use crate::bgp_odd_stage::neighbor;
use crate::bgp_stage::{Ask, GATEWAY, NETNS, attach, tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::raw_speaker::{RawSpeaker, attribute, message, open, update};
use crate::wireguard_stage::class_document;
use lockgate::status::NeighborState;
use std::fs;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

/// How often the network comes and goes.
const TIMES: usize = 10_000;

pub(crate) fn attributes() -> Vec<Vec<u8>> {
    vec![
        attribute(0x40, 1, &[0]),
        attribute(0x40, 2, &[2, 1, 0, 0, 0xfd, 0xe9]),
        attribute(0x40, 3, &[10, 136, 40, 2]),
    ]
}

/// A gateway of the tenant acme, whose neighbor may say so many networks.
fn gateway(lab: &Lab, maximum: u32) -> (Gateway<'_>, String) {
    let document = tenant_document(&Ask::default())
        .replace("import: {", &format!("import: {{maximumPrefixes: {maximum}, "));
    assert!(document.contains("maximumPrefixes"));
    let gateway = Gateway::start(lab, At::Underlay, &(class_document() + &document));
    let at = attach(lab, "acme");
    (gateway, at)
}

/// What the process has of memory, in KiB.
pub(crate) fn memory(gateway: &Gateway<'_>) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processor time the process has taken, in hundredths of a second.
pub(crate) fn ticks(gateway: &Gateway<'_>) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", gateway.id())).unwrap();
    // Behind the name, which may have spaces in it.
    let (_, rest) = text.rsplit_once(") ").unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

fn descriptors(gateway: &Gateway<'_>) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count()
}

#[test]
fn a_thousand_connections_that_say_nothing_keep_nobody_away() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab, 1_000);
        drop(RawSpeaker::connect(lab, &at, GATEWAY));
        let before = descriptors(&gateway);
        let to = format!("{GATEWAY}:179").parse().unwrap();
        let connect = || TcpStream::connect_timeout(&to, Duration::from_millis(200)).ok();
        let silent: Vec<_> =
            lab.within(at.as_str(), || (0..1_000).filter_map(|_| connect()).collect());
        assert!(500 < silent.len(), "it is a flood: {}", silent.len());
        // One that spells its first message out.
        let mut slow = RawSpeaker::connect(lab, &at, GATEWAY);
        slow.send(&open(&[])[..20]);
        wait_until("all but a few to be let go", PATIENCE, || {
            let now = descriptors(&gateway);
            if now <= before + 16 { Ok(()) } else { Err((before, now)) }
        });
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&update(&attributes(), &[24, 10, 140, 1]));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let last = slow.notification();
        assert!(
            matches!(last, None | Some((6, 7))),
            "it was let go for the one that spoke: {last:?}"
        );
        drop(silent);
        gateway.wait_programmed();
    });
}

#[test]
fn a_million_networks_end_the_session_and_are_not_kept() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab, 1_000);
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&update(&attributes(), &[24, 10, 140, 1]));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let before = memory(&gateway);
        let numbers: Vec<u32> = (0..1_000_000).collect();
        for numbers in numbers.chunks(800) {
            let nlri = numbers.iter().flat_map(|number| {
                let [_, b, c, d] = number.to_be_bytes();
                [32, 10, 64 + b, c, d]
            });
            raw.send(&update(&attributes(), &nlri.collect::<Vec<_>>()));
        }
        assert_eq!(raw.notification(), Some((6, 1)), "too many (RFC 4486 §4)");
        wait_learned(lab, NETNS, &[]);
        let after = memory(&gateway);
        assert!(after < before + 16 * 1_024, "{before} KiB before, {after} KiB after");
        wait_until("it to be shown", PATIENCE, || {
            let seen = neighbor(&gateway);
            let is_over = seen.state != NeighborState::Established;
            if is_over && seen.prefixes.received == 0 { Ok(()) } else { Err(seen) }
        });
        gateway.wait_programmed();
    });
}

#[test]
fn a_network_that_comes_and_goes_ten_thousand_times_costs_little() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab, 1_000);
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&update(&attributes(), &[24, 10, 140, 9]));
        wait_learned(lab, NETNS, &["10.140.9.0/24"]);
        let monitor =
            lab.spawn_command(At::Underlay, &["ip", "-n", NETNS, "monitor", "route"], |command| {
                command.stdout(Stdio::piped());
            });
        let before = ticks(&gateway);
        let come = update(&attributes(), &[24, 10, 140, 1]);
        let go = message(2, &[0, 4, 24, 10, 140, 1, 0, 0]);
        for _ in 0..TIMES / 100 {
            raw.send(&[&come[..], &go].concat().repeat(100));
        }
        raw.send(&come);
        raw.send(&update(&attributes(), &[24, 10, 140, 2]));
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24", "10.140.9.0/24"]);
        let taken = ticks(&gateway) - before;
        let seen = monitor.into_stdout();
        let changes = seen.lines().filter(|line| line.contains("10.140.1.0/24")).count();
        // The kernel is told of what is left of a read, not of each word in it.
        assert!(changes < TIMES / 4, "{changes} changes of {TIMES}");
        assert!(taken < 1_000, "{taken} hundredths of a second");
        assert!(!seen.lines().any(|line| line.contains("10.140.9.0/24")), "{seen}");
        let seen = neighbor(&gateway);
        assert_eq!((seen.state, seen.flaps.0), (NeighborState::Established, 0));
    });
}
