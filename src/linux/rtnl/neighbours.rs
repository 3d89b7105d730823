//! Neighbours: whose hardware address is known, and asking for it.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the crate's hundred messages and attributes a few matter here"
)]

use super::address_family;
use crate::linux::answer::NetlinkError;
use crate::linux::netlink::Netlink;
use crate::reconcile::Family;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::linux) enum Neighbour {
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
pub(in crate::linux) fn neighbours(
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
pub(in crate::linux) fn neighbour(
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
pub(in crate::linux) fn ask_neighbour(
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
