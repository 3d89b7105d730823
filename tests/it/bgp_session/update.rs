//! UPDATEs as they should be, and networks that cannot be told apart.

use super::bytes::*;
use lockgate::bgp::proto::{Flaw, Negotiated, Received, decode_update};
use lockgate::bgp::{Family, Nlri, RouteDistinguisher};
use std::net::{IpAddr, Ipv6Addr};

const HOP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn reach(afi: u16, safi: u8, hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut value = afi.to_be_bytes().to_vec();
    value.extend([safi, u8::try_from(hop.len()).unwrap()]);
    value.extend(hop);
    value.push(0);
    value.extend(nlri);
    attribute(0x80, 14, &value)
}

fn unreach(afi: u16, safi: u8, nlri: &[u8]) -> Vec<u8> {
    let mut value = afi.to_be_bytes().to_vec();
    value.push(safi);
    value.extend(nlri);
    attribute(0x80, 15, &value)
}

fn with_reach(reach: Vec<u8>) -> Vec<u8> {
    update(&[], &[reach, origin(), as_path(&[THEIR_ASN])], &[])
}

#[track_caller]
fn decode(session: &Negotiated, message: &[u8]) -> Received {
    decode_update(message, session).unwrap()
}

fn prefixes<'a>(nlri: impl IntoIterator<Item = &'a Nlri>) -> Vec<String> {
    nlri.into_iter().map(|nlri| nlri.prefix.to_string()).collect()
}

fn announced(received: &Received) -> Vec<String> {
    prefixes(received.update.announced.iter().flat_map(|routes| &routes.nlri))
}

#[test]
fn host_bits_say_nothing() {
    let message = update(&[12, 10, 0x5f], &mandatory(), &[12, 172, 0x1f, 0, 32, 10, 1, 2, 3]);
    let received = decode(&external(), &message);
    assert_eq!(prefixes(&received.update.withdrawn), ["10.80.0.0/12"]);
    assert_eq!(announced(&received), ["172.16.0.0/12", "0.0.0.0/0", "10.1.2.3/32"]);
    assert_eq!(received.flaws, []);
}

#[test]
fn what_is_withdrawn_and_announced_at_once_is_announced() {
    let message = update(&[8, 10, 8, 11], &mandatory(), &[8, 10, 8, 10]);
    let received = decode(&external(), &message);
    assert_eq!(prefixes(&received.update.withdrawn), ["11.0.0.0/8"]);
    assert_eq!(announced(&received), ["10.0.0.0/8", "10.0.0.0/8"]);
}

#[test]
fn an_update_may_only_withdraw() {
    let received = decode(&external(), &update(&[8, 10], &[], &[]));
    assert_eq!(prefixes(&received.update.withdrawn), ["10.0.0.0/8"]);
    assert_eq!((received.end_of_rib, received.flaws.len()), (None, 0));
    let received =
        decode(&external(), &update(&[], &[unreach(2, 1, &[32, 0x20, 1, 0xd, 0xb8])], &[]));
    assert_eq!(prefixes(&received.update.withdrawn), ["2001:db8::/32"]);
    assert_eq!(received.end_of_rib, None);
}

#[test]
fn an_empty_one_is_the_end_of_its_family() {
    let end = |message: Vec<u8>| decode(&external(), &message).end_of_rib;
    assert_eq!(end(update(&[], &[], &[])), Some(Family::Ipv4Unicast));
    assert_eq!(end(update(&[], &[unreach(1, 1, &[])], &[])), Some(Family::Ipv4Unicast));
    assert_eq!(end(update(&[], &[unreach(2, 1, &[])], &[])), Some(Family::Ipv6Unicast));
    assert_eq!(end(update(&[], &[unreach(1, 128, &[])], &[])), Some(Family::Ipv4Vpn));
    assert_eq!(end(update(&[], &[unreach(2, 128, &[])], &[])), Some(Family::Ipv6Vpn));
    assert_eq!(end(update(&[], &[unreach(25, 70, &[])], &[])), None);
    assert_eq!(end(update(&[], &[origin()], &[])), None);
    let only_v6 = Negotiated { families: vec![Family::Ipv6Unicast], ..external() };
    assert_eq!(decode(&only_v6, &update(&[], &[], &[])).end_of_rib, None);
}

#[test]
fn two_next_hops_are_two_announcements() {
    let mut attributes = mandatory();
    attributes.insert(0, reach(2, 1, &HOP.octets(), &[32, 0x20, 1, 0xd, 0xb8]));
    let received = decode(&external(), &update(&[], &attributes, &[8, 10]));
    let hops: Vec<IpAddr> =
        received.update.announced.iter().map(|routes| routes.attributes.next_hop).collect();
    assert_eq!(hops, [THEIR_ADDRESS, IpAddr::V6(HOP)]);
    // One of them may be wrong.
    attributes[3] = next_hop([0; 4]);
    let received = decode(&external(), &update(&[], &attributes, &[8, 10]));
    assert_eq!(prefixes(&received.update.withdrawn), ["10.0.0.0/8"]);
    assert_eq!(announced(&received), ["2001:db8::/32"]);
}

#[test]
fn next_hops_of_ipv6() {
    let network = [32, 0x20, 1, 0xd, 0xb8];
    let taken = |hop: &[u8]| decode(&external(), &with_reach(reach(2, 1, hop, &network)));
    let both = [HOP.octets(), LINK_LOCAL.octets()].concat();
    let attributes = taken(&both).update.announced[0].attributes.as_ref().clone();
    assert_eq!((attributes.next_hop, attributes.link_local), (HOP.into(), Some(LINK_LOCAL)));
    // A second one that is not link-local says nothing.
    let twice = [HOP.octets(), HOP.octets()].concat();
    assert_eq!(taken(&twice).update.announced[0].attributes.link_local, None);
    for bad in ["::", "::1", "ff02::5", "fe80::2", "::ffff:192.0.2.2"] {
        let hop: Ipv6Addr = bad.parse().unwrap();
        let received = taken(&hop.octets());
        assert_eq!(received.flaws, [(Flaw::InvalidNextHop, 1)], "{bad}");
        assert_eq!(prefixes(&received.update.withdrawn), ["2001:db8::/32"]);
    }
    // Neighbors that have no other addresses.
    let on_link = Negotiated { remote_address: LINK_LOCAL.into(), ..external() };
    for hop in [
        LINK_LOCAL.octets().to_vec(),
        [LINK_LOCAL.octets(), LINK_LOCAL.octets()].concat(),
        [[0; 16], LINK_LOCAL.octets()].concat(),
    ] {
        let received = decode(&on_link, &with_reach(reach(2, 1, &hop, &network)));
        assert_eq!(received.update.announced[0].attributes.next_hop, IpAddr::V6(LINK_LOCAL));
    }
}

#[test]
fn an_ipv4_network_has_an_ipv6_next_hop_where_that_was_agreed_on() {
    let message = with_reach(reach(1, 1, &HOP.octets(), &[8, 10]));
    let received = decode(&external(), &message);
    assert_eq!(received.update.announced[0].attributes.next_hop, IpAddr::V6(HOP));
    assert_eq!(announced(&received), ["10.0.0.0/8"]);
    let plain = Negotiated { extended_next_hop: Vec::new(), ..external() };
    let received = decode(&plain, &message);
    assert_eq!(received.flaws, [(Flaw::NextHopFamily, 1)]);
    // In the attribute, with a next hop of its own kind.
    let received = decode(&plain, &with_reach(reach(1, 1, &[192, 0, 2, 2], &[8, 10])));
    assert_eq!(received.update.announced[0].attributes.next_hop, THEIR_ADDRESS);
}

#[test]
fn networks_of_vpns_keep_what_keeps_them_apart() {
    let distinguisher = [0, 0, 0xfd, 0xe8, 0, 0, 0, 7];
    // A label, the distinguisher, 10.1.0.0/16.
    let nlri = [&[24 + 64 + 16, 0, 1, 1][..], &distinguisher, &[10, 1]].concat();
    let hop = [&[0; 8][..], &[192, 0, 2, 2]].concat();
    let received = decode(&external(), &with_reach(reach(1, 128, &hop, &nlri)));
    let routes = &received.update.announced[0];
    assert_eq!(routes.attributes.next_hop, THEIR_ADDRESS);
    assert_eq!(routes.nlri[0].distinguisher, Some(RouteDistinguisher(distinguisher)));
    assert_eq!(announced(&received), ["10.1.0.0/16"]);
    let received = decode(&external(), &update(&[], &[unreach(1, 128, &nlri)], &[]));
    assert_eq!(received.update.withdrawn, routes.nlri);
    // IPv6 over an IPv4 backbone (RFC 4659 §3.2.1.2).
    let nlri = [&[24 + 64 + 32, 0, 1, 1][..], &distinguisher, &[0x20, 1, 0xd, 0xb8]].concat();
    let mapped: Ipv6Addr = "::ffff:192.0.2.2".parse().unwrap();
    let hop = [&[0; 8][..], &mapped.octets()].concat();
    let received = decode(&external(), &with_reach(reach(2, 128, &hop, &nlri)));
    assert_eq!(received.update.announced[0].attributes.next_hop, THEIR_ADDRESS);
}

#[test]
fn several_paths_have_their_numbers() {
    let several = vec![Family::Ipv4Unicast, Family::Ipv6Unicast];
    let session = Negotiated { add_path_receive: several, ..external() };
    let message =
        update(&[0, 0, 0, 9, 8, 11], &mandatory(), &[0, 0, 0, 1, 8, 10, 0, 0, 0, 2, 8, 10]);
    let received = decode(&session, &message);
    let numbers: Vec<u32> =
        received.update.announced[0].nlri.iter().map(|nlri| nlri.path_id).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(received.update.withdrawn[0].path_id, 9);
}

#[test]
fn families_nobody_agreed_on_are_not_heard() {
    let session = Negotiated { families: vec![Family::Ipv4Unicast], ..external() };
    let evpn = reach(25, 70, &[192, 0, 2, 2], &[3, 200, 1]);
    let unheard_of = reach(16_397, 77, &[], &[1, 2, 3]);
    let v6 = reach(2, 1, &HOP.octets(), &[32, 0x20, 1, 0xd, 0xb8]);
    for reach in [evpn, unheard_of, v6] {
        let mut attributes = mandatory();
        attributes.insert(0, reach);
        let received = decode(&session, &update(&[], &attributes, &[8, 10]));
        assert_eq!(announced(&received), ["10.0.0.0/8"]);
        assert_eq!(received.flaws, [(Flaw::FamilyNotNegotiated, 1)]);
    }
    let only_v6 = Negotiated { families: vec![Family::Ipv6Unicast], ..external() };
    let received = decode(&only_v6, &update(&[8, 11], &mandatory(), &[8, 10]));
    assert_eq!((received.update.withdrawn.len(), received.update.announced.len()), (0, 0));
    assert_eq!(received.flaws, [(Flaw::FamilyNotNegotiated, 2)]);
}

#[test]
fn an_ipv4_network_in_ipv6_clothes_is_none() {
    let mapped: Ipv6Addr = "::ffff:10.0.0.0".parse().unwrap();
    let nlri = [&[128][..], &mapped.octets(), &[32, 0x20, 1, 0xd, 0xb8]].concat();
    let received = decode(&external(), &with_reach(reach(2, 1, &HOP.octets(), &nlri)));
    assert_eq!(announced(&received), ["2001:db8::/32"]);
    assert_eq!(received.flaws, [(Flaw::MappedPrefix, 1)]);
}

#[test]
fn networks_that_cannot_be_told_apart_end_the_session() {
    let v6 = [32, 0x20, 1, 0xd, 0xb8];
    let hop = HOP.octets();
    let twice = [reach(2, 1, &hop, &v6), reach(2, 1, &hop, &v6)].concat();
    let cases: Vec<(&str, Vec<u8>, (u8, u8))> = vec![
        ("a length of 33", update(&[], &mandatory(), &[33, 1, 2, 3, 4, 5]), (3, 10)),
        ("a network cut off", update(&[], &mandatory(), &[24, 1, 2]), (3, 10)),
        ("a withdrawn one cut off", update(&[24, 1], &[], &[]), (3, 10)),
        ("a length of 129", with_reach(reach(2, 1, &hop, &[129; 18])), (3, 9)),
        ("a byte too many", with_reach(reach(2, 1, &hop, &[32, 0x20, 1, 0xd, 0xb8, 64])), (3, 9)),
        ("a next hop of 0 bytes", with_reach(reach(2, 1, &[], &v6)), (3, 9)),
        ("a next hop of 15 bytes", with_reach(reach(2, 1, &hop[..15], &v6)), (3, 9)),
        ("a next hop of 33 bytes", with_reach(reach(2, 1, &[1; 33], &v6)), (3, 9)),
        ("MP_REACH_NLRI twice", with_reach(twice), (3, 1)),
        ("MP_REACH_NLRI without anything", with_reach(attribute(0x80, 14, &[0, 2])), (3, 5)),
        ("MP_UNREACH_NLRI of two bytes", update(&[], &[attribute(0x80, 15, &[0, 2])], &[]), (3, 5)),
        ("more withdrawn than there is", message(2, &[0, 9, 8, 10, 0, 0]), (3, 1)),
        ("more attributes than there are", message(2, &[0, 0, 0, 9, 1]), (3, 1)),
    ];
    for (what, message, expected) in cases {
        let error = decode_update(&message, &external()).expect_err(what);
        assert_eq!(numbers(&error), expected, "{what}");
    }
}
