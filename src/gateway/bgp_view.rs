//! A tenant's BGP in the snapshot, and what its neighbors said.

use super::Gateway;
use super::shared::{Shared, SharedName};
use super::tenant::TenantMachine;
use super::view::Verdict;
use crate::bfd::{self, Discard, State};
use crate::bgp::NeighborName;
use crate::bgp::proto::Flaw;
use crate::bgp::session::{SessionCounters, SessionState};
use crate::bgp::speaker::{NeighborSample, RangeSample, ReflectedSample, Speaker, SpeakerSample};
use crate::bgp::{Community, Explained, ExplainedPath, SharedSession, Stale, Treated};
use crate::model::limits::{LEARNED_SHOWN, RIB_PAGE};
use crate::model::{Site, Tenant, VpnReflector};
use crate::net::{Now, Prefix, TenantName};
use crate::reconcile::{Device, Namespace, Route, RouteKey, RouteTarget};
use crate::status::{
    BfdDiscard, BfdSnapshot, BfdState, BgpSnapshot, ConditionReason, ConditionStatus,
    ConditionType, Count, FlawCount, NeighborKind, NeighborSnapshot, NeighborState,
    NotificationCount, PrefixCounts, RangeSnapshot, ReflectorSnapshot, RibNetwork, RibPage,
    RibPath, RibWithdrawn, RouteSnapshot, RouteSource,
};
use std::time::Duration;

/// The link of a route whose packets are dropped (RFC 7999), as `ip route` has it.
const BLACKHOLE: &str = "blackhole";

impl Gateway {
    /// A page of what a tenant's neighbors said, after a network or about one; `None`
    /// when there is no such tenant, or it has no BGP.
    pub fn rib(&self, tenant: &TenantName, after: Option<Prefix>) -> Option<RibPage> {
        let speaker = self.tenants.get(tenant)?.bgp.speaker.as_ref()?;
        let mut networks: Vec<RibNetwork> =
            speaker.explain_after(after).take(RIB_PAGE + 1).map(network).collect();
        let has_more = RIB_PAGE < networks.len();
        networks.truncate(RIB_PAGE);
        let next = networks.last().map(|last| last.prefix).filter(|_| has_more);
        Some(RibPage { networks, next, around: Vec::new() })
    }

    /// As [`Gateway::rib`], of one network alone.
    pub fn rib_of(&self, tenant: &TenantName, prefix: Prefix) -> Option<RibPage> {
        let speaker = self.tenants.get(tenant)?.bgp.speaker.as_ref()?;
        let networks = speaker.explain(prefix).map(network).into_iter().collect();
        let around = speaker.around(prefix).map(|it| it.to_string()).collect();
        Some(RibPage { networks, next: None, around })
    }
}

fn network(explained: Explained) -> RibNetwork {
    RibNetwork {
        prefix: explained.prefix,
        route: explained.route.map(|route| route.to_string()),
        paths: explained.paths.iter().map(path).collect(),
        treated_as_withdrawn: explained.treated.iter().map(treated).collect(),
    }
}

fn treated((neighbor, treated): &(NeighborName, Treated)) -> RibWithdrawn {
    RibWithdrawn {
        neighbor: neighbor.to_string(),
        heard: treated.nlri.prefix,
        path_id: treated.nlri.path_id,
        reason: treated.fault.to_string(),
    }
}

fn path(path: &ExplainedPath) -> RibPath {
    let attributes = &path.attributes;
    let is_long_lived = path.stale == Some(Stale::LongLived);
    // It is kept as if it had been said with it (RFC 9494 §4.2).
    let mut standard = attributes.communities.clone();
    if is_long_lived && !standard.contains(&Community::LLGR_STALE) {
        standard.push(Community::LLGR_STALE);
    }
    let standard = standard.iter().map(ToString::to_string);
    let large = attributes.large_communities.iter().map(ToString::to_string);
    let extended = attributes.extended_communities.iter().map(ToString::to_string);
    RibPath {
        neighbor: path.neighbor.to_string(),
        heard: path.nlri.prefix,
        path_id: path.nlri.path_id,
        next_hop: attributes.next_hop,
        as_path: attributes.as_path.to_string(),
        local_pref: attributes.local_pref,
        med: attributes.med,
        communities: standard.chain(large).chain(extended).collect(),
        state: path.state.to_string(),
        is_stale: path.stale.is_some(),
        is_long_lived,
    }
}

/// How a tenant's BGP is; `None` when it has none.
pub(super) fn bgp(
    tenant: &Tenant,
    machine: &TenantMachine,
    shared: &Shared,
    now: Now,
) -> Option<BgpSnapshot> {
    let bgp = tenant.fabric.bgp.as_ref()?;
    let mut snapshot = BgpSnapshot::starting(bgp.local_asn, bgp.router_id);
    if let Some(speaker) = &machine.bgp.speaker {
        let SpeakerSample { neighbors, reflectors, ranges, routes, keeps_unsaid } =
            speaker.sample();
        let neighbors = neighbors.iter();
        let bfd = &machine.bgp.bfd;
        let watched = |(name, sample): (&NeighborName, &NeighborSample)| {
            let session = bfd.sample(sample.endpoint.address).map(|it| bfd_session(&it, now));
            NeighborSnapshot { bfd: session, ..neighbor(snapshot.local_asn, name, sample, now) }
        };
        let heard = |reflector: &VpnReflector| {
            let name = NeighborName::Reflector(reflector.name.clone());
            let sample = reflectors.get(&name)?;
            let session = shared.get(&tenant.class.name, &reflector.name)?;
            Some(reflected(reflector.local_asn.value(), &name, sample, session, now))
        };
        let heard = tenant.vpn_reflectors().iter().filter_map(heard);
        snapshot.neighbors = neighbors.map(watched).chain(heard).collect();
        snapshot.ranges = ranges.iter().map(|(name, it)| range(name, it)).collect();
        snapshot.bfd_strangers = Count(bfd.strangers());
        snapshot.learned_routes = routes as u64;
        snapshot.convergence_millis = machine.bgp.convergence.last().map(millis);
        snapshot.awaits_neighbors = keeps_unsaid;
    }
    Some(snapshot)
}

fn neighbor(
    local_asn: u32,
    name: &NeighborName,
    sample: &NeighborSample,
    now: Now,
) -> NeighborSnapshot {
    let NeighborSample { endpoint, session, counts, advertised, converged } = sample;
    let (site, is_fabric) = match name {
        NeighborName::Fabric(_) | NeighborName::Dynamic { .. } | NeighborName::Reflector(_) => {
            (None, true)
        }
        NeighborName::Site(site) => (Some(site.clone()), false),
    };
    let kind = match (is_fabric, endpoint.remote_asn.value() == local_asn) {
        (true, false) => NeighborKind::FabricExternal,
        (true, true) => NeighborKind::FabricInternal,
        (false, false) => NeighborKind::SiteExternal,
        (false, true) => NeighborKind::SiteInternal,
    };
    let error = session.last_error.as_ref();
    let agreed = session.negotiated.as_ref();
    NeighborSnapshot {
        name: name.to_string(),
        site,
        range: name.range().map(str::to_owned),
        kind,
        address: endpoint.address,
        remote_asn: endpoint.remote_asn.value(),
        role: endpoint.role.map(|role| role.to_string()),
        remote_role: agreed.and_then(|agreed| agreed.remote_role).map(|role| role.to_string()),
        families: agreed
            .into_iter()
            .flat_map(|agreed| &agreed.families)
            .map(ToString::to_string)
            .collect(),
        state: state(session.state),
        since: now.wall_of(session.since),
        last_error: error.map(|(text, _)| text.clone()),
        last_error_time: error.map(|(_, at)| now.wall_of(*at)),
        prefixes: PrefixCounts {
            received: counts.held.into(),
            accepted: counts.accepted.into(),
            serving: counts.serving.into(),
            stale: counts.stale.into(),
            advertised: *advertised as u64,
            not_kept: counts.not_kept,
        },
        notifications: notifications(&session.counters),
        flaws: flaws(&session.counters),
        flaps: Count(session.counters.flaps),
        converged_millis: converged.map(millis),
        bfd: None,
    }
}

/// A route reflector as one tenant hears it. What was wrong with what it says is not told:
/// it may have been of others.
fn reflected(
    local_asn: u32,
    name: &NeighborName,
    sample: &ReflectedSample,
    session: &SharedSession,
    now: Now,
) -> NeighborSnapshot {
    let ReflectedSample { endpoint, counts, converged, is_silenced } = sample;
    let sample = NeighborSample {
        endpoint: endpoint.clone(),
        session: session.sample(),
        counts: *counts,
        advertised: 0,
        converged: *converged,
    };
    let mut snapshot = neighbor(local_asn, name, &sample, now);
    snapshot.flaws.clear();
    if *is_silenced {
        snapshot.state = NeighborState::Idle;
        snapshot.last_error = Some("it said more than it may, and is not heard for a time".into());
        snapshot.last_error_time = None;
    }
    snapshot
}

/// The sessions that tenants share.
pub(super) fn reflectors(shared: &Shared, now: Now) -> Vec<ReflectorSnapshot> {
    let one = |(name, session): (&SharedName, &SharedSession)| {
        let sample = session.sample();
        let error = sample.last_error.as_ref();
        let agreed = sample.negotiated.iter().flat_map(|agreed| &agreed.families);
        ReflectorSnapshot {
            class: name.class.clone(),
            name: name.reflector.clone(),
            address: session.endpoint().address,
            remote_asn: session.endpoint().remote_asn.value(),
            families: agreed.map(ToString::to_string).collect(),
            state: state(sample.state),
            since: now.wall_of(sample.since),
            last_error: error.map(|(text, _)| text.clone()),
            last_error_time: error.map(|(_, at)| now.wall_of(*at)),
            tenants: session.tenants() as u64,
            not_kept: Count(session.not_kept()),
            notifications: notifications(&sample.counters),
            flaws: flaws(&sample.counters),
            flaps: Count(sample.counters.flaps),
        }
    };
    shared.iter().map(one).collect()
}

fn range(name: &str, sample: &RangeSample) -> RangeSnapshot {
    RangeSnapshot {
        name: name.to_owned(),
        range: sample.listen.prefix,
        remote_asn: sample.listen.endpoint.remote_asn.value(),
        maximum: sample.listen.maximum as u64,
        neighbors: sample.neighbors as u64,
        refused: Count(sample.refused),
        notifications: notifications(&sample.counters),
        flaws: flaws(&sample.counters),
        flaps: Count(sample.counters.flaps),
    }
}

const fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// The BFD session with a neighbor.
fn bfd_session(sample: &bfd::NeighborSample, now: Now) -> BfdSnapshot {
    let bfd::NeighborSample { session, discarded } = sample;
    let discard = |(why, count): (&Discard, &u64)| BfdDiscard {
        reason: why.name().to_owned(),
        count: Count(*count),
    };
    BfdSnapshot {
        state: bfd_state(session.state),
        since: now.wall_of(session.since),
        diagnostic: session.diagnostic.to_string(),
        remote_state: bfd_state(session.remote_state),
        remote_diagnostic: session.remote_diagnostic.to_string(),
        interval_millis: session.interval.map(millis),
        detection_millis: session.detection_time.map(millis),
        flaps: Count(session.flaps),
        received: Count(session.received),
        sent: Count(session.sent),
        discarded: discarded.iter().map(discard).collect(),
    }
}

const fn bfd_state(state: State) -> BfdState {
    match state {
        State::AdminDown => BfdState::AdminDown,
        State::Down => BfdState::Down,
        State::Init => BfdState::Init,
        State::Up => BfdState::Up,
    }
}

fn notifications(counters: &SessionCounters) -> Vec<NotificationCount> {
    let sent = counters.notifications_sent.iter().map(|it| (true, it));
    let received = counters.notifications_received.iter().map(|it| (false, it));
    sent.chain(received)
        .map(|(is_sent, ((code, subcode), count))| NotificationCount {
            is_sent,
            code: *code,
            subcode: *subcode,
            count: Count(*count),
        })
        .collect()
}

fn flaws(counters: &SessionCounters) -> Vec<FlawCount> {
    let counts = Flaw::ALL.iter().zip(counters.flaws);
    counts
        .filter(|(_, count)| *count != 0)
        .map(|(flaw, count)| FlawCount { reason: flaw.to_string(), count: Count(count) })
        .collect()
}

/// In the words of RFC 4271, which has none for a session that nobody wants.
const fn state(state: SessionState) -> NeighborState {
    match state {
        SessionState::Stopped | SessionState::Idle => NeighborState::Idle,
        SessionState::Connect => NeighborState::Connect,
        SessionState::Active => NeighborState::Active,
        SessionState::OpenSent => NeighborState::OpenSent,
        SessionState::OpenConfirm => NeighborState::OpenConfirm,
        SessionState::Established => NeighborState::Established,
    }
}

/// Whether the session with a site's router is up; `None` where it has none.
pub(super) fn established(site: &Site, bgp: Option<&BgpSnapshot>) -> Option<Verdict> {
    site.bgp.as_ref()?;
    let all = bgp.into_iter().flat_map(|bgp| &bgp.neighbors);
    let found = all.into_iter().find(|it| it.site.as_ref() == Some(&site.name));
    let (status, reason, message) = match found {
        None => (ConditionStatus::False, ConditionReason::Idle, "its link is not there yet".into()),
        Some(NeighborSnapshot { state: NeighborState::Established, .. }) => {
            (ConditionStatus::True, ConditionReason::Established, String::new())
        }
        Some(found) => {
            let reason = match found.state {
                NeighborState::Idle | NeighborState::Established => ConditionReason::Idle,
                NeighborState::Connect => ConditionReason::Connect,
                NeighborState::Active => ConditionReason::Active,
                NeighborState::OpenSent => ConditionReason::OpenSent,
                NeighborState::OpenConfirm => ConditionReason::OpenConfirm,
            };
            (ConditionStatus::False, reason, found.last_error.clone().unwrap_or_default())
        }
    };
    Some((ConditionType::BgpEstablished, status, reason, message))
}

/// The first learned routes, and those of an earlier process that are kept.
pub(super) fn learned(
    tenant: &Tenant,
    machine: &TenantMachine,
    is_fabric: impl Fn(&Device) -> bool,
) -> Vec<RouteSnapshot> {
    let nothing = Namespace::default();
    let observed = &machine.observed().unwrap_or(&nothing).routes;
    let speaker = machine.bgp.speaker.as_ref();
    let said = speaker.map(Speaker::routes);
    let is_kept = |key: &RouteKey| {
        let is_said = said.is_some_and(|said| said.contains_key(key));
        key.metric == RouteKey::LEARNED_METRIC && !is_said
    };
    let kept = observed.iter().filter(|(key, _)| tenant.fabric.bgp.is_some() && is_kept(key));
    let all = said.into_iter().flatten().chain(kept).take(LEARNED_SHOWN);
    let site_of = |prefix: Prefix| {
        let mut sites = tenant.sites.values();
        let has = |site: &&Site| site.prefixes.iter().any(|it| it.visible().covers(prefix));
        sites.find(has).map(|site| site.name.clone())
    };
    let shown = |(key, route): (&RouteKey, &Route)| {
        let shown = |link: String, via, site| RouteSnapshot {
            prefix: key.prefix,
            via,
            link,
            site,
            source: RouteSource::Bgp,
            installed: observed.get(key) == Some(route),
        };
        let hops = route.hops().map(|(device, via)| {
            let site = if is_fabric(device) { None } else { site_of(key.prefix) };
            shown(device.to_string(), via, site)
        });
        let is_dropped = route.target == RouteTarget::Blackhole;
        let dropped = is_dropped.then(|| shown(BLACKHOLE.to_owned(), None, None));
        hops.chain(dropped).collect::<Vec<_>>()
    };
    all.flat_map(shown).collect()
}
