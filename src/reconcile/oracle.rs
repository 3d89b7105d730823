//! What must become of a packet, from the documents alone.
//!
//! It knows nothing of rules, sets, routes or links: live tests measure packets
//! against it, and [`trace`](super::trace()) must agree with it.
//! It is written plainly and slowly; it is the statement of what the product does.

use super::packet::{Cause, Conversation, Fate, Leg, Packet, Payload};
use super::{DropReason, Transport};
use crate::model::{Allow, Attachment, BgpNeighbor, Direction, Protocol, Site, Tenant};
use crate::net::{InterfaceAddress, Prefix};
use std::net::IpAddr;

/// What must become of `packet` in a namespace of `tenant`'s own.
///
/// Not for a fabric that is the pod's own link: its addresses and routes are in
/// no document.
pub fn expected(tenant: &Tenant, packet: &Packet) -> Fate {
    let dropped = |reason| Fate::Dropped(Cause::Rule(reason));
    if !has_leg(tenant, &packet.leg) {
        return Fate::Dropped(Cause::NoRoute);
    }
    let (source, destination) = (packet.source, packet.destination);
    let own_site = |address| ends(tenant).any(|(_, own, _)| own.address() == address);
    let own_here = |address| {
        let here = ends(tenant).filter(|(site, ..)| Leg::to(site) == packet.leg);
        here.into_iter().any(|(_, own, _)| own.address() == address)
    };
    let own_fabric = |address| tenant.fabric.addresses.iter().any(|own| own.address() == address);
    let is_app = |address| tenant.app_prefixes.iter().any(|prefix| prefix.contains(address));
    let is_to_us = match &packet.leg {
        leg @ (Leg::Tunnel | Leg::Vlan(_)) => {
            if is_martian(source) || is_martian(destination) || own_site(source) {
                return dropped(DropReason::Martian);
            }
            if !is_at(tenant, leg, source) {
                return dropped(DropReason::NotSiteSource);
            }
            if own_fabric(destination) || (own_site(destination) && !own_here(destination)) {
                return dropped(DropReason::WrongLink);
            }
            own_here(destination)
        }
        Leg::Fabric => {
            if own_site(destination) {
                return dropped(DropReason::WrongLink);
            }
            if is_martian(source) || is_martian(destination) || own_fabric(source) {
                return dropped(DropReason::Martian);
            }
            let to_us =
                (is_near(tenant, source) || is_node(tenant, source)) && own_fabric(destination);
            let error = is_near(tenant, source)
                && packet.payload == Payload::IcmpError
                && is_at_any(tenant, destination);
            if !is_app(source) && !to_us && !error {
                return dropped(DropReason::NotAppSource);
            }
            own_fabric(destination)
        }
    };
    match &packet.leg {
        Leg::Tunnel | Leg::Vlan(_) if !is_to_us && !is_app(destination) => {
            return dropped(DropReason::NotAppDestination);
        }
        Leg::Fabric if !is_to_us && is_app(source) && !is_at_any(tenant, destination) => {
            return dropped(DropReason::NotSiteDestination);
        }
        Leg::Tunnel | Leg::Vlan(_) | Leg::Fabric => {}
    }
    if is_to_us {
        return match (packet.payload, packet.conversation) {
            (Payload::Echo, _) | (_, Conversation::Reply) => Fate::Delivered,
            (
                Payload::Ports { transport: Transport::Tcp, destination: 179, .. },
                Conversation::New,
            ) if speaks_bgp(tenant, packet) => Fate::Delivered,
            (Payload::Ports { transport: Transport::Udp, destination, .. }, Conversation::New)
                if speaks_bfd(tenant, packet, destination) =>
            {
                Fate::Delivered
            }
            (
                Payload::Ports { transport: Transport::Tcp, destination: 80, .. },
                Conversation::New,
            ) if tenant.test_page && packet.leg != Leg::Fabric => Fate::Delivered,
            (Payload::IPIP, _) if packet.leg == Leg::Fabric && is_node(tenant, source) => {
                Fate::Delivered
            }
            (Payload::IcmpError, Conversation::Related) => Fate::Delivered,
            (Payload::IcmpError, _) => dropped(DropReason::CtInvalid),
            _ => dropped(DropReason::ToGateway),
        };
    }
    let Some(out) = leaves_by(tenant, destination) else {
        return Fate::Dropped(Cause::NoRoute);
    };
    // Between a site and the applications, and no other way.
    if (out == Leg::Fabric) == (packet.leg == Leg::Fabric) {
        return dropped(DropReason::NotForwarded);
    }
    let (site_side, begins) = match &packet.leg {
        Leg::Tunnel | Leg::Vlan(_) => (source, Direction::FromSite),
        Leg::Fabric if !is_at(tenant, &out, destination) => {
            return dropped(DropReason::NotSiteDestination);
        }
        Leg::Fabric => (destination, Direction::ToSite),
    };
    let site = site_of(tenant, site_side);
    let from_app_side = packet.leg == Leg::Fabric && !is_app(source);
    let is_error = packet.payload == Payload::IcmpError;
    let open_far = ends(tenant).any(|(site, _, far)| {
        let here = Leg::to(site) == packet.leg && site.allow.is_none();
        here && far.is_some_and(|far| far.contains(source))
    });
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

/// Whether a packet is from a BGP neighbor on its own link.
fn speaks_bgp(tenant: &Tenant, packet: &Packet) -> bool {
    let Some(bgp) = &tenant.fabric.bgp else { return false };
    let mut fabric = bgp.neighbors.iter();
    let mut sites = tenant.sites.values();
    match &packet.leg {
        Leg::Fabric => fabric.any(|neighbor| neighbor.network().contains(packet.source)),
        leg @ (Leg::Tunnel | Leg::Vlan(_)) => sites.any(|site| {
            let router = site.bgp.as_ref();
            Leg::to(site) == *leg && router.is_some_and(|it| it.neighbor == packet.source)
        }),
    }
}

/// Whether BFD listens at `port`, and watches who sent `packet`.
fn speaks_bfd(tenant: &Tenant, packet: &Packet, port: u16) -> bool {
    let Some(bgp) = &tenant.fabric.bgp else { return false };
    let watched = bgp.neighbors.iter().filter(|neighbor| neighbor.bfd);
    let mut watched = watched.map(BgpNeighbor::network);
    let is_on_link = |network| {
        let mut own = tenant.fabric.addresses.iter();
        own.any(|own| own.network().covers(network))
    };
    let port_of = |network| if is_on_link(network) { 3_784 } else { 4_784 };
    packet.leg == Leg::Fabric
        && watched.clone().any(|network| network.contains(packet.source))
        && watched.any(|network| port_of(network) == port)
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

/// Each of our addresses towards a site, and where the customer's end is: the
/// other address of a tunnel, or the network of a VLAN.
fn ends(tenant: &Tenant) -> impl Iterator<Item = (&Site, InterfaceAddress, Option<Prefix>)> {
    tenant.sites.values().flat_map(|site| {
        let (addresses, is_vlan) = match &site.attachment {
            Attachment::WireGuard(peer) => (&peer.tunnel_addresses, false),
            Attachment::Vlan(vlan) => (&vlan.addresses, true),
        };
        addresses.iter().map(move |own| {
            let far = if is_vlan { Some(own.network()) } else { own.other_end().map(Prefix::host) };
            (site, *own, far)
        })
    })
}

/// Each visible network of a site.
fn visible(tenant: &Tenant) -> impl Iterator<Item = (&Site, Prefix)> {
    let sites = tenant.sites.values();
    sites.flat_map(|site| site.prefixes.iter().map(move |prefix| (site, prefix.visible())))
}

/// Whether an address is a customer's on that link: of a site that is served by
/// it, or of a customer's end.
fn is_at(tenant: &Tenant, leg: &Leg, address: IpAddr) -> bool {
    let served = site_of(tenant, address).is_some_and(|site| Leg::to(site) == *leg);
    served
        || ends(tenant).any(|(site, _, far)| {
            Leg::to(site) == *leg && far.is_some_and(|far| far.contains(address))
        })
}

fn is_at_any(tenant: &Tenant, address: IpAddr) -> bool {
    tenant.sites.values().any(|site| is_at(tenant, &Leg::to(site), address))
}

fn is_near(tenant: &Tenant, address: IpAddr) -> bool {
    let mut neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    tenant.fabric.next_hops.contains(&address)
        || neighbors.any(|neighbor| neighbor.network().contains(address))
}

/// Whether a node is there whose pods' packets come in IPIP.
fn is_node(tenant: &Tenant, address: IpAddr) -> bool {
    let mut nodes = tenant.fabric.ipip.iter().flat_map(|ipip| &ipip.nodes);
    nodes.any(|nodes| nodes.contains(address))
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

/// Whether the tenant has such a link: one for tunnels where there are any, or
/// nothing else; a VLAN for each site on one; and always a fabric.
fn has_leg(tenant: &Tenant, leg: &Leg) -> bool {
    let mut sites = tenant.sites.values();
    *leg == Leg::Fabric
        || sites.any(|site| Leg::to(site) == *leg)
        || (*leg == Leg::Tunnel && tenant.sites.is_empty())
}

/// By which link a packet for `address` leaves: the most exact of all networks
/// that are somewhere.
fn leaves_by(tenant: &Tenant, address: IpAddr) -> Option<Leg> {
    let served = visible(tenant).filter(|(_, prefix)| prefix.contains(address));
    let served = served.filter_map(|(site, prefix)| {
        let serving = site_of(tenant, address)?;
        (serving.name == site.name).then(|| (prefix, Leg::to(site)))
    });
    let on_links = ends(tenant).map(|(site, own, _)| (own.network(), Leg::to(site)));
    let fabric = tenant.fabric.addresses.iter().map(|own| own.network());
    let neighbors = tenant.fabric.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let routers = tenant.fabric.next_hops.iter().copied().map(Prefix::host);
    let nodes = tenant.fabric.ipip.iter().flat_map(|ipip| ipip.nodes.iter().copied());
    let routers = routers.chain(neighbors.map(BgpNeighbor::network)).chain(nodes);
    let apps = tenant.app_prefixes.iter().copied();
    let fabric = fabric.chain(routers).chain(apps).map(|net| (net, Leg::Fabric));
    let all = served.chain(on_links).chain(fabric);
    let holding = all.filter(|(network, _)| network.contains(address));
    holding.max_by_key(|(network, _)| network.length()).map(|(_, leg)| leg)
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
