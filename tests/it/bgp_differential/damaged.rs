//! UPDATEs of which some bytes were changed. Whatever they are, reading them does no
//! harm; and where we find nothing wrong, the others read the same networks, but for
//! what is listed here with its reason.

use super::scene::{attributes, networks, session};
use super::{Said, bgpkit, netgauze};
use crate::bgp_session::bytes::message;
use bgpkit_parser::models::BgpMessage as Bgpkit;
use lockgate::bgp::proto::decode_update;
use lockgate::bgp::{Attributes, Nlri};
use netgauze_bgp_pkt::BgpMessage as Netgauze;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use std::collections::BTreeSet;

/// What NetGauze does not take that we do, by its name for it, and why both may.
const STRICTER: [(&str, &str); 4] = [
    // RFC 7606 §3 c makes malformed what conflicts in the Optional and Transitive
    // bits. Of the Partial bit it says nothing, and RFC 4271 §4.3 only tells the
    // writer to leave it.
    ("InvalidPartialFlagValue", "the Partial bit of an attribute that cannot be partial"),
    // RFC 4271 §6.3 has a network that is no unicast one ignored, and the rest taken.
    // We leave it to the import policy, which forbids it with a reason of its own.
    ("InvalidIpv4UnicastNetwork", "a multicast network or the broadcast address"),
    ("InvalidUnicastNetwork", "an IPv6 multicast network"),
    // An optional attribute that is not recognized is ignored, whatever is in it
    // (RFC 4271 §5); AIGP is for who uses it (RFC 7311 §3.2).
    ("AigpError", "an attribute we do not know"),
];

prop_compose! {
    /// An UPDATE as it should be, and what is done to it.
    fn damaged()(
        (several_paths, announced, withdrawn) in any::<bool>().prop_flat_map(|several| {
            (Just(several), networks(several), networks(several))
        }),
        attributes in attributes(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<Index>()),
        near_front in any::<bool>(),
    ) -> (bool, Vec<u8>) {
        let small = |all: BTreeSet<Nlri>| all.into_iter().take(4).collect::<BTreeSet<_>>();
        let (announced, withdrawn) = (small(announced), small(withdrawn));
        let mut attributes: Attributes = attributes;
        // Short, so that bytes that matter are changed.
        attributes.communities.truncate(2);
        attributes.large_communities.truncate(1);
        attributes.extended_communities.truncate(2);
        attributes.cluster_list.truncate(1);
        if let [lockgate::bgp::AsSegment::Sequence(systems)] = &mut attributes.as_path.0[..] {
            systems.truncate(3);
        }
        let is_v6 = announced.iter().any(|nlri| !nlri.prefix.is_v4());
        let fits = |nlri: &Nlri| match attributes.next_hop.is_ipv6() {
            true => nlri.prefix.is_v4() != is_v6,
            false => nlri.prefix.is_v4(),
        };
        let announced = announced.into_iter().filter(fits).collect();
        let whole = netgauze::update(&attributes, &announced, &withdrawn, several_paths);
        let whole = netgauze::write(&whole);
        let mut body = whole[19..].to_vec();
        for (index, byte) in changes {
            let most = if near_front { body.len().min(60) } else { body.len() };
            body[index.index(most)] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(4 + cut.index(body.len() - 3));
        }
        (several_paths, message(2, &body))
    }
}

/// BGPKIT reads archives, which say nothing of the session: it takes a length of 0
/// for the beginning of a path identifier (RFC 7911 §3).
fn may_guess(ours: &Said, several_paths: bool) -> bool {
    let (withdrawn, announced) = ours.prefixes();
    !several_paths && withdrawn.union(&announced).any(|nlri| nlri.prefix.length() == 0)
}

/// What stands beside a global next hop and is no link-local address says nothing
/// (RFC 2545 §3); NetGauze keeps it. Extended communities it reads into words of its
/// own, and writes some of another type than they were: those that we import by are
/// compared where nothing is damaged.
fn comparable(mut said: Said) -> Said {
    for attributes in said.announced.values_mut() {
        attributes.link_local =
            attributes.link_local.filter(std::net::Ipv6Addr::is_unicast_link_local);
        attributes.extended_communities.clear();
    }
    said
}

proptest! {
    // The same on every machine: a codec of somebody else's may have one more surprise
    // in a million, and that is to be looked for and not to be met by chance.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::with_cases(4_096)
    })]

    #[test]
    fn what_we_find_nothing_wrong_with_the_others_read_alike(
        (several_paths, message) in damaged(),
    ) {
        let Ok(received) = decode_update(&message, &session(several_paths)) else {
            return Ok(());
        };
        if !received.flaws.is_empty() {
            return Ok(());
        }
        let ours = Said::from(received.update);
        match netgauze::parse(&message, several_paths) {
            Ok(Netgauze::Update(update)) => {
                prop_assert_eq!(comparable(netgauze::said(&update)), comparable(ours.clone()));
            }
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(error) => {
                let error = format!("{error:?}");
                let is_known = STRICTER.iter().any(|(name, _)| error.contains(name));
                prop_assert!(is_known, "{error} where we read {ours:?}");
            }
        }
        match bgpkit::parse(&message, several_paths) {
            Ok(Bgpkit::Update(update)) if !may_guess(&ours, several_paths) => {
                prop_assert_eq!(bgpkit::said(&update).prefixes(), ours.prefixes());
            }
            Ok(Bgpkit::Update(_)) => {}
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(error) => prop_assert!(false, "{error:?} where we read {ours:?}"),
        }
    }
}

/// The test above is not about nothing: much of what is damaged is still found to be
/// fine, and much is not.
#[test]
fn damage_is_found_and_overlooked_both() {
    let mut runner = TestRunner::deterministic();
    let strategy = damaged();
    let mut counts = [0; 3];
    for _ in 0..1_000 {
        let (several_paths, message) = strategy.new_tree(&mut runner).unwrap().current();
        let outcome = match decode_update(&message, &session(several_paths)) {
            Ok(received) if received.flaws.is_empty() => 0,
            Ok(_) => 1,
            Err(_) => 2,
        };
        counts[outcome] += 1;
    }
    assert!(counts.iter().all(|count| 100 < *count), "fine, flawed, fatal: {counts:?}");
}
