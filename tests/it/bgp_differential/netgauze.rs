//! NetGauze's codec: to our words, and from them.

use super::Said;
use lockgate::bgp::{
    AsPath, AsSegment, Attributes, Community, ExtendedCommunity, LargeCommunity, Nlri, Origin,
};
use lockgate::net::Prefix;
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::community as theirs;
use netgauze_bgp_pkt::nlri::{Ipv4Unicast, Ipv4UnicastAddress, Ipv6Unicast, Ipv6UnicastAddress};
use netgauze_bgp_pkt::path_attribute as path;
use netgauze_bgp_pkt::path_attribute::{
    As4PathSegment, AsPathSegmentType, MpReach, MpUnreach, PathAttribute,
    PathAttributeValue as Value,
};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_bgp_pkt::wire::deserializer::{BgpMessageParsingError, BgpParsingContext};
use netgauze_iana::address_family::AddressType;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::{ParseFrom, ParseFromWithOneInput};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A whole message, of a session whose systems have four bytes.
pub(super) fn parse(
    message: &[u8],
    several_paths: bool,
) -> Result<BgpMessage, BgpMessageParsingError> {
    let families = [AddressType::Ipv4Unicast, AddressType::Ipv6Unicast];
    let several = families.map(|family| (family, several_paths));
    let mut context = BgpParsingContext::new(
        true,
        HashMap::new(),
        HashMap::from(several),
        true,
        true,
        true,
        true,
    );
    BgpMessage::parse(&mut SliceReader::new(message), &mut context)
}

pub(super) fn write(message: &BgpMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes).unwrap();
    bytes
}

/// What an UPDATE says.
pub(super) fn said(update: &BgpUpdateMessage) -> Said {
    let mut said = Said::default();
    said.withdrawn.extend(update.withdraw_routes().iter().map(of_v4));
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
    for attribute in update.path_attributes() {
        match attribute.value() {
            Value::NextHop(hop) => {
                let nlri = update.nlri().iter().map(of_v4).collect();
                routes.push((hop.next_hop().into(), None, nlri));
            }
            Value::MpReach(MpReach::Ipv4Unicast { next_hop, next_hop_local, nlri }) => {
                routes.push((*next_hop, *next_hop_local, nlri.iter().map(of_v4).collect()));
            }
            Value::MpReach(MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri }) => {
                let nlri = nlri.iter().map(of_v6).collect();
                routes.push(((*next_hop_global).into(), *next_hop_local, nlri));
            }
            Value::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => {
                said.withdrawn.extend(nlri.iter().map(of_v4));
            }
            Value::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => {
                said.withdrawn.extend(nlri.iter().map(of_v6));
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

fn take(attributes: &mut Attributes, value: &Value) {
    match value {
        Value::Origin(origin) => {
            attributes.origin = match origin {
                path::Origin::IGP => Origin::Igp,
                path::Origin::EGP => Origin::Egp,
                path::Origin::Incomplete => Origin::Incomplete,
            };
        }
        Value::AsPath(path::AsPath::As4PathSegments(segments)) => {
            attributes.as_path = AsPath(segments.iter().fold(Vec::new(), joined));
        }
        Value::MultiExitDiscriminator(med) => attributes.med = Some(med.metric()),
        Value::LocalPreference(preference) => attributes.local_pref = Some(preference.metric()),
        Value::Originator(id) => attributes.originator_id = Some(id.id()),
        Value::ClusterList(list) => {
            attributes.cluster_list = list.cluster_list().iter().map(path::ClusterId::id).collect();
        }
        Value::Communities(all) => {
            let all: BTreeSet<_> =
                all.communities().iter().map(|one| Community(one.value())).collect();
            attributes.communities = all.into_iter().collect();
        }
        Value::LargeCommunities(all) => {
            let all = all.communities().iter().map(|one| {
                LargeCommunity([one.global_admin(), one.local_data1(), one.local_data2()])
            });
            attributes.large_communities = all.collect::<BTreeSet<_>>().into_iter().collect();
        }
        Value::ExtendedCommunities(all) => {
            let all = all.communities().iter().map(|one| {
                let mut bytes = Vec::new();
                one.write(&mut bytes).unwrap();
                ExtendedCommunity(bytes.try_into().unwrap())
            });
            attributes.extended_communities = all.collect::<BTreeSet<_>>().into_iter().collect();
        }
        Value::OnlyToCustomer(otc) => attributes.otc = Some(otc.asn()),
        // What we have no word for says nothing to us.
        _ => {}
    }
}

/// A segment holds 255 systems; a longer path is one all the same.
fn joined(mut path: Vec<AsSegment>, segment: &As4PathSegment) -> Vec<AsSegment> {
    let systems = segment.as_numbers();
    match (path.last_mut(), segment.segment_type()) {
        (Some(AsSegment::Sequence(last)), AsPathSegmentType::AsSequence)
            if last.len().is_multiple_of(255) =>
        {
            last.extend(systems);
        }
        (_, AsPathSegmentType::AsSequence) => path.push(AsSegment::Sequence(systems.to_vec())),
        (_, AsPathSegmentType::AsSet) => path.push(AsSegment::Set(systems.to_vec())),
    }
    path
}

fn of_v4(address: &Ipv4UnicastAddress) -> Nlri {
    let net = address.network().address();
    nlri(net.addr().into(), net.prefix_len(), address.path_id())
}

fn of_v6(address: &Ipv6UnicastAddress) -> Nlri {
    let net = address.network().address();
    nlri(net.addr().into(), net.prefix_len(), address.path_id())
}

fn nlri(address: IpAddr, length: u8, path_id: Option<u32>) -> Nlri {
    let prefix = Prefix::containing_address(address, length).unwrap();
    Nlri { prefix, distinguisher: None, path_id: path_id.unwrap_or_default() }
}

fn to_v4(nlri: &Nlri, several_paths: bool) -> Option<Ipv4UnicastAddress> {
    let net: ipnet::IpNet = nlri.prefix.to_string().parse().unwrap();
    let ipnet::IpNet::V4(net) = net else { return None };
    let path_id = several_paths.then_some(nlri.path_id);
    Some(Ipv4UnicastAddress::new(path_id, Ipv4Unicast::from_net(net).unwrap()))
}

fn to_v6(nlri: &Nlri, several_paths: bool) -> Option<Ipv6UnicastAddress> {
    let net: ipnet::IpNet = nlri.prefix.to_string().parse().unwrap();
    let ipnet::IpNet::V6(net) = net else { return None };
    let path_id = several_paths.then_some(nlri.path_id);
    Some(Ipv6UnicastAddress::new(path_id, Ipv6Unicast::from_net(net).unwrap()))
}

/// An UPDATE that announces these networks, each family where it belongs, and
/// withdraws those.
pub(super) fn update(
    attributes: &Attributes,
    announced: &BTreeSet<Nlri>,
    withdrawn: &BTreeSet<Nlri>,
    several_paths: bool,
) -> BgpMessage {
    let v4 = |all: &BTreeSet<Nlri>| -> Vec<_> {
        all.iter().filter_map(|nlri| to_v4(nlri, several_paths)).collect()
    };
    let v6 = |all: &BTreeSet<Nlri>| -> Vec<_> {
        all.iter().filter_map(|nlri| to_v6(nlri, several_paths)).collect()
    };
    let mut values = values(attributes);
    let mut in_body = Vec::new();
    match attributes.next_hop {
        IpAddr::V4(next_hop) => {
            values.push(Value::NextHop(path::NextHop::new(next_hop)));
            in_body = v4(announced);
        }
        IpAddr::V6(next_hop_global) => {
            let next_hop_local = attributes.link_local;
            let (v4, v6) = (v4(announced), v6(announced));
            // One message has one of these attributes (RFC 7606 §3 g).
            values.push(Value::MpReach(if v6.is_empty() {
                let next_hop = IpAddr::V6(next_hop_global);
                MpReach::Ipv4Unicast { next_hop, next_hop_local, nlri: v4.into() }
            } else {
                MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri: v6.into() }
            }));
        }
    }
    let gone = v6(withdrawn);
    if !gone.is_empty() {
        values.push(Value::MpUnreach(MpUnreach::Ipv6Unicast { nlri: gone.into() }));
    }
    let flagged = values.into_iter().map(|value| {
        let is = |flag: Option<bool>| flag.unwrap_or_default();
        let (optional, transitive) = (is(value.can_be_optional()), is(value.can_be_transitive()));
        PathAttribute::from(optional, transitive, false, true, value).unwrap()
    });
    let attributes: Vec<_> = flagged.collect();
    BgpMessage::Update(BgpUpdateMessage::new(v4(withdrawn), attributes, in_body))
}

fn values(attributes: &Attributes) -> Vec<Value> {
    let origin = match attributes.origin {
        Origin::Igp => path::Origin::IGP,
        Origin::Egp => path::Origin::EGP,
        Origin::Incomplete => path::Origin::Incomplete,
    };
    let segments = attributes.as_path.0.iter().flat_map(|segment| {
        let (kind, systems) = match segment {
            AsSegment::Sequence(systems) => (AsPathSegmentType::AsSequence, systems),
            AsSegment::Set(systems) => (AsPathSegmentType::AsSet, systems),
        };
        systems.chunks(255).map(move |systems| As4PathSegment::new(kind, systems))
    });
    let mut values = vec![
        Value::Origin(origin),
        Value::AsPath(path::AsPath::as4_path_segments(segments.collect::<Vec<_>>())),
    ];
    values.extend(
        attributes
            .med
            .map(|med| Value::MultiExitDiscriminator(path::MultiExitDiscriminator::new(med))),
    );
    values.extend(
        attributes
            .local_pref
            .map(|preference| Value::LocalPreference(path::LocalPreference::new(preference))),
    );
    values.extend(attributes.originator_id.map(|id| Value::Originator(path::Originator::new(id))));
    let clusters: Vec<_> =
        attributes.cluster_list.iter().copied().map(path::ClusterId::new).collect();
    if !clusters.is_empty() {
        values.push(Value::ClusterList(path::ClusterList::new(clusters)));
    }
    let all: Vec<_> =
        attributes.communities.iter().map(|one| theirs::Community::new(one.0)).collect();
    if !all.is_empty() {
        values.push(Value::Communities(path::Communities::new(all)));
    }
    let all = attributes.large_communities.iter();
    let all: Vec<_> =
        all.map(|one| theirs::LargeCommunity::new(one.0[0], one.0[1], one.0[2])).collect();
    if !all.is_empty() {
        values.push(Value::LargeCommunities(path::LargeCommunities::new(all)));
    }
    let all = attributes.extended_communities.iter();
    let all: Vec<_> = all
        .map(|one| theirs::ExtendedCommunity::parse(&mut SliceReader::new(&one.0)).unwrap())
        .collect();
    if !all.is_empty() {
        values.push(Value::ExtendedCommunities(path::ExtendedCommunities::new(all)));
    }
    values.extend(attributes.otc.map(|otc| Value::OnlyToCustomer(path::OnlyToCustomer::new(otc))));
    values
}
