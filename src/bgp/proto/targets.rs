//! Which VPN routes we want, said to a route reflector (RFC 4684): it then sends no
//! others. What it wants itself is nothing to us, for we have no VPN routes to say.

use super::encode::{message, path_attributes};
use super::{EncodeError, Negotiated, family};
use crate::bgp::{AsPath, AsSegment, Attributes, Family, Origin};
use crate::net::RouteTarget;
use rustbgpd_wire::{MpReachNlri, MpUnreachNlri, PathAttribute, RtcNlri};
use std::net::{IpAddr, Ipv4Addr};

/// Bits of a membership that names a whole route target (RFC 4684 §4).
const WHOLE_TARGET: u8 = 96;

/// The whole message that says that routes of these targets are `wanted`, or not any
/// more. As many as a policy may have fit by far.
///
/// # Errors
/// When the session does not carry [`Family::RouteTargets`], and when there are too many.
pub fn encode_targets(
    targets: &[RouteTarget],
    wanted: bool,
    session: &Negotiated,
) -> Result<Vec<u8>, EncodeError> {
    if !session.families.contains(&Family::RouteTargets) {
        return Err(EncodeError::Family(Family::RouteTargets));
    }
    let (afi, safi) = family::to_wire(Family::RouteTargets);
    // The origin AS is that of who wants them, whatever the target names.
    let membership = |target: &RouteTarget| {
        let bits = u64::from_be_bytes(target.community().0);
        RtcNlri::new(session.local_asn, bits, WHOLE_TARGET).ok()
    };
    let memberships = targets.iter().filter_map(membership).collect();
    let attributes = if wanted {
        let own = AsSegment::Sequence(vec![session.local_asn]);
        let mut path = path_attributes(
            &Attributes {
                origin: Origin::Igp,
                as_path: AsPath(if session.is_internal() { Vec::new() } else { vec![own] }),
                next_hop: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                link_local: None,
                med: None,
                local_pref: None,
                originator_id: None,
                cluster_list: Vec::new(),
                communities: Vec::new(),
                large_communities: Vec::new(),
                extended_communities: Vec::new(),
                otc: None,
            },
            session,
        )?;
        // Only to Customer is of unicast networks alone (RFC 9234 §5).
        path.retain(|attribute| !matches!(attribute, PathAttribute::OnlyToCustomer(_)));
        let reach = MpReachNlri {
            afi,
            safi,
            next_hop: session.local_address,
            link_local_next_hop: None,
            announced: Vec::new(),
            flowspec_announced: Vec::new(),
            evpn_announced: Vec::new(),
            bgpls_announced: Vec::new(),
            vpn_announced: Vec::new(),
            labeled_announced: Vec::new(),
            rtc_announced: memberships,
        };
        path.insert(0, PathAttribute::MpReachNlri(Box::new(reach)));
        path
    } else {
        vec![PathAttribute::MpUnreachNlri(Box::new(MpUnreachNlri {
            afi,
            safi,
            withdrawn: Vec::new(),
            flowspec_withdrawn: Vec::new(),
            evpn_withdrawn: Vec::new(),
            bgpls_withdrawn: Vec::new(),
            vpn_withdrawn: Vec::new(),
            labeled_withdrawn: Vec::new(),
            rtc_withdrawn: memberships,
        }))]
    };
    message(&[], &[], &attributes, session.four_octet_as, session.maximum_message)
}
