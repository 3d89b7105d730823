//! Probes as metrics. Their labels are names and addresses of documents that were
//! accepted, at most [`PROBES_PER_SITE`](crate::model::limits::PROBES_PER_SITE) a site.

use super::metrics::{counters, every_site, gauges, label, number, truth};
use crate::status::{PROBE_BOUNDS, ProbeDurations, ProbeState, TenantSnapshot};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

pub(super) fn families(tenants: &[TenantSnapshot]) -> Vec<MetricFamily> {
    let mut success = gauges(
        "lockgate_probe_success",
        "1 when the device answers its probe, 0 when it is lost or refuses; absent before that is known.",
    );
    let mut sent = counters("lockgate_probe_sent_total", "Times a device was asked.");
    let mut lost = counters("lockgate_probe_lost_total", "Times a device did not answer.");
    let mut durations = MetricFamily::default();
    durations.set_name("lockgate_probe_duration_seconds".to_owned());
    durations.set_help("How long answers to probes took, refusals included.".to_owned());
    durations.set_field_type(MetricType::HISTOGRAM);
    let mut histograms = Vec::new();
    for (tenant, site) in every_site(tenants) {
        for probe in &site.probes {
            let labels = vec![
                label("tenant", &tenant.name.to_string()),
                label("site", site.name.as_str()),
                label("address", &probe.target().to_string()),
            ];
            match probe.state {
                ProbeState::Pending | ProbeState::StandingBy => {}
                ProbeState::Answered | ProbeState::Refused | ProbeState::Lost => {
                    success.add(labels.clone(), truth(probe.state == ProbeState::Answered));
                }
            }
            sent.add(labels.clone(), number(probe.sent.0));
            lost.add(labels.clone(), number(probe.lost.0));
            histograms.push(histogram(labels, &probe.durations));
        }
    }
    durations.set_metric(histograms);
    vec![success.finish(), sent.finish(), lost.finish(), durations]
}

fn histogram(labels: Vec<LabelPair>, durations: &ProbeDurations) -> Metric {
    let buckets = durations.within.iter().zip(PROBE_BOUNDS).map(|(within, bound)| {
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(within.0);
        bucket.set_upper_bound(f64::from(bound) / 1e6);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(durations.count.0);
    histogram.set_sample_sum(number(durations.sum_micros.0) / 1e6);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}
