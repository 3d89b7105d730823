//! Hosts as documents write them: an address or a DNS name.

use super::error::HostProblem;
use crate::model::Host;
use std::net::{IpAddr, Ipv6Addr};

/// Longest DNS name in text form (RFC 1035 §2.3.4, less length octets and root).
const MAX_NAME_LEN: usize = 253;

/// Longest part of a DNS name (RFC 1035 §2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// Reads a host to dial.
///
/// # Errors
/// What it is instead, with advice. Loopback addresses are hosts: two ends can
/// be on one machine.
pub fn parse_host(text: &str) -> Result<Host, HostProblem> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return check_address(address).map(Host::Address);
    }
    if text.contains("://") || text.contains('/') {
        return Err(HostProblem::Url);
    }
    if text.contains('%') {
        return Err(HostProblem::Zone);
    }
    if let Some(inside) = text.strip_prefix('[') {
        let (address, rest) = inside.split_once(']').unwrap_or((inside, ""));
        if address.parse::<Ipv6Addr>().is_ok() {
            let host = address.to_owned();
            return Err(if rest.is_empty() {
                HostProblem::Brackets(host)
            } else {
                HostProblem::Port(host)
            });
        }
        return Err(HostProblem::Malformed);
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && !host.contains(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && parse_host(host).is_ok()
    {
        return Err(HostProblem::Port(host.to_owned()));
    }
    if !text.is_ascii() {
        return Err(HostProblem::Idn);
    }
    check_name(text)?;
    Ok(Host::Name(text.trim_end_matches('.').to_ascii_lowercase()))
}

fn check_address(address: IpAddr) -> Result<IpAddr, HostProblem> {
    if let IpAddr::V6(v6) = address
        && v6.to_ipv4_mapped().is_some()
    {
        return Err(HostProblem::Mapped);
    }
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if address.is_unspecified() || address.is_multicast() || broadcast || link_local {
        return Err(HostProblem::Address(address));
    }
    Ok(address)
}

fn check_name(text: &str) -> Result<(), HostProblem> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || MAX_NAME_LEN < name.len() {
        return Err(HostProblem::Malformed);
    }
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    for label in name.split('.') {
        let sound = !label.is_empty() && label.len() <= MAX_LABEL_LEN && label.bytes().all(inside);
        if !sound || label.starts_with('-') || label.ends_with('-') {
            return Err(HostProblem::Malformed);
        }
    }
    // No top-level domain is a number (RFC 3696 §2), and resolvers read such
    // names as addresses in forms of their own (`127.1`, `0x7f000001`).
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if numeric {
        return Err(HostProblem::AlmostAddress);
    }
    Ok(())
}

/// Whether a customer's or our own host inside a network may have the address.
pub(super) fn is_host_address(address: IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    match address {
        IpAddr::V4(v4) => {
            !special && !v4.is_link_local() && v4.octets()[0] != 0 && v4.octets()[0] < 240
        }
        IpAddr::V6(v6) => !special && !v6.is_unicast_link_local() && v6.to_ipv4_mapped().is_none(),
    }
}
