//! Routes of the main table: ours, and whose default it is.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the crate's hundred messages and attributes a few matter here"
)]

use super::address_family;
use crate::linux::answer::NetlinkError;
use crate::linux::netlink::Netlink;
use crate::net::Prefix;
use crate::reconcile::{Family, ROUTE_PROTOCOL, RouteKey};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A route as the kernel shows it.
#[derive(Clone, Debug)]
pub(in crate::linux) struct ShownRoute {
    pub(in crate::linux) key: RouteKey,
    pub(in crate::linux) target: ShownTarget,
}

/// What a shown route does.
#[derive(Clone, Debug)]
pub(in crate::linux) enum ShownTarget {
    Link { index: u32, via: Option<IpAddr>, source: Option<IpAddr> },
    Multipath(Vec<(u32, Option<IpAddr>)>),
    Blackhole,
    Unreachable,
    Other,
}

/// The routes of ours in the main table.
pub(in crate::linux) fn routes(route: &mut Netlink) -> Result<Vec<ShownRoute>, NetlinkError> {
    let mut all = Vec::new();
    for family in Family::BOTH {
        let mut request = RouteMessage::default();
        request.header.address_family = address_family(family);
        request.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
        let shown = route.dump(&RouteNetlinkMessage::GetRoute(request), |message| match message {
            RouteNetlinkMessage::NewRoute(message) => shown_route(family, message),
            _ => None,
        });
        match shown {
            Ok(shown) => all.extend(shown),
            // A kernel without IPv6.
            Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn shown_route(family: Family, message: RouteMessage) -> Option<ShownRoute> {
    let header = message.header;
    let ours = header.protocol == RouteProtocol::from(ROUTE_PROTOCOL)
        && header.address_family == address_family(family);
    let mut table = u32::from(header.table);
    let mut destination = family.everything().address();
    let (mut metric, mut index, mut via, mut source, mut plain) = (0, None, None, None, true);
    let mut several = None;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Table(one) => table = one,
            RouteAttribute::Priority(one) => metric = one,
            RouteAttribute::Oif(one) => index = Some(one),
            RouteAttribute::Destination(one) => destination = ip(&one)?,
            RouteAttribute::Gateway(one) => via = ip(&one),
            RouteAttribute::Via(one) => match ip_of_via(&one) {
                Some(one) => via = Some(one),
                None => plain = false,
            },
            RouteAttribute::PrefSource(one) => source = ip(&one),
            RouteAttribute::MultiPath(hops) => several = Some(hops),
            RouteAttribute::NhId(_) | RouteAttribute::Encap(_) => plain = false,
            _ => {}
        }
    }
    if !ours || table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    let prefix = Prefix::containing_address(destination, header.destination_prefix_length).ok()?;
    let ways = several.map(|hops| hops.iter().map(shown_hop).collect::<Option<Vec<_>>>());
    let target = match (header.kind, index, ways) {
        (RouteType::Unreachable, ..) => ShownTarget::Unreachable,
        (RouteType::BlackHole, ..) => ShownTarget::Blackhole,
        (RouteType::Unicast, _, Some(Some(ways))) if plain && source.is_none() => {
            ShownTarget::Multipath(ways)
        }
        (RouteType::Unicast, Some(index), None) if plain => {
            ShownTarget::Link { index, via, source }
        }
        (..) => ShownTarget::Other,
    };
    Some(ShownRoute { key: RouteKey { prefix, metric }, target })
}

/// One of several ways; `None` when it is more than a router on a link.
fn shown_hop(hop: &RouteNextHop) -> Option<(u32, Option<IpAddr>)> {
    let mut via = None;
    for attribute in &hop.attributes {
        match attribute {
            RouteAttribute::Gateway(one) => via = ip(one),
            RouteAttribute::Via(one) => via = Some(ip_of_via(one)?),
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => return None,
            _ => {}
        }
    }
    // `hops` is the weight less one.
    (hop.hops == 0).then_some((hop.interface_index, via))
}

/// The links that default routes leave by, of the main table and not of ours.
pub(in crate::linux) fn default_route_links(
    route: &mut Netlink,
) -> Result<BTreeSet<u32>, NetlinkError> {
    let mut links = BTreeSet::new();
    for family in Family::BOTH {
        let mut request = RouteMessage::default();
        request.header.address_family = address_family(family);
        request.header.table = RouteHeader::RT_TABLE_MAIN;
        let shown = route.dump(&RouteNetlinkMessage::GetRoute(request), |message| match message {
            RouteNetlinkMessage::NewRoute(message) => Some(default_links(&message)),
            _ => None,
        });
        match shown {
            Ok(shown) => links.extend(shown.into_iter().flatten()),
            // A kernel without IPv6.
            Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(links)
}

/// The links a route leaves by, if it is such a route.
fn default_links(message: &RouteMessage) -> Vec<u32> {
    let header = &message.header;
    let is_one = header.destination_prefix_length == 0
        && header.kind == RouteType::Unicast
        && header.table == RouteHeader::RT_TABLE_MAIN
        && header.protocol != RouteProtocol::from(ROUTE_PROTOCOL);
    let mut links = Vec::new();
    for attribute in message.attributes.iter().filter(|_| is_one) {
        match attribute {
            RouteAttribute::Oif(index) => links.push(*index),
            RouteAttribute::MultiPath(hops) => {
                links.extend(hops.iter().map(|hop| hop.interface_index));
            }
            _ => {}
        }
    }
    links
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn ip_of_via(via: &RouteVia) -> Option<IpAddr> {
    match via {
        RouteVia::Inet(address) => Some(IpAddr::V4(*address)),
        RouteVia::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// The way of a route out of a link.
#[derive(Clone, Copy, Debug)]
pub(in crate::linux) struct Way {
    pub(in crate::linux) index: u32,
    pub(in crate::linux) via: Option<IpAddr>,
}

/// What a route to be made does.
#[derive(Clone, Debug)]
pub(in crate::linux) enum Target {
    /// One way, and the source of our own packets.
    Link(Way, Option<IpAddr>),
    Multipath(Vec<Way>),
    Blackhole,
    Unreachable,
}

/// A router as an attribute: of the other family than its route's it is an
/// `RTA_VIA`, for an `RTA_GATEWAY` would be read as one of the same.
fn gateway(key: RouteKey, via: IpAddr) -> RouteAttribute {
    match via {
        IpAddr::V4(v4) if !key.prefix.is_v4() => RouteAttribute::Via(RouteVia::Inet(v4)),
        IpAddr::V6(v6) if key.prefix.is_v4() => RouteAttribute::Via(RouteVia::Inet6(v6)),
        IpAddr::V4(_) | IpAddr::V6(_) => RouteAttribute::Gateway(via.into()),
    }
}

fn route_message(key: RouteKey) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(Family::of_prefix(key.prefix));
    message.header.destination_prefix_length = key.prefix.length();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    if key.prefix.length() != 0 {
        message.attributes.push(RouteAttribute::Destination(key.prefix.address().into()));
    }
    message.attributes.push(RouteAttribute::Priority(key.metric));
    message
}

/// The request to make a route, or to put it in the place of the one with the
/// same key.
pub(in crate::linux) fn replace_route(key: RouteKey, target: Target) -> (RouteNetlinkMessage, u16) {
    let mut message = route_message(key);
    match target {
        Target::Link(Way { index, via }, source) => {
            message.header.kind = RouteType::Unicast;
            let on_link = key.prefix.is_v4() && via.is_none();
            message.header.scope = if on_link { RouteScope::Link } else { RouteScope::Universe };
            if via.is_some() {
                // The router is on that link by what was asked for, whether or
                // not an address of ours there says so.
                message.header.flags = RouteFlags::Onlink;
            }
            message.attributes.push(RouteAttribute::Oif(index));
            message.attributes.extend(via.map(|via| gateway(key, via)));
            let source = source.map(|source| RouteAttribute::PrefSource(source.into()));
            message.attributes.extend(source);
        }
        Target::Multipath(ways) => {
            message.header.kind = RouteType::Unicast;
            message.header.scope = RouteScope::Universe;
            let hops = ways.into_iter().map(|Way { index, via }| {
                let mut hop = RouteNextHop::default();
                hop.interface_index = index;
                if via.is_some() {
                    hop.flags = RouteNextHopFlags::Onlink;
                }
                hop.attributes.extend(via.map(|via| gateway(key, via)));
                hop
            });
            message.attributes.push(RouteAttribute::MultiPath(hops.collect()));
        }
        Target::Blackhole => message.header.kind = RouteType::BlackHole,
        Target::Unreachable => message.header.kind = RouteType::Unreachable,
    }
    (RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// The request to remove a route.
pub(in crate::linux) fn remove_route(key: RouteKey) -> (RouteNetlinkMessage, u16) {
    let mut message = route_message(key);
    message.header.scope = RouteScope::NoWhere;
    (RouteNetlinkMessage::DelRoute(message), 0)
}
