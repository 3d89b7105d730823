//! A tenant's fabric link and the BGP over it, checked.

use super::class::CheckedClass;
use super::finding::Findings;
use super::policy::{check_export, check_import};
use super::{Inputs, Unresolved};
use crate::config::error::Problem;
use crate::config::schema::{FabricBgpSpec, FabricSpec, NeighborSpec, VlanProtocolName};
use crate::config::shape::clip;
use crate::model::{
    BgpNeighbor, Fabric, FabricBgp, FabricLink, Placement, Vlan, VlanProtocol, limits,
};
use crate::net::{InterfaceAddress, SiteName, TcpPassword};
use std::net::{IpAddr, Ipv4Addr};

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
    let bgp = spec.bgp.as_ref().map(|bgp| check_bgp(bgp, &addresses, namespace, inputs, found));
    Some(Fabric { link: link?, addresses, next_hops, mtu: mtu.flatten(), bgp: bgp.flatten() })
}

fn require(list: &[String], path: &str, found: &mut Findings) {
    if list.is_empty() {
        found.note(path, Problem::Empty);
    }
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
    namespace: &str,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<FabricBgp> {
    let path = "spec.fabric.bgp";
    let local_asn = found.asn(&format!("{path}.localASN"), spec.local_asn);
    let router_id = match spec.router_id.parse::<Ipv4Addr>() {
        Ok(id) if id.is_unspecified() => {
            found.note(format!("{path}.routerID"), Problem::NotAHost(IpAddr::V4(id)));
            None
        }
        Ok(id) => Some(id),
        Err(_) => {
            found.note(format!("{path}.routerID"), Problem::NotAnAddress(clip(&spec.router_id)));
            None
        }
    };
    if spec.neighbors.is_empty() {
        found.note(format!("{path}.neighbors"), Problem::Empty);
    }
    let mut neighbors: Vec<BgpNeighbor> = Vec::new();
    if limits::NEIGHBORS_PER_TENANT < spec.neighbors.len() {
        found.note(
            format!("{path}.neighbors"),
            Problem::TooMany { max: limits::NEIGHBORS_PER_TENANT },
        );
    } else {
        for (index, neighbor) in spec.neighbors.iter().enumerate() {
            let path = format!("{path}.neighbors[{index}]");
            let password = check_password(&path, neighbor, namespace, inputs, found);
            let Some(mut neighbor) = check_neighbor(&path, neighbor, addresses, found) else {
                continue;
            };
            neighbor.password = password;
            if neighbors.iter().any(|other| other.name == neighbor.name) {
                found.note(format!("{path}.name"), Problem::Twice);
            }
            if neighbors.iter().any(|other| other.address == neighbor.address) {
                found.note(format!("{path}.address"), Problem::Twice);
            }
            neighbors.push(neighbor);
        }
    }
    let import = check_import(&spec.import, found);
    let export = check_export(&spec.export, found);
    Some(FabricBgp { local_asn: local_asn?, router_id: router_id?, neighbors, import, export })
}

fn check_neighbor(
    path: &str,
    spec: &NeighborSpec,
    addresses: &[InterfaceAddress],
    found: &mut Findings,
) -> Option<BgpNeighbor> {
    if let Err(error) = spec.name.parse::<SiteName>() {
        found.note(format!("{path}.name"), error);
    }
    let address = found.address(&format!("{path}.address"), &spec.address);
    // A neighbor may be hops away, so it need not be on the link.
    if let Some(address) =
        address.filter(|address| addresses.iter().any(|own| own.address() == *address))
    {
        found.note(format!("{path}.address"), Problem::OwnAddress(address));
    }
    let remote_asn = found.asn(&format!("{path}.remoteASN"), spec.remote_asn);
    let ttl_security = match spec.ttl_security {
        None => None,
        Some(hops) => Some(found.ranged::<u8>(&format!("{path}.ttlSecurity"), hops, 1, 254)?),
    };
    Some(BgpNeighbor {
        name: spec.name.clone(),
        address: address?,
        remote_asn: remote_asn?,
        bfd: spec.bfd,
        ttl_security,
        password: None,
    })
}

/// The password of a neighbor. Without the one that it asks for no session comes
/// about, and the other end would only say that nobody answers.
fn check_password(
    path: &str,
    spec: &NeighborSpec,
    namespace: &str,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<TcpPassword> {
    let secret = spec.password_secret_ref.as_ref()?;
    let text = inputs.secret(namespace, secret);
    let password = text.and_then(|text| TcpPassword::new(&text).map_err(Unresolved::Password));
    password
        .map_err(|why| {
            found.note(format!("{path}.passwordSecretRef"), Problem::Secret(why.to_string()));
        })
        .ok()
}
