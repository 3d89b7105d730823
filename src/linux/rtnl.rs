//! Links, addresses and routes of the calling thread's namespace, as netlink
//! messages both ways.
//!
//! One function, one message; what to ask for and in which order is the
//! caller's matter.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the crate's hundred messages and attributes a few matter here"
)]

use super::answer::NetlinkError;
use super::netlink::Netlink;
use crate::model::VlanProtocol;
use crate::net::{InterfaceAddress, Mtu, Prefix, VlanId};
use crate::reconcile::{Family, LegSample, ROUTE_PROTOCOL, RouteKey};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::VlanProtocol as KernelVlanProtocol;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::fd::{AsRawFd, BorrowedFd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A link as the kernel shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownLink {
    pub(super) index: u32,
    pub(super) name: String,
    /// `IFLA_INFO_KIND`; hardware has none.
    pub(super) kind: Option<String>,
    pub(super) alias: Option<String>,
    pub(super) mtu: Option<Mtu>,
    pub(super) up: bool,
    pub(super) loopback: bool,
    /// The link it stands on.
    pub(super) below: Option<u32>,
    /// Whether that one is in another namespace.
    pub(super) is_below_elsewhere: bool,
    /// The tag of a VLAN and its protocol.
    pub(super) tag: Option<(VlanId, VlanProtocol)>,
}

/// A route as the kernel shows it.
#[derive(Clone, Debug)]
pub(super) struct ShownRoute {
    pub(super) key: RouteKey,
    pub(super) target: ShownTarget,
}

/// What a shown route does.
#[derive(Clone, Debug)]
pub(super) enum ShownTarget {
    Link { index: u32, via: Option<IpAddr>, source: Option<IpAddr> },
    Multipath(Vec<(u32, Option<IpAddr>)>),
    Blackhole,
    Unreachable,
    Other,
}

const fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// Every link of the namespace.
pub(super) fn links(route: &mut Netlink) -> Result<Vec<ShownLink>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    route.dump(&RouteNetlinkMessage::GetLink(request), |message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(shown_link(message)),
        _ => None,
    })
}

fn shown_link(message: LinkMessage) -> ShownLink {
    let mut link = ShownLink {
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        ..ShownLink::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::Mtu(mtu) => link.mtu = Mtu::new(mtu).ok(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => link.kind = Some(kind.to_string()),
                        LinkInfo::Data(InfoData::Vlan(data)) => link.tag = shown_tag(&data),
                        _ => {}
                    }
                }
            }
            LinkAttribute::Link(index) => link.below = Some(index),
            LinkAttribute::LinkNetNsId(_) => link.is_below_elsewhere = true,
            _ => {}
        }
    }
    link
}

fn shown_tag(data: &[InfoVlan]) -> Option<(VlanId, VlanProtocol)> {
    let id = data.iter().find_map(|one| match one {
        InfoVlan::Id(id) => VlanId::new(u32::from(*id)).ok(),
        _ => None,
    });
    let protocol = data.iter().find_map(|one| match one {
        InfoVlan::Protocol(KernelVlanProtocol::Ieee8021Q) => Some(VlanProtocol::Dot1q),
        InfoVlan::Protocol(KernelVlanProtocol::Ieee8021Ad) => Some(VlanProtocol::Dot1ad),
        _ => None,
    });
    Some((id?, protocol?))
}

/// The link `index` of the namespace, when there is one.
pub(super) fn link(route: &mut Netlink, index: u32) -> Result<Option<ShownLink>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    one_link(route, request)
}

/// The link `name` of the namespace, when there is one.
pub(super) fn link_named(
    route: &mut Netlink,
    name: &str,
) -> Result<Option<ShownLink>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    one_link(route, request)
}

fn one_link(
    route: &mut Netlink,
    mut request: LinkMessage,
) -> Result<Option<ShownLink>, NetlinkError> {
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let shown = route.get(&RouteNetlinkMessage::GetLink(request), |message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(shown_link(message)),
        _ => None,
    });
    match shown {
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
        shown => shown,
    }
}

/// Every address of the namespace, with the index of its link.
pub(super) fn addresses(route: &mut Netlink) -> Result<Vec<(u32, InterfaceAddress)>, NetlinkError> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    route.dump(&request, |message| match message {
        RouteNetlinkMessage::NewAddress(message) => shown_address(&message),
        _ => None,
    })
}

fn shown_address(message: &AddressMessage) -> Option<(u32, InterfaceAddress)> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(one) => local = Some(*one),
            AddressAttribute::Address(one) => address = Some(*one),
            _ => {}
        }
    }
    // With a peer, the other attribute is the peer's.
    let address = InterfaceAddress::new(local.or(address)?, message.header.prefix_len).ok()?;
    Some((message.header.index, address))
}

/// The routes of ours in the main table.
pub(super) fn routes(route: &mut Netlink) -> Result<Vec<ShownRoute>, NetlinkError> {
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
pub(super) fn default_route_links(route: &mut Netlink) -> Result<BTreeSet<u32>, NetlinkError> {
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

/// Makes a veth pair: our end here, the other in the namespace `far`.
pub(super) fn create_veth(
    route: &mut Netlink,
    name: &str,
    peer: &str,
    far: BorrowedFd<'_>,
) -> Result<(), NetlinkError> {
    let mut other = LinkMessage::default();
    other.attributes.push(LinkAttribute::IfName(peer.to_owned()));
    other.attributes.push(LinkAttribute::NetNsFd(far.as_raw_fd()));
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    request.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
    ]));
    route.change(RouteNetlinkMessage::NewLink(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a VLAN on the link `below`, in the namespace `tenant`, or beside that link.
pub(super) fn create_vlan(
    route: &mut Netlink,
    name: &str,
    below: u32,
    (id, protocol): (VlanId, VlanProtocol),
    tenant: Option<BorrowedFd<'_>>,
) -> Result<(), NetlinkError> {
    let protocol = match protocol {
        VlanProtocol::Dot1q => KernelVlanProtocol::Ieee8021Q,
        VlanProtocol::Dot1ad => KernelVlanProtocol::Ieee8021Ad,
    };
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    request.attributes.push(LinkAttribute::Link(below));
    request.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Vlan),
        LinkInfo::Data(InfoData::Vlan(vec![
            InfoVlan::Id(id.value()),
            InfoVlan::Protocol(protocol),
        ])),
    ]));
    request.attributes.extend(tenant.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd())));
    route.change(RouteNetlinkMessage::NewLink(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a WireGuard link in the namespace `tenant`, or in this one, where its
/// UDP socket is in either case.
pub(super) fn create_wireguard(
    route: &mut Netlink,
    name: &str,
    tenant: Option<BorrowedFd<'_>>,
) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    request.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Wireguard)]));
    request.attributes.extend(tenant.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd())));
    route.change(RouteNetlinkMessage::NewLink(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Whether the kernel knows of VLAN links. A request that names no trunk makes
/// none: it is refused for that, or for the kind being unknown.
///
/// # Errors
/// When it is refused for another reason, as for want of CAP_NET_ADMIN.
pub(super) fn knows_vlan(route: &mut Netlink) -> Result<bool, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Vlan),
        LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(1)])),
    ]));
    let request = RouteNetlinkMessage::NewLink(request);
    match route.change(request, NLM_F_CREATE | NLM_F_EXCL) {
        Ok(()) => Ok(true),
        Err(error) => match error.errno() {
            Some(libc::EINVAL) => Ok(true),
            Some(libc::EOPNOTSUPP) => Ok(false),
            Some(_) | None => Err(error),
        },
    }
}

/// Changes the link `index`.
pub(super) fn set_link(
    route: &mut Netlink,
    index: u32,
    attributes: Vec<LinkAttribute>,
) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.attributes = attributes;
    route.change(RouteNetlinkMessage::SetLink(request), 0)
}

/// Sets the link `index` up.
pub(super) fn set_up(route: &mut Netlink, index: u32) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.header.flags = LinkFlags::Up;
    request.header.change_mask = LinkFlags::Up;
    route.change(RouteNetlinkMessage::SetLink(request), 0)
}

/// Removes the link `index`.
pub(super) fn delete_link(route: &mut Netlink, index: u32) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    route.change(RouteNetlinkMessage::DelLink(request), 0)
}

fn address_message(index: u32, address: InterfaceAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = address_family(Family::of(address.address()));
    message.header.prefix_len = address.length();
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(address.address()));
    message.attributes.push(AddressAttribute::Address(address.address()));
    message
}

/// Adds an address to the link `index`, usable at once.
pub(super) fn add_address(
    route: &mut Netlink,
    index: u32,
    address: InterfaceAddress,
) -> Result<(), NetlinkError> {
    let mut message = address_message(index, address);
    if address.address().is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    route.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Removes an address from the link `index`.
pub(super) fn remove_address(
    route: &mut Netlink,
    index: u32,
    address: InterfaceAddress,
) -> Result<(), NetlinkError> {
    route.change(RouteNetlinkMessage::DelAddress(address_message(index, address)), 0)
}

/// The way of a route out of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) index: u32,
    pub(super) via: Option<IpAddr>,
}

/// What a route to be made does.
#[derive(Clone, Debug)]
pub(super) enum Target {
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
pub(super) fn replace_route(key: RouteKey, target: Target) -> (RouteNetlinkMessage, u16) {
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
pub(super) fn remove_route(key: RouteKey) -> (RouteNetlinkMessage, u16) {
    let mut message = route_message(key);
    message.header.scope = RouteScope::NoWhere;
    (RouteNetlinkMessage::DelRoute(message), 0)
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Its hardware address, confirmed lately.
    Reachable,
    /// Its hardware address, not confirmed lately.
    Known,
    /// It is being asked.
    Asked,
    /// It was asked and did not answer.
    Failed,
}

/// Every neighbour of the namespace that was ever asked, by link and address.
pub(super) fn neighbours(
    route: &mut Netlink,
) -> Result<BTreeMap<(u32, IpAddr), Neighbour>, NetlinkError> {
    let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let shown = route.dump(&request, |message| match message {
        RouteNetlinkMessage::NewNeighbour(message) => shown_neighbour(&message),
        _ => None,
    })?;
    Ok(shown.into_iter().collect())
}

/// What is known of one neighbour; `None` when it was never asked, or is forgotten.
pub(super) fn neighbour(
    route: &mut Netlink,
    index: u32,
    address: IpAddr,
) -> Result<Option<Neighbour>, NetlinkError> {
    let request = RouteNetlinkMessage::GetNeighbour(neighbour_message(index, address));
    let shown = route.get(&request, |message| match message {
        RouteNetlinkMessage::NewNeighbour(message) => shown_neighbour(&message),
        _ => None,
    });
    match shown {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        shown => Ok(shown?.map(|(_, neighbour)| neighbour)),
    }
}

fn neighbour_message(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = address_family(Family::of(address));
    message.header.ifindex = index;
    let destination = match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}

fn shown_neighbour(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })?;
    let neighbour = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Permanent => Neighbour::Reachable,
        NeighbourState::Stale => Neighbour::Known,
        NeighbourState::Incomplete | NeighbourState::Probe | NeighbourState::Delay => {
            Neighbour::Asked
        }
        NeighbourState::Failed => Neighbour::Failed,
        _ => return None,
    };
    Some(((message.header.ifindex, address), neighbour))
}

/// Has the kernel ask a neighbour now. One whose address `is_known` keeps it
/// meanwhile, and packets go on.
pub(super) fn ask_neighbour(
    route: &mut Netlink,
    index: u32,
    address: IpAddr,
    is_known: bool,
) -> Result<(), NetlinkError> {
    let mut message = neighbour_message(index, address);
    let flags = if is_known {
        message.header.state = NeighbourState::Probe;
        NLM_F_REPLACE
    } else {
        message.header.flags = NeighbourFlags::Use;
        NLM_F_CREATE
    };
    route.change(RouteNetlinkMessage::NewNeighbour(message), flags)
}

/// The link `name` with its counters, when it is there.
pub(super) fn link_counters(
    route: &mut Netlink,
    name: &str,
) -> Result<Option<(u32, LegSample)>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let shown = route.get(&RouteNetlinkMessage::GetLink(request), |message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(message),
        _ => None,
    });
    let message = match shown {
        Err(error) if error.errno() == Some(libc::ENODEV) => None,
        shown => shown?,
    };
    let Some(message) = message else { return Ok(None) };
    let up = LinkFlags::Up | LinkFlags::LowerUp;
    let carrier = message.header.flags.contains(up);
    let stats = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some(*stats),
        _ => None,
    });
    let stats = stats.unwrap_or_default();
    let sample = LegSample {
        carrier,
        received_bytes: stats.rx_bytes,
        sent_bytes: stats.tx_bytes,
        received_packets: stats.rx_packets,
        sent_packets: stats.tx_packets,
        routers: BTreeMap::new(),
    };
    Ok(Some((message.header.index, sample)))
}
