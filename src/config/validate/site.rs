//! One `SiteAttachment`, checked by itself and against its tenant's class.

use super::finding::Findings;
use super::gateway::CheckedGateway;
use super::neighbors::{check_password, check_role};
use super::{Inputs, Unresolved, probes, vlan};
use crate::config::error::{Forbidden, HostProblem, Problem};
use crate::config::host::parse_host;
use crate::config::overlap::ForbiddenSet;
use crate::config::schema::{
    AllowSpec, AttachmentType, DirectionName, EndpointSpec, ProtocolName, SecretKeyRef,
    SiteAttachmentSpec, WireGuardSpec,
};
use crate::config::shape::clip;
use crate::model::{
    Allow, Attachment, Direction, Endpoint, Host, Placement, Ports, Protocol, Site, SiteBgp,
    SitePrefix, WireGuardPeer, limits,
};
use crate::net::{InterfaceAddress, Prefix, PresharedKey, SiteName};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;
use zeroize::Zeroizing;

/// A site, or what Secret keeps it from being one.
#[derive(Debug)]
pub(super) struct CheckedSite {
    pub(super) site: Site,
    /// Whether every network that is written could be read, so that they can
    /// be counted as in the document.
    pub(super) whole: bool,
    pub(super) unresolved: Option<Unresolved>,
}

pub(super) fn check(
    name: SiteName,
    spec: &SiteAttachmentSpec,
    gateway: &CheckedGateway,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<CheckedSite> {
    let prefixes = check_prefixes(spec, gateway, found);
    let mut unresolved = None;
    let attachment = match (spec.type_, &spec.wire_guard, &spec.vlan) {
        (AttachmentType::WireGuard, Some(spec), None) => {
            let peer = check_wire_guard(spec, gateway, &prefixes, inputs, &mut unresolved, found);
            peer.map(Attachment::WireGuard)
        }
        (AttachmentType::Vlan, None, Some(spec)) => {
            vlan::check(spec, gateway, &prefixes, found).map(Attachment::Vlan)
        }
        (AttachmentType::WireGuard, None, _) => {
            found.note("spec.wireGuard", Problem::Union("is missing; spec.type is WireGuard"));
            None
        }
        (AttachmentType::Vlan, _, None) => {
            found.note("spec.vlan", Problem::Union("is missing; spec.type is VLAN"));
            None
        }
        (AttachmentType::WireGuard, Some(_), Some(_)) => {
            found.note("spec.vlan", Problem::Union("has no place here; spec.type is WireGuard"));
            None
        }
        (AttachmentType::Vlan, Some(_), Some(_)) => {
            found.note("spec.wireGuard", Problem::Union("has no place here; spec.type is VLAN"));
            None
        }
    };
    let own: &[InterfaceAddress] = match &attachment {
        Some(Attachment::WireGuard(peer)) => &peer.tunnel_addresses,
        Some(Attachment::Vlan(vlan)) => &vlan.addresses,
        None => &[],
    };
    let written =
        spec.wire_guard.as_ref().map_or(0, |wire_guard| wire_guard.tunnel_addresses.len())
            + spec.vlan.as_ref().map_or(0, |vlan| vlan.addresses.len());
    let whole = prefixes.len() == spec.prefixes.len() && own.len() == written;
    let bgp = spec.bgp.as_ref().map(|_| {
        let link = (attachment.is_some(), own);
        check_bgp(spec, gateway, link, inputs, found)
    });
    let allow = spec.allow.as_deref().map(|allows| check_allow(allows, found));
    let probes = probes::check(spec, &prefixes, attachment.as_ref(), own, found);
    let priority = found.ranged::<u32>("spec.priority", spec.priority, 0, 65_535);
    let site = Site {
        name,
        priority: priority?,
        attachment: attachment?,
        prefixes,
        bounds: None,
        allow,
        probes,
        bgp: bgp.flatten(),
    };
    Some(CheckedSite { site, whole, unresolved })
}

fn check_prefixes(
    spec: &SiteAttachmentSpec,
    gateway: &CheckedGateway,
    found: &mut Findings,
) -> Vec<SitePrefix> {
    let path = "spec.prefixes";
    if spec.prefixes.is_empty() {
        found.note(path, Problem::Empty);
    }
    let most = usize::try_from(gateway.class.class.maximum_prefixes).unwrap_or(usize::MAX);
    if most < spec.prefixes.len() {
        found.note(path, Problem::TooMany { max: most });
        return Vec::new();
    }
    let mut prefixes = Vec::with_capacity(spec.prefixes.len());
    for (index, entry) in spec.prefixes.iter().enumerate() {
        let cidr = format!("{path}[{index}].cidr");
        let Some(real) = found.prefix(&cidr, &entry.cidr) else { continue };
        let alias = match &entry.alias {
            None => None,
            Some(text) => {
                let path = format!("{path}[{index}].alias");
                let Some(alias) = found.prefix(&path, text) else { continue };
                check_alias(&path, real, alias, gateway, found);
                Some(alias)
            }
        };
        let forbidden =
            if alias.is_some() { &gateway.class.nobodys } else { &gateway.class.forbidden };
        if real.length() == 0 {
            if alias.is_some() {
                found.note(cidr, Problem::DefaultRoute(real));
            } else if !gateway.class.class.allow_default_route {
                found.note(
                    cidr,
                    Problem::DefaultRouteNotAllowed(real, gateway.class.class.name.clone()),
                );
            }
        } else if let Some((forbidden, why)) = forbidden.meets(real) {
            found.note(cidr, Problem::Forbidden { prefix: real, forbidden, why });
        }
        prefixes.push(SitePrefix { real, alias });
    }
    check_renamed_once(&prefixes, found);
    prefixes
}

/// An alias that is another network of the same site would be renamed again on
/// its way.
fn check_renamed_once(prefixes: &[SitePrefix], found: &mut Findings) {
    if prefixes.iter().all(|prefix| prefix.alias.is_none()) {
        return;
    }
    let reals = prefixes.iter().map(|prefix| (prefix.real, Forbidden::Class)).collect();
    let reals = ForbiddenSet::new(reals);
    for (index, prefix) in prefixes.iter().enumerate() {
        let Some(alias) = prefix.alias.filter(|alias| *alias != prefix.real) else { continue };
        if let Some((other, _)) = reals.meets(alias) {
            let what = "which the same site has itself".to_owned();
            let problem = Problem::Overlap { prefix: alias, other, what };
            found.note(format!("spec.prefixes[{index}].alias"), problem);
        }
    }
}

fn check_alias(
    path: &str,
    real: Prefix,
    alias: Prefix,
    gateway: &CheckedGateway,
    found: &mut Findings,
) {
    if real.is_v4() != alias.is_v4() {
        found.note(path, Problem::AliasFamily);
    } else if real.length() != alias.length() {
        found.note(path, Problem::AliasLength { prefix: real.length(), alias: alias.length() });
    } else if real == alias {
        found.note(path, Problem::AliasOfItselfPrefix);
    } else if let Some((forbidden, why)) = gateway.class.forbidden.meets(alias) {
        found.note(path, Problem::Forbidden { prefix: alias, forbidden, why });
    } else if !gateway.class.alias_pool.is_empty()
        && !gateway.class.alias_pool.iter().any(|pool| pool.covers(alias))
    {
        found.note(path, Problem::OutsideAliasPool(alias, gateway.class.class.name.clone()));
    }
}

fn check_wire_guard(
    spec: &WireGuardSpec,
    gateway: &CheckedGateway,
    prefixes: &[SitePrefix],
    inputs: &Inputs<'_>,
    unresolved: &mut Option<Unresolved>,
    found: &mut Findings,
) -> Option<WireGuardPeer> {
    let path = "spec.wireGuard";
    let public_key = found.public_key(&format!("{path}.publicKey"), &spec.public_key);
    let next = spec.next_public_key.as_deref().filter(|text| !text.is_empty());
    let next_public_key = next.map(|text| found.public_key(&format!("{path}.nextPublicKey"), text));
    if next.is_some() && next_public_key.flatten() == public_key && public_key.is_some() {
        found.note(format!("{path}.nextPublicKey"), Problem::Twice);
    }
    let endpoint = spec.endpoint.as_ref().and_then(|endpoint| check_endpoint(endpoint, found));
    let keepalive = found.ranged::<u16>(
        &format!("{path}.persistentKeepaliveSeconds"),
        spec.persistent_keepalive_seconds,
        0,
        65_535,
    );
    let addresses_path = format!("{path}.tunnelAddresses");
    let tunnel_addresses = found.interface_addresses(&addresses_path, &spec.tunnel_addresses);
    for (index, address) in tunnel_addresses.iter().enumerate() {
        let mut before = tunnel_addresses.iter().take(index);
        if before.any(|other| other.address().is_ipv4() == address.address().is_ipv4()) {
            found.note(format!("{addresses_path}[{index}]"), Problem::SecondOfFamily);
        }
        let prefix = address.network();
        if let Some((forbidden, why)) = gateway.class.forbidden.meets(prefix) {
            found.note(
                format!("{addresses_path}[{index}]"),
                Problem::Forbidden { prefix, forbidden, why },
            );
        }
    }
    if let Some(Endpoint { host: Host::Address(address), .. }) = endpoint
        && inputs.options.placement == Placement::Current
    {
        let inside = prefixes.iter().map(|prefix| prefix.visible());
        let mut inside = inside.chain(tunnel_addresses.iter().map(|own| own.network()));
        if let Some(prefix) = inside.find(|prefix| prefix.contains(address)) {
            let problem = Problem::EndpointInTunnel { address, prefix };
            found.note(format!("{path}.endpoint.host"), problem);
        }
    }
    let ipv6 = prefixes.iter().any(|prefix| !prefix.real.is_v4())
        || tunnel_addresses.iter().any(|address| !address.address().is_ipv4());
    if ipv6 && gateway.tunnel_mtu < crate::net::Mtu::IPV6_MIN {
        let mtu = gateway.tunnel_mtu.bytes();
        found.note(path, Problem::TunnelMtuForIpv6 { mtu });
    }
    let mut secret = |secret: Option<&SecretKeyRef>| {
        let text = inputs.secret(gateway.name.namespace(), secret?);
        let key = text.and_then(|text| preshared(&text));
        key.map_err(|why| *unresolved = Some(why)).ok()
    };
    let preshared_key = secret(spec.preshared_key_secret_ref.as_ref());
    let next_preshared_key = secret(spec.next_preshared_key_secret_ref.as_ref());
    // The same key twice is one, unless it is said of the next public key.
    let next_preshared_key =
        next_preshared_key.filter(|key| next.is_some() || Some(key) != preshared_key.as_ref());
    Some(WireGuardPeer {
        public_key: public_key?,
        next_public_key: next_public_key.flatten(),
        preshared_key,
        next_preshared_key,
        endpoint,
        keepalive: keepalive
            .filter(|seconds| *seconds != 0)
            .map(|s| Duration::from_secs(u64::from(s))),
        tunnel_addresses,
    })
}

/// A preshared key. All zero is WireGuard's way of saying that there is none.
fn preshared(text: &Zeroizing<String>) -> Result<PresharedKey, Unresolved> {
    let key: PresharedKey = text.parse().map_err(Unresolved::NotAKey)?;
    if key.as_bytes().iter().all(|byte| *byte == 0) { Err(Unresolved::AllZero) } else { Ok(key) }
}

fn check_endpoint(spec: &EndpointSpec, found: &mut Findings) -> Option<Endpoint> {
    let host = parse_host(&spec.host);
    let host = host
        .map_err(|why: HostProblem| found.note("spec.wireGuard.endpoint.host", Problem::Host(why)));
    let port = found.ranged::<u16>("spec.wireGuard.endpoint.port", spec.port, 1, 65_535);
    Some(Endpoint { host: host.ok()?, port: port? })
}

fn check_bgp(
    spec: &SiteAttachmentSpec,
    gateway: &CheckedGateway,
    (attached, own): (bool, &[InterfaceAddress]),
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<SiteBgp> {
    let spec = spec.bgp.as_ref()?;
    if gateway.fabric.bgp.is_none() {
        found.note("spec.bgp", Problem::NoLocalAsn);
    }
    let remote_asn = found.asn("spec.bgp.remoteASN", spec.remote_asn);
    let local_asn = gateway.fabric.bgp.as_ref().map(|bgp| bgp.local_asn);
    let said = (spec.role, spec.strict_role);
    let (role, strict_role) = check_role("spec.bgp", said, (local_asn, remote_asn), found);
    let neighbor = found.neighbor("spec.bgp.neighbor", &spec.neighbor, own);
    if attached && own.is_empty() {
        found
            .note("spec.bgp", Problem::Union("needs spec.wireGuard.tunnelAddresses to speak from"));
    }
    let hold_time =
        found.ranged::<u16>("spec.bgp.holdTimeSeconds", spec.hold_time_seconds, 3, 65_535);
    let restart = found.ranged::<u16>(
        "spec.bgp.maximumPrefixesRestartSeconds",
        spec.maximum_prefixes_restart_seconds,
        1,
        65_535,
    );
    let secret = spec.password_secret_ref.as_ref();
    let password = check_password("spec.bgp", secret, gateway.name.namespace(), inputs, found);
    let most = gateway.class.class.maximum_prefixes;
    let maximum_prefixes = spec.maximum_prefixes.unwrap_or(most);
    if maximum_prefixes == 0 {
        found.note(
            "spec.bgp.maximumPrefixes",
            Problem::Range { value: 0, min: 1, max: u64::from(most) },
        );
    } else if most < maximum_prefixes {
        found.note(
            "spec.bgp.maximumPrefixes",
            Problem::AboveClass { value: maximum_prefixes, max: most },
        );
    }
    Some(SiteBgp {
        remote_asn: remote_asn?,
        neighbor: neighbor?,
        password,
        maximum_prefixes,
        restart_after: Duration::from_secs(u64::from(restart?)),
        hold_time: Duration::from_secs(u64::from(hold_time?)),
        role,
        strict_role,
    })
}

fn check_allow(specs: &[AllowSpec], found: &mut Findings) -> Vec<Allow> {
    if limits::ALLOWS_PER_SITE < specs.len() {
        found.note("spec.allow", Problem::TooMany { max: limits::ALLOWS_PER_SITE });
        return Vec::new();
    }
    let mut allows = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let path = format!("spec.allow[{index}].ports");
        let direction = match spec.direction {
            DirectionName::FromSite => Direction::FromSite,
            DirectionName::ToSite => Direction::ToSite,
        };
        let (protocol, has_ports) = match spec.protocol {
            ProtocolName::Any => (Protocol::Any, false),
            ProtocolName::Icmp => (Protocol::Icmp, false),
            ProtocolName::Sctp => (Protocol::Sctp, true),
            ProtocolName::Tcp => (Protocol::Tcp, true),
            ProtocolName::Udp => (Protocol::Udp, true),
        };
        if !spec.ports.is_empty() && !has_ports {
            found.note(&path, Problem::PortsOfProtocol);
        }
        if limits::PORTS_PER_ALLOW < spec.ports.len() {
            found.note(&path, Problem::TooMany { max: limits::PORTS_PER_ALLOW });
            continue;
        }
        let mut ports: Vec<Ports> = Vec::with_capacity(spec.ports.len());
        for (index, text) in spec.ports.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match parse_ports(text) {
                Some(range) if ports.contains(&range) => found.note(path, Problem::Twice),
                Some(range) => ports.push(range),
                None => {
                    let text = match text {
                        IntOrString::Int(number) => number.to_string(),
                        IntOrString::String(text) => clip(text),
                    };
                    found.note(path, Problem::Ports(text));
                }
            }
        }
        allows.push(Allow { direction, protocol, ports });
    }
    allows
}

/// A port, or two with `-` between.
fn parse_ports(text: &IntOrString) -> Option<Ports> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<u16>().ok().filter(|port| *port != 0) } else { None }
    };
    match text {
        IntOrString::Int(number) => {
            let port = u16::try_from(*number).ok().filter(|port| *port != 0)?;
            Some(Ports { first: port, last: port })
        }
        IntOrString::String(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some(Ports { first, last })
        }
    }
}
