//! Families and networks: the codec's words and ours.

use crate::bgp::{Family, Nlri, RouteDistinguisher};
use crate::net::Prefix;
use rustbgpd_wire::{
    Afi, Ipv4NlriEntry, Ipv4Prefix, Ipv6Prefix, NlriEntry, Safi, VpnNlriEntry, VpnPrefix,
};
use std::net::IpAddr;

/// The codec's word for a family.
pub(super) const fn to_wire(family: Family) -> (Afi, Safi) {
    match family {
        Family::Ipv4Unicast => (Afi::Ipv4, Safi::Unicast),
        Family::Ipv6Unicast => (Afi::Ipv6, Safi::Unicast),
        Family::Ipv4Vpn => (Afi::Ipv4, Safi::MplsVpn),
        Family::Ipv6Vpn => (Afi::Ipv6, Safi::MplsVpn),
        Family::RouteTargets => (Afi::Ipv4, Safi::RtConstrain),
    }
}

/// Our word for a family, if it is one of ours.
pub(super) fn from_wire(family: (Afi, Safi)) -> Option<Family> {
    let all = [
        Family::Ipv4Unicast,
        Family::Ipv6Unicast,
        Family::Ipv4Vpn,
        Family::Ipv6Vpn,
        Family::RouteTargets,
    ];
    all.into_iter().find(|ours| to_wire(*ours) == family)
}

/// A family's numbers on the wire: AFI and SAFI.
pub(super) const fn numbers(family: Family) -> (u16, u8) {
    let (afi, safi) = to_wire(family);
    (afi as u16, safi as u8)
}

/// The family of these numbers, if it is one of ours.
pub(super) fn from_numbers(afi: u16, safi: u8) -> Option<Family> {
    from_wire((Afi::from_u16(afi)?, Safi::from_u8(safi)?))
}

/// The family a network is of.
pub(super) fn of_nlri(nlri: &Nlri) -> Family {
    match (nlri.prefix.is_v4(), nlri.distinguisher) {
        (true, None) => Family::Ipv4Unicast,
        (false, None) => Family::Ipv6Unicast,
        (true, Some(_)) => Family::Ipv4Vpn,
        (false, Some(_)) => Family::Ipv6Vpn,
    }
}

/// Networks of a message's own fields, as many as have a spelling of ours.
pub(super) fn from_body(entries: &[Ipv4NlriEntry]) -> Vec<Nlri> {
    let all = entries
        .iter()
        .map(|entry| nlri(IpAddr::V4(entry.prefix.addr), entry.prefix.len, None, entry.path_id));
    all.flatten().collect()
}

/// Networks of an MP attribute.
pub(super) fn from_entries(entries: &[NlriEntry]) -> Vec<Nlri> {
    let all = entries.iter().map(|entry| {
        let (address, length) = match entry.prefix {
            rustbgpd_wire::Prefix::V4(prefix) => (IpAddr::V4(prefix.addr), prefix.len),
            rustbgpd_wire::Prefix::V6(prefix) => (IpAddr::V6(prefix.addr), prefix.len),
        };
        nlri(address, length, None, entry.path_id)
    });
    all.flatten().collect()
}

/// Networks of VPNs.
pub(super) fn from_vpn(entries: &[VpnNlriEntry]) -> Vec<Nlri> {
    let all = entries.iter().map(|entry| {
        let (address, length) = match entry.nlri.prefix {
            VpnPrefix::V4 { addr, len } => (IpAddr::V4(addr), len),
            VpnPrefix::V6 { addr, len } => (IpAddr::V6(addr), len),
        };
        let distinguisher = RouteDistinguisher(entry.nlri.route_distinguisher.0);
        nlri(address, length, Some(distinguisher), entry.path_id)
    });
    all.flatten().collect()
}

/// `None` for an IPv4 network in IPv6 clothes: it would have two spellings.
fn nlri(
    address: IpAddr,
    length: u8,
    distinguisher: Option<RouteDistinguisher>,
    path_id: u32,
) -> Option<Nlri> {
    let prefix = Prefix::containing_address(address, length).ok()?;
    Some(Nlri { prefix, distinguisher, path_id })
}

/// A unicast network as an MP attribute names it.
pub(super) fn to_entry(nlri: &Nlri) -> NlriEntry {
    let length = nlri.prefix.length();
    let prefix = match nlri.prefix.address() {
        IpAddr::V4(address) => rustbgpd_wire::Prefix::V4(Ipv4Prefix::new(address, length)),
        IpAddr::V6(address) => rustbgpd_wire::Prefix::V6(Ipv6Prefix::new(address, length)),
    };
    NlriEntry { path_id: 0, prefix }
}

/// An IPv4 network as a message's own fields name it.
pub(super) fn to_body(nlri: &Nlri) -> Option<Ipv4NlriEntry> {
    match nlri.prefix.address() {
        IpAddr::V4(address) => {
            let prefix = Ipv4Prefix::new(address, nlri.prefix.length());
            Some(Ipv4NlriEntry { path_id: 0, prefix })
        }
        IpAddr::V6(_) => None,
    }
}
