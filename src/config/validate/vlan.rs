//! A site on a VLAN: its link, our addresses there, and the customer's routers.

use super::fabric;
use super::finding::Findings;
use super::gateway::CheckedGateway;
use crate::config::error::Problem;
use crate::config::schema::SiteVlanSpec;
use crate::model::{SitePrefix, VlanAttachment, VlanLink};
use crate::net::{InterfaceAddress, Mtu};
use std::net::IpAddr;

/// What a frame carries on any Ethernet, in bytes.
const ETHERNET_MTU: u32 = 1500;

pub(super) fn check(
    spec: &SiteVlanSpec,
    gateway: &CheckedGateway,
    prefixes: &[SitePrefix],
    found: &mut Findings,
) -> Option<VlanAttachment> {
    let path = "spec.vlan";
    let link = check_link(spec, gateway, found);
    if spec.addresses.is_empty() {
        found.note(format!("{path}.addresses"), Problem::Empty);
    }
    let addresses = found.interface_addresses(&format!("{path}.addresses"), &spec.addresses);
    for (index, address) in addresses.iter().enumerate() {
        let prefix = address.network();
        if let Some((forbidden, why)) = gateway.class.forbidden.meets(prefix) {
            found.note(
                format!("{path}.addresses[{index}]"),
                Problem::Forbidden { prefix, forbidden, why },
            );
        }
    }
    let next_hops = check_next_hops(spec, &addresses, found);
    for (index, prefix) in prefixes.iter().enumerate() {
        if prefix.alias.is_some() {
            let path = format!("spec.prefixes[{index}].alias");
            found.note(path, Problem::Union("needs WireGuard: on a VLAN nothing is translated"));
        }
        let family = prefix.real.is_v4();
        let is_on_link = addresses.iter().any(|own| own.network().covers(prefix.real));
        let has_hop = next_hops.iter().flatten().any(|hop| hop.is_ipv4() == family);
        if next_hops.is_some() && !is_on_link && !has_hop {
            let path = format!("spec.prefixes[{index}].cidr");
            found.note(path, Problem::NoNextHop(prefix.real));
        }
    }
    let ipv6 = prefixes.iter().any(|prefix| !prefix.real.is_v4())
        || addresses.iter().any(|address| !address.address().is_ipv4());
    let mtu = spec.mtu.map(|mtu| found.mtu(&format!("{path}.mtu"), mtu, ipv6));
    let mtu = match (&link, mtu) {
        (Some(VlanLink::Tagged(_)), None) => Mtu::new(ETHERNET_MTU).ok(),
        (_, mtu) => mtu.flatten(),
    };
    Some(VlanAttachment { link: link?, addresses, next_hops: next_hops?, mtu })
}

fn check_link(
    spec: &SiteVlanSpec,
    gateway: &CheckedGateway,
    found: &mut Findings,
) -> Option<VlanLink> {
    let path = "spec.vlan";
    match (&spec.interface, &spec.parent, spec.id) {
        (Some(interface), None, None) if spec.inner_id.is_none() => {
            found.link(&format!("{path}.interface"), interface).map(VlanLink::Interface)
        }
        (None, Some(parent), Some(id)) => {
            let vlan = (parent.as_str(), id, spec.protocol, spec.inner_id);
            let vlan =
                fabric::check_vlan(path, vlan, gateway.name.namespace(), &gateway.class, found);
            vlan.map(VlanLink::Tagged)
        }
        (Some(_), ..) => {
            let why = "has parent, id or innerId beside interface, which has its tags already";
            found.note(path, Problem::Union(why));
            None
        }
        (None, ..) => {
            found.note(path, Problem::Union("needs either interface, or parent and id"));
            None
        }
    }
}

/// The customer's routers; `None` when one that is written is none.
fn check_next_hops(
    spec: &SiteVlanSpec,
    addresses: &[InterfaceAddress],
    found: &mut Findings,
) -> Option<Vec<IpAddr>> {
    match (&spec.next_hop, spec.next_hops.as_slice()) {
        (Some(text), []) => Some(vec![found.neighbor("spec.vlan.nextHop", text, addresses)?]),
        (None, texts @ [_, ..]) => {
            let hops = found.next_hops("spec.vlan.nextHops", texts, addresses);
            (hops.len() == texts.len()).then_some(hops)
        }
        (_, _) => {
            found.note("spec.vlan", Problem::Union("needs either nextHop or nextHops"));
            None
        }
    }
}
