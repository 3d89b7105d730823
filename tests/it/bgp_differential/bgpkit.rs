//! BGPKIT's codec, to our words. It knows no session: what it cannot read of an
//! attribute it keeps as bytes, with a warning.

use super::Said;
use bgpkit_parser::ParserError;
use bgpkit_parser::models::{
    AsPathSegment, AsnLength, AttributeValue, BgpMessage, BgpUpdateMessage, Community as Theirs,
    NetworkPrefix, NextHopAddress, Nlri as TheirNlri, Origin as TheirOrigin, Safi,
};
use bgpkit_parser::parser::bgp::parse_bgp_message;
use lockgate::bgp::{AsPath, AsSegment, Attributes, Community, LargeCommunity, Nlri, Origin};
use lockgate::net::Prefix;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A whole message, of a session whose systems have four bytes.
pub(super) fn parse(message: &[u8], several_paths: bool) -> Result<BgpMessage, ParserError> {
    parse_bgp_message(&mut message.to_vec().into(), several_paths, &AsnLength::Bits32)
}

/// What an UPDATE says; extended communities are left out, for it keeps them in
/// words of their kinds.
pub(super) fn said(update: &BgpUpdateMessage) -> Said {
    let mut said = Said::default();
    said.withdrawn.extend(update.withdrawn_prefixes.iter().map(nlri));
    let mut attributes = Attributes {
        origin: Origin::Igp,
        as_path: AsPath::default(),
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
    };
    let mut routes: Vec<(IpAddr, Option<Ipv6Addr>, Vec<Nlri>)> = Vec::new();
    for value in &update.attributes {
        match value {
            AttributeValue::NextHop(hop) => {
                let nlri = update.announced_prefixes.iter().map(nlri).collect();
                routes.push((*hop, None, nlri));
            }
            AttributeValue::MpReachNlri(reach) if is_ours(reach) => {
                let (hop, link_local) = match reach.next_hop {
                    Some(NextHopAddress::Ipv4(hop)) => (hop.into(), None),
                    Some(NextHopAddress::Ipv6(hop)) => (hop.into(), None),
                    Some(NextHopAddress::Ipv6LinkLocal(hop, local)) => (hop.into(), Some(local)),
                    other => panic!("{other:?}"),
                };
                routes.push((hop, link_local, reach.prefixes.iter().map(nlri).collect()));
            }
            AttributeValue::MpUnreachNlri(unreach) if is_ours(unreach) => {
                said.withdrawn.extend(unreach.prefixes.iter().map(nlri));
            }
            other => take(&mut attributes, other),
        }
    }
    for (next_hop, link_local, nlri) in routes {
        let attributes = Attributes { next_hop, link_local, ..attributes.clone() };
        said.announced.extend(nlri.into_iter().map(|nlri| (nlri, attributes.clone())));
    }
    said.settle();
    said
}

fn is_ours(nlri: &TheirNlri) -> bool {
    nlri.safi == Safi::Unicast && (nlri.is_ipv4() || nlri.is_ipv6())
}

fn take(attributes: &mut Attributes, value: &AttributeValue) {
    match value {
        AttributeValue::Origin(origin) => {
            attributes.origin = match origin {
                TheirOrigin::IGP => Origin::Igp,
                TheirOrigin::EGP => Origin::Egp,
                TheirOrigin::INCOMPLETE => Origin::Incomplete,
            };
        }
        AttributeValue::AsPath(path) => {
            attributes.as_path = AsPath(path.iter_segments().fold(Vec::new(), joined));
        }
        AttributeValue::MultiExitDiscriminator(med) => attributes.med = Some(*med),
        AttributeValue::LocalPreference(preference) => attributes.local_pref = Some(*preference),
        AttributeValue::OriginatorId(id) => attributes.originator_id = Some(*id),
        AttributeValue::Clusters(list) => {
            attributes.cluster_list = list.iter().copied().map(Ipv4Addr::from).collect();
        }
        AttributeValue::Communities(all) => {
            let all: BTreeSet<_> = all.iter().map(community).collect();
            attributes.communities = all.into_iter().collect();
        }
        AttributeValue::LargeCommunities(all) => {
            let all = all.iter().map(|one| {
                LargeCommunity([one.global_admin, one.local_data[0], one.local_data[1]])
            });
            attributes.large_communities = all.collect::<BTreeSet<_>>().into_iter().collect();
        }
        AttributeValue::OnlyToCustomer(otc) => attributes.otc = Some(otc.to_u32()),
        // What we have no word for says nothing to us.
        _ => {}
    }
}

/// The well-known ones by their numbers (RFC 1997).
fn community(community: &Theirs) -> Community {
    Community(match community {
        Theirs::NoExport => 0xffff_ff01,
        Theirs::NoAdvertise => 0xffff_ff02,
        Theirs::NoExportSubConfed => 0xffff_ff03,
        Theirs::Custom(asn, value) => asn.to_u32() << 16 | u32::from(*value),
    })
}

/// A segment holds 255 systems; a longer path is one all the same.
fn joined(mut path: Vec<AsSegment>, segment: &AsPathSegment) -> Vec<AsSegment> {
    let systems: Vec<u32> = segment.iter().map(bgpkit_parser::models::Asn::to_u32).collect();
    match (path.last_mut(), segment) {
        (Some(AsSegment::Sequence(last)), AsPathSegment::AsSequence(_))
            if last.len().is_multiple_of(255) =>
        {
            last.extend(systems);
        }
        (_, AsPathSegment::AsSet(_)) => path.push(AsSegment::Set(systems)),
        _ => path.push(AsSegment::Sequence(systems)),
    }
    path
}

fn nlri(network: &NetworkPrefix) -> Nlri {
    let net = network.prefix;
    let prefix = Prefix::containing_address(net.addr(), net.prefix_len()).unwrap();
    Nlri { prefix, distinguisher: None, path_id: network.path_id.unwrap_or_default() }
}
