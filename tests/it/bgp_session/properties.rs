//! What holds whatever comes.

use super::bytes::*;
use super::pair::{Alone, Pair};
use lockgate::bgp::proto::{Negotiated, Offer, decode_update, encode_next};
use lockgate::bgp::session::{Event, SessionState};
use lockgate::bgp::{
    Announcement, AsPath, AsSegment, Attributes, Community, ExtendedCommunity, LargeCommunity,
    Nlri, Origin, Update,
};
use lockgate::model::limits::BGP_READ_BYTES;
use lockgate::net::Prefix;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

fn prefix() -> impl Strategy<Value = Nlri> {
    let v4 = (any::<u32>(), 0..=32_u8)
        .prop_map(|(address, length)| (IpAddr::V4(Ipv4Addr::from(address)), length));
    let v6 = (any::<u128>(), 0..=128_u8)
        .prop_map(|(address, length)| (IpAddr::V6(Ipv6Addr::from(address)), length));
    prop_oneof![v4, v6].prop_filter_map("mapped", |(address, length)| {
        let prefix = Prefix::containing_address(address, length).ok()?;
        Some(Nlri { prefix, distinguisher: None, path_id: 0 })
    })
}

prop_compose! {
    fn attributes()(
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        systems in vec(65_536..4_200_000_000_u32, 0..300),
        next_hop in prop_oneof![
            (1..200_u8, any::<[u8; 3]>()).prop_filter_map("loopback", |(first, [b, c, d])| {
                (first != 127).then_some(IpAddr::V4(Ipv4Addr::new(first, b, c, d)))
            }),
            any::<u64>().prop_map(|low| {
                IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low)))
            }),
        ],
        med in of(any::<u32>()),
        local_pref in any::<u32>(),
        originator_id in of(any::<u32>().prop_map(Ipv4Addr::from)),
        cluster_list in vec(any::<u32>().prop_map(Ipv4Addr::from), 0..5),
        communities in btree_set(any::<u32>().prop_map(Community), 0..50),
        large_communities in btree_set(any::<[u32; 3]>().prop_map(LargeCommunity), 0..20),
        extended_communities in btree_set(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..20),
        otc in of(1..u32::MAX),
    ) -> Attributes {
        let systems = [vec![THEIR_ASN], systems].concat();
        Attributes {
            origin,
            as_path: AsPath(vec![AsSegment::Sequence(systems)]),
            next_hop,
            link_local: None,
            med,
            local_pref: Some(local_pref),
            originator_id,
            cluster_list,
            communities: communities.into_iter().collect(),
            large_communities: large_communities.into_iter().collect(),
            extended_communities: extended_communities.into_iter().collect(),
            otc,
        }
    }
}

type Said = (BTreeSet<Nlri>, BTreeMap<Nlri, Arc<Attributes>>);

/// What an update says, whatever its order.
fn said(updates: impl IntoIterator<Item = Update>) -> Said {
    let mut withdrawn = BTreeSet::new();
    let mut announced = BTreeMap::new();
    for update in updates {
        withdrawn.extend(update.withdrawn);
        for routes in update.announced {
            for nlri in routes.nlri {
                announced.insert(nlri, Arc::clone(&routes.attributes));
            }
        }
    }
    (withdrawn, announced)
}

proptest! {
    // Each case is hundreds of networks.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_as_it_was(
        withdrawn in btree_set(prefix(), 0..200),
        routes in vec((attributes(), btree_set(prefix(), 1..200)), 0..4),
        four_octet_as in any::<bool>(),
        long in any::<bool>(),
    ) {
        let maximum_message = if long { 65_535 } else { 4_096 };
        let session = Negotiated { four_octet_as, maximum_message, ..internal() };
        let mut seen = BTreeSet::new();
        let mut announced = Vec::new();
        for (attributes, nlri) in routes {
            // An IPv6 network needs an IPv6 next hop; nothing is said twice.
            let fits = |nlri: &Nlri| attributes.next_hop.is_ipv6() || nlri.prefix.is_v4();
            let nlri: Vec<Nlri> =
                nlri.into_iter().filter(|nlri| fits(nlri) && seen.insert(*nlri)).collect();
            announced.push(Announcement { attributes: Arc::new(attributes), nlri });
        }
        let withdrawn = withdrawn.into_iter().filter(|nlri| !seen.contains(nlri)).collect();
        let mut update = Update { withdrawn, announced };
        let expected = said([update.clone()]);
        let mut read = Vec::new();
        while let Some(message) = encode_next(&mut update, &session).unwrap() {
            prop_assert!(message.len() <= maximum_message);
            let received = decode_update(&message, &session).unwrap();
            prop_assert_eq!(received.flaws, []);
            read.push(received.update);
        }
        prop_assert_eq!(said(read), expected);
    }
}

proptest! {
    #[test]
    fn two_that_dial_at_once_are_up_on_one_connection_whatever_comes_first(
        moves in vec((0..2_usize, 0..2_usize, 1..80_usize), 0..40),
        second_after in 0..40_usize,
        is_ours_higher in any::<bool>(),
    ) {
        let id = Ipv4Addr::new(10, 0, 0, if is_ours_higher { 9 } else { 1 });
        let mut pair = Pair::new(Offer { router_id: id, ..offer() }, their_offer());
        pair.start();
        pair.connect(0);
        for (at, (pipe, from, bytes)) in moves.into_iter().enumerate() {
            if second_after <= at && pair.pipes.len() == 1 && !pair.ends[1].dials.is_empty() {
                pair.connect(1);
            }
            if pipe < pair.pipes.len() {
                pair.move_piece(pipe, from, bytes);
            }
        }
        pair.settle();
        pair.check_up();
        for end in &pair.ends {
            prop_assert_eq!(end.session.sample().counters.flaps, 0);
            prop_assert_eq!(end.session.sample().counters.established, 1);
        }
        if pair.pipes.len() == 1 {
            pair.pass(Duration::from_secs(60));
            pair.check_up();
        }
    }

    #[test]
    fn no_bytes_bring_a_session_down_otherwise_than_in_order(
        bytes in vec(any::<u8>(), 0..2_000),
        marked in any::<bool>(),
        up in any::<bool>(),
    ) {
        let mut alone = if up {
            Alone::established(offer(), &bird_open())
        } else {
            Alone::connected(offer())
        };
        let bytes = if marked && 3 <= bytes.len() {
            // As long as it says, of a type there is.
            message(1 + bytes[0] % 5, &bytes[1..])
        } else {
            bytes
        };
        let taken = alone.end.session.handle_bytes(alone.id, &bytes, alone.now);
        prop_assert_eq!(taken, bytes.len());
        alone.end.drain();
        let is_over = alone.end.session.state() == SessionState::Idle;
        prop_assert_eq!(is_over, alone.end.closed.len() == 1);
    }

    #[test]
    fn a_good_message_with_some_bytes_changed_says_no_more_than_it_holds(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        several in any::<bool>(),
        is_internal in any::<bool>(),
    ) {
        let session = Negotiated {
            add_path_receive: if several { ALL_FAMILIES.to_vec() } else { Vec::new() },
            ..if is_internal { internal() } else { external() }
        };
        let mut attributes = mandatory();
        attributes.push(attribute(0x80, 14, &[
            0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0,
            32, 0x20, 1, 0xd, 0xb8,
        ]));
        attributes.push(attribute(0x80, 15, &[0, 1, 128, 112, 0, 0, 1, 0, 0, 0xfd, 0xe8, 0, 0, 0, 7, 10, 1, 2]));
        attributes.push(attribute(0xc0, 8, &[0; 40]));
        let mut message = update(&[16, 10, 9], &attributes, &[24, 10, 1, 2, 8, 10]);
        for (index, byte) in changes {
            // Where the message ends is for the framing to say.
            let at = 19 + index.index(message.len() - 19);
            message[at] = byte;
        }
        if let Ok(received) = decode_update(&message, &session) {
            let announced = received.update.announced.iter().map(|routes| routes.nlri.len());
            let networks = received.update.withdrawn.len() + announced.sum::<usize>();
            prop_assert!(networks < message.len());
            for routes in &received.update.announced {
                let attributes = &routes.attributes;
                prop_assert!(is_internal || attributes.as_path.first() == Some(THEIR_ASN));
                prop_assert!(attributes.as_path.systems().all(|system| system != OUR_ASN));
                prop_assert_ne!(attributes.next_hop, OUR_ADDRESS);
            }
        }
    }
}

#[test]
fn a_read_takes_so_much_at_once() {
    let single = Offer { add_path_receive: false, ..offer() };
    let mut alone = Alone::established(single, &bird_open());
    let one = update(&[24, 10, 1, 2], &[], &[]);
    let bytes = one.repeat(10_000);
    let taken = alone.end.session.handle_bytes(alone.id, &bytes, alone.now);
    assert_eq!(taken, BGP_READ_BYTES);
    alone.receive(&bytes[taken..]);
    let updates = alone.end.events.iter().filter(|event| matches!(event, Event::Update(_)));
    assert_eq!(updates.count(), 10_000);
}
