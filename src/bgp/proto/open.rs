//! OPENs: ours as the state machine makes it and as it is sent, the neighbor's
//! as it came and as it is understood.

use super::header::HEADER_BYTES;
use super::{Negotiated, Notification, Offer, PeerRestart, RestartOffer, Role, family};
use crate::bgp::Family;
use crate::model::limits::{BGP_EXTENDED_MESSAGE_BYTES, BGP_MESSAGE_BYTES};
use rustbgpd_fsm::{NegotiatedSession, PeerConfig};
use rustbgpd_wire::capability::{AddPathFamily, AddPathMode, ExtendedNextHopFamily, LlgrFamily};
use rustbgpd_wire::{Afi, BgpRole, Capability, OpenMessage, Safi};
use std::net::IpAddr;
use std::time::Duration;

/// AS_TRANS (RFC 6793 §9).
const AS_TRANS: u16 = 23_456;
/// The capability of a family (RFC 4760 §8).
const MULTIPROTOCOL: u8 = 1;
/// Capability codes whose lists the codec keeps or leaves as a whole.
const EXTENDED_NEXT_HOP: u8 = 5;
const ADD_PATH: u8 = 69;
const LONG_LIVED: u8 = 71;

/// The offer in the state machine's words.
pub(super) fn peer_config(offer: &Offer) -> PeerConfig {
    let (local, remote) = (offer.local_asn.value(), offer.remote_asn.value());
    let mut config = PeerConfig::new(local, remote, offer.router_id);
    config.hold_time = offer.hold_time;
    config.min_hold_time = Some(offer.least_hold_time).filter(|least| *least != 0);
    config.families = offer.families.iter().copied().map(family::to_wire).collect();
    config.required_families =
        offer.required_families.iter().copied().map(family::to_wire).collect();
    config.add_path_receive = offer.add_path_receive;
    config.graceful_restart = offer.restart.is_some();
    config.gr_restart_time = offer.restart.as_ref().map_or(0, |restart| restart.restart_time);
    config.local_role = offer.role.map(role_to_wire);
    config.strict_role = offer.strict_role;
    config.disable_ipv4_unicast = !offer.families.contains(&Family::Ipv4Unicast);
    config
}

/// Our OPEN as it is sent: the state machine's says nothing of what was
/// preserved, and offers long messages and IPv6 next hops by rules of its own.
pub(super) fn as_offered(mut open: OpenMessage, offer: &Offer) -> OpenMessage {
    open.capabilities.retain(|capability| {
        let is_long = matches!(capability, Capability::ExtendedMessage);
        let is_next_hop = matches!(capability, Capability::ExtendedNextHop(_));
        !is_next_hop && (offer.extended_messages || !is_long)
    });
    let next_hops = extended_next_hops(offer);
    if !next_hops.is_empty() {
        open.capabilities.push(Capability::ExtendedNextHop(next_hops));
    }
    if let (Some(stale_time), Some(_)) = (offer.long_lived, &offer.restart) {
        open.capabilities.push(Capability::LongLivedGracefulRestart(kept(offer, stale_time)));
    }
    for capability in &mut open.capabilities {
        if let Capability::AddPath(families) = capability {
            families
                .retain(|it| family::from_wire((it.afi, it.safi)) != Some(Family::RouteTargets));
        }
        if let (
            Capability::GracefulRestart { restart_state, notification, restart_time, families },
            Some(restart),
        ) = (capability, &offer.restart)
        {
            *restart_state = restart.restarting;
            *notification = restart.notification;
            *restart_time = restart.restart_time.min(RestartOffer::MOST_SECONDS);
            for entry in families {
                entry.forwarding_preserved = family::from_wire((entry.afi, entry.safi))
                    .is_some_and(|family| restart.forwarding_preserved.contains(&family));
            }
        }
    }
    open
}

impl RestartOffer {
    /// What twelve bits hold.
    const MOST_SECONDS: u16 = 4_095;
}

/// Families of ours that the neighbor is to keep for so long; none says that we keep what
/// is its own.
fn kept(offer: &Offer, stale_time: u32) -> Vec<LlgrFamily> {
    let families = offer.families.iter().filter(|_| stale_time != 0);
    let tuples = families.copied().map(family::to_wire).map(|(afi, safi)| LlgrFamily {
        afi,
        safi,
        forwarding_preserved: false,
        stale_time: stale_time.min(0xff_ffff),
    });
    tuples.collect()
}

/// The families an IPv6 next hop is offered for.
fn extended_next_hops(offer: &Offer) -> Vec<ExtendedNextHopFamily> {
    let families = offer.families.iter().filter(|_| offer.extended_next_hop);
    let networks = families.copied().filter(|family| *family != Family::RouteTargets);
    let wire = networks.map(family::to_wire).filter(|(afi, _)| *afi == Afi::Ipv4);
    let tuples = wire.map(|(nlri_afi, nlri_safi)| ExtendedNextHopFamily {
        nlri_afi,
        nlri_safi,
        next_hop_afi: Afi::Ipv6,
    });
    tuples.collect()
}

/// The neighbor's OPEN out of a whole message.
///
/// # Errors
/// 2/1 to 2/7 (RFC 4271 §6.2). 2/2 also where the two fields for its AS are at
/// odds, which the state machine does not look at.
pub(super) fn decode_open(message: &[u8], offer: &Offer) -> Result<OpenMessage, Notification> {
    let mut body = message.get(HEADER_BYTES..).unwrap_or_default();
    let length = body.len();
    let mut open =
        OpenMessage::decode(&mut body, length).map_err(|error| Notification::of_error(&error))?;
    for capability in &mut open.capabilities {
        repair(capability);
    }
    let asn = open.four_byte_as();
    if open.my_as != AS_TRANS && u32::from(open.my_as) != asn {
        return Err(Notification::new(2, 2, Vec::new()));
    }
    if has_only_unknown_families(&open) {
        let families = offer.families.iter().map(|family| {
            let (afi, safi) = family::numbers(*family);
            let [high, low] = afi.to_be_bytes();
            [MULTIPROTOCOL, 4, high, low, 0, safi]
        });
        return Err(Notification::new(2, 7, families.flatten().collect()));
    }
    Ok(open)
}

/// Whether families are named of which the codec knows none. The state machine
/// takes that for a neighbor that names none at all, which carries IPv4 (RFC 4760
/// §8).
fn has_only_unknown_families(open: &OpenMessage) -> bool {
    let is_known = |capability: &Capability| matches!(capability, Capability::MultiProtocol { .. });
    let is_unknown = |capability: &Capability| matches!(capability, Capability::Unknown { code: MULTIPROTOCOL, data } if data.len() == 4);
    open.capabilities.iter().any(is_unknown) && !open.capabilities.iter().any(is_known)
}

/// Reads again what the codec set aside whole because one family in it is
/// unknown. Were its other families left out too, the neighbor would take them
/// as agreed on, and for several paths send what cannot be read.
fn repair(capability: &mut Capability) {
    let Capability::Unknown { code, data } = &*capability else { return };
    let repaired = match *code {
        EXTENDED_NEXT_HOP if data.len().is_multiple_of(6) => {
            let tuples = data.chunks_exact(6).filter_map(|tuple| {
                let [afi_high, afi_low, safi_high, safi, hop_high, hop_low] = tuple else {
                    return None;
                };
                let (nlri_afi, nlri_safi) = known(*afi_high, *afi_low, *safi)?;
                let next_hop_afi = Afi::from_u16(u16::from_be_bytes([*hop_high, *hop_low]))?;
                let tuple = ExtendedNextHopFamily { nlri_afi, nlri_safi, next_hop_afi };
                Some(tuple).filter(|_| *safi_high == 0)
            });
            Capability::ExtendedNextHop(tuples.collect())
        }
        ADD_PATH if data.len().is_multiple_of(4) => {
            let tuples = data.chunks_exact(4).filter_map(|tuple| {
                let [afi_high, afi_low, safi, mode] = tuple else { return None };
                let (afi, safi) = known(*afi_high, *afi_low, *safi)?;
                Some(AddPathFamily { afi, safi, send_receive: AddPathMode::from_u8(*mode)? })
            });
            Capability::AddPath(tuples.collect())
        }
        LONG_LIVED if data.len().is_multiple_of(7) => {
            let tuples = data.chunks_exact(7).filter_map(|tuple| {
                let [afi_high, afi_low, safi, flags, time @ ..] = tuple else { return None };
                let (afi, safi) = known(*afi_high, *afi_low, *safi)?;
                let stale_time = time.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                let forwarding_preserved = *flags & 0x80 != 0;
                Some(LlgrFamily { afi, safi, forwarding_preserved, stale_time })
            });
            Capability::LongLivedGracefulRestart(tuples.collect())
        }
        _ => return,
    };
    *capability = repaired;
}

fn known(afi_high: u8, afi_low: u8, safi: u8) -> Option<(Afi, Safi)> {
    let afi = Afi::from_u16(u16::from_be_bytes([afi_high, afi_low]))?;
    Some((afi, Safi::from_u8(safi)?))
}

/// What came of both OPENs, on a connection between these addresses.
pub(super) fn negotiated(
    theirs: &NegotiatedSession,
    offer: &Offer,
    local_address: IpAddr,
    remote_address: IpAddr,
) -> Negotiated {
    let is_extended = offer.extended_messages && theirs.peer_extended_message;
    let families: Vec<Family> =
        theirs.negotiated_families.iter().copied().filter_map(family::from_wire).collect();
    let several = families.iter().copied().filter(|family| *family != Family::RouteTargets);
    let add_path_receive = several.filter(|family| {
        let mode = theirs.add_path_families.get(&family::to_wire(*family));
        matches!(mode, Some(AddPathMode::Receive | AddPathMode::Both))
    });
    Negotiated {
        local_asn: offer.local_asn.value(),
        remote_asn: theirs.peer_asn,
        local_id: offer.router_id,
        remote_id: theirs.peer_router_id,
        local_address,
        remote_address,
        hold_time: Some(theirs.hold_time)
            .filter(|time| *time != 0)
            .map(|time| Duration::from_secs(time.into())),
        four_octet_as: theirs.four_octet_as,
        maximum_message: if is_extended { BGP_EXTENDED_MESSAGE_BYTES } else { BGP_MESSAGE_BYTES },
        route_refresh: theirs.peer_route_refresh,
        enhanced_refresh: theirs.peer_route_refresh && theirs.peer_enhanced_route_refresh,
        add_path_receive: add_path_receive.collect(),
        extended_next_hop: agreed_next_hops(theirs, offer, &families),
        restart: offer.restart.as_ref().and_then(|restart| peer_restart(theirs, restart)),
        long_lived: long_lived(theirs, offer),
        local_role: offer.role,
        remote_role: theirs.remote_role.and_then(role_from_wire),
        allowed_own_as: offer.allowed_own_as,
        families,
    }
}

fn agreed_next_hops(theirs: &NegotiatedSession, offer: &Offer, families: &[Family]) -> Vec<Family> {
    let lists = theirs.peer_capabilities.iter().filter_map(|capability| {
        if let Capability::ExtendedNextHop(tuples) = capability { Some(tuples) } else { None }
    });
    let said: Vec<ExtendedNextHopFamily> = lists.flatten().copied().collect();
    let both = extended_next_hops(offer).into_iter().filter(|ours| said.contains(ours));
    let both = both.filter_map(|tuple| family::from_wire((tuple.nlri_afi, tuple.nlri_safi)));
    both.filter(|family| families.contains(family)).collect()
}

/// The last of several counts (RFC 4724 §3).
fn peer_restart(theirs: &NegotiatedSession, ours: &RestartOffer) -> Option<PeerRestart> {
    let said = theirs.peer_capabilities.iter().rev().find_map(|capability| {
        if let Capability::GracefulRestart { restart_state, notification, restart_time, .. } =
            capability
        {
            Some((*restart_state, *notification, *restart_time))
        } else {
            None
        }
    });
    let (restarting, notification, restart_time) = said?;
    let families = theirs.peer_gr_families.iter().filter_map(|entry| {
        let family = family::from_wire((entry.afi, entry.safi))?;
        Some((family, entry.forwarding_preserved))
    });
    Some(PeerRestart {
        restart_time: Duration::from_secs(restart_time.into()),
        restarting,
        notification: notification && ours.notification,
        families: families.collect(),
    })
}

fn long_lived(theirs: &NegotiatedSession, offer: &Offer) -> Vec<(Family, bool, Duration)> {
    let both = offer.restart.is_some() && offer.long_lived.is_some();
    let said = theirs.peer_llgr_families.iter().filter(|it| both && it.stale_time != 0);
    let ours = said.filter_map(|entry| {
        let family = family::from_wire((entry.afi, entry.safi))?;
        let time = Duration::from_secs(entry.stale_time.into());
        Some((family, entry.forwarding_preserved, time))
    });
    ours.collect()
}

const fn role_to_wire(role: Role) -> BgpRole {
    match role {
        Role::Provider => BgpRole::Provider,
        Role::RouteServer => BgpRole::RouteServer,
        Role::RouteServerClient => BgpRole::RouteServerClient,
        Role::Customer => BgpRole::Customer,
        Role::Peer => BgpRole::Peer,
    }
}

fn role_from_wire(role: BgpRole) -> Option<Role> {
    let all =
        [Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];
    all.into_iter().find(|ours| role_to_wire(*ours) == role)
}
