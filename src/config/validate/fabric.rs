//! A tenant's fabric link and the BGP over it, checked.

use super::Inputs;
use super::class::CheckedClass;
use super::finding::Findings;
use super::neighbors::{self, check_neighbors};
use super::policy::{check_export, check_import};
use crate::config::error::Problem;
use crate::config::schema::{FabricBgpSpec, FabricIpipSpec, FabricSpec, VlanProtocolName};
use crate::model::{Fabric, FabricBgp, FabricLink, Ipip, Placement, Vlan, VlanProtocol, limits};
use crate::net::InterfaceAddress;
use std::net::IpAddr;

/// What a pod's CNI calls its link.
const POD_LINK: &str = "eth0";

pub(super) fn check(
    spec: Option<&FabricSpec>,
    namespace: &str,
    class: &CheckedClass,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<Fabric> {
    let default = FabricSpec::default();
    let spec = spec.unwrap_or(&default);
    let links = [spec.interface.is_some(), spec.veth.is_some(), spec.vlan.is_some()];
    if links.into_iter().filter(|given| *given).count() > 1 {
        found.note("spec.fabric", Problem::Union("has more than one of interface, veth and vlan"));
        return None;
    }
    let (link, path, addresses, next_hops, mtu) = if let Some(spec) = &spec.interface {
        let link = found.link("spec.fabric.interface.name", &spec.name).map(FabricLink::Interface);
        (link, "spec.fabric.interface", &spec.addresses, &spec.next_hops, spec.mtu)
    } else if let Some(spec) = &spec.veth {
        let peer = found.link("spec.fabric.veth.peer", &spec.peer);
        let link = peer.map(|peer| FabricLink::Veth { peer });
        require(&spec.addresses, "spec.fabric.veth.addresses", found);
        (link, "spec.fabric.veth", &spec.addresses, &spec.next_hops, spec.mtu)
    } else if let Some(spec) = &spec.vlan {
        let vlan = check_vlan(
            "spec.fabric.vlan",
            (&spec.parent, spec.id, spec.protocol, spec.inner_id),
            namespace,
            class,
            found,
        );
        require(&spec.addresses, "spec.fabric.vlan.addresses", found);
        (vlan.map(FabricLink::Vlan), "spec.fabric.vlan", &spec.addresses, &spec.next_hops, spec.mtu)
    } else {
        if inputs.options.placement == Placement::PerTenant {
            found.note("spec.fabric", Problem::FabricNeeded);
        }
        let link = found.link("spec.fabric", POD_LINK).map(FabricLink::Pod);
        (link, "spec.fabric", &Vec::new(), &Vec::new(), None)
    };
    let addresses = found.interface_addresses(&format!("{path}.addresses"), addresses);
    for (index, address) in addresses.iter().enumerate() {
        if let Some((forbidden, why)) = class.nobodys.meets(address.network()) {
            let prefix = address.network();
            found.note(
                format!("{path}.addresses[{index}]"),
                Problem::Forbidden { prefix, forbidden, why },
            );
        }
    }
    let next_hops = found.next_hops(&format!("{path}.nextHops"), next_hops, &addresses);
    let ipv6 = addresses.iter().any(|address| !address.address().is_ipv4());
    let mtu = mtu.map(|mtu| found.mtu(&format!("{path}.mtu"), mtu, ipv6));
    let bgp =
        spec.bgp.as_ref().map(|bgp| check_bgp(bgp, &addresses, (namespace, class), inputs, found));
    if spec.ipip.is_some() && spec.bgp.is_none() {
        found.note("spec.fabric.ipip", Problem::Union("is for what is learned, and needs bgp"));
    }
    let ipip = spec.ipip.as_ref().map(|ipip| check_ipip(ipip, &addresses, found));
    Some(Fabric {
        link: link?,
        addresses,
        next_hops,
        mtu: mtu.flatten(),
        ipip: ipip.flatten(),
        bgp: bgp.flatten(),
    })
}

fn require(list: &[String], path: &str, found: &mut Findings) {
    if list.is_empty() {
        found.note(path, Problem::Empty);
    }
}

/// The tunnels to the nodes. Their networks meeting those of sites is found with all
/// others of the tenant.
fn check_ipip(
    spec: &FabricIpipSpec,
    addresses: &[InterfaceAddress],
    found: &mut Findings,
) -> Option<Ipip> {
    let path = "spec.fabric.ipip.nodes";
    require(&spec.nodes, path, found);
    if limits::NODE_NETWORKS < spec.nodes.len() {
        found.note(path, Problem::TooMany { max: limits::NODE_NETWORKS });
        return None;
    }
    let mut nodes = Vec::new();
    for (index, text) in spec.nodes.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(prefix) = found.prefix(&path, text) else { continue };
        if !prefix.is_v4() {
            found.note(path, Problem::IpipOfIpv6(prefix));
        } else if prefix.length() == 0 {
            found.note(path, Problem::DefaultRoute(prefix));
        } else if nodes.contains(&prefix) {
            found.note(path, Problem::Twice);
        } else {
            nodes.push(prefix);
        }
    }
    let v4 = addresses.iter().find_map(|own| match own.address() {
        IpAddr::V4(local) => Some(local),
        IpAddr::V6(_) => None,
    });
    if v4.is_none() {
        found.note("spec.fabric.ipip", Problem::IpipNeedsAddress);
    }
    Some(Ipip { local: v4?, nodes })
}

/// A VLAN of a trunk, as a fabric or a site names it.
pub(super) fn check_vlan(
    path: &str,
    (parent, id, protocol, inner_id): (&str, u32, VlanProtocolName, Option<u32>),
    namespace: &str,
    class: &CheckedClass,
    found: &mut Findings,
) -> Option<Vlan> {
    let parent = found.link(&format!("{path}.parent"), parent);
    let id = found.vlan_id(&format!("{path}.id"), id);
    let inner_id = match inner_id {
        None => None,
        Some(id) => Some(found.vlan_id(&format!("{path}.innerId"), id)?),
    };
    let (parent, id) = (parent?, id?);
    if !class.allows_vlan(namespace, &parent, id.value()) {
        found.note(
            format!("{path}.id"),
            Problem::VlanNotAllowed {
                class: class.class.name.clone(),
                namespace: namespace.to_owned(),
                parent: parent.to_string(),
                id: id.value(),
            },
        );
    }
    let protocol = match protocol {
        VlanProtocolName::Dot1q => VlanProtocol::Dot1q,
        VlanProtocolName::Dot1ad => VlanProtocol::Dot1ad,
    };
    Some(Vlan { parent, id, protocol, inner_id })
}

fn check_bgp(
    spec: &FabricBgpSpec,
    addresses: &[InterfaceAddress],
    (namespace, class): (&str, &CheckedClass),
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<FabricBgp> {
    let path = "spec.fabric.bgp";
    let local_asn = found.asn(&format!("{path}.localASN"), spec.local_asn);
    let router_id = found.router_id(&format!("{path}.routerID"), &spec.router_id);
    let neighbors =
        check_neighbors(&spec.neighbors, local_asn, addresses, (namespace, inputs), found);
    let import = check_import(&spec.import, found);
    let hears_reflectors =
        !class.class.vpn_reflectors.is_empty() && !spec.import.route_targets.is_empty();
    if spec.neighbors.is_empty() && !hears_reflectors {
        found.note(neighbors::PATH, Problem::Empty);
    }
    let export = check_export(&spec.export, found);
    Some(FabricBgp { local_asn: local_asn?, router_id: router_id?, neighbors, import, export })
}
