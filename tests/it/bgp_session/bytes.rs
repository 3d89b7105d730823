//! Messages written by hand, and what a session that agreed on everything is.

use lockgate::bgp::Family;
use lockgate::bgp::proto::{Negotiated, Offer, RestartOffer};
use lockgate::net::Asn;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub(crate) const OUR_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const THEIR_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
pub(crate) const OUR_ASN: u32 = 64_512;
pub(crate) const THEIR_ASN: u32 = 65_010;
pub(crate) const ALL_FAMILIES: [Family; 4] =
    [Family::Ipv4Unicast, Family::Ipv6Unicast, Family::Ipv4Vpn, Family::Ipv6Vpn];

/// What we offer with nothing special about it.
pub(crate) fn offer() -> Offer {
    Offer {
        local_asn: Asn::new(OUR_ASN).unwrap(),
        remote_asn: Asn::new(THEIR_ASN).unwrap(),
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        hold_time: 90,
        least_hold_time: 0,
        families: vec![Family::Ipv4Unicast, Family::Ipv6Unicast],
        required_families: Vec::new(),
        add_path_receive: true,
        extended_messages: true,
        extended_next_hop: true,
        restart: Some(RestartOffer {
            restart_time: 120,
            restarting: false,
            notification: true,
            forwarding_preserved: Vec::new(),
        }),
        long_lived: Some(0),
        role: None,
        strict_role: false,
        allowed_own_as: 0,
    }
}

/// The same of the neighbor.
pub(crate) fn their_offer() -> Offer {
    let ours = offer();
    Offer {
        local_asn: ours.remote_asn,
        remote_asn: ours.local_asn,
        router_id: Ipv4Addr::new(10, 0, 0, 2),
        ..ours
    }
}

/// An external session that agreed on everything but several paths.
pub(crate) fn external() -> Negotiated {
    Negotiated {
        local_asn: OUR_ASN,
        remote_asn: THEIR_ASN,
        local_id: Ipv4Addr::new(10, 0, 0, 1),
        remote_id: Ipv4Addr::new(10, 0, 0, 2),
        local_address: OUR_ADDRESS,
        remote_address: THEIR_ADDRESS,
        hold_time: Some(Duration::from_secs(90)),
        families: ALL_FAMILIES.to_vec(),
        four_octet_as: true,
        maximum_message: 4_096,
        route_refresh: true,
        enhanced_refresh: true,
        add_path_receive: Vec::new(),
        extended_next_hop: vec![Family::Ipv4Unicast, Family::Ipv4Vpn],
        restart: None,
        long_lived: Vec::new(),
        local_role: None,
        remote_role: None,
        allowed_own_as: 0,
    }
}

/// The same within one system.
pub(crate) fn internal() -> Negotiated {
    Negotiated { remote_asn: OUR_ASN, ..external() }
}

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

pub(crate) fn keepalive() -> Vec<u8> {
    message(4, &[])
}

/// An OPEN with these capabilities, each of them an own optional parameter.
pub(crate) fn open(asn: u16, hold_time: u16, id: [u8; 4], capabilities: &[(u8, &[u8])]) -> Vec<u8> {
    let mut parameters = Vec::new();
    for (code, value) in capabilities {
        parameters.extend([2, u8::try_from(value.len() + 2).unwrap()]);
        parameters.extend([*code, u8::try_from(value.len()).unwrap()]);
        parameters.extend(*value);
    }
    let mut body = vec![4];
    body.extend(asn.to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(id);
    body.push(u8::try_from(parameters.len()).unwrap());
    body.extend(parameters);
    message(1, &body)
}

/// The neighbor's OPEN as BIRD of Calico's kind writes it: IPv4, refresh, restart
/// of 120 s, four bytes, several paths both ways, an empty list of what is kept
/// for long.
pub(crate) fn bird_open() -> Vec<u8> {
    let asn = THEIR_ASN.to_be_bytes();
    open(
        u16::try_from(THEIR_ASN).unwrap(),
        240,
        [10, 0, 0, 2],
        &[
            (1, &[0, 1, 0, 1]),
            (2, &[]),
            (64, &[0, 120, 0, 1, 1, 0]),
            (65, &asn),
            (69, &[0, 1, 1, 3]),
            (70, &[]),
            (71, &[]),
        ],
    )
}

/// An attribute with a length of one byte.
pub(crate) fn attribute(flags: u8, number: u8, value: &[u8]) -> Vec<u8> {
    let mut attribute = vec![flags, number];
    match u8::try_from(value.len()) {
        Ok(length) => attribute.push(length),
        Err(_) => {
            attribute[0] |= 0x10;
            attribute.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
    }
    attribute.extend(value);
    attribute
}

pub(crate) fn origin() -> Vec<u8> {
    attribute(0x40, 1, &[0])
}

pub(crate) fn as_path(systems: &[u32]) -> Vec<u8> {
    let mut value = vec![2, u8::try_from(systems.len()).unwrap()];
    value.extend(systems.iter().flat_map(|system| system.to_be_bytes()));
    attribute(0x40, 2, &value)
}

pub(crate) fn next_hop(address: [u8; 4]) -> Vec<u8> {
    attribute(0x40, 3, &address)
}

/// The attributes every route needs.
pub(crate) fn mandatory() -> Vec<Vec<u8>> {
    vec![origin(), as_path(&[THEIR_ASN]), next_hop([192, 0, 2, 2])]
}

pub(crate) fn update(withdrawn: &[u8], attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

/// The code and subcode of a NOTIFICATION.
pub(crate) fn numbers(notification: &lockgate::bgp::proto::Notification) -> (u8, u8) {
    (notification.code, notification.subcode)
}
