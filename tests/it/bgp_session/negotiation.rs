//! What both ends agree on, and what is said once they have.

use super::bytes::*;
use super::packing::{attributes, v4};
use super::pair::{Alone, End, Pair};
use lockgate::bgp::proto::{EncodeError, MessageKind, Offer, Role};
use lockgate::bgp::session::{AdvertiseError, Advertised, Event, Session, SessionConfig};
use lockgate::bgp::{Announcement, Family, Update};
use lockgate::net::{Asn, Instant};
use std::sync::Arc;
use std::time::Duration;

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

#[test]
fn two_that_offer_everything_agree_on_everything() {
    let families = ALL_FAMILIES.to_vec();
    let pair = Pair::established(
        Offer { families: families.clone(), role: Some(Role::Provider), ..offer() },
        Offer { families, role: Some(Role::Customer), hold_time: 30, ..their_offer() },
    );
    let ours = pair.ends[0].negotiated();
    assert_eq!((ours.local_asn, ours.remote_asn), (OUR_ASN, THEIR_ASN));
    assert_eq!(ours.remote_id, their_offer().router_id);
    assert_eq!((ours.local_address, ours.remote_address), (OUR_ADDRESS, THEIR_ADDRESS));
    assert_eq!(ours.hold_time, Some(Duration::from_secs(30)));
    assert_eq!(ours.families, ALL_FAMILIES);
    assert!(ours.four_octet_as && ours.route_refresh && ours.enhanced_refresh);
    assert_eq!(ours.maximum_message, 65_535);
    // Both take several paths, neither says them.
    assert_eq!(ours.add_path_receive, []);
    assert_eq!(ours.extended_next_hop, [Family::Ipv4Unicast, Family::Ipv4Vpn]);
    let restart = ours.restart.as_ref().unwrap();
    assert!(restart.notification && !restart.restarting);
    assert_eq!(restart.restart_time, Duration::from_secs(120));
    assert_eq!((ours.local_role, ours.remote_role), (Some(Role::Provider), Some(Role::Customer)));
    let theirs = pair.ends[1].negotiated();
    assert_eq!((theirs.remote_asn, &theirs.families), (OUR_ASN, &ours.families));
    let up = |end: &End| matches!(&end.events[..], [Event::Established(_)]);
    assert!(pair.ends.iter().all(up));
}

#[test]
fn what_one_does_not_offer_is_not_agreed_on() {
    let bare = Offer {
        families: vec![Family::Ipv6Unicast],
        extended_messages: false,
        extended_next_hop: false,
        restart: None,
        hold_time: 0,
        ..their_offer()
    };
    let pair = Pair::established(offer(), bare);
    for end in &pair.ends {
        let agreed = end.negotiated();
        assert_eq!(agreed.families, [Family::Ipv6Unicast]);
        assert_eq!(agreed.maximum_message, 4_096);
        assert_eq!(agreed.extended_next_hop, []);
        assert_eq!(agreed.restart, None);
        assert_eq!(agreed.hold_time, None);
    }
}

#[test]
fn what_calicos_bird_offers() {
    let alone = Alone::established(offer(), &bird_open());
    let agreed = alone.end.negotiated();
    assert_eq!(agreed.families, [Family::Ipv4Unicast]);
    assert_eq!(agreed.add_path_receive, [Family::Ipv4Unicast]);
    assert_eq!(agreed.maximum_message, 4_096);
    assert!(agreed.enhanced_refresh && agreed.four_octet_as);
    assert_eq!(agreed.hold_time, Some(Duration::from_secs(90)));
    let restart = agreed.restart.as_ref().unwrap();
    assert_eq!(restart.families, [(Family::Ipv4Unicast, false)]);
    assert!(!restart.notification);
    assert_eq!(agreed.long_lived, []);
}

#[test]
fn our_open_says_what_was_offered() {
    let mut restarting = offer();
    let restart = restarting.restart.as_mut().unwrap();
    restart.restarting = true;
    restart.forwarding_preserved = vec![Family::Ipv6Unicast];
    let mut alone = Alone::connected(restarting);
    let sent = alone.sent();
    let [(MessageKind::Open, open)] = &sent[..] else { panic!("{sent:?}") };
    let has = |bytes: &[u8]| open.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(&[1, 4, 0, 1, 0, 1]) && has(&[1, 4, 0, 2, 0, 1]), "families");
    assert!(has(&[64, 10, 0xc0, 120, 0, 1, 1, 0, 0, 2, 1, 0x80]), "restart");
    assert!(has(&[69, 8, 0, 1, 1, 1, 0, 2, 1, 1]), "several paths");
    assert!(has(&[5, 6, 0, 1, 0, 1, 0, 2]), "IPv6 next hops");
    assert!(has(&[6, 0]) && has(&[2, 0]) && has(&[70, 0]), "long messages, refresh");
    assert!(has(&[65, 4, 0, 0, 0xfc, 0]), "four bytes");
    assert_eq!(&open[19..29], [4, 0xfc, 0, 0, 90, 10, 0, 0, 1, open[28]]);
}

#[test]
fn systems_of_four_bytes() {
    let ours = Offer { local_asn: asn(4_200_000_001), ..offer() };
    let theirs = Offer { remote_asn: asn(4_200_000_001), ..their_offer() };
    let pair = Pair::established(ours, theirs);
    assert_eq!(pair.ends[1].negotiated().remote_asn, 4_200_000_001);
}

#[test]
fn families_that_are_required_are_insisted_on() {
    let ours = Offer { required_families: vec![Family::Ipv6Unicast], ..offer() };
    let mut alone = Alone::connected(ours);
    alone.receive(&bird_open());
    let notification = alone.notification();
    assert_eq!(numbers(&notification), (2, 7));
    assert_eq!(notification.data, [1, 4, 0, 2, 0, 1]);
}

#[test]
fn roles_that_do_not_fit_are_a_mismatch() {
    let mut pair = Pair::new(
        Offer { role: Some(Role::Provider), ..offer() },
        Offer { role: Some(Role::Provider), ..their_offer() },
    );
    pair.start();
    pair.connect(0);
    pair.settle();
    let sent = |end: &End| end.session.sample().counters.notifications_sent.get(&(2, 11)).copied();
    assert!(pair.ends.iter().any(|end| sent(end) == Some(1)));
    let strict = Offer { role: Some(Role::Customer), strict_role: true, ..offer() };
    let mut alone = Alone::connected(strict);
    alone.receive(&bird_open());
    assert_eq!(numbers(&alone.notification()), (2, 11));
}

#[test]
fn a_family_nobody_knows_does_not_take_the_others_with_it() {
    let number = u16::try_from(THEIR_ASN).unwrap();
    let open = open(
        number,
        90,
        [10, 0, 0, 2],
        &[
            (1, &[0, 1, 0, 1]),
            (69, &[0x40, 9, 99, 3, 0, 1, 1, 3]),
            (5, &[0, 9, 0, 99, 0, 2, 0, 1, 0, 1, 0, 2]),
            (64, &[0, 120, 0, 1, 1, 0x80, 0, 9, 99, 0]),
            (71, &[0, 9, 99, 0, 0, 0, 9, 0, 1, 1, 0x80, 1, 0, 0]),
        ],
    );
    let agreed = Alone::established(offer(), &open).end.negotiated();
    assert_eq!(agreed.add_path_receive, [Family::Ipv4Unicast]);
    assert_eq!(agreed.extended_next_hop, [Family::Ipv4Unicast]);
    assert_eq!(agreed.restart.as_ref().unwrap().families, [(Family::Ipv4Unicast, true)]);
    let long = Duration::from_secs(65_536);
    assert_eq!(agreed.long_lived, [(Family::Ipv4Unicast, true, long)]);
}

#[test]
fn routes_and_their_end_arrive() {
    let mut pair = Pair::established(offer(), their_offer());
    let mut update = Update {
        withdrawn: vec![v4(7)],
        announced: vec![Announcement {
            attributes: Arc::new(attributes(OUR_ADDRESS)),
            nlri: (0..5).map(v4).collect(),
        }],
    };
    let now = pair.now;
    assert_eq!(pair.ends[0].session.advertise(&mut update, now), Ok(Advertised::All));
    assert_eq!(pair.ends[0].session.end_of_rib(Family::Ipv4Unicast, now), Ok(()));
    assert_eq!(
        pair.ends[0].session.end_of_rib(Family::Ipv4Vpn, now),
        Err(AdvertiseError::Encode(EncodeError::Family(Family::Ipv4Vpn)))
    );
    pair.settle();
    let events = &pair.ends[1].events[1..];
    let [Event::Update(first), Event::Update(second), Event::EndOfRib(Family::Ipv4Unicast)] =
        events
    else {
        panic!("{events:?}")
    };
    assert_eq!(first.withdrawn, [v4(7)]);
    assert_eq!(second.announced[0].nlri.len(), 5);
    assert_eq!(second.announced[0].attributes.as_ref(), &attributes(OUR_ADDRESS));
}

#[test]
fn a_refresh_is_asked_for_and_marked() {
    let mut pair = Pair::established(offer(), their_offer());
    let now = pair.now;
    let family = Family::Ipv6Unicast;
    pair.ends[0].session.ask_refresh(family, now).unwrap();
    pair.settle();
    assert_eq!(pair.ends[1].events[1..], [Event::RefreshAsked(family)]);
    pair.ends[1].session.begin_refresh(family, now).unwrap();
    pair.ends[1].session.end_refresh(family, now).unwrap();
    pair.settle();
    let expected = [Event::RefreshBegun(family), Event::RefreshEnded(family)];
    assert_eq!(pair.ends[0].events[1..], expected);
    // One that does not know is not bothered.
    let number = u16::try_from(THEIR_ASN).unwrap();
    let plain = open(number, 90, [10, 0, 0, 2], &[(1, &[0, 1, 0, 1])]);
    let mut alone = Alone::established(offer(), &plain);
    alone.end.session.ask_refresh(Family::Ipv4Unicast, alone.now).unwrap();
    alone.end.session.begin_refresh(Family::Ipv4Unicast, alone.now).unwrap();
    assert_eq!(alone.sent(), []);
}

#[test]
fn a_refresh_that_says_nothing_to_us_is_let_pass() {
    let mut alone = Alone::established(offer(), &bird_open());
    for body in [
        &[0, 9, 0, 99][..],
        &[0, 2, 0, 1],
        &[0, 1, 77, 1],
        &[0, 1, 0, 1, 2, 64, 0, 1, 0xff],
        &[0, 1, 0, 1, 0xff, 0xff, 0xff],
    ] {
        alone.receive(&message(5, body));
    }
    assert_eq!(alone.end.events.len(), 1, "{:?}", alone.end.events);
    // A mark that is longer than marks are (RFC 7313 §5).
    let mark = message(5, &[0, 1, 1, 1, 9]);
    alone.receive(&mark);
    let notification = alone.notification();
    assert_eq!((numbers(&notification), notification.data), ((7, 1), mark));
}

#[test]
fn nothing_is_said_on_a_session_that_is_down() {
    let now = Instant::from_secs(5);
    let mut session = Session::new(SessionConfig::new(offer()), 1, now);
    let mut update = Update { withdrawn: vec![v4(1)], announced: Vec::new() };
    assert_eq!(session.advertise(&mut update, now), Err(AdvertiseError::Down));
    assert_eq!(session.end_of_rib(Family::Ipv4Unicast, now), Err(AdvertiseError::Down));
    assert_eq!(update.withdrawn.len(), 1);
}
