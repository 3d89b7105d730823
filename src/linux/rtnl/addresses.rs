//! Addresses of links.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the crate's hundred messages and attributes a few matter here"
)]

use super::address_family;
use crate::linux::answer::NetlinkError;
use crate::linux::netlink::Netlink;
use crate::net::InterfaceAddress;
use crate::reconcile::Family;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};

/// Every address of the namespace, with the index of its link.
pub(in crate::linux) fn addresses(
    route: &mut Netlink,
) -> Result<Vec<(u32, InterfaceAddress)>, NetlinkError> {
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
pub(in crate::linux) fn add_address(
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
pub(in crate::linux) fn remove_address(
    route: &mut Netlink,
    index: u32,
    address: InterfaceAddress,
) -> Result<(), NetlinkError> {
    route.change(RouteNetlinkMessage::DelAddress(address_message(index, address)), 0)
}
