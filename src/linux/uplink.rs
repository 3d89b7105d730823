//! The underlay's way out, as far as it says how large a datagram may be.

use super::answer::NetlinkError;
use super::netlink::Netlink;
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
    let mut least = None;
    for index in uplinks {
        // Each is asked for: beside them may be the links of a thousand tenants.
        let mtu = rtnl::link(&mut route, index)?.and_then(|link| link.mtu);
        least = [least, mtu].into_iter().flatten().min();
    }
    Ok(least)
}
