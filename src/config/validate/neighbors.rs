//! Whom a tenant speaks BGP with on its fabric, checked: routers by their addresses,
//! and ranges that routers connect out of.

use super::finding::Findings;
use super::{Inputs, Unresolved};
use crate::config::error::Problem;
use crate::config::schema::{NeighborSpec, RoleName, SecretKeyRef};
use crate::model::{BgpNeighbor, NeighborAt, limits};
use crate::net::{Asn, InterfaceAddress, Role, SiteName, TcpPassword};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub(super) const PATH: &str = "spec.fabric.bgp.neighbors";

pub(super) fn check_neighbors(
    specs: &[NeighborSpec],
    local_asn: Option<Asn>,
    addresses: &[InterfaceAddress],
    (namespace, inputs): (&str, &Inputs<'_>),
    found: &mut Findings,
) -> Vec<BgpNeighbor> {
    let mut neighbors: Vec<BgpNeighbor> = Vec::new();
    if limits::NEIGHBORS_PER_TENANT < specs.len() {
        found.note(PATH, Problem::TooMany { max: limits::NEIGHBORS_PER_TENANT });
        return neighbors;
    }
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("{PATH}[{index}]");
        let secret = spec.password_secret_ref.as_ref();
        let password = check_password(&path, secret, namespace, inputs, found);
        let Some(neighbor) = check_neighbor(&path, spec, local_asn, addresses, found) else {
            continue;
        };
        let neighbor = BgpNeighbor { password, ..neighbor };
        if neighbors.iter().any(|other| other.name == neighbor.name) {
            found.note(format!("{path}.name"), Problem::Twice);
        }
        check_beside(&path, &neighbor, &neighbors, found);
        neighbors.push(neighbor);
    }
    check_signed(specs, &neighbors, found);
    let most = limits::NEIGHBORS_IN_RANGES;
    let sum = neighbors.iter().map(|neighbor| match neighbor.at {
        NeighborAt::Range { maximum, .. } => maximum,
        NeighborAt::Address(_) => 0,
    });
    let sum = sum.sum();
    if most < sum {
        found.note(PATH, Problem::RangesTooLarge { sum, most });
    }
    neighbors
}

fn check_neighbor(
    path: &str,
    spec: &NeighborSpec,
    local_asn: Option<Asn>,
    addresses: &[InterfaceAddress],
    found: &mut Findings,
) -> Option<BgpNeighbor> {
    if let Err(error) = spec.name.parse::<SiteName>() {
        found.note(format!("{path}.name"), error);
    }
    let at = match (&spec.address, &spec.range) {
        (Some(address), None) => check_address(path, address, spec, addresses, found),
        (None, Some(range)) => check_range(path, range, spec, addresses, found),
        (None, None) | (Some(_), Some(_)) => {
            found.note(path, Problem::Union("needs either address or range"));
            None
        }
    };
    let remote_asn = found.asn(&format!("{path}.remoteASN"), spec.remote_asn);
    let ttl_security = match spec.ttl_security {
        None => None,
        Some(hops) => Some(found.ranged::<u8>(&format!("{path}.ttlSecurity"), hops, 1, 254)?),
    };
    let allow_own_asn = found.ranged(&format!("{path}.allowOwnASN"), spec.allow_own_asn, 0, 10);
    let seconds = spec.long_lived_stale_seconds;
    let seconds =
        found.ranged::<u32>(&format!("{path}.longLivedStaleSeconds"), seconds, 0, 0xff_ffff);
    let said = (spec.role, spec.strict_role);
    let (role, strict_role) = check_role(path, said, (local_asn, remote_asn), found);
    Some(BgpNeighbor {
        name: spec.name.clone(),
        at: at?,
        remote_asn: remote_asn?,
        bfd: spec.bfd,
        ttl_security,
        role,
        strict_role,
        allow_own_asn: allow_own_asn?,
        long_lived: Duration::from_secs(seconds?.into()),
        password: None,
    })
}

fn check_address(
    path: &str,
    text: &str,
    spec: &NeighborSpec,
    addresses: &[InterfaceAddress],
    found: &mut Findings,
) -> Option<NeighborAt> {
    if spec.maximum.is_some() {
        let problem = Problem::Union("is of a range, and this neighbor has an address");
        found.note(format!("{path}.maximum"), problem);
    }
    let path = format!("{path}.address");
    // Calico's nodes are peered with by their pods at an IPv4 link-local address, which
    // all of them share (localWorkloadPeeringIPV4).
    let address = match text.parse::<Ipv4Addr>() {
        Ok(address) if address.is_link_local() => IpAddr::V4(address),
        Ok(_) | Err(_) => found.address(&path, text)?,
    };
    // A neighbor may be hops away, so it need not be on the link.
    if addresses.iter().any(|own| own.address() == address) {
        found.note(path, Problem::OwnAddress(address));
    }
    Some(NeighborAt::Address(address))
}

fn check_range(
    path: &str,
    text: &str,
    spec: &NeighborSpec,
    addresses: &[InterfaceAddress],
    found: &mut Findings,
) -> Option<NeighborAt> {
    let most = limits::NEIGHBORS_PER_RANGE as u32;
    let maximum = match spec.maximum {
        None => Some(limits::DEFAULT_NEIGHBORS_PER_RANGE),
        Some(maximum) => found.ranged::<usize>(&format!("{path}.maximum"), maximum, 1, most),
    };
    let path = format!("{path}.range");
    let prefix = found.prefix(&path, text)?;
    // There is no socket to be connected to elsewhere, nor a way back.
    if !addresses.iter().any(|own| own.network().covers(prefix)) {
        found.note(path, Problem::RangeNotOnLink(prefix));
    }
    Some(NeighborAt::Range { prefix, maximum: maximum? })
}

/// No address is named twice, and none is in two ranges.
fn check_beside(path: &str, neighbor: &BgpNeighbor, others: &[BgpNeighbor], found: &mut Findings) {
    for other in others {
        match (neighbor.at, other.at) {
            (NeighborAt::Address(address), NeighborAt::Address(other)) if address == other => {
                found.note(format!("{path}.address"), Problem::Twice);
            }
            (NeighborAt::Range { prefix, .. }, NeighborAt::Range { prefix: of_other, .. })
                if prefix.overlaps(of_other) =>
            {
                let what = format!("the range of neighbor `{}`", other.name);
                let problem = Problem::Overlap { prefix, other: of_other, what };
                found.note(format!("{path}.range"), problem);
            }
            (NeighborAt::Address(_) | NeighborAt::Range { .. }, _) => {}
        }
    }
}

/// Who is named by address inside a range whose neighbors sign has to sign too: the
/// kernel looks for a signature on all that comes out of the range.
fn check_signed(specs: &[NeighborSpec], neighbors: &[BgpNeighbor], found: &mut Findings) {
    let is_signed = |name: &str| {
        let spec = specs.iter().find(|spec| spec.name == name);
        spec.is_some_and(|spec| spec.password_secret_ref.is_some())
    };
    for neighbor in neighbors.iter().filter(|neighbor| !is_signed(&neighbor.name)) {
        let Some(address) = neighbor.address() else { continue };
        let mut others = neighbors.iter().filter(|other| is_signed(&other.name));
        if let Some(range) =
            others.find(|other| other.address().is_none() && other.network().contains(address))
        {
            let at = specs.iter().position(|spec| spec.name == neighbor.name).unwrap_or_default();
            let problem = Problem::UnsignedInRange { range: range.name.clone() };
            found.note(format!("{PATH}[{at}]"), problem);
        }
    }
}

/// What we are to a neighbor, and whether it has to say what it is.
pub(super) fn check_role(
    path: &str,
    (role, is_strict): (Option<RoleName>, bool),
    (local, remote): (Option<Asn>, Option<Asn>),
    found: &mut Findings,
) -> (Option<Role>, bool) {
    if is_strict && role.is_none() {
        found.note(format!("{path}.strictRole"), Problem::Union("needs role"));
    }
    // Within an AS there are no roles (RFC 9234 §4.1).
    if role.is_some() && local.is_some() && local == remote {
        let problem = Problem::Union("is for neighbors of another AS than ours");
        found.note(format!("{path}.role"), problem);
    }
    let role = role.map(|role| match role {
        RoleName::Provider => Role::Provider,
        RoleName::RouteServer => Role::RouteServer,
        RoleName::RouteServerClient => Role::RouteServerClient,
        RoleName::Customer => Role::Customer,
        RoleName::Peer => Role::Peer,
    });
    (role, is_strict)
}

/// The password of a neighbor. Without the one that it asks for no session comes
/// about, and the other end would only say that nobody answers.
pub(super) fn check_password(
    path: &str,
    secret: Option<&SecretKeyRef>,
    namespace: &str,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<TcpPassword> {
    let text = inputs.secret(namespace, secret?);
    let password = text.and_then(|text| TcpPassword::new(&text).map_err(Unresolved::Password));
    password
        .map_err(|why| {
            found.note(format!("{path}.passwordSecretRef"), Problem::Secret(why.to_string()));
        })
        .ok()
}
