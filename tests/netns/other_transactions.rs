//! N7: somebody else's transactions at the very moment of ours. What they did is seen,
//! and put right.
//!
//! So that they come at that moment and no other, a program stands in the place of
//! `nft` that makes them.

use crate::false_nft::replace_nft;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::wireguard_stage::{Stage, documents, key};
use std::fs;

const NETNS: &str = "lockgate.acme.gw";

/// Does what stands in one of these files once: before a transaction, behind one, and
/// between two looks at the same tables.
const NFT: &str = r#"
once() {
  if [ -e "$1" ]; then mv "$1" "$1.done"; . "$1.done"; fi
}
case "$*" in
"-f -")
  once /run/before
  /run/nft "$@"
  code=$?
  once /run/behind
  exit $code
  ;;
"-j list table inet lockgate")
  /run/nft "$@"
  code=$?
  once /run/looking
  exit $code
  ;;
*) exec /run/nft "$@" ;;
esac
"#;

/// A network that is no application's, among them.
const INTRUDER: &str = "10.66.0.0/16";

fn intrude_at(moment: &str) {
    let deed = format!("/run/nft 'add element inet lockgate apps4 {{ {INTRUDER} }}'\n");
    fs::write(format!("/run/{moment}"), deed).unwrap();
}

/// Whether it was done.
fn is_done(moment: &str) -> bool {
    fs::exists(format!("/run/{moment}.done")).unwrap()
}

/// The tenant's documents, with one port allowed.
fn allowing(port: u16) -> String {
    let allow = format!("allow: [{{direction: FromSite, protocol: UDP, ports: [{port}]}}]");
    documents(key(7).public(), "", &allow)
}

/// The rules, without what they have counted.
fn rules(lab: &Lab) -> String {
    lab.command_output(NETNS, &["nft", "--stateless", "list", "table", "inet", "lockgate"])
}

/// The change was counted as ours, and what it did taken for what we had asked for.
#[test]
fn a_transaction_beside_ours_was_taken_for_a_part_of_it() {
    lab::run(|lab| {
        replace_nft(lab, NFT);
        let stage = Stage::new(lab);
        let gateway = stage.start(&allowing(514));
        for (moment, port) in [("before", 515), ("behind", 516)] {
            intrude_at(moment);
            gateway.apply(&allowing(port));
            assert!(is_done(moment), "nothing came {moment} ours");
            wait_until(&format!("what came {moment} ours to go"), PATIENCE, || {
                let rules = rules(lab);
                let is_right = rules.contains(&port.to_string()) && !rules.contains(INTRUDER);
                if is_right { Ok(()) } else { Err(rules) }
            });
        }
    });
}

/// What was read was of before the change, and was called what is there.
#[test]
fn a_transaction_while_we_look_is_seen() {
    lab::run(|lab| {
        replace_nft(lab, NFT);
        let stage = Stage::new(lab);
        let mut gateway = stage.start(&allowing(514));
        // Nobody is to put it right.
        gateway.kill();
        let differs = || {
            let diff = gateway.lockgate(At::Underlay, &["diff"]);
            (diff.status.code(), String::from_utf8(diff.stdout).unwrap())
        };
        assert_eq!(differs().0, Some(0));
        intrude_at("looking");
        let (code, said) = differs();
        assert!(is_done("looking"));
        assert!(code == Some(1) && said.contains("ruleset"), "{code:?}: {said}");
    });
}
