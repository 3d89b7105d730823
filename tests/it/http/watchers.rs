//! What hangs on the metrics' names: alerts and the dashboard in `deploy/`.

use crate::sample::snapshot;
use lockgate::http::render_metrics;
use std::collections::BTreeSet;

/// The names of ours in `text`.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c: char| !is_name(c))
        .filter(|word| {
            ["lockgate_", "wireguard_peer_"]
                .iter()
                .any(|ours| word.starts_with(ours) && ours.len() < word.len())
        })
        .map(str::to_owned)
        .collect()
}

/// Whether every metric that `text` names is one of ours, and it names some.
fn check_names(text: &str, least: usize) {
    let metrics = named(&render_metrics(&snapshot()).unwrap());
    let asked = named(text);
    let missing: Vec<_> = asked.difference(&metrics).collect();
    assert!(missing.is_empty(), "nothing measures {missing:?}");
    assert!(least <= asked.len(), "{asked:?}");
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    check_names(include_str!("../../../deploy/alerts.yaml"), 10);
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let text = include_str!("../../../deploy/dashboard.json");
    check_names(text, 15);
    let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(
        panels.iter().all(|panel| panel["description"].as_str().is_some_and(|d| !d.is_empty()))
    );
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let text = include_str!("../../../deploy/alerts.yaml");
    let read: serde_json::Value = serde_saphyr::from_str(text).unwrap();
    let groups = read["groups"].as_array().unwrap();
    let rules: Vec<_> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(15 <= rules.len());
    for rule in rules {
        for what in ["summary", "description", "action"] {
            let said = rule["annotations"][what].as_str().unwrap_or_default();
            assert!(20 < said.len(), "{}: {what}", rule["alert"]);
        }
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning" | "info")), "{}", rule["alert"]);
    }
}
