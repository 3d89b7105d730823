//! ExaBGP says odd things of one network at a time. The session stays up, the
//! network goes or stays as RFC 7606 §7 has it for the attribute, the others stay.

use crate::bgp_odd_stage::{MARK, Outcome, check_odd};
use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, build_lab, tenant_document, wait_learned,
};
use crate::exabgp::{ExaBgp, is_installed};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab};
use crate::wireguard_stage::class_document;
use Outcome::{Discarded, Taken, Withdrawn};

/// The one that odd things are said of, and the one of which nothing more is said.
const ODD: &str = "10.140.1.0/24";
const STILL: &str = "10.140.2.0/24";

/// ExaBGP's end of the session.
fn exabgp(lab: &Lab, at: &str) -> ExaBgp {
    let neighbor = format!(
        "neighbor {GATEWAY} {{
  router-id {BIRD}; local-address {BIRD}; local-as 65001; peer-as 64600;
  hold-time 30; group-updates false;
  family {{ ipv4 unicast; }}
  static {{ route {STILL} next-hop {BIRD}; }}
}}"
    );
    ExaBgp::start(lab, at, &neighbor)
}

const MALFORMED: Outcome = Withdrawn("malformed_attribute");

/// What is said of the network (ExaBGP's `attribute [ NUMBER FLAGS VALUE ]`), and what
/// must become of it.
const CASES: &[(&str, &str, Outcome)] = &[
    ("nothing amiss", "", Taken),
    ("ORIGIN of a value there is not (§7.1)", "attribute [ 0x01 0x40 0x03 ]", MALFORMED),
    ("ORIGIN of two bytes", "attribute [ 0x01 0x40 0x0000 ]", MALFORMED),
    ("ORIGIN that says it is optional (§3 c)", "attribute [ 0x01 0xc0 0x00 ]", MALFORMED),
    (
        "AS_PATH with a segment of no type (§7.2)",
        "attribute [ 0x02 0x40 0x09010000fde9 ]",
        MALFORMED,
    ),
    ("AS_PATH whose segment is cut off", "attribute [ 0x02 0x40 0x02020000fde9 ]", MALFORMED),
    ("AS_PATH with an empty segment", "attribute [ 0x02 0x40 0x0200 ]", MALFORMED),
    ("AS_PATH with a byte too many", "attribute [ 0x02 0x40 0x02010000fde900 ]", MALFORMED),
    ("AS_PATH of a confederation", "attribute [ 0x02 0x40 0x03010000fde9 ]", MALFORMED),
    ("AS_PATH that begins elsewhere", "as-path [ 65002 ]", Withdrawn("first_as")),
    ("AS_PATH with us in it", "as-path [ 65001 64600 ]", Withdrawn("as_loop")),
    ("MED of three bytes (§7.4)", "attribute [ 0x04 0x80 0x000001 ]", MALFORMED),
    ("ATOMIC_AGGREGATE with a value (§7.6)", "attribute [ 0x06 0x40 0x00 ]", Discarded),
    ("AGGREGATOR of seven bytes (§7.7)", "attribute [ 0x07 0xc0 0x0000fde90a8828 ]", Discarded),
    ("COMMUNITIES of three bytes (§7.8)", "attribute [ 0x08 0xc0 0xfde900 ]", MALFORMED),
    ("ORIGINATOR_ID of an external neighbor (§7.9)", "attribute [ 0x09 0x80 0x0a8828 ]", Discarded),
    ("CLUSTER_LIST of an external neighbor (§7.10)", "attribute [ 0x0a 0x80 0x0a8828 ]", Discarded),
    (
        "EXTENDED COMMUNITIES of seven bytes (§7.14)",
        "attribute [ 0x10 0xc0 0x0002fde9000000 ]",
        MALFORMED,
    ),
    (
        "LARGE_COMMUNITY of eleven bytes (RFC 8092 §6)",
        "attribute [ 0x20 0xc0 0x0000fde900000001000000 ]",
        MALFORMED,
    ),
    (
        "a well-known one that nobody knows",
        "attribute [ 0x63 0x40 0x01 ]",
        Withdrawn("unknown_well_known"),
    ),
    ("an optional one that nobody knows", "attribute [ 0x63 0x80 0x01 ]", Taken),
    ("a transitive one that nobody knows", "attribute [ 0x63 0xc0 0x01 ]", Taken),
    ("the same, already partial", "attribute [ 0x63 0xe0 0x01 ]", Taken),
    (
        "communities of the three kinds",
        "community [ 65001:1 ] large-community [ 65001:1:2 ] extended-community [ target:65001:1 ]",
        Taken,
    ),
];

#[test]
fn what_exabgp_says_amiss_of_one_network_takes_no_other_and_not_the_session() {
    if !is_installed() {
        return;
    }
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let exabgp = exabgp(lab, &at);
        wait_learned(lab, NETNS, &[STILL]);
        exabgp.wait_told("10.64.0.0/16");
        for (what, words, outcome) in CASES {
            // It was as it should be before.
            exabgp.say(&format!("announce route {ODD} next-hop {BIRD}"));
            wait_learned(lab, NETNS, &[ODD, STILL]);
            let mark =
                if matches!(outcome, Withdrawn(_)) { String::new() } else { format!("med {MARK}") };
            check_odd(lab, &gateway, what, (ODD, &[STILL]), *outcome, || {
                exabgp.say(&format!("announce route {ODD} next-hop {BIRD} {words} {mark}"));
            });
        }
        for hop in ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"] {
            exabgp.say(&format!("announce route {ODD} next-hop {BIRD}"));
            wait_learned(lab, NETNS, &[ODD, STILL]);
            let outcome = Withdrawn("invalid_next_hop");
            check_odd(lab, &gateway, hop, (ODD, &[STILL]), outcome, || {
                exabgp.say(&format!("announce route {ODD} next-hop {hop}"));
            });
        }
        exabgp.say(&format!("announce route {ODD} next-hop {BIRD}"));
        wait_learned(lab, NETNS, &[ODD, STILL]);
        check_odd(lab, &gateway, "ours", (ODD, &[STILL]), Withdrawn("own_next_hop"), || {
            exabgp.say(&format!("announce route {ODD} next-hop {GATEWAY}"));
        });
    });
}
