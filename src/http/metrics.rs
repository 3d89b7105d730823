//! The snapshot as Prometheus metrics, text format 0.0.4 (and as OpenMetrics, see
//! `open_metrics`).
//!
//! The families are built from the snapshot at each scrape: what is shown is
//! one moment, and nothing is kept that a tenant's end would have to clear.
//! Labels are names from documents that were accepted and reasons from enums;
//! never an endpoint or a network, which would make a new series each time a
//! peer roams.
//!
//! `wireguard_peer_*` keep the names and meanings dashboards know; their
//! `device` is the tenant's network namespace, which unlike the link's name is
//! no other tenant's.

use super::authenticate::Seen;
use super::key_metrics::keys;
use super::{open_metrics, probe_metrics, reflector_metrics};
use crate::net::Timestamp;
use crate::status::{
    BfdState, ConditionStatus, ConditionType, Count, FlawCount, NeighborSnapshot, NeighborState,
    NotificationCount, PrefixCounts, ReloadOutcome, RouteSource, SiteSnapshot, SiteState, Snapshot,
    TenantSnapshot,
};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{TEXT_FORMAT, TextEncoder};

/// The media type of what [`render`] writes.
pub const METRICS_TYPE: &str = TEXT_FORMAT;

pub(super) async fn metrics(seen: Seen, headers: HeaderMap) -> Response {
    let snapshot = seen.snapshot();
    let is_open = open_metrics::is_preferred(&headers);
    let write = move || {
        let text = render(&snapshot)?;
        Ok::<_, prometheus::Error>(if is_open { open_metrics::from_text(&text) } else { text })
    };
    let kind = if is_open { open_metrics::OPEN_METRICS_TYPE } else { METRICS_TYPE };
    // Ten thousand sites are some megabytes of text; other answers go on.
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(text)) => {
            ([(header::CONTENT_TYPE, kind), (header::VARY, "Accept")], text).into_response()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Writes the metrics of one snapshot.
///
/// # Errors
/// When a family breaks the format's rules, which is a defect of ours.
pub fn render(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let mut families: Vec<MetricFamily> = gateway(snapshot);
    families.extend(tenants(&snapshot.tenants));
    families.extend(sites(&snapshot.tenants));
    families.extend(peers(&snapshot.tenants));
    families.push(keys(&snapshot.tenants));
    families.extend(neighbors(&snapshot.tenants));
    families.extend(reflector_metrics::families(&snapshot.reflectors));
    families.extend(probe_metrics::families(&snapshot.tenants));
    families.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_to_string(&families)
}

fn gateway(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let config = &snapshot.config;
    let mut build = gauges("lockgate_build_info", "Which program this is; always 1.");
    build.add(vec![label("version", &snapshot.version)], 1.0);
    let mut started = gauges("lockgate_start_timestamp_seconds", "When the gateway began to run.");
    started.add(vec![], unix(snapshot.started));
    let mut taken = gauges(
        "lockgate_snapshot_timestamp_seconds",
        "The moment these metrics are of; it stands still when the control loop hangs.",
    );
    taken.add(vec![], unix(snapshot.taken));
    let mut generation = gauges(
        "lockgate_config_generation",
        "The config that is accepted, and that is programmed.",
    );
    generation.add(vec![label("stage", "loaded")], number(config.loaded_generation));
    generation.add(vec![label("stage", "applied")], number(config.applied_generation));
    let mut applied = gauges(
        "lockgate_config_last_applied_timestamp_seconds",
        "When a config was last programmed in full; 0 before the first.",
    );
    applied.add(vec![], config.last_applied.map_or(0.0, unix));
    let mut refused = gauges(
        "lockgate_config_refused",
        "1 when the documents as they stand are refused and an earlier set is in force.",
    );
    let last = config.last_reload.as_ref();
    refused.add(vec![], truth(last.is_some_and(|r| r.outcome == ReloadOutcome::Refused)));
    let mut documents = gauges("lockgate_refused_documents", "Documents that are not served.");
    documents.add(vec![], amount(snapshot.refused.len()));
    let mut duration =
        gauges("lockgate_apply_duration_seconds", "How long the last plan took to apply.");
    if let Some(micros) = config.apply_duration_micros {
        duration.add(vec![], number(micros) / 1e6);
    }
    let mut expiry = gauges(
        "lockgate_tls_certificate_expiry_timestamp_seconds",
        "When the status endpoint's certificate expires; absent without TLS.",
    );
    let mut problems = gauges(
        "lockgate_status_credentials_problems",
        "What is wrong with the status endpoint's certificate, keys and tokens.",
    );
    if let Some(endpoint) = &snapshot.endpoint {
        if let Some(at) = endpoint.certificate_expires {
            expiry.add(vec![], unix(at));
        }
        problems.add(vec![], amount(endpoint.problems.len()));
    }
    [build, started, taken, generation, applied, refused, documents, duration, expiry, problems]
        .into_iter()
        .map(Family::finish)
        .collect()
}

fn tenants(tenants: &[TenantSnapshot]) -> Vec<MetricFamily> {
    let mut programmed =
        gauges("lockgate_tenant_programmed", "1 when kernel and datapath hold what was asked for.");
    let mut isolated =
        gauges("lockgate_isolation_ok", "1 when the tenant's rules were read back and are ours.");
    let mut dropped = counters(
        "lockgate_dropped_packets_total",
        "Packets dropped, by place (datapath, firewall, conntrack) and reason.",
    );
    let mut routes = gauges("lockgate_routes", "Routes in the kernel, by where they come from.");
    let mut tracked =
        gauges("lockgate_conntrack_entries", "Conversations that connection tracking knows.");
    let mut limit = gauges(
        "lockgate_conntrack_entries_limit",
        "The most conversations the tenant may have (nf_conntrack_max); 0 for no end.",
    );
    let mut evicted = counters(
        "lockgate_conntrack_evicted_total",
        "Conversations nobody had answered yet that were forgotten to make room for others.",
    );
    let mut confirmed = gauges(
        "lockgate_nmaas_confirmed",
        "1 when NMaaS was told that the tenant's domain is connected; absent where it is not told.",
    );
    for tenant in tenants {
        let name = label("tenant", &tenant.name.to_string());
        if let Some(condition) = tenant.conditions.find(ConditionType::NmaasConfirmed) {
            let is_told = condition.status == ConditionStatus::True;
            confirmed.add(vec![name.clone()], truth(is_told));
        }
        if let Some(table) = &tenant.conntrack {
            tracked.add(vec![name.clone()], number(table.entries.into()));
            limit.add(vec![name.clone()], number(table.maximum.into()));
            evicted.add(vec![name.clone()], number(table.evicted.0));
        }
        programmed
            .add(vec![name.clone()], truth(tenant.conditions.holds(ConditionType::Programmed)));
        isolated.add(vec![name.clone()], truth(tenant.conditions.holds(ConditionType::Isolated)));
        for drop in &tenant.drops {
            let place = label("place", &drop.place.to_string());
            let labels = vec![name.clone(), place, label("reason", &drop.reason)];
            dropped.add(labels, number(drop.packets.0));
        }
        for source in RouteSource::ALL {
            let is_counted =
                |route: &&crate::status::RouteSnapshot| route.source == source && route.installed;
            let labels = vec![name.clone(), label("source", source.name())];
            let shown = amount(tenant.routes.iter().filter(is_counted).count());
            // Not all that were learned are among the routes.
            let learned = tenant.bgp.as_ref().map(|bgp| number(bgp.learned_routes));
            let learned = learned.filter(|_| source == RouteSource::Bgp);
            routes.add(labels, learned.unwrap_or(shown));
        }
    }
    let all = [programmed, isolated, dropped, tracked, limit, evicted, routes, confirmed];
    all.into_iter().map(Family::finish).collect()
}

fn sites(tenants: &[TenantSnapshot]) -> Vec<MetricFamily> {
    let mut up = gauges("lockgate_site_up", "1 when the site's state is Up.");
    let mut state =
        gauges("lockgate_site_state", "1 for the state the site is in, 0 for the others.");
    let mut since =
        gauges("lockgate_site_state_since_timestamp_seconds", "When the site came into its state.");
    let mut received = counters("lockgate_site_received_packets_total", "Packets received.");
    let mut sent = counters("lockgate_site_sent_packets_total", "Packets sent.");
    let mut handshakes = counters("lockgate_handshakes_total", "Handshakes, by how they ended.");
    for (tenant, site) in every_site(tenants) {
        let labels =
            vec![label("tenant", &tenant.name.to_string()), label("site", site.name.as_str())];
        let with = |name, value| [labels.as_slice(), &[label(name, value)]].concat();
        up.add(labels.clone(), truth(site.state == SiteState::Up));
        for each in SiteState::ALL {
            state.add(with("state", each.name()), truth(site.state == each));
        }
        since.add(labels.clone(), unix(site.since));
        if let (Some(in_), Some(out)) = (site.received_packets, site.sent_packets) {
            received.add(labels.clone(), number(in_.0));
            sent.add(labels.clone(), number(out.0));
        }
        if site.public_key.is_some() {
            handshakes.add(with("result", "completed"), number(site.handshakes.0));
            handshakes.add(with("result", "timeout"), number(site.handshake_timeouts.0));
        }
    }
    [up, state, since, received, sent, handshakes].into_iter().map(Family::finish).collect()
}

fn peers(tenants: &[TenantSnapshot]) -> Vec<MetricFamily> {
    let mut whois = gauges("wireguard_peer_info", "Which site a peer is; always 1.");
    let mut handshake = gauges(
        "wireguard_peer_last_handshake_seconds",
        "Unix time of the last completed handshake; 0 when there was none.",
    );
    let mut received =
        counters("wireguard_peer_receive_bytes_total", "Bytes received from a peer.");
    let mut sent = counters("wireguard_peer_transmit_bytes_total", "Bytes sent to a peer.");
    for (tenant, site) in every_site(tenants) {
        let Some(key) = site.public_key else { continue };
        let labels = vec![label("device", &tenant.netns), label("public_key", &key.to_string())];
        let named = [label("tenant", &tenant.name.to_string()), label("name", site.name.as_str())];
        whois.add([labels.as_slice(), &named].concat(), 1.0);
        handshake.add(labels.clone(), site.last_handshake_time.map_or(0.0, unix));
        let Count(bytes) = site.received_bytes;
        received.add(labels.clone(), number(bytes));
        sent.add(labels, number(site.sent_bytes.0));
    }
    [whois, handshake, received, sent].into_iter().map(Family::finish).collect()
}

fn neighbors(tenants: &[TenantSnapshot]) -> Vec<MetricFamily> {
    let mut up = gauges("lockgate_bgp_neighbor_up", "1 when the session is established.");
    let mut prefixes = gauges(
        "lockgate_bgp_prefixes",
        "Networks of a session: received, accepted, serving, stale (of the neighbor), advertised (by us).",
    );
    let mut notifications = counters(
        "lockgate_bgp_notifications_total",
        "NOTIFICATIONs, by direction and by code and subcode (RFC 4271 §4.5).",
    );
    let mut flaws = counters(
        "lockgate_bgp_flaws_total",
        "Networks and attributes not taken as a neighbor said them, by reason (RFC 7606).",
    );
    let mut flaps =
        counters("lockgate_bgp_flaps_total", "Times a session went down after it was up.");
    let mut converged = gauges(
        "lockgate_bgp_neighbor_convergence_seconds",
        "From when the session came up to the last End-of-RIB; absent while that has not come.",
    );
    let mut convergence = gauges(
        "lockgate_bgp_convergence_seconds",
        "From what was heard last of any neighbor to the kernel's table; absent before that.",
    );
    let mut bfd_up = gauges(
        "lockgate_bfd_neighbor_up",
        "1 when the BFD session that watches a BGP neighbor is up; absent where none does.",
    );
    let mut bfd_flaps =
        counters("lockgate_bfd_flaps_total", "Times a BFD session went down after it was up.");
    let mut bfd_discarded = counters(
        "lockgate_bfd_discarded_total",
        "BFD packets that changed nothing, by reason; of nobody that is watched with an empty neighbor.",
    );
    let mut range_neighbors = gauges(
        "lockgate_bgp_range_neighbors",
        "Neighbors out of a range, by whether the session is established.",
    );
    let mut range_maximum =
        gauges("lockgate_bgp_range_maximum", "Neighbors that a range may have at one time.");
    let mut range_bfd = gauges(
        "lockgate_bfd_range_neighbors",
        "Neighbors out of a range that BFD watches, by whether its session is up; absent where it watches none.",
    );
    let mut range_refused = counters(
        "lockgate_bgp_range_refused_total",
        "Connections out of a range that were not taken for want of room.",
    );
    for tenant in tenants {
        let name = label("tenant", &tenant.name.to_string());
        if let Some(strangers) =
            tenant.bgp.as_ref().map(|it| it.bfd_strangers).filter(|it| 0 < it.0)
        {
            let of = [name.clone(), label("neighbor", ""), label("reason", "stranger")];
            bfd_discarded.add(of.to_vec(), number(strangers.0));
        }
        if let Some(millis) = tenant.bgp.as_ref().and_then(|bgp| bgp.convergence_millis) {
            convergence.add(vec![name.clone()], number(millis) / 1e3);
        }
        for neighbor in tenant.bgp.iter().flat_map(|bgp| &bgp.neighbors) {
            // Who comes out of a range counts under its name: addresses are no label.
            if neighbor.range.is_some() {
                continue;
            }
            let labels = vec![name.clone(), label("neighbor", &neighbor.name)];
            up.add(labels.clone(), truth(neighbor.state == NeighborState::Established));
            if let Some(millis) = neighbor.converged_millis {
                converged.add(labels.clone(), number(millis) / 1e3);
            }
            if let Some(bfd) = &neighbor.bfd {
                bfd_up.add(labels.clone(), truth(bfd.state == BfdState::Up));
                bfd_flaps.add(labels.clone(), number(bfd.flaps.0));
                for discard in &bfd.discarded {
                    let reason = [labels.as_slice(), &[label("reason", &discard.reason)]].concat();
                    bfd_discarded.add(reason, number(discard.count.0));
                }
            }
            add_prefixes(&mut prefixes, &labels, neighbor.prefixes);
            add_notifications(&mut notifications, &labels, &neighbor.notifications);
            add_flaws(&mut flaws, &labels, &neighbor.flaws);
            flaps.add(labels, number(neighbor.flaps.0));
        }
        for range in tenant.bgp.iter().flat_map(|bgp| &bgp.ranges) {
            let labels = vec![name.clone(), label("neighbor", &range.name)];
            let all = tenant.bgp.iter().flat_map(|bgp| &bgp.neighbors);
            let all = || all.clone().filter(|it| it.range.as_ref() == Some(&range.name));
            let is_up = |it: &&NeighborSnapshot| it.state == NeighborState::Established;
            for (value, count) in [
                ("true", all().filter(is_up).count()),
                ("false", all().filter(|it| !is_up(it)).count()),
            ] {
                let labels = [labels.as_slice(), &[label("established", value)]].concat();
                range_neighbors.add(labels, number(count as u64));
            }
            let watched = || all().filter_map(|it| it.bfd.as_ref());
            if watched().next().is_some() {
                let up = watched().filter(|it| it.state == BfdState::Up).count();
                for (value, count) in [("true", up), ("false", watched().count() - up)] {
                    let labels = [labels.as_slice(), &[label("up", value)]].concat();
                    range_bfd.add(labels, number(count as u64));
                }
            }
            range_maximum.add(labels.clone(), number(range.maximum));
            range_refused.add(labels.clone(), number(range.refused.0));
            let sum = all().fold(PrefixCounts::default(), |sum, it| sum.plus(it.prefixes));
            add_prefixes(&mut prefixes, &labels, sum);
            add_notifications(&mut notifications, &labels, &range.notifications);
            add_flaws(&mut flaws, &labels, &range.flaws);
            flaps.add(labels, number(range.flaps.0));
        }
    }
    let ranges = [converged, convergence, range_neighbors, range_bfd, range_maximum, range_refused];
    let all = [up, prefixes, notifications, flaws, flaps, bfd_up, bfd_flaps, bfd_discarded];
    all.into_iter().chain(ranges).map(Family::finish).collect()
}

fn add_prefixes(family: &mut Family, of: &[LabelPair], counts: PrefixCounts) {
    for (stage, count) in [
        ("received", counts.received),
        ("accepted", counts.accepted),
        ("serving", counts.serving),
        ("stale", counts.stale),
        ("advertised", counts.advertised),
    ] {
        family.add([of, &[label("stage", stage)]].concat(), number(count));
    }
}

pub(super) fn add_notifications(
    family: &mut Family,
    of: &[LabelPair],
    counts: &[NotificationCount],
) {
    for kind in counts {
        let direction = label("direction", if kind.is_sent { "sent" } else { "received" });
        let code = label("code", &format!("{}/{}", kind.code, kind.subcode));
        family.add([of, &[direction, code]].concat(), number(kind.count.0));
    }
}

pub(super) fn add_flaws(family: &mut Family, of: &[LabelPair], counts: &[FlawCount]) {
    for flaw in counts {
        family.add([of, &[label("reason", &flaw.reason)]].concat(), number(flaw.count.0));
    }
}

pub(super) fn every_site(
    tenants: &[TenantSnapshot],
) -> impl Iterator<Item = (&TenantSnapshot, &SiteSnapshot)> {
    tenants.iter().flat_map(|tenant| tenant.sites.iter().map(move |site| (tenant, site)))
}

/// A family under construction.
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    metrics: Vec<Metric>,
}

pub(super) const fn gauges(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: MetricType::GAUGE, metrics: Vec::new() }
}

pub(super) const fn counters(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: MetricType::COUNTER, metrics: Vec::new() }
}

impl Family {
    pub(super) fn add(&mut self, labels: Vec<LabelPair>, value: f64) {
        let mut metric = Metric::from_label(labels);
        if matches!(self.kind, MetricType::COUNTER) {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    pub(super) fn finish(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.metrics);
        family
    }
}

pub(super) fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

pub(super) fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Prometheus knows doubles only: above 2⁵³ the last digits go.
pub(super) fn number(value: u64) -> f64 {
    value as f64
}

fn amount(value: usize) -> f64 {
    value as f64
}

pub(super) fn unix(at: Timestamp) -> f64 {
    number(at.seconds())
}
