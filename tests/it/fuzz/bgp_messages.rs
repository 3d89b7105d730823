//! Any bytes as one BGP message: an OPEN on a connection that waits for it, or an
//! UPDATE of a session that agreed on this or that.

use lockgate::bgp::proto::{Flaw, Negotiated, Offer, Received, RestartOffer};
use lockgate::bgp::proto::{decode_update, encode_next};
use lockgate::bgp::session::{Output, Session, SessionConfig, SessionState};
use lockgate::bgp::{Attributes, Family, Nlri, Update};
use lockgate::model::limits;
use lockgate::net::{Asn, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const OUR_ASN: u32 = 64_512;
const THEIR_ASN: u32 = 65_001;
const FAMILIES: [Family; 4] =
    [Family::Ipv4Unicast, Family::Ipv6Unicast, Family::Ipv4Vpn, Family::Ipv6Vpn];

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0xff; 16], &length[..], &[kind], body].concat()
}

/// Some bits of a byte, one after the other.
fn bits<const COUNT: usize>(byte: u8) -> [bool; COUNT] {
    std::array::from_fn(|bit| byte & 1 << bit != 0)
}

/// The first byte says what we offer; the rest is the body of the neighbor's OPEN.
pub(crate) fn open(bytes: &[u8]) {
    let _ = agreed(bytes);
}

/// What is agreed on with whoever says that; `None` when it was turned away.
pub(crate) fn agreed(bytes: &[u8]) -> Option<Negotiated> {
    let (how, body) = bytes.split_first()?;
    let [several, long, next_hop, restart, vpn, hasty] = bits(*how);
    let offer = Offer {
        local_asn: Asn::new(OUR_ASN).unwrap(),
        remote_asn: Asn::new(THEIR_ASN).unwrap(),
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        hold_time: 90,
        least_hold_time: if hasty { 0 } else { 20 },
        families: if vpn { FAMILIES.to_vec() } else { FAMILIES[..2].to_vec() },
        required_families: Vec::new(),
        add_path_receive: several,
        extended_messages: long,
        extended_next_hop: next_hop,
        restart: restart.then(|| RestartOffer { restart_time: 60, ..RestartOffer::default() }),
        long_lived: Some(0),
        role: None,
        strict_role: false,
        allowed_own_as: 0,
    };
    let now = Instant::from_secs(1_000);
    let config = SessionConfig { passive: true, ..SessionConfig::new(offer.clone()) };
    let mut session = Session::new(config, 7, now);
    session.start(now);
    let id = session.handle_incoming(OURS, THEIRS, now);
    let open = message(1, body);
    session.handle_bytes(id, &open, now);
    session.handle_bytes(id, &message(4, &[]), now);
    let mut closed = None;
    while let Some(output) = session.poll_output() {
        if let Output::Close { last, .. } = output {
            assert_eq!(closed, None, "closed twice");
            closed = Some(last);
        }
    }
    let Some(last) = closed else {
        assert_eq!(session.state(), SessionState::Established);
        let agreed = session.negotiated().unwrap().as_ref().clone();
        check_agreed(&agreed, &offer);
        return Some(agreed);
    };
    // Whatever is refused is refused with a reason, at the end of all that is said.
    assert!(last.len() <= 2 * limits::BGP_MESSAGE_BYTES);
    let reasons: BTreeSet<u8> = [1, 2].into();
    let notification = notification(&last).expect("a NOTIFICATION");
    assert!(reasons.contains(&notification), "an OPEN is answered with {notification}");
    None
}

/// The code of the NOTIFICATION that the bytes end with.
fn notification(mut bytes: &[u8]) -> Option<u8> {
    loop {
        let length = usize::from(u16::from_be_bytes(bytes.get(16..18)?.try_into().ok()?));
        if bytes.len() == length {
            return (bytes[18] == 3).then(|| bytes[19]);
        }
        bytes = &bytes[length..];
    }
}

fn check_agreed(agreed: &Negotiated, offer: &Offer) {
    assert_eq!(agreed.remote_asn, THEIR_ASN);
    assert!(!agreed.remote_id.is_unspecified());
    let most = Duration::from_secs(offer.hold_time.into());
    let least = Duration::from_secs(offer.least_hold_time.max(3).into());
    assert!(agreed.hold_time.is_none_or(|time| least <= time && time <= most), "{agreed:?}");
    let within = |these: &[Family], those: &[Family]| these.iter().all(|it| those.contains(it));
    assert!(!agreed.families.is_empty() && within(&agreed.families, &offer.families));
    assert!(within(&agreed.add_path_receive, &agreed.families));
    assert!(offer.add_path_receive || agreed.add_path_receive.is_empty());
    assert!(within(&agreed.extended_next_hop, &agreed.families));
    assert!(offer.extended_next_hop || agreed.extended_next_hop.is_empty());
    assert!(offer.extended_messages || agreed.maximum_message == limits::BGP_MESSAGE_BYTES);
    assert!(offer.restart.is_some() || agreed.restart.is_none());
    if let Some(restart) = &agreed.restart {
        assert!(restart.restart_time <= Duration::from_secs(4_095));
    }
}

/// The first byte says what was agreed on; the rest is the body of an UPDATE.
pub(crate) fn update(bytes: &[u8]) {
    let _ = heard(bytes);
}

/// What it comes to, on a session that stays up.
pub(crate) fn heard(bytes: &[u8]) -> Option<Received> {
    let (how, body) = bytes.split_first()?;
    let [internal, several, narrow, plain, four_only, reflected] = bits(*how);
    let families = if four_only { FAMILIES[..1].to_vec() } else { FAMILIES.to_vec() };
    let session = Negotiated {
        local_asn: OUR_ASN,
        remote_asn: if internal { OUR_ASN } else { THEIR_ASN },
        local_id: Ipv4Addr::new(192, 0, 2, 1),
        remote_id: Ipv4Addr::new(192, 0, 2, 2),
        local_address: OURS,
        remote_address: THEIRS,
        hold_time: None,
        add_path_receive: if several { families.clone() } else { Vec::new() },
        extended_next_hop: if plain { Vec::new() } else { vec![Family::Ipv4Unicast] },
        families,
        four_octet_as: !narrow,
        maximum_message: limits::BGP_EXTENDED_MESSAGE_BYTES,
        route_refresh: true,
        enhanced_refresh: true,
        restart: None,
        long_lived: Vec::new(),
        local_role: None,
        remote_role: None,
        allowed_own_as: u8::from(reflected),
    };
    let message = message(2, body);
    if limits::BGP_EXTENDED_MESSAGE_BYTES < message.len() {
        return None;
    }
    let received = match decode_update(&message, &session) {
        Ok(received) => received,
        Err(notification) => {
            assert_eq!(notification.code, 3, "an UPDATE is answered with {notification}");
            return None;
        }
    };
    check_received(&received, &session, message.len());
    // What was understood can be said again, and is understood as the same: to
    // someone who takes one path to a network.
    if !several {
        check_again(&received.update, &session);
    }
    Some(received)
}

fn check_received(received: &Received, session: &Negotiated, bytes: usize) {
    let Update { withdrawn, announced } = &received.update;
    let count: usize = announced.iter().map(|routes| routes.nlri.len()).sum();
    assert!(withdrawn.len() + count < bytes, "more networks than bytes");
    assert!(received.flaws.iter().all(|(_, networks)| *networks != 0));
    let is_said = |flaw: &Flaw| received.flaws.iter().any(|(it, _)| it == flaw);
    assert!(received.complaint.is_none() || Flaw::ALL.iter().any(is_said));
    assert!(received.end_of_rib.is_none() || withdrawn.len() + count == 0);
    for routes in announced {
        let Attributes { next_hop, as_path, communities, large_communities, .. } =
            &*routes.attributes;
        assert!(*next_hop != OURS && !next_hop.is_unspecified() && !next_hop.is_multicast());
        let ours = as_path.systems().filter(|system| *system == OUR_ASN).count();
        assert!(ours <= usize::from(session.allowed_own_as));
        let entries = [as_path.systems().count(), communities.len(), large_communities.len()];
        assert!(entries.into_iter().all(|count| count <= limits::BGP_ATTRIBUTE_ENTRIES));
        if !session.is_internal() {
            assert_eq!(as_path.first(), Some(session.remote_asn));
            assert_eq!(routes.attributes.local_pref, None);
        }
        assert!(routes.nlri.iter().all(|nlri| !withdrawn.contains(nlri)));
    }
}

type Said = (BTreeSet<Nlri>, BTreeMap<Nlri, Attributes>);

fn said(updates: impl IntoIterator<Item = Update>) -> Said {
    let (mut withdrawn, mut announced) = (BTreeSet::new(), BTreeMap::new());
    for update in updates {
        withdrawn.extend(update.withdrawn);
        for routes in update.announced {
            let mut attributes = routes.attributes.as_ref().clone();
            // Within one system there always is one.
            attributes.local_pref = attributes.local_pref.or(Some(100));
            announced.extend(routes.nlri.into_iter().map(|nlri| (nlri, attributes.clone())));
        }
    }
    (withdrawn, announced)
}

fn check_again(update: &Update, session: &Negotiated) {
    let mut rest = update.clone();
    let mut read = Vec::new();
    loop {
        match encode_next(&mut rest, session) {
            Ok(Some(message)) => {
                let again = decode_update(&message, session).unwrap();
                assert_eq!(again.flaws, [], "{:?}", again.complaint);
                read.push(again.update);
            }
            Ok(None) => break,
            // Sets, the system 0 and VPNs are heard, and never said.
            Err(_) => return,
        }
    }
    assert_eq!(said(read), said([update.clone()]));
}
