//! The underlay's way out, as far as it says how large a datagram may be.

use super::netlink::{Netlink, NetlinkError};
use super::rtnl;
use crate::net::Mtu;

/// The smallest MTU among the links that default routes of the calling
/// thread's namespace leave by; `None` when there is none, or nothing can be
/// learned of it.
pub fn uplink_mtu() -> Option<Mtu> {
    match look() {
        Ok(mtu) => mtu,
        Err(error) => {
            tracing::debug!(%error, "the uplink's MTU is not known");
            None
        }
    }
}

fn look() -> Result<Option<Mtu>, NetlinkError> {
    let mut route = Netlink::route()?;
    let uplinks = rtnl::default_route_links(&mut route)?;
    if uplinks.is_empty() {
        return Ok(None);
    }
    let links = rtnl::links(&mut route)?;
    Ok(links.iter().filter(|link| uplinks.contains(&link.index)).filter_map(|link| link.mtu).min())
}
