//! OPENs: ours as the others read it, and NetGauze's as we do.

use super::{bgpkit, netgauze};
use crate::bgp_session::bytes::{THEIR_ASN, keepalive, offer};
use crate::bgp_session::pair::Alone;
use bgpkit_parser::models::capabilities::AddPathSendReceive;
use bgpkit_parser::models::{Afi, BgpMessage as Bgpkit, CapabilityValue, ParamValue, Safi};
use lockgate::bgp::Family;
use lockgate::bgp::proto::{MessageKind, Offer, RestartOffer, Role};
use lockgate::bgp::session::SessionState;
use lockgate::net::Asn;
use netgauze_bgp_pkt::BgpMessage as Netgauze;
use netgauze_bgp_pkt::capabilities as cap;
use netgauze_bgp_pkt::capabilities::BgpCapability as Capability;
use netgauze_bgp_pkt::iana::BgpRoleValue;
use netgauze_bgp_pkt::open::{BgpOpenMessage, BgpOpenMessageParameter};
use netgauze_iana::address_family::{AddressFamily, AddressType};
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::time::Duration;

const fn theirs(family: Family) -> AddressType {
    match family {
        Family::Ipv4Unicast => AddressType::Ipv4Unicast,
        Family::Ipv6Unicast => AddressType::Ipv6Unicast,
        Family::Ipv4Vpn => AddressType::Ipv4MplsLabeledVpn,
        Family::Ipv6Vpn => AddressType::Ipv6MplsLabeledVpn,
        Family::RouteTargets => AddressType::RouteTargetConstrains,
    }
}

fn families() -> impl Strategy<Value = Vec<Family>> {
    let all = [Family::Ipv4Unicast, Family::Ipv6Unicast, Family::Ipv4Vpn, Family::Ipv6Vpn];
    proptest::sample::subsequence(all.to_vec(), 1..=4)
}

prop_compose! {
    /// NetGauze wants an identifier to be the address of a host, as RFC 4271 §6.2 had
    /// it before RFC 6286 §2.1, by which every number but 0 is one.
    fn offers()(
        asn in prop_oneof![1..64_000_u32, 65_536..4_200_000_000_u32],
        id in 1..0xe000_0000_u32,
        hold_time in prop_oneof![Just(0), 3..=u16::MAX],
        families in families(),
        flags in any::<[bool; 5]>(),
        restart_time in 0..4_096_u16,
        preserved in families(),
        role in proptest::option::of(prop_oneof![
            Just(Role::Provider), Just(Role::Customer), Just(Role::Peer),
            Just(Role::RouteServer), Just(Role::RouteServerClient),
        ]),
    ) -> Offer {
        let [add_path_receive, extended_messages, extended_next_hop, restarts, notification] = flags;
        Offer {
            local_asn: Asn::new(asn).unwrap(),
            router_id: id.into(),
            hold_time,
            add_path_receive,
            extended_messages,
            extended_next_hop,
            restart: restarts.then(|| RestartOffer {
                restart_time,
                restarting: notification,
                notification: !notification,
                forwarding_preserved:
                    preserved.into_iter().filter(|family| families.contains(family)).collect(),
            }),
            families,
            role,
            ..offer()
        }
    }
}

/// Our OPEN with this offer.
fn ours(offer: &Offer) -> Vec<u8> {
    let sent = Alone::connected(offer.clone()).sent();
    let [(MessageKind::Open, open)] = &sent[..] else { panic!("{sent:?}") };
    open.clone()
}

proptest! {
    #[test]
    fn netgauze_reads_in_our_open_what_we_offer(offer in offers()) {
        let Netgauze::Open(open) = netgauze::parse(&ours(&offer), false).unwrap() else {
            panic!("no OPEN");
        };
        let asn = offer.local_asn.value();
        prop_assert_eq!((open.version(), open.my_asn4()), (4, asn));
        prop_assert_eq!(u32::from(open.my_as()), if asn < 65_536 { asn } else { 23_456 });
        prop_assert_eq!((open.hold_time(), open.bgp_id()), (offer.hold_time, offer.router_id));
        let all = open.capabilities();
        let mut carried = Vec::new();
        let (mut several, mut next_hops) = (Vec::new(), Vec::new());
        let (mut restart, mut role, mut is_long) = (None, None, false);
        for capability in all {
            match capability {
                Capability::MultiProtocolExtensions(one) => carried.push(one.address_type()),
                Capability::AddPath(list) => several.extend(
                    list.address_families()
                        .iter()
                        .map(|one| (one.address_type(), one.send(), one.receive())),
                ),
                Capability::ExtendedNextHopEncoding(list) => next_hops.extend(
                    list.encodings().iter().map(|one| (one.address_type(), one.next_hop_afi())),
                ),
                Capability::GracefulRestartCapability(one) => restart = Some(one.clone()),
                Capability::BgpRole(one) => role = Some(one.role()),
                Capability::ExtendedMessage => is_long = true,
                _ => {}
            }
        }
        let wanted: Vec<_> = offer.families.iter().copied().map(theirs).collect();
        prop_assert_eq!(&carried, &wanted);
        let both: Vec<_> = wanted.iter().map(|family| (*family, false, true)).collect();
        prop_assert_eq!(several, if offer.add_path_receive { both } else { vec![] });
        let over: Vec<_> = offer.families.iter().copied()
            .filter(|family| {
                offer.extended_next_hop && matches!(family, Family::Ipv4Unicast | Family::Ipv4Vpn)
            })
            .map(|family| (theirs(family), AddressFamily::IPv6))
            .collect();
        prop_assert_eq!(next_hops, over);
        prop_assert_eq!(is_long, offer.extended_messages);
        prop_assert_eq!(role.is_some(), offer.role.is_some());
        match (restart, &offer.restart) {
            (None, None) => {}
            (Some(read), Some(said)) => {
                prop_assert_eq!(read.time(), said.restart_time);
                prop_assert_eq!(read.restart(), said.restarting);
                prop_assert_eq!(read.graceful_notification(), said.notification);
                let read: Vec<_> = read.address_families().iter()
                    .map(|one| (one.address_type(), one.forwarding_state()))
                    .collect();
                let said: Vec<_> = offer.families.iter()
                    .map(|family| (theirs(*family), said.forwarding_preserved.contains(family)))
                    .collect();
                prop_assert_eq!(read, said);
            }
            (read, said) => prop_assert!(false, "{read:?} for {said:?}"),
        }
    }

    #[test]
    fn bgpkit_reads_in_our_open_what_we_offer(offer in offers()) {
        let Bgpkit::Open(open) = bgpkit::parse(&ours(&offer), false).unwrap() else {
            panic!("no OPEN");
        };
        prop_assert_eq!((open.version, open.hold_time), (4, offer.hold_time));
        prop_assert_eq!(open.bgp_identifier, offer.router_id);
        let mut carried = Vec::new();
        let mut several = Vec::new();
        let mut asn = None;
        for parameter in open.opt_params {
            let ParamValue::Capacities(all) = parameter.param_value else { continue };
            for capability in all {
                match capability.value {
                    CapabilityValue::MultiprotocolExtensions(one) => {
                        carried.push((one.afi, one.safi));
                    }
                    CapabilityValue::AddPath(list) => several.extend(list.address_families),
                    CapabilityValue::FourOctetAs(one) => asn = Some(one.asn),
                    _ => {}
                }
            }
        }
        prop_assert_eq!(asn, Some(offer.local_asn.value()));
        let wanted: Vec<_> = offer.families.iter().filter_map(|family| match family {
            Family::Ipv4Unicast => Some((Afi::Ipv4, Safi::Unicast)),
            Family::Ipv6Unicast => Some((Afi::Ipv6, Safi::Unicast)),
            Family::Ipv4Vpn => Some((Afi::Ipv4, Safi::MplsVpn)),
            Family::Ipv6Vpn => Some((Afi::Ipv6, Safi::MplsVpn)),
            // It has no word for those.
            Family::RouteTargets => None,
        }).collect();
        prop_assert_eq!(&carried, &wanted);
        prop_assert_eq!(several.is_empty(), !offer.add_path_receive);
        let is_received =
            |one: AddPathSendReceive| matches!(one, AddPathSendReceive::Receive);
        prop_assert!(several.iter().all(|one| is_received(one.send_receive)));
    }

    #[test]
    fn what_netgauze_offers_is_agreed_on(
        hold_time in prop_oneof![Just(0), 3..=u16::MAX],
        id in 1..u32::MAX,
        said in families(),
        sends in any::<[bool; 2]>(),
        flags in any::<[bool; 4]>(),
        restart_time in 0..4_096_u16,
        in_one in any::<bool>(),
    ) {
        let [refreshes, is_long, restarts, preserved] = flags;
        let mut all: Vec<Capability> = said.iter().copied().map(|family| {
            Capability::MultiProtocolExtensions(
                cap::MultiProtocolExtensionsCapability::new(theirs(family)),
            )
        }).collect();
        all.push(Capability::FourOctetAs(cap::FourOctetAsCapability::new(THEIR_ASN)));
        let [v4, v6] = [Family::Ipv4Unicast, Family::Ipv6Unicast];
        let several = [v4, v6].into_iter().zip(sends).map(|(family, sends)| {
            cap::AddPathAddressFamily::new(theirs(family), sends, true)
        });
        all.push(Capability::AddPath(cap::AddPathCapability::new(several.collect::<Vec<_>>())));
        all.extend(refreshes.then_some(Capability::RouteRefresh));
        all.extend(is_long.then_some(Capability::ExtendedMessage));
        if restarts {
            let kept = said.iter().map(|family| {
                cap::GracefulRestartAddressFamily::new(preserved, theirs(*family))
            });
            let kept: Vec<_> = kept.collect();
            all.push(Capability::GracefulRestartCapability(
                cap::GracefulRestartCapability::new(preserved, true, restart_time, kept),
            ));
        }
        all.push(Capability::BgpRole(cap::BgpRoleCapability::new(BgpRoleValue::Peer)));
        // One parameter with all of them, or one each (RFC 5492 §4).
        let parameters: Vec<_> = if in_one {
            vec![BgpOpenMessageParameter::new_capabilities(all)]
        } else {
            all.into_iter().map(|one| BgpOpenMessageParameter::new_capabilities(vec![one])).collect()
        };
        let asn = u16::try_from(THEIR_ASN).unwrap();
        let open = BgpOpenMessage::new(asn, hold_time, Ipv4Addr::from(id), parameters);
        let mut alone = Alone::connected(Offer { families: vec![v4, v6], ..offer() });
        alone.receive(&netgauze::write(&Netgauze::Open(open)));
        let common: Vec<_> = [v4, v6].into_iter().filter(|family| said.contains(family)).collect();
        if common.is_empty() {
            // There is nothing to carry (RFC 5492 §3).
            prop_assert_eq!(alone.notification().code, 2);
            return Ok(());
        }
        alone.receive(&keepalive());
        prop_assert_eq!(alone.end.session.state(), SessionState::Established);
        let agreed = alone.end.negotiated();
        prop_assert_eq!(agreed.remote_id, Ipv4Addr::from(id));
        let least = hold_time.min(offer().hold_time);
        let expected = (least != 0).then(|| Duration::from_secs(least.into()));
        prop_assert_eq!(agreed.hold_time, expected);
        prop_assert_eq!(&agreed.families, &common);
        let several: Vec<_> = [v4, v6].into_iter().zip(sends)
            .filter(|(family, sends)| *sends && common.contains(family))
            .map(|(family, _)| family)
            .collect();
        prop_assert_eq!(&agreed.add_path_receive, &several);
        prop_assert_eq!(agreed.route_refresh, refreshes);
        prop_assert_eq!(agreed.maximum_message, if is_long { 65_535 } else { 4_096 });
        prop_assert_eq!(agreed.restart.is_some(), restarts);
        prop_assert_eq!(agreed.remote_role, Some(Role::Peer));
        if let Some(restart) = &agreed.restart {
            prop_assert_eq!(restart.restart_time, Duration::from_secs(restart_time.into()));
            prop_assert_eq!((restart.restarting, restart.notification), (preserved, true));
            let kept = |family: &Family| restart.families.contains(&(*family, preserved));
            prop_assert!(common.iter().all(kept));
        }
    }
}
