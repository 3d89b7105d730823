//! UPDATEs that we begin: many networks to a message, each message as long as
//! both ends agreed on at most.

use super::{Negotiated, Role, family};
use crate::bgp::{AsSegment, Attributes, Family, Nlri, Origin, Update};
use rustbgpd_wire::{
    AsPath, AsPathSegment, ExtendedCommunity, Ipv4NlriEntry, Ipv4UnicastMode, LargeCommunity,
    MpReachNlri, MpUnreachNlri, NlriEntry, PathAttribute, UpdateMessage,
};
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of an UPDATE without networks and attributes: header and two lengths.
const FIXED_BYTES: usize = 23;
/// Bytes of an MP attribute before its next hop and networks: flags, number, a
/// length of two bytes, AFI, SAFI, the next hop's length, the reserved byte.
const MP_BYTES: usize = 9;
/// What an iBGP neighbor is told of a route of which nothing is said (RFC 4271
/// §5.1.5 demands a number; this is the one everybody starts from).
const DEFAULT_LOCAL_PREF: u32 = 100;

/// Why part of an [`Update`] cannot be said on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The session does not carry the family, or it is one of VPNs: routes of
    /// those are never begun here.
    #[error("{0:?} cannot be advertised on this session")]
    Family(Family),
    /// The next hop is not of the networks' family, and RFC 8950 was not agreed on.
    #[error("a next hop {next_hop} cannot be said of {family:?} on this session")]
    NextHop {
        /// The next hop.
        next_hop: IpAddr,
        /// The family of the networks.
        family: Family,
    },
    /// The path has a set (RFC 9774) or the system 0 (RFC 7607) in it.
    #[error("{0} cannot be written")]
    Unwritable(&'static str),
    /// The attributes leave no room for a network.
    #[error("attributes of {bytes} bytes do not fit a message of {maximum}")]
    TooLong {
        /// Bytes of the attributes.
        bytes: usize,
        /// The most bytes of a message on the session.
        maximum: usize,
    },
    /// The route must not be said to this neighbor (Only to Customer, RFC 9234 §5).
    #[error("a route that is only for customers cannot be said to one who is none")]
    RouteLeak,
}

/// Takes as many networks off `update` as one message holds, and gives the whole
/// message; `None` when nothing is left of it. What is withdrawn goes first.
///
/// Attributes are written as they are: the caller has put our AS in front of a
/// path for an external neighbor and our address in as the next hop. Left out
/// are, for an external neighbor, LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST
/// (RFC 4271 §5.1.5, RFC 4456 §8); Only to Customer is put in where RFC 9234 §5
/// wants it. Path identifiers are not written: we do not offer to send several.
///
/// # Errors
/// What cannot be said is taken off `update`, so the call can be repeated.
pub fn encode_next(
    update: &mut Update,
    session: &Negotiated,
) -> Result<Option<Vec<u8>>, EncodeError> {
    if !update.withdrawn.is_empty() {
        // No work for what is in order, which it is from the second time on.
        update.withdrawn.sort_by_key(family::of_nlri);
        return withdraw(&mut update.withdrawn, session);
    }
    while let Some(mut routes) = update.announced.pop() {
        if routes.nlri.is_empty() {
            continue;
        }
        routes.nlri.sort_by_key(family::of_nlri);
        let message = announce(&routes.attributes, &mut routes.nlri, session)?;
        if !routes.nlri.is_empty() {
            update.announced.push(routes);
        }
        return Ok(message);
    }
    Ok(None)
}

/// The message that says that this was all of `family` (RFC 4724 §2).
pub fn encode_end_of_rib(family: Family) -> Vec<u8> {
    let attributes = match family {
        Family::Ipv4Unicast => Vec::new(),
        Family::Ipv6Unicast | Family::Ipv4Vpn | Family::Ipv6Vpn | Family::RouteTargets => {
            vec![unreach(family, Vec::new())]
        }
    };
    // Six bytes of attributes always fit.
    message(&[], &[], &attributes, true, usize::from(u16::MAX)).unwrap_or_default()
}

fn withdraw(nlri: &mut Vec<Nlri>, session: &Negotiated) -> Result<Option<Vec<u8>>, EncodeError> {
    let Some(family) = nlri.last().map(family::of_nlri) else { return Ok(None) };
    if let Err(error) = check_family(family, session) {
        nlri.retain(|nlri| family::of_nlri(nlri) != family);
        return Err(error);
    }
    let maximum = session.maximum_message;
    let four_octet_as = session.four_octet_as;
    let withdrawn = match family {
        Family::Ipv4Unicast => {
            let taken = take(nlri, family, maximum - FIXED_BYTES);
            let entries: Vec<_> = taken.iter().filter_map(family::to_body).collect();
            message(&[], &entries, &[], four_octet_as, maximum)
        }
        Family::Ipv6Unicast | Family::Ipv4Vpn | Family::Ipv6Vpn | Family::RouteTargets => {
            let taken = take(nlri, family, maximum - FIXED_BYTES - MP_BYTES);
            let entries = taken.iter().map(family::to_entry).collect();
            message(&[], &[], &[unreach(family, entries)], four_octet_as, maximum)
        }
    };
    withdrawn.map(Some)
}

fn announce(
    attributes: &Attributes,
    nlri: &mut Vec<Nlri>,
    session: &Negotiated,
) -> Result<Option<Vec<u8>>, EncodeError> {
    let Some(family) = nlri.last().map(family::of_nlri) else { return Ok(None) };
    let next_hop = attributes.next_hop;
    let checked = check_family(family, session)
        .and_then(|()| check_next_hop(next_hop, family, session))
        .and_then(|()| path_attributes(attributes, session));
    let mut path = match checked {
        Ok(path) => path,
        Err(error) => {
            nlri.retain(|nlri| family::of_nlri(nlri) != family);
            return Err(error);
        }
    };
    let in_body = match (family, next_hop) {
        (Family::Ipv4Unicast, IpAddr::V4(next_hop)) => {
            path.insert(2, PathAttribute::NextHop(next_hop));
            true
        }
        _ => false,
    };
    let maximum = session.maximum_message;
    let four_octet_as = session.four_octet_as;
    let bare = message(&[], &[], &path, four_octet_as, usize::from(u16::MAX))?;
    let hop_bytes = match (in_body, next_hop, link_local(attributes)) {
        (true, _, _) => 0,
        (false, IpAddr::V4(_), _) => MP_BYTES + 4,
        (false, IpAddr::V6(_), None) => MP_BYTES + 16,
        (false, IpAddr::V6(_), Some(_)) => MP_BYTES + 32,
    };
    let bytes = bare.len() + hop_bytes;
    // The longest network is 17 bytes.
    let Some(room) = maximum.checked_sub(bytes).filter(|room| 17 <= *room) else {
        nlri.retain(|nlri| family::of_nlri(nlri) != family);
        return Err(EncodeError::TooLong { bytes: bytes - FIXED_BYTES, maximum });
    };
    let taken = take(nlri, family, room);
    let whole = if in_body {
        let entries: Vec<_> = taken.iter().filter_map(family::to_body).collect();
        message(&entries, &[], &path, four_octet_as, maximum)
    } else {
        // First, so that networks are found whatever comes behind (RFC 7606 §5.1).
        path.insert(0, reach(family, attributes, &taken));
        message(&[], &[], &path, four_octet_as, maximum)
    };
    whole.map(Some)
}

/// Takes networks of `family` off the end, as many as `room` bytes hold.
fn take(nlri: &mut Vec<Nlri>, family: Family, mut room: usize) -> Vec<Nlri> {
    let mut taken = Vec::new();
    while let Some(last) = nlri.last() {
        let bytes = 1 + usize::from(last.prefix.length().div_ceil(8));
        if family::of_nlri(last) != family || room < bytes {
            break;
        }
        room -= bytes;
        taken.extend(nlri.pop());
    }
    taken
}

fn check_family(family: Family, session: &Negotiated) -> Result<(), EncodeError> {
    let is_unicast = matches!(family, Family::Ipv4Unicast | Family::Ipv6Unicast);
    if is_unicast && session.families.contains(&family) {
        Ok(())
    } else {
        Err(EncodeError::Family(family))
    }
}

fn check_next_hop(
    next_hop: IpAddr,
    family: Family,
    session: &Negotiated,
) -> Result<(), EncodeError> {
    let is_own = next_hop.is_ipv4() == (family == Family::Ipv4Unicast);
    let is_extended = next_hop.is_ipv6() && session.extended_next_hop.contains(&family);
    if is_own || is_extended { Ok(()) } else { Err(EncodeError::NextHop { next_hop, family }) }
}

/// The attributes without a next hop: ORIGIN and AS_PATH, then by number.
pub(super) fn path_attributes(
    attributes: &Attributes,
    session: &Negotiated,
) -> Result<Vec<PathAttribute>, EncodeError> {
    let internal = session.is_internal();
    let origin = match attributes.origin {
        Origin::Igp => rustbgpd_wire::Origin::Igp,
        Origin::Egp => rustbgpd_wire::Origin::Egp,
        Origin::Incomplete => rustbgpd_wire::Origin::Incomplete,
    };
    let segments = attributes.as_path.0.iter().map(|segment| match segment {
        AsSegment::Sequence(systems) => AsPathSegment::AsSequence(systems.clone()),
        AsSegment::Set(systems) => AsPathSegment::AsSet(systems.clone()),
    });
    let as_path = AsPath { segments: segments.collect() };
    let mut path = vec![PathAttribute::Origin(origin), PathAttribute::AsPath(as_path)];
    path.extend(attributes.med.map(PathAttribute::Med));
    if internal {
        let preference = attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF);
        path.push(PathAttribute::LocalPref(preference));
    }
    if !attributes.communities.is_empty() {
        let all = attributes.communities.iter().map(|community| community.0);
        path.push(PathAttribute::Communities(all.collect()));
    }
    if internal {
        path.extend(attributes.originator_id.map(PathAttribute::OriginatorId));
        if !attributes.cluster_list.is_empty() {
            path.push(PathAttribute::ClusterList(attributes.cluster_list.clone()));
        }
    }
    if !attributes.extended_communities.is_empty() {
        let all = attributes.extended_communities.iter();
        let all = all.map(|community| ExtendedCommunity::new(u64::from_be_bytes(community.0)));
        path.push(PathAttribute::ExtendedCommunities(all.collect()));
    }
    if !attributes.large_communities.is_empty() {
        let all = attributes.large_communities.iter().map(|community| {
            let [global, first, second] = community.0;
            LargeCommunity::new(global, first, second)
        });
        path.push(PathAttribute::LargeCommunities(all.collect()));
    }
    path.extend(only_to_customer(attributes.otc, session)?.map(PathAttribute::OnlyToCustomer));
    Ok(path)
}

/// Only to Customer, as it is after RFC 9234 §5's procedure for what goes out.
fn only_to_customer(otc: Option<u32>, session: &Negotiated) -> Result<Option<u32>, EncodeError> {
    match (session.local_role.filter(|_| !session.is_internal()), otc) {
        (None, otc) => Ok(otc),
        (Some(Role::Customer | Role::Peer | Role::RouteServerClient), Some(_)) => {
            Err(EncodeError::RouteLeak)
        }
        (Some(Role::Customer | Role::RouteServerClient), None) => Ok(None),
        (Some(Role::Provider | Role::RouteServer | Role::Peer), otc) => {
            Ok(Some(otc.unwrap_or(session.local_asn)))
        }
    }
}

/// The second next hop, which can only be a link-local one (RFC 2545 §3).
fn link_local(attributes: &Attributes) -> Option<Ipv6Addr> {
    attributes.link_local.filter(Ipv6Addr::is_unicast_link_local)
}

fn reach(family: Family, attributes: &Attributes, nlri: &[Nlri]) -> PathAttribute {
    let (afi, safi) = family::to_wire(family);
    PathAttribute::MpReachNlri(Box::new(MpReachNlri {
        afi,
        safi,
        next_hop: attributes.next_hop,
        link_local_next_hop: link_local(attributes),
        announced: nlri.iter().map(family::to_entry).collect(),
        flowspec_announced: Vec::new(),
        evpn_announced: Vec::new(),
        bgpls_announced: Vec::new(),
        vpn_announced: Vec::new(),
        labeled_announced: Vec::new(),
        rtc_announced: Vec::new(),
    }))
}

fn unreach(family: Family, withdrawn: Vec<NlriEntry>) -> PathAttribute {
    let (afi, safi) = family::to_wire(family);
    PathAttribute::MpUnreachNlri(Box::new(MpUnreachNlri {
        afi,
        safi,
        withdrawn,
        flowspec_withdrawn: Vec::new(),
        evpn_withdrawn: Vec::new(),
        bgpls_withdrawn: Vec::new(),
        vpn_withdrawn: Vec::new(),
        labeled_withdrawn: Vec::new(),
        rtc_withdrawn: Vec::new(),
    }))
}

pub(super) fn message(
    announced: &[Ipv4NlriEntry],
    withdrawn: &[Ipv4NlriEntry],
    attributes: &[PathAttribute],
    four_octet_as: bool,
    maximum: usize,
) -> Result<Vec<u8>, EncodeError> {
    let mode = Ipv4UnicastMode::Body;
    let error = |error| match error {
        rustbgpd_wire::EncodeError::MessageTooLong { size } => {
            EncodeError::TooLong { bytes: size, maximum }
        }
        rustbgpd_wire::EncodeError::ValueOutOfRange { field, .. } => EncodeError::Unwritable(field),
        #[allow(clippy::wildcard_enum_match_arm, reason = "the codec's enum may grow")]
        _ => EncodeError::Unwritable("an attribute"),
    };
    let update =
        UpdateMessage::try_build(announced, withdrawn, attributes, four_octet_as, false, mode)
            .map_err(error)?;
    let mut message = Vec::new();
    let limit = u16::try_from(maximum).unwrap_or(u16::MAX);
    update.encode_with_limit(&mut message, limit).map_err(error)?;
    Ok(message)
}
