//! One neighbor: its session, and what it was told in it.

use super::endpoint::Endpoint;
use crate::bgp::proto::{Negotiated, Offer, RestartOffer};
use crate::bgp::rib::Retain;
use crate::bgp::session::{AdvertiseError, Advertised, ConnectionId, Session, SessionConfig};
use crate::bgp::{AdjRibOut, Family, NextHopSelf, Update, Wanted};
use crate::model::FabricBgp;
use crate::net::{Asn, Instant, InterfaceAddress, Prefix, RouteTarget};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How long we say that we take to come back (RFC 4724 §3), in seconds.
const RESTART_TIME: u16 = 120;

/// The longest that a neighbor's routes are kept while it restarts, whatever it
/// says.
const LONGEST_RESTART: Duration = Duration::from_secs(600);

/// A neighbor.
#[derive(Debug)]
pub(super) struct Neighbor {
    pub(super) endpoint: Endpoint,
    pub(super) session: Session,
    /// When the session that is up came up, and how long it took to say everything.
    pub(super) up_at: Option<Instant>,
    pub(super) converged: Option<Duration>,
    /// Whether a session with it ever came up.
    pub(super) was_up: bool,
    pub(super) out: AdjRibOut,
    /// What there was no room for yet.
    pending: Option<Update>,
    /// Families whose End-of-RIB is owed.
    unended: BTreeSet<Family>,
    /// The route targets that it was told we want.
    targets: BTreeSet<RouteTarget>,
    /// Families that are being said again, and whether that was marked: a mark in
    /// the middle would have the neighbor drop what came before it (RFC 7313 §4).
    refreshing: BTreeMap<Family, bool>,
    /// Whether it has asked for a family again and was not told of it yet.
    asked: bool,
    /// Families of which the neighbor said everything.
    pub(super) said_all: BTreeSet<Family>,
    /// What is kept of it should the session end.
    pub(super) retain: Retain,
}

impl Neighbor {
    pub(super) fn new(
        endpoint: Endpoint,
        bgp: &FabricBgp,
        restarted: bool,
        (after, seed): (ConnectionId, u64),
        now: Instant,
    ) -> Self {
        let mut session = Session::new(own_config(&endpoint, bgp), seed, now);
        session.number_after(after);
        if restarted {
            session.set_restart(true, &families(&endpoint));
        }
        session.start(now);
        Self {
            endpoint,
            session,
            up_at: None,
            converged: None,
            was_up: false,
            out: AdjRibOut::new(),
            pending: None,
            unended: BTreeSet::new(),
            targets: BTreeSet::new(),
            refreshing: BTreeMap::new(),
            asked: false,
            said_all: BTreeSet::new(),
            retain: Retain::default(),
        }
    }

    /// What the session carries.
    pub(super) fn families(&self) -> impl Iterator<Item = Family> {
        self.session.negotiated().into_iter().flat_map(|agreed| agreed.families.clone())
    }

    /// Whether networks of this kind can be said in the session.
    pub(super) fn carries(&self, prefix: Prefix) -> bool {
        self.families().any(|family| family == unicast(prefix.is_v4()))
    }

    /// Whether it has said everything in its session.
    pub(super) fn has_said_all(&self) -> bool {
        self.session.negotiated().is_some_and(|agreed| {
            // What targets it wants is not waited for.
            let mut networks = agreed.families.iter().filter(|it| **it != Family::RouteTargets);
            networks.all(|family| self.said_all.contains(family))
        })
    }

    /// Where it is to send to us, who have the addresses `own` on the link to it.
    pub(super) fn next_hops(own: &[InterfaceAddress], agreed: &Negotiated) -> NextHopSelf {
        let ours = agreed.local_address;
        let beside = |is_v4: bool| {
            let mut all = own.iter().map(|own| own.address());
            all.find(|address| address.is_ipv4() == is_v4)
        };
        if ours.is_ipv4() {
            return NextHopSelf { v4: Some(ours), v6: beside(false) };
        }
        let by_v6 = agreed.extended_next_hop.contains(&Family::Ipv4Unicast);
        NextHopSelf { v4: if by_v6 { Some(ours) } else { beside(true) }, v6: Some(ours) }
    }

    /// A session began. Gives the families of which it kept forwarding.
    pub(super) fn handle_established(
        &mut self,
        agreed: &Negotiated,
        now: Instant,
    ) -> BTreeSet<Family> {
        (self.up_at, self.converged) = (Some(now), None);
        self.was_up = true;
        self.out = AdjRibOut::new();
        self.pending = None;
        self.targets.clear();
        self.refreshing.clear();
        self.said_all.clear();
        self.unended = agreed.families.iter().copied().collect();
        self.retain = retained(agreed, self.endpoint.long_lived);
        preserved(agreed)
    }

    /// It has said everything of a family.
    pub(super) fn handle_end_of_rib(&mut self, family: Family, now: Instant) {
        self.said_all.insert(family);
        if let Some(up_at) = self.up_at.filter(|_| self.converged.is_none() && self.has_said_all())
        {
            self.converged = Some(now.since(up_at));
        }
    }

    pub(super) fn handle_down(&mut self) {
        (self.up_at, self.converged) = (None, None);
        self.out = AdjRibOut::new();
        self.pending = None;
        self.unended.clear();
        self.refreshing.clear();
        self.said_all.clear();
    }

    /// The neighbor wants a family again.
    pub(super) fn repeat(&mut self, family: Family) {
        self.asked = true;
        if family == Family::RouteTargets {
            // A few dozen at most, which nobody drops for want of a mark.
            self.targets.clear();
            return;
        }
        self.out.repeat(matches!(family, Family::Ipv4Unicast | Family::Ipv4Vpn));
        self.refreshing.insert(family, false);
    }

    /// Whether it wants something again since this was asked last.
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Asks it to say everything again, for more may be taken now.
    pub(super) fn ask_again(&mut self, now: Instant) {
        let families: Vec<Family> = self.families().collect();
        for family in families {
            // To one that does not know how nothing is said.
            let _ = self.session.ask_refresh(family, now);
        }
    }

    /// Says of which route targets VPN routes are wanted: at once, for the neighbor waits
    /// for that before it says any (RFC 4684 §6).
    pub(super) fn tell_targets(&mut self, wanted: &[RouteTarget], now: Instant) {
        let wanted: BTreeSet<RouteTarget> = wanted.iter().copied().collect();
        let new: Vec<RouteTarget> = wanted.difference(&self.targets).copied().collect();
        let old: Vec<RouteTarget> = self.targets.difference(&wanted).copied().collect();
        let is_said = self.session.advertise_targets(&new, true, now).is_ok()
            && self.session.advertise_targets(&old, false, now).is_ok();
        if is_said {
            self.targets = wanted;
        }
        if self.unended.remove(&Family::RouteTargets) {
            let _ = self.session.end_of_rib(Family::RouteTargets, now);
        }
    }

    /// Says what is `wanted` and not known there, as far as there is room; the rest
    /// when there is. That this was all is said only when it `is_all`.
    pub(super) fn tell(&mut self, wanted: &Wanted, is_all: bool, now: Instant) {
        loop {
            if let Some(update) = &mut self.pending {
                match self.session.advertise(update, now) {
                    Ok(Advertised::All) => self.pending = None,
                    Ok(Advertised::Partly) => return,
                    // What cannot be said was taken off, and is counted.
                    Err(AdvertiseError::Encode(_)) => continue,
                    Err(AdvertiseError::Down) => return,
                }
            }
            for (family, is_marked) in &mut self.refreshing {
                if !std::mem::replace(is_marked, true) {
                    let _ = self.session.begin_refresh(*family, now);
                }
            }
            self.pending = self.out.update(wanted);
            if self.pending.is_none() {
                break;
            }
        }
        for family in std::mem::take(&mut self.refreshing).into_keys() {
            let _ = self.session.end_refresh(family, now);
        }
        if !is_all {
            return;
        }
        for family in std::mem::take(&mut self.unended) {
            let _ = self.session.end_of_rib(family, now);
        }
    }
}

/// What is kept of a neighbor should this session end, for long no longer than so.
pub(super) fn retained(agreed: &Negotiated, long_lived: Duration) -> Retain {
    let restart = agreed.restart.as_ref();
    let kept = restart.into_iter().flat_map(|restart| &restart.families);
    let of_long = agreed.long_lived.iter();
    Retain {
        families: kept.map(|(family, _)| *family).collect(),
        restart_time: restart
            .map_or(Duration::ZERO, |restart| restart.restart_time.min(LONGEST_RESTART)),
        long_lived: of_long.map(|(family, _, time)| (*family, (*time).min(long_lived))).collect(),
    }
}

/// The families of which a neighbor kept forwarding over what was before this session.
pub(super) fn preserved(agreed: &Negotiated) -> BTreeSet<Family> {
    let restart = agreed.restart.iter().flat_map(|restart| restart.families.iter().copied());
    let long_lived = agreed.long_lived.iter().map(|(family, kept, _)| (*family, *kept));
    let all = restart.chain(long_lived);
    all.filter(|(_, kept)| *kept).map(|(family, _)| family).collect()
}

const fn unicast(is_v4: bool) -> Family {
    if is_v4 { Family::Ipv4Unicast } else { Family::Ipv6Unicast }
}

/// What is offered: what the tenant has, and of the fabric VPN routes where it names
/// route targets.
fn families(endpoint: &Endpoint) -> Vec<Family> {
    let mut families = vec![Family::Ipv4Unicast, Family::Ipv6Unicast];
    if endpoint.has_vpn_routes {
        families.extend([Family::Ipv4Vpn, Family::Ipv6Vpn, Family::RouteTargets]);
    }
    families
}

/// What a session of the tenant's own is to be.
pub(super) fn own_config(endpoint: &Endpoint, bgp: &FabricBgp) -> SessionConfig {
    config(endpoint, (bgp.local_asn, bgp.router_id), families(endpoint))
}

/// What the session with it is to be, as whom, and what it is to carry.
pub(in crate::bgp) fn config(
    endpoint: &Endpoint,
    (local_asn, router_id): (Asn, Ipv4Addr),
    families: Vec<Family>,
) -> SessionConfig {
    let mut config = SessionConfig::new(Offer {
        local_asn,
        remote_asn: endpoint.remote_asn,
        router_id,
        hold_time: u16::try_from(endpoint.hold_time.as_secs()).unwrap_or(u16::MAX),
        least_hold_time: 0,
        families,
        required_families: Vec::new(),
        add_path_receive: true,
        extended_messages: true,
        extended_next_hop: matches!(endpoint.address, IpAddr::V6(_)),
        restart: Some(RestartOffer {
            restart_time: RESTART_TIME,
            restarting: false,
            notification: true,
            forwarding_preserved: Vec::new(),
        }),
        long_lived: (!endpoint.long_lived.is_zero()).then_some(0),
        role: endpoint.role,
        strict_role: endpoint.strict_role,
        allowed_own_as: endpoint.allowed_own_as,
    });
    config.passive = endpoint.passive;
    config
}
