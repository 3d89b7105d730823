//! What is not told, or told of another namespace than it seems: notices that were lost
//! (N1), and a namespace in the place of the one we knew (N3, N7).

use crate::lab::{self, PATIENCE, wait_until};
use crate::reconcile_foreign::{NETNS, carry_out, kernel, quiet, todo, told, with_veth};
use crate::wireguard_stage::{Stage, documents, key};
use lockgate::reconcile::Step;
use rustix::process::Signal;

/// Notices that were lost on sockets that listen to groups of links and routes here
/// (`netlink_seq_show`).
fn lost(lab: &lab::Lab) -> u64 {
    let text = lab.command_output(NETNS, &["cat", "/proc/net/netlink"]);
    let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = lines.filter(|words| words[1] == "0" && words[3] != "00000000");
    listening.map(|words| words[8].parse::<u64>().unwrap()).sum()
}

/// N1: more notices than the socket that hears them has room for (`ENOBUFS`).
#[test]
fn a_storm_of_changes_by_others_hides_none_of_ours() {
    lab::run(|lab| {
        let stage = Stage::new(lab);
        let gateway = stage.start(&documents(key(7).public(), "", ""));
        const OURS: &str = "192.168.1.0/24";
        let wait_there = |when: &str| {
            wait_until(&format!("the route to be there {when}"), PATIENCE, || {
                let routes = lab.ip(NETNS, "route");
                if routes.contains(OURS) { Ok(()) } else { Err(routes) }
            });
        };
        wait_there("at first");
        assert_eq!(lost(lab), 0);
        let theirs = |number: u32| {
            let ours =
                if number == 1_000 { format!("route delete {OURS}\n") } else { String::new() };
            let [.., middle, low] = number.to_be_bytes();
            let network = format!("10.100.{middle}.{low}/32");
            let add = format!("route add {network} dev lg-wg table 100");
            format!("{ours}{add}\nroute delete {network} table 100\n")
        };
        let storm: String = (0..2_000).map(theirs).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), storm).unwrap();
        // Whoever hears has no time to.
        gateway.signal(Signal::STOP);
        lab.command_output(NETNS, &["ip", "-batch", file.path().to_str().unwrap()]);
        gateway.signal(Signal::CONT);
        assert_ne!(lost(lab), 0, "it was no storm");
        wait_there("after a storm");
        // What comes later is heard as before. One look may be due anyway, not three.
        for _ in 0..3 {
            lab.ip(NETNS, &format!("route delete {OURS}"));
            wait_there("after the storm was over");
        }
    });
}

/// Its rules were counted as often as those of the one before, and taken for them.
#[test]
fn a_namespace_in_the_place_of_another_was_taken_for_it() {
    lab::run(|lab| {
        let desired = with_veth();
        for transactions in 1..=4 {
            let kernel = kernel();
            lab.block_on(carry_out(&kernel, &desired));
            lab.remove(NETNS);
            lab.add(NETNS);
            for number in 0..transactions {
                lab.nft(NETNS, &format!("add table inet theirs{number}"));
            }
            let steps = lab.block_on(todo(&kernel, &desired));
            let is_ruleset = |step: &Step| matches!(step, Step::ReplaceRuleset(_));
            assert!(steps.iter().any(is_ruleset), "after {transactions}: {steps:#?}");
            lab.remove(NETNS);
        }
    });
}

/// Who watched the one before heard nothing of it.
#[test]
fn a_namespace_in_the_place_of_another_was_not_watched() {
    lab::run(|lab| {
        let (kernel, desired) = (kernel(), with_veth());
        let mut watch = kernel.watch().unwrap();
        lab.block_on(async {
            carry_out(&kernel, &desired).await;
            lab.remove(NETNS);
            lab.add(NETNS);
            assert_ne!(todo(&kernel, &desired).await, []);
            // What is left of the one before may have something to say, too, once.
            for state in ["down", "up", "down"] {
                quiet(&mut watch).await;
                lab.ip(NETNS, &format!("link set lo {state}"));
                told(&mut watch, "a change in it").await;
            }
        });
    });
}
