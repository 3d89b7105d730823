//! Updates by lot, of what all three codecs have a word for.

use crate::bgp_session::bytes::{THEIR_ASN, internal};
use lockgate::bgp::proto::Negotiated;
use lockgate::bgp::{
    AsPath, AsSegment, Attributes, Community, ExtendedCommunity, LargeCommunity, Nlri, Origin,
};
use lockgate::net::Prefix;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A session within one system: nothing is left out on it. We give our own system
/// to nobody here, so no path loops.
pub(super) fn session(several_paths: bool) -> Negotiated {
    let families = internal().families;
    let add_path_receive = if several_paths { families } else { Vec::new() };
    Negotiated { add_path_receive, maximum_message: 65_535, ..internal() }
}

/// NetGauze takes no network that is, or ends in, multicast or the broadcast address
/// for one of unicast (RFC 4271 §6.3 leaves it to the reader); we leave that to what
/// is forbidden by policy. Those are checked by hand in `damaged`.
fn v4() -> impl Strategy<Value = Prefix> {
    (0..0xe000_0000_u32, 4..=32_u8).prop_map(|(address, length)| {
        Prefix::containing_address(Ipv4Addr::from(address).into(), length).unwrap()
    })
}

/// Nor the network of all: BGPKIT, which is made for archives that say nothing of the
/// session, takes a length of 0 for the beginning of a path identifier (RFC 7911 §3).
fn v6() -> impl Strategy<Value = Prefix> {
    (0x2000_u128 << 112..0x4000 << 112, 1..=128_u8).prop_map(|(address, length)| {
        Prefix::containing_address(Ipv6Addr::from(address).into(), length).unwrap()
    })
}

/// Networks of both families, with numbers of paths where there may be several.
pub(super) fn networks(several_paths: bool) -> impl Strategy<Value = BTreeSet<Nlri>> {
    let path_id = if several_paths { any::<u32>().boxed() } else { Just(0).boxed() };
    let network = (prop_oneof![v4(), v6()], path_id).prop_map(|(prefix, path_id)| Nlri {
        prefix,
        distinguisher: None,
        path_id,
    });
    btree_set(network, 0..40)
}

/// A next hop that a host can have, of the family of the networks, or (RFC 8950)
/// of the other one.
pub(super) fn next_hop() -> impl Strategy<Value = IpAddr> {
    let v4 = (1..120_u8, any::<[u8; 3]>()).prop_map(|(first, [b, c, d])| {
        // Never our own, 192.0.2.1.
        IpAddr::V4(Ipv4Addr::new(first, b, c, d))
    });
    let v6 = any::<u64>()
        .prop_map(|low| IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low))));
    prop_oneof![v4, v6]
}

prop_compose! {
    pub(super) fn attributes()(
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        systems in vec(65_536..4_200_000_000_u32, 0..600),
        next_hop in next_hop(),
        link_local in of(any::<u64>()),
        med in of(any::<u32>()),
        local_pref in any::<u32>(),
        originator_id in of(any::<u32>().prop_map(Ipv4Addr::from)),
        cluster_list in vec(any::<u32>().prop_map(Ipv4Addr::from), 0..5),
        communities in btree_set(any::<u32>().prop_map(Community), 0..80),
        large_communities in btree_set(any::<[u32; 3]>().prop_map(LargeCommunity), 0..30),
        // Route targets and origins (RFC 4360 §4, §5; RFC 5668), which is what we
        // would import by.
        extended_communities in btree_set(
            (prop_oneof![Just(0_u8), Just(1), Just(2)], 2..4_u8, any::<[u8; 6]>())
                .prop_map(|(kind, sub, [a, b, c, d, e, f])| {
                    ExtendedCommunity([kind, sub, a, b, c, d, e, f])
                }),
            0..20,
        ),
        otc in of(1..u32::MAX),
    ) -> Attributes {
        let is_v6 = next_hop.is_ipv6();
        Attributes {
            origin,
            as_path: AsPath(vec![AsSegment::Sequence([vec![THEIR_ASN], systems].concat())]),
            next_hop,
            link_local: link_local.filter(|_| is_v6).map(|low| {
                Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(low))
            }),
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
