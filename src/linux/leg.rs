//! Looks at the links to sites on VLANs, and asks the customer's routers
//! whether they are there.
//!
//! It is the kernel that asks, by its own rules (RFC 4861 §7.3): unicast three
//! times a second apart once a router's hardware address is known, else
//! broadcast. We only tell it to begin, however fresh its knowledge is.

use super::answer::NetlinkError;
use super::netlink::Netlink;
use super::rtnl::{self, Neighbour};
use crate::reconcile::{Answer, Device, LegSample};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Up to so many routers are looked up one by one. To list neighbours the kernel goes
/// through those of all namespaces, and a thousand tenants are looked at in turn.
const FEW: usize = 16;

/// Looks at each link of the calling thread's namespace that is there, and has
/// its routers asked anew.
pub(super) fn sample(
    legs: &[(Device, Vec<IpAddr>)],
) -> Result<BTreeMap<Device, LegSample>, NetlinkError> {
    let mut route = Netlink::route()?;
    let routers: usize = legs.iter().map(|(_, routers)| routers.len()).sum();
    let listed = (FEW < routers).then(|| rtnl::neighbours(&mut route)).transpose()?;
    let mut samples = BTreeMap::new();
    for (device, routers) in legs {
        let Some((index, mut sample)) = rtnl::link_counters(&mut route, device.as_str())? else {
            continue;
        };
        for router in routers {
            let found = match &listed {
                Some(neighbours) => neighbours.get(&(index, *router)).copied(),
                None => rtnl::neighbour(&mut route, index, *router)?,
            };
            sample.routers.insert(*router, found.map_or(Answer::Asked, answer));
            if sample.carrier && found != Some(Neighbour::Asked) {
                let is_known =
                    found == Some(Neighbour::Reachable) || found == Some(Neighbour::Known);
                // Fails when the entry goes at this moment; it is asked the next time.
                let _ = rtnl::ask_neighbour(&mut route, index, *router, is_known);
            }
        }
        samples.insert(device.clone(), sample);
    }
    Ok(samples)
}

const fn answer(found: Neighbour) -> Answer {
    match found {
        Neighbour::Reachable => Answer::Answers,
        Neighbour::Known | Neighbour::Asked => Answer::Asked,
        Neighbour::Failed => Answer::Silent,
    }
}
