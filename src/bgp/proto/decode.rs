//! UPDATEs as they came, and what is taken of them (RFC 4271 §6.3, RFC 7606).
//!
//! The codec reads the fields and judges each attribute; here networks and
//! attributes are put together, and what is wrong with a route takes that route
//! away, not the session.

use super::header::HEADER_BYTES;
use super::verify::{NextHop, Said, next_hop};
use super::{Fault, Flaw, Negotiated, Notification, family};
use crate::bgp::{Announcement, Family, Nlri, Update};
use rustbgpd_wire::{
    ErrorDisposition, MalformedAttribute, MpReachNlri, MpUnreachNlri, PathAttribute, Safi,
    UpdateMessage,
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

const NEXT_HOP: u8 = 3;
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;
/// The flag of an attribute whose length has two bytes (RFC 4271 §4.3).
const EXTENDED_LENGTH: u8 = 0x10;

/// What one UPDATE came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub update: Update,
    /// The family of which that was all (RFC 4724 §2).
    pub end_of_rib: Option<Family>,
    /// What was not taken as it was said, and of how many networks.
    pub flaws: Vec<(Flaw, usize)>,
    /// Networks that were announced and are among the withdrawn, and why.
    pub treated: Vec<(Fault, Vec<Nlri>)>,
    /// The first thing that was wrong, for people.
    pub complaint: Option<String>,
}

/// What a whole UPDATE comes to on a session that agreed on `session`.
///
/// # Errors
/// The NOTIFICATION that ends the session: 3/1 for lengths that do not fit one
/// another, 3/9 and 3/10 for networks that cannot be told apart (RFC 7606 §3 j),
/// and whatever is wrong with an attribute of an UPDATE that says no network it
/// could be of (§5.2).
pub fn decode_update(message: &[u8], session: &Negotiated) -> Result<Received, Notification> {
    let mut body = message.get(HEADER_BYTES..).unwrap_or_default();
    let length = body.len();
    let mut fields =
        UpdateMessage::decode(&mut body, length).map_err(|error| Notification::of_error(&error))?;
    let mut received = Received::default();
    let is_bare = fields.withdrawn_routes.is_empty() && fields.nlri.is_empty();
    let is_end = is_bare && fields.path_attributes.is_empty();
    let disabled = disabled(&fields.path_attributes, session);
    let says_disabled = disabled.iter().any(|(number, _)| *number == MP_REACH);
    if !disabled.is_empty() {
        received.flaw(Flaw::FamilyNotNegotiated, disabled.len());
        fields.path_attributes = without(&fields.path_attributes, &disabled).into();
    }
    let wire: Vec<_> = session.add_path_receive.iter().copied().map(family::to_wire).collect();
    let parsed = fields
        .parse_revised(
            session.four_octet_as,
            session.is_internal(),
            session.add_path_receive.contains(&Family::Ipv4Unicast),
            &wire,
        )
        .map_err(|error| Notification::of_error(&error))?;
    let attributes = &parsed.update.attributes;

    let body_count = parsed.update.announced.len();
    let reach = attributes.iter().find_map(|attribute| {
        if let PathAttribute::MpReachNlri(reach) = attribute { Some(&**reach) } else { None }
    });
    let unreach = attributes.iter().find_map(|attribute| {
        if let PathAttribute::MpUnreachNlri(unreach) = attribute { Some(&**unreach) } else { None }
    });
    let worst = received.judge(&parsed.malformed, attributes);
    // An attribute that names none is as good as no attribute (RFC 7606 §5.2).
    let reach_count = reach.map_or(0, |reach| networks(reach).0);
    if let Some((_, notification)) = &worst
        && body_count == 0
        && reach_count == 0
        && !says_disabled
    {
        return Err(notification.clone());
    }

    let mut routes = Vec::new();
    if session.families.contains(&Family::Ipv4Unicast) {
        let withdrawn = family::from_body(&parsed.update.withdrawn);
        received.update.withdrawn.extend(withdrawn);
        let announced = family::from_body(&parsed.update.announced);
        routes.push(Routes { family: Family::Ipv4Unicast, reach: None, nlri: announced });
    } else {
        let networks = parsed.update.withdrawn.len() + body_count;
        received.flaw(Flaw::FamilyNotNegotiated, networks);
    }
    if let Some(unreach) = unreach {
        received.withdraw(unreach);
    }
    if let Some(reach) = reach
        && let Some(family) = family::from_wire((reach.afi, reach.safi))
    {
        let (count, nlri) = networks(reach);
        // What route targets the neighbor wants is of no network.
        let unspelled = if family == Family::RouteTargets { 0 } else { count - nlri.len() };
        received.flaw(Flaw::MappedPrefix, unspelled);
        routes.push(Routes { family, reach: Some(reach), nlri });
    }
    let said = Said::of(attributes);
    for routes in routes.into_iter().filter(|routes| !routes.nlri.is_empty()) {
        received.take(routes, &said, worst.as_ref().map(|(fault, _)| *fault), session);
    }
    received.settle();

    let is_alone = attributes.len() == 1 && parsed.malformed.is_empty();
    received.end_of_rib = match unreach {
        Some(unreach)
            if is_bare && is_alone && received.is_silent() && unreach.rtc_withdrawn.is_empty() =>
        {
            family::from_wire((unreach.afi, unreach.safi))
        }
        None if is_end => Some(Family::Ipv4Unicast),
        Some(_) | None => None,
    };
    received.end_of_rib = received.end_of_rib.filter(|family| session.families.contains(family));
    Ok(received)
}

/// Networks that share a next hop.
struct Routes<'a> {
    family: Family,
    /// The attribute they stand in; `None` for the message's own field.
    reach: Option<&'a MpReachNlri>,
    nlri: Vec<Nlri>,
}

impl Received {
    fn flaw(&mut self, flaw: Flaw, networks: usize) {
        if networks != 0 {
            self.flaws.push((flaw, networks));
        }
    }

    fn complain(&mut self, complaint: impl FnOnce() -> String) {
        if self.complaint.is_none() {
            self.complaint = Some(complaint());
        }
    }

    fn is_silent(&self) -> bool {
        self.update.withdrawn.is_empty() && self.update.announced.is_empty()
    }

    /// The first flaw that takes the message's networks away, with what would be
    /// answered where there are none.
    fn judge(
        &mut self,
        malformed: &[MalformedAttribute],
        attributes: &[PathAttribute],
    ) -> Option<(Fault, Notification)> {
        let mut worst = None;
        for attribute in malformed {
            self.complain(|| format!("attribute {}: {}", attribute.type_code, attribute.error));
            match attribute.disposition {
                ErrorDisposition::AttributeDiscard => self.flaw(Flaw::AttributeDiscarded, 1),
                ErrorDisposition::TreatAsWithdraw | ErrorDisposition::SessionReset => {
                    worst.get_or_insert_with(|| {
                        let fault = Flaw::MalformedAttribute.of(attribute.type_code);
                        (fault, Notification::of_error(&attribute.error))
                    });
                }
            }
        }
        for attribute in attributes {
            if let PathAttribute::Unknown(raw) = attribute
                && raw.flags & 0x80 == 0
            {
                let number = raw.type_code;
                self.complain(|| format!("attribute {number}: well-known, and known to nobody"));
                worst.get_or_insert_with(|| {
                    let mut data = vec![raw.flags, number];
                    data.extend(raw.data.iter().take(64));
                    (Flaw::UnknownWellKnown.of(number), Notification::new(3, 2, data))
                });
            }
        }
        worst
    }

    /// Takes networks as announced, or as withdrawn with the reason.
    fn take(
        &mut self,
        routes: Routes<'_>,
        said: &Said,
        worst: Option<Fault>,
        session: &Negotiated,
    ) {
        let hop = match routes.reach {
            Some(reach) => {
                Some(NextHop { address: reach.next_hop, link_local: reach.link_local_next_hop })
            }
            None => said
                .next_hop
                .map(|address| NextHop { address: IpAddr::V4(address), link_local: None }),
        };
        let attributes = match (worst, hop) {
            (Some(fault), _) => Err(fault),
            (None, None) => Err(Flaw::MissingAttribute.of(NEXT_HOP)),
            (None, Some(hop)) => next_hop(hop, routes.family, session)
                .map_err(Fault::from)
                .and_then(|hop| said.attributes(session, hop)),
        };
        match attributes {
            Ok(attributes) => self
                .update
                .announced
                .push(Announcement { attributes: Arc::new(attributes), nlri: routes.nlri }),
            Err(fault) => {
                self.flaw(fault.flaw, routes.nlri.len());
                let first = routes.nlri.first().map(|nlri| nlri.prefix);
                self.complain(|| match first {
                    Some(prefix) => format!("{prefix}: {fault}"),
                    None => fault.to_string(),
                });
                self.update.withdrawn.extend_from_slice(&routes.nlri);
                self.treated.push((fault, routes.nlri));
            }
        }
    }

    fn withdraw(&mut self, unreach: &MpUnreachNlri) {
        let nlri = if unreach.safi == Safi::MplsVpn {
            family::from_vpn(&unreach.vpn_withdrawn)
        } else {
            family::from_entries(&unreach.withdrawn)
        };
        self.update.withdrawn.extend(nlri);
    }

    /// What is announced and withdrawn at once is announced (RFC 4271 §4.3).
    fn settle(&mut self) {
        if self.update.withdrawn.is_empty() || self.update.announced.is_empty() {
            return;
        }
        let announced = self.update.announced.iter().flat_map(|routes| &routes.nlri);
        let announced: BTreeSet<Nlri> = announced.copied().collect();
        self.update.withdrawn.retain(|nlri| !announced.contains(nlri));
        for (_, networks) in &mut self.treated {
            networks.retain(|nlri| !announced.contains(nlri));
        }
    }
}

/// The networks of an attribute that we have a spelling of, and how many it names.
fn networks(reach: &MpReachNlri) -> (usize, Vec<Nlri>) {
    if reach.safi == Safi::MplsVpn {
        (reach.vpn_announced.len(), family::from_vpn(&reach.vpn_announced))
    } else if reach.safi == Safi::RtConstrain {
        (reach.rtc_announced.len(), Vec::new())
    } else {
        (reach.announced.len(), family::from_entries(&reach.announced))
    }
}

/// Finds MP attributes of families that were not agreed on, by their numbers: such
/// a family is disabled (RFC 4760 §7), and what is said of it need not be
/// understood. The codec would end the session over one it does not know.
///
/// An attribute that is there twice stays: that ends the session whatever it says
/// (RFC 7606 §3 g).
fn disabled(attributes: &[u8], session: &Negotiated) -> Vec<(u8, Range<usize>)> {
    let mut found = Vec::new();
    let mut counts = [0_usize; 2];
    let mut at = 0;
    while let Some((number, flags, value, end)) = split(attributes, at) {
        if let MP_REACH | MP_UNREACH = number {
            counts[usize::from(number - MP_REACH)] += 1;
            let family = attributes.get(value..end).and_then(|value| match value {
                [high, low, safi, ..] => Some((u16::from_be_bytes([*high, *low]), *safi)),
                _ => None,
            });
            let is_disabled = family.is_some_and(|(afi, safi)| {
                let ours = family::from_numbers(afi, safi);
                !ours.is_some_and(|family| session.families.contains(&family))
            });
            // Optional, neither transitive nor partial: else it is malformed.
            if is_disabled && flags & 0xe0 == 0x80 {
                found.push((number, at..end));
            }
        }
        at = end;
    }
    found.retain(|(number, _): &(u8, Range<usize>)| counts[usize::from(*number - MP_REACH)] == 1);
    found
}

fn without(attributes: &[u8], ranges: &[(u8, Range<usize>)]) -> Vec<u8> {
    let kept = attributes
        .iter()
        .enumerate()
        .filter(|(at, _)| !ranges.iter().any(|(_, range)| range.contains(at)));
    kept.map(|(_, byte)| *byte).collect()
}

/// The attribute at `at`: its number, its flags, where its value begins and where
/// it ends; `None` behind the last whole one.
fn split(attributes: &[u8], at: usize) -> Option<(u8, u8, usize, usize)> {
    let [flags, number, rest @ ..] = attributes.get(at..)? else { return None };
    let (header, length) = match rest {
        [high, low, ..] if *flags & EXTENDED_LENGTH != 0 => {
            (4, usize::from(u16::from_be_bytes([*high, *low])))
        }
        [length, ..] if *flags & EXTENDED_LENGTH == 0 => (3, usize::from(*length)),
        _ => return None,
    };
    let (value, end) = (at + header, at + header + length);
    (end <= attributes.len()).then_some((*number, *flags, value, end))
}
