//! What the status endpoint shows.

use super::server::Server;
use crate::sample::{HOSTILE, snapshot};
use expect_test::expect;
use lockgate::http::{render_metrics, to_open_metrics};
use lockgate::status::{Conditions, Count, Snapshot};
use std::sync::Arc;
use std::time::Duration;

/// Asks until the answer has `status`, for at most ten seconds.
fn check_becomes(server: &Server, path: &str, status: u16) {
    for _ in 0..1_000 {
        if server.ask(path).status() == status {
            return;
        }
        std::sync::mpsc::sync_channel::<()>(0).1.recv_timeout(Duration::from_millis(10)).ok();
    }
    panic!("{path} never became {status}: {:?}", server.ask(path));
}

#[test]
fn a_hung_loop_is_told_and_the_last_snapshot_still_shown() {
    let server = Server::with(snapshot(), Duration::from_millis(50));
    check_becomes(&server, "/livez", 503);
    assert_eq!(server.ask("/readyz").status(), 503);
    assert_eq!(server.ask("/api/v1/status").status(), 200);
    assert!(server.ask("/").body().contains("The control loop hangs"));
    server.ticks.send_modify(|tick| *tick += 1);
    check_becomes(&server, "/livez", 503);
    let alive = Server::start();
    assert!(!alive.ask("/").body().contains("The control loop hangs"));
    assert_eq!(alive.ask("/livez").body(), "ok\n");
}

#[test]
fn what_neighbors_said_is_asked_of_the_loop() {
    let server = Server::start();
    let path = |rest: &str| format!("/api/v1/tenants/acme/gw/rib{rest}");
    assert!(server.ask(&path("")).body().contains("10.140.1.0/24"));
    assert!(server.ask(&path("?after=10.140.1.0/24")).body().contains("10.200.1.0/24"));
    assert_eq!(server.ask(&path("?prefix=banana")).status(), 400);
    assert_eq!(server.ask("/api/v1/tenants/beta/gw/rib").status(), 404);
    assert_eq!(server.ask("/api/v1/tenants/B%20/gw/rib").status(), 404);
}

#[test]
fn a_loop_that_goes_on_is_alive_again() {
    let server = Server::with(snapshot(), Duration::from_millis(300));
    check_becomes(&server, "/livez", 503);
    for _ in 0..1_000 {
        server.ticks.send_modify(|tick| *tick += 1);
        if server.ask("/livez").status() == 200 {
            return;
        }
    }
    panic!("it stays dead");
}

#[test]
fn a_loop_that_is_gone_is_told_at_once() {
    let mut server = Server::start();
    let (ticks, _) = tokio::sync::watch::channel(0);
    drop(std::mem::replace(&mut server.ticks, ticks));
    check_becomes(&server, "/livez", 503);
}

#[test]
fn readiness_says_what_is_missing() {
    let server = Server::start();
    assert_eq!(server.ask("/readyz").body(), "ok\n");
    assert_eq!(
        server.ask("/readyz?verbose").body(),
        "[+]control-loop ok\n[+]config-loaded ok\n[+]tenants-programmed ok, 2 of 2\nok\n"
    );
    let mut unprogrammed = snapshot();
    for tenant in &mut unprogrammed.tenants {
        tenant.conditions = Conditions::default();
    }
    server.snapshots.send_replace(Arc::new(unprogrammed));
    let answer = server.ask("/readyz");
    assert_eq!(answer.status(), 503);
    assert!(answer.body().contains("[-]tenants-programmed failed"));
    assert_eq!(server.ask("/livez").status(), 200, "life does not depend on work");
}

#[test]
fn the_whole_snapshot_and_its_parts_are_json() {
    let server = Server::start();
    let answer = server.ask("/api/v1/status");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let read: Snapshot = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(read, snapshot());
    assert_eq!(server.ask("/api/v1/tenants/acme/gw").json()["name"], "acme/gw");
    let site = server.ask("/api/v1/tenants/acme/gw/sites/poznan").json();
    assert_eq!(site["sentBytes"], u64::MAX.to_string());
}

#[test]
fn what_is_not_there_is_named() {
    let server = Server::start();
    for (path, missing) in [
        ("/api/v1/tenants/acme/other", "tenant"),
        ("/api/v1/tenants/ACME/gw", "tenant"),
        ("/api/v1/tenants/acme/other/sites/poznan", "tenant"),
        ("/api/v1/tenants/acme/gw/sites/elsewhere", "site"),
        ("/api/v1/tenants/acme/gw/sites/%3Cscript%3E", "site"),
        ("/api/v2/status", "page"),
    ] {
        let answer = server.ask(path);
        assert_eq!(
            (answer.status(), answer.json()["missing"].as_str()),
            (404, Some(missing)),
            "{path}"
        );
    }
}

#[test]
fn head_says_what_get_would_without_the_body() {
    let server = Server::start();
    for path in ["/", "/api/v1/status", "/metrics", "/livez"] {
        let (get, head) = (server.ask(path), server.ask_as("HEAD", path));
        assert_eq!(head.status(), 200);
        assert_eq!(head.body(), "");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
    }
}

/// Which of the two formats a reader gets that sends `accept`.
fn check_format(server: &Server, accept: &str, is_open: bool) {
    let answer = server.send(format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n\r\n"
    ));
    let kind = answer.header("content-type").unwrap().to_owned();
    assert_eq!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        is_open,
        "{accept}"
    );
    assert_eq!(kind == "text/plain; version=0.0.4", !is_open, "{accept}");
    assert_eq!(answer.body().ends_with("\n# EOF\n"), is_open, "{accept}");
    assert!(answer.body().starts_with("# HELP "));
}

#[test]
fn metrics_are_in_the_format_that_is_accepted() {
    let server = Server::start();
    for accept in [
        "*/*",
        "text/plain;version=0.0.4;q=1",
        "text/html",
        ";;q=x,,",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.3,text/plain;q=0.5",
        "application/openmetrics-text;q=2",
    ] {
        check_format(&server, accept, false);
    }
    for accept in [
        "application/openmetrics-text;version=1.0.0",
        // What Prometheus sends.
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    ] {
        check_format(&server, accept, true);
    }
}

#[test]
fn open_metrics_name_a_counters_family_without_total_and_its_samples_with_it() {
    let text = render_metrics(&snapshot()).unwrap();
    let open = to_open_metrics(&text);
    assert!(open.contains("# HELP lockgate_bgp_flaps Times a session went down"));
    assert!(open.contains("# TYPE lockgate_bgp_flaps counter\nlockgate_bgp_flaps_total{"));
    assert!(!open.contains("# TYPE lockgate_bgp_flaps_total"));
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(&open), samples(&text));
    let mut hostile = snapshot();
    hostile.tenants[0].drops[0].reason = "x_total y".to_owned();
    assert!(to_open_metrics(&render_metrics(&hostile).unwrap()).contains("\"x_total y\""));
}

#[test]
fn metric_names_and_labels_are_what_dashboards_rely_on() {
    let text = render_metrics(&snapshot()).unwrap();
    let mut names = String::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            last = rest.to_owned();
        } else if !line.starts_with('#') && !last.is_empty() {
            let labels = line.split_once('{').map_or("", |(_, rest)| rest);
            let labels: Vec<_> = labels
                .split("\",")
                .filter_map(|label| label.split_once("=\"").map(|(name, _)| name))
                .collect();
            names += &format!("{last} {{{}}}\n", labels.join(","));
            last.clear();
        }
    }
    expect![[r#"
        lockgate_build_info gauge {version}
        lockgate_start_timestamp_seconds gauge {}
        lockgate_snapshot_timestamp_seconds gauge {}
        lockgate_config_generation gauge {stage}
        lockgate_config_last_applied_timestamp_seconds gauge {}
        lockgate_config_refused gauge {}
        lockgate_refused_documents gauge {}
        lockgate_apply_duration_seconds gauge {}
        lockgate_tls_certificate_expiry_timestamp_seconds gauge {}
        lockgate_status_credentials_problems gauge {}
        lockgate_tenant_programmed gauge {tenant}
        lockgate_isolation_ok gauge {tenant}
        lockgate_dropped_packets_total counter {tenant,place,reason}
        lockgate_conntrack_entries gauge {tenant}
        lockgate_conntrack_entries_limit gauge {tenant}
        lockgate_conntrack_evicted_total counter {tenant}
        lockgate_routes gauge {tenant,source}
        lockgate_site_up gauge {tenant,site}
        lockgate_site_state gauge {tenant,site,state}
        lockgate_site_state_since_timestamp_seconds gauge {tenant,site}
        lockgate_site_received_packets_total counter {tenant,site}
        lockgate_site_sent_packets_total counter {tenant,site}
        lockgate_handshakes_total counter {tenant,site,result}
        wireguard_peer_info gauge {device,public_key,tenant,name}
        wireguard_peer_last_handshake_seconds gauge {device,public_key}
        wireguard_peer_receive_bytes_total counter {device,public_key}
        wireguard_peer_transmit_bytes_total counter {device,public_key}
        lockgate_key_created_timestamp_seconds gauge {tenant,role}
        lockgate_bgp_neighbor_up gauge {tenant,neighbor}
        lockgate_bgp_prefixes gauge {tenant,neighbor,stage}
        lockgate_bgp_notifications_total counter {tenant,neighbor,direction,code}
        lockgate_bgp_flaws_total counter {tenant,neighbor,reason}
        lockgate_bgp_flaps_total counter {tenant,neighbor}
        lockgate_bfd_neighbor_up gauge {tenant,neighbor}
        lockgate_bfd_flaps_total counter {tenant,neighbor}
        lockgate_bfd_discarded_total counter {tenant,neighbor,reason}
        lockgate_bgp_neighbor_convergence_seconds gauge {tenant,neighbor}
        lockgate_bgp_convergence_seconds gauge {tenant}
        lockgate_bgp_range_neighbors gauge {tenant,neighbor,established}
        lockgate_bgp_range_maximum gauge {tenant,neighbor}
        lockgate_bgp_range_refused_total counter {tenant,neighbor}
        lockgate_bgp_reflector_up gauge {class,neighbor}
        lockgate_bgp_reflector_tenants gauge {class,neighbor}
        lockgate_bgp_reflector_not_kept_total counter {class,neighbor}
        lockgate_bgp_reflector_notifications_total counter {class,neighbor,direction,code}
        lockgate_bgp_reflector_flaws_total counter {class,neighbor,reason}
        lockgate_bgp_reflector_flaps_total counter {class,neighbor}
        lockgate_probe_success gauge {tenant,site,address}
        lockgate_probe_sent_total counter {tenant,site,address}
        lockgate_probe_lost_total counter {tenant,site,address}
        lockgate_probe_duration_seconds histogram {tenant,site,address,le}
    "#]]
    .assert_eq(&names);
}

#[test]
fn metrics_say_what_the_snapshot_says() {
    let text = render_metrics(&snapshot()).unwrap();
    for line in [
        "lockgate_site_state{site=\"krakow\",state=\"Down\",tenant=\"acme/gw\"} 1",
        "lockgate_site_state{site=\"krakow\",state=\"Up\",tenant=\"acme/gw\"} 0",
        "lockgate_dropped_packets_total{place=\"firewall\",reason=\"not_allowed\",tenant=\"beta/gw\"} 41",
        "lockgate_bgp_flaws_total{neighbor=\"tor\",reason=\"as_loop\",tenant=\"acme/gw\"} 2",
    ] {
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, value) = rest.split_once("} ").unwrap();
        let is_it = |found: &str| {
            found.starts_with(name)
                && found.ends_with(&format!(" {value}"))
                && labels.split(',').all(|label| found.contains(label))
        };
        assert!(text.lines().any(is_it), "no line as {line}");
    }
    assert!(!text.contains("198.51.100.7"), "an endpoint became a label");
    assert!(!text.contains("192.168.1.0"), "a network became a label");
}

#[test]
fn a_hostile_label_stays_inside_its_quotes() {
    let mut hostile = snapshot();
    hostile.version = HOSTILE.to_owned();
    hostile.tenants[0].drops[0].reason = HOSTILE.to_owned();
    let text = render_metrics(&hostile).unwrap();
    for line in text.lines() {
        let is_sample = line.starts_with("lockgate_") || line.starts_with("wireguard_");
        assert!(is_sample || line.starts_with("# "), "a label broke out: {line}");
        assert!(!line.starts_with("lockgate_up "), "a label became a metric: {line}");
        let value = line.rsplit(' ').next().unwrap();
        assert!(!is_sample || value.parse::<f64>().is_ok(), "no value: {line}");
    }
    assert!(text.contains("\\\"'&\\\\\\n"), "quotes, backslash and newline are not escaped");
}

#[test]
fn hostile_text_stays_text_on_the_page_and_in_json() {
    let mut hostile = snapshot();
    hostile.version = HOSTILE.to_owned();
    for tenant in &mut hostile.tenants {
        for site in &mut tenant.sites {
            site.message = HOSTILE.to_owned();
        }
        for event in &mut tenant.events {
            event.message = HOSTILE.repeat(200);
        }
    }
    hostile.config.last_reload.as_mut().unwrap().errors = vec![HOSTILE.to_owned()];
    hostile.refused[0].document = HOSTILE.to_owned();
    hostile.refused[0].path = Some(HOSTILE.to_owned());
    hostile.refused[0].message = HOSTILE.to_owned();
    let server = Server::with(hostile.clone(), Duration::from_secs(60));
    let page = server.ask("/");
    assert_eq!(page.body().matches("<script").count(), 1);
    assert!(
        page.body().contains("&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;")
    );
    assert!(!page.body().contains(['\u{202e}', '\u{0}', '\u{1b}']));
    let read: Snapshot = serde_json::from_str(server.ask("/api/v1/status").body()).unwrap();
    assert_eq!(read, hostile);
}

#[test]
fn the_largest_counters_do_not_turn_negative() {
    let mut extreme = snapshot();
    let site = &mut extreme.tenants[0].sites[0];
    site.received_bytes = Count(u64::MAX);
    site.handshakes = Count(u64::MAX);
    let text = render_metrics(&extreme).unwrap();
    assert!(text.contains(" 18446744073709552000"));
    assert!(!text.contains(" -"));
}

#[test]
fn ten_thousand_peers_are_written_with_a_bounded_number_of_lines() {
    let mut large = snapshot();
    let site = large.tenants[0].sites[0].clone();
    large.tenants[0].sites = (0..10_000)
        .map(|n| lockgate::status::SiteSnapshot {
            name: format!("s{n}").parse().unwrap(),
            ..site.clone()
        })
        .collect();
    let lines = render_metrics(&large).unwrap().lines().count();
    assert!(lines < 10_000 * 20, "{lines} lines");
}
