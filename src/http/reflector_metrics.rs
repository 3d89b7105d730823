//! The sessions with route reflectors that tenants share, as metrics.

use super::metrics::{
    Family, add_flaws, add_notifications, counters, gauges, label, number, truth,
};
use crate::status::{NeighborState, ReflectorSnapshot};
use prometheus::proto::MetricFamily;

pub(super) fn families(reflectors: &[ReflectorSnapshot]) -> Vec<MetricFamily> {
    let mut up = gauges(
        "lockgate_bgp_reflector_up",
        "1 when the session with a route reflector that tenants share is established.",
    );
    let mut tenants = gauges("lockgate_bgp_reflector_tenants", "Tenants that hear it.");
    let mut not_kept = counters(
        "lockgate_bgp_reflector_not_kept_total",
        "VPN routes of none of their route targets, each time one was said; not held.",
    );
    let mut notifications = counters(
        "lockgate_bgp_reflector_notifications_total",
        "NOTIFICATION messages, by direction, and error code and subcode.",
    );
    let mut flaws = counters(
        "lockgate_bgp_reflector_flaws_total",
        "What was not taken as it was said, by reason (RFC 7606).",
    );
    let mut flaps =
        counters("lockgate_bgp_reflector_flaps_total", "Times it went down after it was up.");
    for reflector in reflectors {
        let labels = [label("class", &reflector.class), label("neighbor", &reflector.name)];
        up.add(labels.to_vec(), truth(reflector.state == NeighborState::Established));
        tenants.add(labels.to_vec(), number(reflector.tenants));
        not_kept.add(labels.to_vec(), number(reflector.not_kept.0));
        add_notifications(&mut notifications, &labels, &reflector.notifications);
        add_flaws(&mut flaws, &labels, &reflector.flaws);
        flaps.add(labels.to_vec(), number(reflector.flaps.0));
    }
    let all = [up, tenants, not_kept, notifications, flaws, flaps];
    all.into_iter().map(Family::finish).collect()
}
