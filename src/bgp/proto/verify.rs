//! Whether a route may be taken as it was said: what the codec leaves to its
//! user.
//!
//! Two kinds of checks: of what is said of all networks of a message, and of
//! their next hops, of which a message can have two.

use super::{Fault, Flaw, Negotiated, Role};
use crate::bgp::{
    AsPath, AsSegment, Attributes, Community, ExtendedCommunity, Family, LargeCommunity, Origin,
};
use crate::model::limits::BGP_ATTRIBUTE_ENTRIES;
use rustbgpd_wire::{AsPathSegment, PathAttribute};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Numbers of attributes, where a flaw does not say in which one it is.
const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const COMMUNITIES: u8 = 8;
const CLUSTER_LIST: u8 = 10;
const EXTENDED_COMMUNITIES: u8 = 16;
const LARGE_COMMUNITY: u8 = 32;
const ONLY_TO_CUSTOMER: u8 = 35;

/// The attributes of a message, as they were said.
#[derive(Default)]
pub(super) struct Said {
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    /// The NEXT_HOP attribute: of the networks in the message's own field.
    pub(super) next_hop: Option<Ipv4Addr>,
    med: Option<u32>,
    local_pref: Option<u32>,
    originator_id: Option<Ipv4Addr>,
    cluster_list: Vec<Ipv4Addr>,
    communities: Vec<Community>,
    large_communities: Vec<LargeCommunity>,
    extended_communities: Vec<ExtendedCommunity>,
    otc: Option<u32>,
}

/// Where to send, as one attribute says it.
#[derive(Clone, Copy)]
pub(super) struct NextHop {
    pub(super) address: IpAddr,
    pub(super) link_local: Option<Ipv6Addr>,
}

impl Said {
    /// Gathers what we know of; what nobody here knows is not kept.
    pub(super) fn of(attributes: &[PathAttribute]) -> Self {
        let mut said = Self::default();
        for attribute in attributes {
            said.take(attribute);
        }
        said.communities.sort_unstable();
        said.communities.dedup();
        said.large_communities.sort_unstable();
        said.large_communities.dedup();
        said.extended_communities.sort_unstable();
        said.extended_communities.dedup();
        said
    }

    fn take(&mut self, attribute: &PathAttribute) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "the codec's enum may grow")]
        match attribute {
            PathAttribute::Origin(origin) => {
                self.origin = Some(match origin {
                    rustbgpd_wire::Origin::Igp => Origin::Igp,
                    rustbgpd_wire::Origin::Egp => Origin::Egp,
                    rustbgpd_wire::Origin::Incomplete => Origin::Incomplete,
                });
            }
            PathAttribute::AsPath(path) => {
                let segments = path.segments.iter().map(|segment| match segment {
                    AsPathSegment::AsSequence(systems) => AsSegment::Sequence(systems.clone()),
                    AsPathSegment::AsSet(systems) => AsSegment::Set(systems.clone()),
                });
                self.as_path = Some(joined(segments));
            }
            PathAttribute::NextHop(address) => self.next_hop = Some(*address),
            PathAttribute::Med(med) => self.med = Some(*med),
            PathAttribute::LocalPref(preference) => self.local_pref = Some(*preference),
            PathAttribute::OriginatorId(id) => self.originator_id = Some(*id),
            PathAttribute::ClusterList(list) => self.cluster_list.clone_from(list),
            other => {
                if let Some(values) = other.communities() {
                    self.communities = values.iter().copied().map(Community).collect();
                } else if let Some(values) = other.large_communities() {
                    let all = values.iter().map(|community| {
                        let (first, second) = (community.local_data1, community.local_data2);
                        LargeCommunity([community.global_admin, first, second])
                    });
                    self.large_communities = all.collect();
                } else if let Some(values) = other.extended_communities() {
                    let all = values.iter().map(|value| value.as_u64().to_be_bytes());
                    self.extended_communities = all.map(ExtendedCommunity).collect();
                } else if let Some(otc) = other.only_to_customer() {
                    self.otc = Some(otc);
                }
            }
        }
    }

    /// What is said of the networks, each check passed; without a next hop, which
    /// `next_hop` gives.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub(super) fn attributes(
        &self,
        session: &Negotiated,
        next_hop: NextHop,
    ) -> Result<Attributes, Fault> {
        let missing = |attribute| Flaw::MissingAttribute.of(attribute);
        let origin = self.origin.ok_or_else(|| missing(ORIGIN))?;
        let as_path = self.as_path.as_ref().ok_or_else(|| missing(AS_PATH))?;
        self.check_counts(as_path)?;
        check_path(as_path, session)?;
        let otc = self.check_leak(session)?;
        let internal = session.is_internal();
        if internal {
            let is_ours = |id: &Ipv4Addr| *id == session.local_id;
            if self.originator_id.iter().chain(&self.cluster_list).any(is_ours) {
                return Err(Flaw::ReflectionLoop.into());
            }
        }
        Ok(Attributes {
            origin,
            as_path: as_path.clone(),
            next_hop: next_hop.address,
            link_local: next_hop.link_local,
            med: self.med,
            // Of an external neighbor these say nothing (RFC 7606 §7.5, 7.9, 7.10).
            local_pref: self.local_pref.filter(|_| internal),
            originator_id: self.originator_id.filter(|_| internal),
            cluster_list: if internal { self.cluster_list.clone() } else { Vec::new() },
            communities: self.communities.clone(),
            large_communities: self.large_communities.clone(),
            extended_communities: self.extended_communities.clone(),
            otc,
        })
    }

    fn check_counts(&self, as_path: &AsPath) -> Result<(), Fault> {
        let counts = [
            (AS_PATH, as_path.systems().count()),
            (CLUSTER_LIST, self.cluster_list.len()),
            (COMMUNITIES, self.communities.len()),
            (LARGE_COMMUNITY, self.large_communities.len()),
            (EXTENDED_COMMUNITIES, self.extended_communities.len()),
        ];
        match counts.into_iter().find(|(_, count)| BGP_ATTRIBUTE_ENTRIES < *count) {
            Some((attribute, _)) => Err(Flaw::TooManyEntries.of(attribute)),
            None => Ok(()),
        }
    }

    /// Only to Customer, as it is after RFC 9234 §5's procedure for what comes in.
    fn check_leak(&self, session: &Negotiated) -> Result<Option<u32>, Fault> {
        if self.otc == Some(0) {
            return Err(Flaw::MalformedAttribute.of(ONLY_TO_CUSTOMER));
        }
        if session.is_internal() {
            return Ok(self.otc);
        }
        match (session.local_role, self.otc) {
            (None, otc) => Ok(otc),
            (Some(Role::Provider | Role::RouteServer), Some(_)) => Err(Flaw::RouteLeak.into()),
            (Some(Role::Provider | Role::RouteServer), None) => Ok(None),
            (Some(Role::Peer), Some(otc)) if otc != session.remote_asn => {
                Err(Flaw::RouteLeak.into())
            }
            (Some(Role::Peer | Role::Customer | Role::RouteServerClient), otc) => {
                Ok(Some(otc.unwrap_or(session.remote_asn)))
            }
        }
    }
}

/// A path without the seams the 255 systems of a segment make.
fn joined(segments: impl Iterator<Item = AsSegment>) -> AsPath {
    let mut path: Vec<AsSegment> = Vec::new();
    for segment in segments {
        match (path.last_mut(), segment) {
            (Some(AsSegment::Sequence(last)), AsSegment::Sequence(systems))
                if !last.is_empty() && last.len().is_multiple_of(255) && !systems.is_empty() =>
            {
                last.extend(systems);
            }
            (_, segment) => path.push(segment),
        }
    }
    AsPath(path)
}

fn check_path(as_path: &AsPath, session: &Negotiated) -> Result<(), Fault> {
    let is_empty = |segment: &AsSegment| match segment {
        AsSegment::Sequence(systems) | AsSegment::Set(systems) => systems.is_empty(),
    };
    if as_path.0.iter().any(is_empty) {
        return Err(Flaw::MalformedAttribute.of(AS_PATH));
    }
    // A route server leaves itself out of paths (RFC 7947 §2.2.2.1).
    let is_transparent = session.local_role == Some(Role::RouteServerClient);
    if !session.is_internal() && !is_transparent && as_path.first() != Some(session.remote_asn) {
        return Err(Flaw::FirstAs.into());
    }
    let ours = as_path.systems().filter(|system| *system == session.local_asn).count();
    if usize::from(session.allowed_own_as) < ours {
        return Err(Flaw::AsLoop.into());
    }
    Ok(())
}

/// Where to send to networks of `family`, if that is said in a way that can be.
///
/// # Errors
/// Why it cannot.
pub(super) fn next_hop(
    said: NextHop,
    family: Family,
    session: &Negotiated,
) -> Result<NextHop, Flaw> {
    let is_v4 = matches!(family, Family::Ipv4Unicast | Family::Ipv4Vpn);
    let is_vpn = matches!(family, Family::Ipv4Vpn | Family::Ipv6Vpn);
    // What is no link-local address beside the global one says nothing.
    let link_local = said.link_local.filter(Ipv6Addr::is_unicast_link_local);
    let on_link = is_link_local(session.remote_address);
    let address = match (said.address, link_local) {
        // A next hop of a VPN may be IPv4 in IPv6 clothes (RFC 4659 §3.2.1.2).
        (address, _) if is_vpn => address.to_canonical(),
        // Neighbors on a link without global addresses (RFC 2545 §2).
        (IpAddr::V6(address), Some(link_local)) if on_link && address.is_unspecified() => {
            IpAddr::V6(link_local)
        }
        (address, _) => address,
    };
    let usable = match address {
        IpAddr::V4(address) => is_host(address) && (is_v4 || is_vpn),
        IpAddr::V6(address) if is_link_local(IpAddr::V6(address)) => on_link,
        IpAddr::V6(address) => {
            let special = address.is_unspecified() || address.is_loopback();
            !special && !address.is_multicast() && address.to_ipv4_mapped().is_none()
        }
    };
    if !usable {
        return Err(Flaw::InvalidNextHop);
    }
    if is_v4 && address.is_ipv6() && !session.extended_next_hop.contains(&family) {
        return Err(Flaw::NextHopFamily);
    }
    let is_own = |address: IpAddr| address == session.local_address;
    if is_own(address) || link_local.is_some_and(|address| is_own(IpAddr::V6(address))) {
        return Err(Flaw::OwnNextHop);
    }
    Ok(NextHop { address, link_local })
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Whether a host can have the address (RFC 1122 §3.2.1.3).
const fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}
