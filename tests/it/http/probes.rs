//! Probes on a site's page and in the metrics.

use super::server::Server;
use crate::sample::{HOSTILE, ago, snapshot};
use lockgate::http::{Ticket, render_metrics, to_open_metrics};
use lockgate::model::limits::PROBE_READINGS;
use lockgate::status::{PROBE_BOUNDS, ProbeState, Snapshot};
use std::time::Duration;

const PAGE: &str = "/tenants/acme/gw/sites/poznan";

fn page(snapshot: Snapshot) -> String {
    Server::with(snapshot, Duration::from_secs(5)).ask(PAGE).body().to_owned()
}

/// The plot of the first probe.
fn plot(body: &str) -> &str {
    let from = &body[body.find("<svg").unwrap()..];
    &from[..from.find("</svg>").unwrap()]
}

fn probes(snapshot: &mut Snapshot) -> &mut Vec<lockgate::status::ProbeSnapshot> {
    let site = snapshot.tenants[0].sites.iter_mut().find(|it| it.name.as_str() == "poznan");
    &mut site.unwrap().probes
}

#[test]
fn each_answer_is_a_dot_each_loss_a_bar_and_all_of_it_is_said() {
    let body = page(snapshot());
    let plot = plot(&body);
    assert_eq!(plot.matches("<circle").count(), 2);
    assert_eq!(plot.matches("class=\"loss\"").count(), 1);
    assert!(plot.contains("role=\"img\""));
    let label = "aria-label=\"Of the last 3, 1 lost; answers took 6.90 ms to 7.12 ms\"";
    assert!(plot.contains(label), "{plot}");
    assert!(body.contains("33 % <small>of 3</small>"));
    assert!(body.contains("10.200.1.1:22 <small>TCP, every 30 s</small>"));
    assert!(body.contains("</span> Refused</span>"));
    assert_eq!(body.matches("<svg").count(), 2, "one for each probe");
}

#[test]
fn a_plot_stays_within_its_frame_whatever_was_measured() {
    for micros in [
        vec![],
        vec![None; PROBE_READINGS],
        vec![Some(0); PROBE_READINGS],
        vec![Some(u32::MAX - 1), Some(0), Some(1)],
    ] {
        let mut snapshot = snapshot();
        probes(&mut snapshot)[0].recent.micros.clone_from(&micros);
        let body = page(snapshot);
        if micros.is_empty() {
            assert!(body.contains("none yet"));
            continue;
        }
        let plot = plot(&body);
        let width = 4.0 * PROBE_READINGS as f64;
        assert!(plot.contains(&format!("viewBox=\"0 0 {width} 40\"")), "{plot}");
        for (attribute, most) in [("cx", width), ("cy", 40.0)] {
            for value in plot.split(&format!("{attribute}=\"")).skip(1) {
                let value: f64 = value.split('"').next().unwrap().parse().unwrap();
                assert!((0.0..=most).contains(&value), "{attribute} {value}");
            }
        }
    }
}

#[test]
fn what_a_failure_says_is_text_on_the_page_and_in_a_ticket() {
    let mut hostile = snapshot();
    probes(&mut hostile)[0].last_failure_message = Some(HOSTILE.to_owned());
    let body = page(hostile.clone());
    assert!(body.contains("&lt;/td&gt;&lt;script&gt;alert(1)"), "{body}");
    assert_eq!(body.matches("<script").count(), 1);
    let tenant = &hostile.tenants[0];
    let site = tenant.sites.iter().find(|it| !it.probes.is_empty()).unwrap();
    let ticket = Ticket { snapshot: &hostile, tenant, site }.to_string();
    assert!(
        ticket.contains("Probe:          10.200.1.1 Answered, 33 % lost, last answer"),
        "{ticket}"
    );
    assert!(ticket.contains(&ago(9).to_string()), "{ticket}");
}

#[test]
fn a_probe_is_a_histogram_that_prometheus_can_read() {
    let text = render_metrics(&snapshot()).unwrap();
    let of = "tenant=\"acme/gw\",site=\"poznan\",address=\"10.200.1.1\"";
    assert!(text.contains(&format!("lockgate_probe_success{{{of}}} 1\n")), "{text}");
    assert!(text.contains("# TYPE lockgate_probe_duration_seconds histogram"));
    let name = "lockgate_probe_duration_seconds";
    assert!(text.contains(&format!("{name}_bucket{{{of},le=\"0.0005\"}} 0\n")), "{text}");
    assert!(text.contains(&format!("{name}_bucket{{{of},le=\"1.5\"}} 993\n")), "{text}");
    assert!(text.contains(&format!("{name}_bucket{{{of},le=\"+Inf\"}} 993\n")), "{text}");
    assert!(text.contains(&format!("{name}_sum{{{of}}} 6.951\n")), "{text}");
    assert!(text.contains(&format!("{name}_count{{{of}}} 993\n")), "{text}");
    assert!(text.contains("address=\"10.200.1.1:22\""), "one that refuses fails");
    // OpenMetrics 1.0 wants bounds that are no integers to read as such.
    assert!(PROBE_BOUNDS.iter().all(|bound| bound % 1_000_000 != 0));
    let open = to_open_metrics(&text);
    assert!(open.contains(&format!("{name}_bucket{{{of},le=\"+Inf\"}} 993\n")));
}

#[test]
fn what_is_not_known_yet_is_no_failure() {
    let mut early = snapshot();
    for probe in probes(&mut early) {
        probe.state = ProbeState::Pending;
    }
    early.tenants.truncate(1);
    assert!(!render_metrics(&early).unwrap().contains("lockgate_probe_success{"));
}
