//! What must become of a packet, from the documents alone.
//!
//! It knows nothing of rules, sets, routes or links: live tests measure packets
//! against it, and [`trace`](super::trace()) must agree with it.
//! It is written plainly and slowly; it is the statement of what the product does.

use super::packet::{Cause, Conversation, Fate, Leg, Packet, Payload};
use super::{DropReason, Transport};
use crate::model::{Allow, Attachment, Direction, FabricLink, Protocol, Site, Tenant};
use crate::net::Prefix;
use std::net::IpAddr;

/// What must become of `packet` in a namespace of `tenant`'s own.
///
/// Not for a fabric that is the pod's own link: its addresses and routes are in
/// no document.
pub fn expected(tenant: &Tenant, packet: &Packet) -> Fate {
    let dropped = |reason| Fate::Dropped(Cause::Rule(reason));
    if !has_fabric(tenant) && packet.leg == Leg::Fabric {
        return Fate::Dropped(Cause::NoRoute);
    }
    let (source, destination) = (packet.source, packet.destination);
    let own_tunnel = |address| tunnels(tenant).any(|(_, own, _)| own == address);
    let own_fabric = |address| tenant.fabric.addresses.iter().any(|own| own.address() == address);
    let is_app = |address| tenant.app_prefixes.iter().any(|prefix| prefix.contains(address));
    let from_outside = match packet.leg {
        Leg::Tunnel => {
            if is_martian(source) || is_martian(destination) || own_tunnel(source) {
                return dropped(DropReason::Martian);
            }
            if !has_visible(tenant, source) && !is_far(tenant, source) {
                return dropped(DropReason::NotSiteSource);
            }
            if own_fabric(destination) {
                return dropped(DropReason::WrongLink);
            }
            own_tunnel(destination)
        }
        Leg::Fabric => {
            if own_tunnel(destination) {
                return dropped(DropReason::WrongLink);
            }
            if is_martian(source) || is_martian(destination) || own_fabric(source) {
                return dropped(DropReason::Martian);
            }
            let to_us = is_near(tenant, source) && own_fabric(destination);
            let error = is_near(tenant, source) && packet.payload == Payload::IcmpError;
            if !is_app(source) && !to_us && !error {
                return dropped(DropReason::NotAppSource);
            }
            own_fabric(destination)
        }
    };
    if from_outside {
        return match (packet.payload, packet.conversation) {
            (Payload::Echo, _) | (_, Conversation::Reply) => Fate::Delivered,
            (Payload::IcmpError, Conversation::Related) => Fate::Delivered,
            (Payload::IcmpError, _) => dropped(DropReason::CtInvalid),
            _ => dropped(DropReason::ToGateway),
        };
    }
    let Some(out) = leaves_by(tenant, destination) else {
        return Fate::Dropped(Cause::NoRoute);
    };
    if out == packet.leg || !has_fabric(tenant) {
        return dropped(DropReason::NotForwarded);
    }
    let (site_side, begins) = match packet.leg {
        Leg::Tunnel if !is_app(destination) => return dropped(DropReason::NotAppDestination),
        Leg::Tunnel => (source, Direction::FromSite),
        Leg::Fabric if !has_visible(tenant, destination) && !is_far(tenant, destination) => {
            return dropped(DropReason::NotSiteDestination);
        }
        Leg::Fabric => (destination, Direction::ToSite),
    };
    let site = site_of(tenant, site_side);
    let from_app_side = packet.leg == Leg::Fabric && !is_app(source);
    let is_error = packet.payload == Payload::IcmpError;
    let open_far = packet.leg == Leg::Tunnel
        && tunnels(tenant).any(|(site, _, far)| site.allow.is_none() && far == Some(source));
    match site {
        // Everything between an open site and the applications passes, and
        // errors from the routers on either side of them.
        Some(Site { allow: None, .. }) if !from_app_side || is_error => Fate::Forwarded,
        _ if open_far && is_error => Fate::Forwarded,
        _ if is_error && packet.conversation == Conversation::Related => Fate::Forwarded,
        _ if is_error => dropped(DropReason::CtInvalid),
        Some(Site { allow: Some(allows), .. }) => {
            let passes = allows.iter().any(|allow| {
                begun_by(allow, begins, packet)
                    || (packet.conversation == Conversation::Reply
                        && answered_by(allow, begins, packet))
            });
            if passes { Fate::Forwarded } else { dropped(DropReason::NotAllowed) }
        }
        Some(_) | None => dropped(DropReason::NotAllowed),
    }
}

/// Whether `allow` lets a packet begin a conversation that way.
fn begun_by(allow: &Allow, way: Direction, packet: &Packet) -> bool {
    allow.direction == way
        && match packet.payload {
            Payload::Ports { transport, destination, .. } => carries(allow, transport, destination),
            Payload::Echo => matches!(allow.protocol, Protocol::Any | Protocol::Icmp),
            Payload::EchoReply | Payload::IcmpError | Payload::Other(_) => {
                allow.protocol == Protocol::Any
            }
        }
}

/// Whether `allow` lets a packet answer a conversation begun the other way.
fn answered_by(allow: &Allow, way: Direction, packet: &Packet) -> bool {
    allow.direction != way
        && match packet.payload {
            Payload::Ports { transport, source, .. } => carries(allow, transport, source),
            Payload::EchoReply => matches!(allow.protocol, Protocol::Any | Protocol::Icmp),
            Payload::Echo | Payload::IcmpError | Payload::Other(_) => {
                allow.protocol == Protocol::Any
            }
        }
}

fn carries(allow: &Allow, transport: Transport, port: u16) -> bool {
    let protocol = match transport {
        Transport::Sctp => Protocol::Sctp,
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    let named = allow.ports.iter().any(|range| range.first <= port && port <= range.last);
    allow.protocol == Protocol::Any
        || (allow.protocol == protocol && (allow.ports.is_empty() || named))
}

/// Each tunnel address with its site and the customer's end.
fn tunnels(tenant: &Tenant) -> impl Iterator<Item = (&Site, IpAddr, Option<IpAddr>)> {
    tenant.sites.values().flat_map(|site| {
        let addresses: &[_] = match &site.attachment {
            Attachment::WireGuard(peer) => &peer.tunnel_addresses,
            Attachment::Vlan { .. } => &[],
        };
        addresses.iter().map(move |own| (site, own.address(), own.other_end()))
    })
}

/// Each visible network of a site with a tunnel.
fn visible(tenant: &Tenant) -> impl Iterator<Item = (&Site, Prefix)> {
    let sites = tenant.sites.values();
    let sites = sites.filter(|site| matches!(site.attachment, Attachment::WireGuard(_)));
    sites.flat_map(|site| site.prefixes.iter().map(move |prefix| (site, prefix.visible())))
}

fn has_visible(tenant: &Tenant, address: IpAddr) -> bool {
    visible(tenant).any(|(_, prefix)| prefix.contains(address))
}

fn is_far(tenant: &Tenant, address: IpAddr) -> bool {
    tunnels(tenant).any(|(_, _, far)| far == Some(address))
}

fn is_near(tenant: &Tenant, address: IpAddr) -> bool {
    let mut neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    tenant.fabric.next_hops.contains(&address)
        || neighbors.any(|neighbor| neighbor.address == address)
}

/// The site that serves an address: of two that overlap the one with the higher
/// priority, of the rest the one that names it most exactly.
fn site_of(tenant: &Tenant, address: IpAddr) -> Option<&Site> {
    let claims: Vec<_> = visible(tenant).filter(|(_, prefix)| prefix.contains(address)).collect();
    let beaten = |(site, prefix): &(&Site, Prefix)| {
        claims.iter().any(|(other, wider)| {
            let higher = site.priority < other.priority;
            let first =
                prefix == wider && site.priority == other.priority && other.name < site.name;
            wider.covers(*prefix) && (higher || first)
        })
    };
    let standing = claims.iter().filter(|claim| !beaten(claim));
    standing.max_by_key(|(_, prefix)| prefix.length()).map(|(site, _)| *site)
}

fn has_fabric(tenant: &Tenant) -> bool {
    match tenant.fabric.link {
        FabricLink::Interface(_) | FabricLink::Veth { .. } | FabricLink::Pod(_) => true,
        FabricLink::Vlan(_) => false,
    }
}

/// By which link a packet for `address` leaves: the most exact of all networks
/// that are somewhere.
fn leaves_by(tenant: &Tenant, address: IpAddr) -> Option<Leg> {
    let tunnelled =
        tunnels(tenant).filter_map(|(_, own, _)| Some((own, tunnel_network(tenant, own)?)));
    let sites = visible(tenant).map(|(_, prefix)| prefix).chain(tunnelled.map(|(_, net)| net));
    let fabric = tenant.fabric.addresses.iter().map(|own| own.network());
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let routers = tenant.fabric.next_hops.iter().copied();
    let routers = routers.chain(neighbors.map(|neighbor| neighbor.address)).map(Prefix::host);
    let apps = tenant.app_prefixes.iter().copied();
    let fabric = fabric.chain(routers).chain(apps).filter(|_| has_fabric(tenant));
    let all = sites.map(|net| (net, Leg::Tunnel)).chain(fabric.map(|net| (net, Leg::Fabric)));
    let holding = all.filter(|(network, _)| network.contains(address));
    holding.max_by_key(|(network, _)| network.length()).map(|(_, leg)| leg)
}

/// The network of the tunnel address `own`; the widest, should there be two.
fn tunnel_network(tenant: &Tenant, own: IpAddr) -> Option<Prefix> {
    let peers = tenant.sites.values().filter_map(|site| match &site.attachment {
        Attachment::WireGuard(peer) => Some(&peer.tunnel_addresses),
        Attachment::Vlan { .. } => None,
    });
    let networks = peers.flatten().filter(|address| address.address() == own);
    networks.map(|address| address.network()).min_by_key(|network| network.length())
}

fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            first == 0 || first == 127 || v4.is_link_local() || 224 <= first
        }
        IpAddr::V6(v6) => {
            let link_local = v6.segments()[0] & 0xffc0 == 0xfe80;
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || link_local
        }
    }
}
