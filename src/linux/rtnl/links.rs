//! Links: what there are, how they are made and changed, what they carried.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the crate's hundred messages and attributes a few matter here"
)]

use crate::linux::answer::NetlinkError;
use crate::linux::netlink::Netlink;
use crate::model::VlanProtocol;
use crate::net::{Mtu, VlanId};
use crate::reconcile::LegSample;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::IpProtocol;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::VlanProtocol as KernelVlanProtocol;
use netlink_packet_route::link::{
    InfoData, InfoIpTunnel, InfoKind, InfoVeth, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags,
    LinkInfo, LinkMessage,
};
use rustix::fd::{AsRawFd, BorrowedFd};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// A link as the kernel shows it.
#[derive(Clone, Debug, Default)]
pub(in crate::linux) struct ShownLink {
    pub(in crate::linux) index: u32,
    pub(in crate::linux) name: String,
    /// `IFLA_INFO_KIND`; hardware has none.
    pub(in crate::linux) kind: Option<String>,
    pub(in crate::linux) alias: Option<String>,
    pub(in crate::linux) mtu: Option<Mtu>,
    pub(in crate::linux) up: bool,
    pub(in crate::linux) loopback: bool,
    /// The link it stands on.
    pub(in crate::linux) below: Option<u32>,
    /// Whether that one is in another namespace.
    pub(in crate::linux) is_below_elsewhere: bool,
    /// The tag of a VLAN and its protocol.
    pub(in crate::linux) tag: Option<(VlanId, VlanProtocol)>,
    /// Our end of an IPIP tunnel that has no other.
    pub(in crate::linux) local: Option<Ipv4Addr>,
}

impl ShownLink {
    /// Whether it is one that the kernel puts into every namespace once the module of a
    /// kind of tunnel is loaded, and that never leaves it (`NETIF_F_NETNS_LOCAL`). Calico's
    /// nodes have the first, a machine with 6in4 the second.
    pub(in crate::linux) fn is_of_every_namespace(&self) -> bool {
        const ALL: [(&str, &str); 9] = [
            ("tunl0", "ipip"),
            ("sit0", "sit"),
            ("gre0", "gre"),
            ("gretap0", "gretap"),
            ("erspan0", "erspan"),
            ("ip6tnl0", "ip6tnl"),
            ("ip6gre0", "ip6gre"),
            ("ip_vti0", "vti"),
            ("ip6_vti0", "vti6"),
        ];
        let kind = self.kind.as_deref();
        ALL.iter().any(|(name, of)| self.name == *name && kind == Some(*of))
    }
}

/// Every link of the namespace.
pub(in crate::linux) fn links(route: &mut Netlink) -> Result<Vec<ShownLink>, NetlinkError> {
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
                        LinkInfo::Data(InfoData::IpTunnel(data)) => link.local = shown_local(&data),
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

fn shown_local(data: &[InfoIpTunnel]) -> Option<Ipv4Addr> {
    let is_any = |it: &InfoIpTunnel| match it {
        InfoIpTunnel::Remote(remote) => remote.is_unspecified(),
        _ => true,
    };
    let local = data.iter().find_map(|it| match it {
        InfoIpTunnel::Local(IpAddr::V4(local)) => Some(*local),
        _ => None,
    });
    local.filter(|_| data.iter().all(is_any))
}

/// The link `index` of the namespace, when there is one.
pub(in crate::linux) fn link(
    route: &mut Netlink,
    index: u32,
) -> Result<Option<ShownLink>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    one_link(route, request)
}

/// The link `name` of the namespace, when there is one.
pub(in crate::linux) fn link_named(
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

/// Makes a veth pair: our end here, the other in the namespace `far`.
pub(in crate::linux) fn create_veth(
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
pub(in crate::linux) fn create_vlan(
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

/// Makes IPIP tunnels from the address `local` to whomever a route names.
pub(in crate::linux) fn create_ipip(
    route: &mut Netlink,
    name: &str,
    local: Ipv4Addr,
) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::IfName(name.to_owned()));
    request.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::IpIp),
        LinkInfo::Data(InfoData::IpTunnel(vec![
            InfoIpTunnel::Local(IpAddr::V4(local)),
            InfoIpTunnel::Protocol(IpProtocol::Ipip),
            InfoIpTunnel::PMtuDisc(true),
        ])),
    ]));
    route.change(RouteNetlinkMessage::NewLink(request), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a WireGuard link in the namespace `tenant`, or in this one, where its
/// UDP socket is in either case.
pub(in crate::linux) fn create_wireguard(
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
pub(in crate::linux) fn knows_vlan(route: &mut Netlink) -> Result<bool, NetlinkError> {
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
pub(in crate::linux) fn set_link(
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
pub(in crate::linux) fn set_up(route: &mut Netlink, index: u32) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.header.flags = LinkFlags::Up;
    request.header.change_mask = LinkFlags::Up;
    route.change(RouteNetlinkMessage::SetLink(request), 0)
}

/// Removes the link `index`.
pub(in crate::linux) fn delete_link(route: &mut Netlink, index: u32) -> Result<(), NetlinkError> {
    let mut request = LinkMessage::default();
    request.header.index = index;
    route.change(RouteNetlinkMessage::DelLink(request), 0)
}

/// The link `name` with its counters, when it is there.
pub(in crate::linux) fn link_counters(
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
