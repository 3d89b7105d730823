//! Links, addresses and routes of the calling thread's namespace, as netlink
//! messages both ways.
//!
//! One function, one message; what to ask for and in which order is the
//! caller's matter.

mod addresses;
mod links;
mod neighbours;
mod routes;

pub(super) use addresses::{add_address, addresses, remove_address};
pub(super) use links::{
    ShownLink, create_ipip, create_veth, create_vlan, create_wireguard, delete_link, knows_vlan,
    link, link_counters, link_named, links, set_link, set_up,
};
pub(super) use neighbours::{Neighbour, ask_neighbour, neighbour, neighbours};
pub(super) use routes::{
    ShownTarget, Target, Way, default_route_links, remove_route, replace_route, routes,
};

use crate::reconcile::Family;
use netlink_packet_route::AddressFamily;

const fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}
