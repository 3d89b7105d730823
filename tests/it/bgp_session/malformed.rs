//! RFC 7606, attribute by attribute: what is wrong with a route takes that route
//! away and nothing else.

use super::bytes::*;
use lockgate::bgp::proto::{Flaw, Negotiated, Received, Role, decode_update};

/// 203.0.113.0/24, which all these speak of.
const NETWORK: [u8; 4] = [24, 203, 0, 113];

fn with(changed: Vec<u8>) -> Vec<Vec<u8>> {
    let mut attributes = mandatory();
    match attributes.iter_mut().find(|attribute| attribute[1] == changed[1]) {
        Some(attribute) => *attribute = changed,
        None => attributes.push(changed),
    }
    attributes
}

fn without(number: u8) -> Vec<Vec<u8>> {
    mandatory().into_iter().filter(|attribute| attribute[1] != number).collect()
}

fn received(session: &Negotiated, attributes: &[Vec<u8>]) -> Received {
    decode_update(&update(&[], attributes, &NETWORK), session).unwrap()
}

#[track_caller]
fn check_withdrawn(session: &Negotiated, attributes: &[Vec<u8>], flaw: Flaw) {
    let received = received(session, attributes);
    let prefixes: Vec<_> =
        received.update.withdrawn.iter().map(|nlri| nlri.prefix.to_string()).collect();
    assert_eq!(prefixes, ["203.0.113.0/24"], "{received:?}");
    assert_eq!(received.update.announced, [], "{received:?}");
    assert_eq!(received.flaws, [(flaw, 1)], "{received:?}");
    assert!(received.complaint.is_some());
    let [(fault, networks)] = &received.treated[..] else { panic!("{received:?}") };
    assert_eq!((fault.flaw, networks), (flaw, &received.update.withdrawn));
}

#[track_caller]
fn check_announced(
    session: &Negotiated,
    attributes: &[Vec<u8>],
    flaws: &[(Flaw, usize)],
) -> lockgate::bgp::Attributes {
    let received = received(session, attributes);
    assert_eq!(received.update.withdrawn, [], "{received:?}");
    let [routes] = &received.update.announced[..] else { panic!("{received:?}") };
    assert_eq!(routes.nlri.len(), 1);
    assert_eq!(received.flaws, flaws, "{received:?}");
    assert_eq!(received.treated, [], "{received:?}");
    routes.attributes.as_ref().clone()
}

#[test]
fn a_malformed_attribute_takes_the_route_and_not_the_session() {
    let malformed: &[(&str, Vec<u8>)] = &[
        ("ORIGIN of two bytes", attribute(0x40, 1, &[0, 0])),
        ("ORIGIN of none", attribute(0x40, 1, &[])),
        ("ORIGIN 3", attribute(0x40, 1, &[3])),
        ("ORIGIN that is optional", attribute(0xc0, 1, &[0])),
        ("AS_PATH of an unknown kind of segment", attribute(0x40, 2, &[9, 1, 0, 0, 0xfd, 0xf2])),
        ("AS_PATH of an empty segment", attribute(0x40, 2, &[2, 0])),
        ("AS_PATH that ends in a header", attribute(0x40, 2, &[2])),
        ("AS_PATH that ends in a system", attribute(0x40, 2, &[2, 2, 0, 0, 0xfd, 0xf2])),
        ("AS_PATH with a set", attribute(0x40, 2, &[1, 1, 0, 0, 0xfd, 0xf2])),
        ("AS_PATH with a confederation", attribute(0x40, 2, &[3, 1, 0, 0, 0xfd, 0xf2])),
        ("AS_PATH with a confederation's set", attribute(0x40, 2, &[4, 1, 0, 0, 0xfd, 0xf2])),
        ("AS_PATH with system 0", as_path(&[THEIR_ASN, 0])),
        ("NEXT_HOP of three bytes", attribute(0x40, 3, &[192, 0, 2])),
        ("NEXT_HOP of sixteen", attribute(0x40, 3, &[0; 16])),
        ("MED of three bytes", attribute(0x80, 4, &[0, 0, 1])),
        ("MED that is transitive", attribute(0xc0, 4, &[0, 0, 0, 1])),
        ("COMMUNITIES of five bytes", attribute(0xc0, 8, &[0; 5])),
        ("COMMUNITIES of none", attribute(0xc0, 8, &[])),
        ("EXTENDED COMMUNITIES of seven bytes", attribute(0xc0, 16, &[0; 7])),
        ("LARGE_COMMUNITY of eleven bytes", attribute(0xc0, 32, &[0; 11])),
        ("Only to Customer of three bytes", attribute(0xc0, 35, &[0, 0, 1])),
        ("Only to Customer 0", attribute(0xc0, 35, &[0; 4])),
    ];
    for (what, attribute) in malformed {
        let attributes = with(attribute.clone());
        for session in [external(), internal()] {
            let received = received(&session, &attributes);
            assert_eq!(received.update.announced, [], "{what}");
            assert_eq!(received.update.withdrawn.len(), 1, "{what}");
            assert_eq!(received.flaws, [(Flaw::MalformedAttribute, 1)], "{what}");
            let [(fault, _)] = &received.treated[..] else { panic!("{what}: {received:?}") };
            assert_eq!(fault.attribute, Some(attribute[1]), "{what}: it says which one");
        }
    }
}

#[test]
fn of_an_external_neighbor_what_is_for_internal_ones_is_left_out_malformed_or_not() {
    let malformed = [
        attribute(0x40, 5, &[0, 0, 1]),
        attribute(0x80, 9, &[10, 0, 0]),
        attribute(0x80, 10, &[10, 0, 0, 1, 9]),
    ];
    for attribute in malformed {
        check_announced(&external(), &with(attribute.clone()), &[(Flaw::AttributeDiscarded, 1)]);
        check_withdrawn(&internal(), &with(attribute), Flaw::MalformedAttribute);
    }
    let mut well_formed = mandatory();
    well_formed.extend([
        attribute(0x40, 5, &[0, 0, 1, 0]),
        attribute(0x80, 9, &[10, 9, 9, 9]),
        attribute(0x80, 10, &[10, 8, 8, 8, 10, 7, 7, 7]),
    ]);
    let taken = check_announced(&external(), &well_formed, &[]);
    assert_eq!((taken.local_pref, taken.originator_id), (None, None));
    assert!(taken.cluster_list.is_empty());
    let taken = check_announced(&internal(), &well_formed, &[]);
    assert_eq!(taken.local_pref, Some(256));
    assert_eq!(taken.originator_id, Some([10, 9, 9, 9].into()));
    assert_eq!(taken.cluster_list.len(), 2);
}

#[test]
fn what_no_route_depends_on_is_discarded_alone() {
    let discarded = [
        // ATOMIC_AGGREGATE of one byte, AGGREGATOR of six, AS4_PATH beside paths of
        // four bytes.
        attribute(0x40, 6, &[0]),
        attribute(0xc0, 7, &[0; 6]),
        attribute(0xc0, 17, &[2, 1, 0, 0, 0, 9]),
    ];
    for attribute in discarded {
        check_announced(&external(), &with(attribute), &[(Flaw::AttributeDiscarded, 1)]);
    }
    // The second of two counts for nothing (§3 g).
    let mut twice = mandatory();
    twice.push(attribute(0x80, 4, &[0, 0, 0, 7]));
    twice.push(attribute(0x80, 4, &[0, 0, 0, 8]));
    let taken = check_announced(&external(), &twice, &[(Flaw::AttributeDiscarded, 1)]);
    assert_eq!(taken.med, Some(7));
}

#[test]
fn what_must_be_there_is_missed() {
    for number in [1, 2, 3] {
        check_withdrawn(&external(), &without(number), Flaw::MissingAttribute);
        check_withdrawn(&internal(), &without(number), Flaw::MissingAttribute);
    }
}

#[test]
fn what_nobody_knows_is_dropped_unless_everybody_must_know_it() {
    check_withdrawn(&external(), &with(attribute(0x40, 99, &[1, 2])), Flaw::UnknownWellKnown);
    check_announced(&external(), &with(attribute(0xc0, 99, &[1, 2])), &[]);
    check_announced(&external(), &with(attribute(0xe0, 99, &[1, 2])), &[]);
    check_announced(&external(), &with(attribute(0x80, 99, &[1, 2])), &[]);
    // AIGP (RFC 7311), which is no business of ours.
    check_announced(
        &external(),
        &with(attribute(0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9])),
        &[],
    );
}

#[test]
fn a_next_hop_has_to_be_a_host_and_not_ourselves() {
    for bad in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [224, 0, 0, 5],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ] {
        check_withdrawn(&external(), &with(next_hop(bad)), Flaw::InvalidNextHop);
        check_withdrawn(&internal(), &with(next_hop(bad)), Flaw::InvalidNextHop);
    }
    check_withdrawn(&external(), &with(next_hop([192, 0, 2, 1])), Flaw::OwnNextHop);
    // The address Calico's nodes share.
    check_announced(&external(), &with(next_hop([169, 254, 1, 1])), &[]);
}

#[test]
fn paths_that_loop_or_begin_elsewhere_are_not_taken() {
    check_withdrawn(&external(), &with(as_path(&[65_011, THEIR_ASN])), Flaw::FirstAs);
    check_withdrawn(&external(), &with(attribute(0x40, 2, &[])), Flaw::FirstAs);
    check_announced(&internal(), &with(attribute(0x40, 2, &[])), &[]);
    let looped = with(as_path(&[THEIR_ASN, OUR_ASN, 65_020]));
    check_withdrawn(&external(), &looped, Flaw::AsLoop);
    let once = Negotiated { allowed_own_as: 1, ..external() };
    check_announced(&once, &looped, &[]);
    check_withdrawn(&once, &with(as_path(&[THEIR_ASN, OUR_ASN, OUR_ASN])), Flaw::AsLoop);
    let transparent = Negotiated { local_role: Some(Role::RouteServerClient), ..external() };
    check_announced(&transparent, &with(as_path(&[65_011])), &[]);
}

#[test]
fn reflected_routes_of_our_own_are_not_taken() {
    let ours = [10, 0, 0, 1];
    check_withdrawn(&internal(), &with(attribute(0x80, 9, &ours)), Flaw::ReflectionLoop);
    let list = attribute(0x80, 10, &[10, 9, 9, 9, 10, 0, 0, 1]);
    check_withdrawn(&internal(), &with(list), Flaw::ReflectionLoop);
}

#[test]
fn routes_do_not_leak_past_customers() {
    let otc = |asn: u32| with(attribute(0xc0, 35, &asn.to_be_bytes()));
    let of = |role| Negotiated { local_role: Some(role), ..external() };
    check_withdrawn(&of(Role::Provider), &otc(THEIR_ASN), Flaw::RouteLeak);
    check_withdrawn(&of(Role::RouteServer), &otc(THEIR_ASN), Flaw::RouteLeak);
    check_withdrawn(&of(Role::Peer), &otc(65_077), Flaw::RouteLeak);
    assert_eq!(check_announced(&of(Role::Peer), &otc(THEIR_ASN), &[]).otc, Some(THEIR_ASN));
    assert_eq!(check_announced(&of(Role::Customer), &otc(65_077), &[]).otc, Some(65_077));
    let plain = mandatory();
    assert_eq!(check_announced(&of(Role::Customer), &plain, &[]).otc, Some(THEIR_ASN));
    assert_eq!(check_announced(&of(Role::Provider), &plain, &[]).otc, None);
    assert_eq!(check_announced(&external(), &plain, &[]).otc, None);
}

#[test]
fn attributes_that_overrun_their_field_take_the_route() {
    let mut attributes = mandatory();
    attributes.push(vec![0x80, 4, 200, 0]);
    check_withdrawn(&external(), &attributes, Flaw::MalformedAttribute);
}

#[test]
fn ten_thousand_communities_are_too_many_and_a_few_are_sorted() {
    let long = Negotiated { maximum_message: 65_535, ..external() };
    let many: Vec<u8> = (0..10_000_u32).flat_map(u32::to_be_bytes).collect();
    check_withdrawn(&long, &with(attribute(0xc0, 8, &many)), Flaw::TooManyEntries);
    let same: Vec<u8> = (0..10_000_u32).flat_map(|_| 7_u32.to_be_bytes()).collect();
    let taken = check_announced(&long, &with(attribute(0xc0, 8, &same)), &[]);
    assert_eq!(taken.communities.len(), 1);
    let few: Vec<u8> = [9_u32, 3, 9, 1].into_iter().flat_map(u32::to_be_bytes).collect();
    let taken = check_announced(&external(), &with(attribute(0xc0, 8, &few)), &[]);
    let values: Vec<u32> = taken.communities.iter().map(|community| community.0).collect();
    assert_eq!(values, [1, 3, 9]);
}

#[test]
fn paths_of_two_bytes_are_put_together_with_those_of_four() {
    let old = Negotiated { four_octet_as: false, ..external() };
    let path = attribute(0x40, 2, &[2, 3, 0xfd, 0xf2, 0x5b, 0xa0, 0x5b, 0xa0]);
    let mut attributes = with(path);
    let mut value = vec![2, 2];
    value.extend(4_200_000_001_u32.to_be_bytes());
    value.extend(4_200_000_002_u32.to_be_bytes());
    attributes.push(attribute(0xc0, 17, &value));
    let taken = check_announced(&old, &attributes, &[]);
    assert_eq!(taken.as_path.to_string(), "65010 4200000001 4200000002");
}

#[test]
fn a_malformed_message_that_names_no_network_ends_the_session() {
    // §5.2: there may be networks that were not found.
    let bad = [attribute(0x40, 1, &[3])];
    let error = decode_update(&update(&[], &bad, &[]), &external()).unwrap_err();
    assert_eq!(numbers(&error), (3, 6));
    // Nor does it name one where the attribute for them is there and has none, and
    // whatever is withdrawn beside it.
    let mut hop = vec![0, 2, 1, 16];
    hop.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    let empty = [attribute(0x80, 14, &hop), attribute(0x40, 1, &[3]), as_path(&[THEIR_ASN])];
    for withdrawn in [&[][..], &[8, 10]] {
        let error = decode_update(&update(withdrawn, &empty, &[]), &external()).unwrap_err();
        assert_eq!(numbers(&error), (3, 6));
    }
    // What is only discarded does not.
    let mild = [attribute(0x40, 6, &[1])];
    let received = decode_update(&update(&[], &mild, &[]), &external()).unwrap();
    assert_eq!(received.flaws, [(Flaw::AttributeDiscarded, 1)]);
    assert_eq!(received.end_of_rib, None);
}
