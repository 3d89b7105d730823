//! Many networks to a message, each message as long as it may be.

use super::bytes::*;
use lockgate::bgp::proto::{
    EncodeError, Negotiated, Received, Role, decode_update, encode_end_of_rib, encode_next,
    encode_targets, next_message,
};
use lockgate::bgp::{
    Announcement, AsPath, AsSegment, Attributes, Community, Family, Nlri, Origin,
    RouteDistinguisher, Update,
};
use lockgate::net::{Prefix, RouteTarget};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub(super) fn attributes(next_hop: IpAddr) -> Attributes {
    Attributes {
        origin: Origin::Igp,
        as_path: AsPath(vec![AsSegment::Sequence(vec![OUR_ASN])]),
        next_hop,
        link_local: None,
        med: Some(5),
        local_pref: None,
        originator_id: None,
        cluster_list: Vec::new(),
        communities: vec![Community(0xfde8_0001)],
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        otc: None,
    }
}

pub(super) fn v4(number: u32) -> Nlri {
    let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (number << 8)));
    let prefix = Prefix::containing_address(address, 24).unwrap();
    Nlri { prefix, distinguisher: None, path_id: 0 }
}

fn v6(number: u32) -> Nlri {
    let address = Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number) << 64);
    let prefix = Prefix::containing_address(address.into(), 64).unwrap();
    Nlri { prefix, distinguisher: None, path_id: 0 }
}

/// What the other end makes of what we send: it sees our session from its side.
fn theirs(ours: &Negotiated) -> Negotiated {
    Negotiated {
        local_asn: ours.remote_asn,
        remote_asn: ours.local_asn,
        local_id: ours.remote_id,
        remote_id: ours.local_id,
        local_address: ours.remote_address,
        remote_address: ours.local_address,
        ..ours.clone()
    }
}

/// Every message of `update`, each within the maximum.
fn encode(mut update: Update, session: &Negotiated) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(message) = encode_next(&mut update, session).unwrap() {
        assert!(message.len() <= session.maximum_message, "{} bytes", message.len());
        let (_, length) = next_message(&message, session.maximum_message).unwrap().unwrap();
        assert_eq!(length, message.len());
        messages.push(message);
    }
    assert_eq!(update, Update::default());
    messages
}

#[test]
fn twenty_thousand_networks_arrive_as_they_were() {
    for maximum_message in [4_096, 65_535] {
        for count in [1, 1_000, 20_000] {
            let session = Negotiated { maximum_message, ..external() };
            let of_v4 = Announcement {
                attributes: Arc::new(attributes(OUR_ADDRESS)),
                nlri: (0..count).map(v4).collect(),
            };
            let of_v6 = Announcement {
                attributes: Arc::new(attributes("2001:db8::1".parse().unwrap())),
                nlri: (0..count).map(v6).collect(),
            };
            let withdrawn = (count..2 * count).flat_map(|number| [v4(number), v6(number)]);
            let update = Update {
                withdrawn: withdrawn.collect(),
                announced: vec![of_v4.clone(), of_v6.clone()],
            };
            let messages = encode(update.clone(), &session);
            // 24-bit networks of four bytes, 64-bit ones of nine; attributes take
            // less than a hundred.
            let bytes = usize::try_from(count).unwrap() * 2 * (4 + 9);
            let least = bytes / maximum_message;
            assert!(messages.len() <= least + least / 20 + 4, "{} messages", messages.len());
            let mut withdrawn = BTreeSet::new();
            let mut announced = BTreeSet::new();
            for message in messages {
                let received = decode_update(&message, &theirs(&session)).unwrap();
                assert_eq!(received.flaws, []);
                withdrawn.extend(received.update.withdrawn);
                for routes in received.update.announced {
                    let expected = if routes.nlri[0].prefix.is_v4() { &of_v4 } else { &of_v6 };
                    assert_eq!(routes.attributes, expected.attributes);
                    announced.extend(routes.nlri);
                }
            }
            assert_eq!(withdrawn, update.withdrawn.into_iter().collect());
            let expected = of_v4.nlri.into_iter().chain(of_v6.nlri);
            assert_eq!(announced, expected.collect());
        }
    }
}

#[test]
fn an_ipv4_network_goes_with_an_ipv6_next_hop_where_that_was_agreed_on() {
    let next_hop: IpAddr = "2001:db8::1".parse().unwrap();
    let update = || Update {
        withdrawn: Vec::new(),
        announced: vec![Announcement {
            attributes: Arc::new(attributes(next_hop)),
            nlri: (0..3_000).map(v4).collect(),
        }],
    };
    let session = external();
    let mut count = 0;
    for message in encode(update(), &session) {
        let received = decode_update(&message, &theirs(&session)).unwrap();
        assert_eq!(received.update.announced[0].attributes.next_hop, next_hop);
        count += received.update.announced[0].nlri.len();
    }
    assert_eq!(count, 3_000);
    let plain = Negotiated { extended_next_hop: Vec::new(), ..external() };
    let mut update = update();
    let error = EncodeError::NextHop { next_hop, family: Family::Ipv4Unicast };
    assert_eq!(encode_next(&mut update, &plain), Err(error));
    assert_eq!(encode_next(&mut update, &plain), Ok(None));
}

#[test]
fn what_is_for_internal_neighbors_stays_there() {
    let mut said = attributes(OUR_ADDRESS);
    said.local_pref = Some(300);
    said.originator_id = Some([10, 9, 9, 9].into());
    said.cluster_list = vec![[10, 8, 8, 8].into()];
    let send = |session: &Negotiated, said: &Attributes| {
        let routes = Announcement { attributes: Arc::new(said.clone()), nlri: vec![v4(1)] };
        let update = Update { withdrawn: Vec::new(), announced: vec![routes] };
        encode(update, session).remove(0)
    };
    // Read as an internal neighbor would, everything would be taken.
    let read = |message: &[u8]| {
        let session = Negotiated { allowed_own_as: 1, ..theirs(&internal()) };
        let received = decode_update(message, &session).unwrap();
        received.update.announced[0].attributes.as_ref().clone()
    };
    let seen = read(&send(&external(), &said));
    assert_eq!((seen.local_pref, seen.originator_id), (None, None));
    assert!(seen.cluster_list.is_empty());
    assert_eq!(read(&send(&internal(), &said)), said);
    // An internal neighbor is always told one (RFC 4271 §5.1.5).
    assert_eq!(read(&send(&internal(), &attributes(OUR_ADDRESS))).local_pref, Some(100));
}

#[test]
fn only_to_customer_is_put_in_and_held_back() {
    let send = |role, otc| {
        let session = Negotiated { local_role: Some(role), ..external() };
        let mut said = attributes(OUR_ADDRESS);
        said.otc = otc;
        let routes = Announcement { attributes: Arc::new(said), nlri: vec![v4(1)] };
        let mut update = Update { withdrawn: Vec::new(), announced: vec![routes] };
        let message = encode_next(&mut update, &session)?.unwrap();
        let received = decode_update(&message, &theirs(&external())).unwrap();
        Ok(received.update.announced[0].attributes.otc)
    };
    assert_eq!(send(Role::Provider, None), Ok(Some(OUR_ASN)));
    assert_eq!(send(Role::Peer, None), Ok(Some(OUR_ASN)));
    assert_eq!(send(Role::Provider, Some(9)), Ok(Some(9)));
    assert_eq!(send(Role::Customer, None), Ok(None));
    assert_eq!(send(Role::Customer, Some(9)), Err(EncodeError::RouteLeak));
    assert_eq!(send(Role::Peer, Some(9)), Err(EncodeError::RouteLeak));
}

#[test]
fn what_cannot_be_said_is_taken_off_with_its_reason() {
    let session = external();
    let announce = |attributes: Attributes, nlri: Nlri| Update {
        withdrawn: Vec::new(),
        announced: vec![Announcement { attributes: Arc::new(attributes), nlri: vec![nlri] }],
    };
    let check = |mut update: Update, session: &Negotiated| {
        let error = encode_next(&mut update, session).unwrap_err();
        assert_eq!(encode_next(&mut update, session), Ok(None));
        error
    };
    let vpn = Nlri { distinguisher: Some(RouteDistinguisher([0; 8])), ..v4(1) };
    let error = check(announce(attributes(OUR_ADDRESS), vpn), &session);
    assert_eq!(error, EncodeError::Family(Family::Ipv4Vpn));
    let only_v4 = Negotiated { families: vec![Family::Ipv4Unicast], ..external() };
    let withdraw = Update { withdrawn: vec![v6(1)], announced: Vec::new() };
    assert_eq!(check(withdraw, &only_v4), EncodeError::Family(Family::Ipv6Unicast));
    let mut long = attributes(OUR_ADDRESS);
    long.communities = (0..1_100).map(Community).collect();
    let error = check(announce(long.clone(), v4(1)), &session);
    assert!(matches!(error, EncodeError::TooLong { maximum: 4_096, .. }), "{error}");
    let extended = Negotiated { maximum_message: 65_535, ..external() };
    assert_eq!(encode(announce(long, v4(1)), &extended).len(), 1);
    let mut set = attributes(OUR_ADDRESS);
    set.as_path.0.push(AsSegment::Set(vec![1, 2]));
    assert_eq!(check(announce(set, v4(1)), &session), EncodeError::Unwritable("AS_PATH"));
}

#[test]
fn the_end_of_each_family_is_read_as_such() {
    for family in ALL_FAMILIES {
        let received = decode_update(&encode_end_of_rib(family), &external()).unwrap();
        assert_eq!(received.end_of_rib, Some(family));
        assert_eq!(received.update, Update::default());
    }
}

#[test]
fn a_long_path_and_an_old_neighbor() {
    let systems: Vec<u32> = (0..600).map(|number| 4_200_000_000 + number).collect();
    let mut said = attributes(OUR_ADDRESS);
    said.as_path = AsPath(vec![AsSegment::Sequence([vec![OUR_ASN], systems].concat())]);
    for four_octet_as in [true, false] {
        let session = Negotiated { four_octet_as, ..external() };
        let routes = Announcement { attributes: Arc::new(said.clone()), nlri: vec![v4(1)] };
        let update = Update { withdrawn: Vec::new(), announced: vec![routes] };
        let message = encode(update, &session).remove(0);
        let received = decode_update(&message, &theirs(&session)).unwrap();
        assert_eq!(received.update.announced[0].attributes.as_path, said.as_path);
    }
}

#[test]
fn route_targets_are_wanted_and_not_wanted_any_more() {
    let target: RouteTarget = "65001:40".parse().unwrap();
    let ours = external();
    let none = encode_targets(&[target], true, &ours);
    assert_eq!(none, Err(EncodeError::Family(Family::RouteTargets)));
    let ours = Negotiated { families: vec![Family::RouteTargets], ..ours };
    let wanted = encode_targets(&[target], true, &ours).unwrap();
    // 96 bits: the AS that wants it, and the whole target (RFC 4684 §4).
    let membership = [&[96][..], &OUR_ASN.to_be_bytes(), &target.community().0].concat();
    assert!(wanted.windows(13).any(|it| it == membership), "{wanted:x?}");
    // What the neighbor wants is taken without a word, with the family and without.
    assert_eq!(decode_update(&wanted, &theirs(&ours)), Ok(Received::default()));
    let gone = encode_targets(&[target], false, &ours).unwrap();
    assert!(gone.ends_with(&[&[0, 1, 132][..], &membership].concat()), "{gone:x?}");
    let read = decode_update(&gone, &theirs(&ours)).unwrap();
    assert_eq!(read, Received::default(), "and is not the end of what it has to say");
    let end = decode_update(&encode_end_of_rib(Family::RouteTargets), &theirs(&ours)).unwrap();
    assert_eq!(end.end_of_rib, Some(Family::RouteTargets));
    // As many as a policy may have are one message.
    let many: Vec<RouteTarget> =
        (0..64).map(|value| RouteTarget::of_two_byte_asn(65_001, value)).collect();
    assert!(encode_targets(&many, true, &ours).unwrap().len() < 1_000);
    let internal = Negotiated { families: vec![Family::RouteTargets], ..internal() };
    assert!(encode_targets(&many, true, &internal).is_ok());
}
