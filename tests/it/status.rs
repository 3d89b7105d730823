//! The snapshot: what it says, and how it is written and read.

use crate::sample::{NOW, ago, snapshot};
use lockgate::net::{Instant, Timestamp};
use lockgate::status::{
    Ago, ConditionReason, ConditionStatus, ConditionType, Conditions, Count, EventReason, History,
    RateMeter, SiteReason, SiteState, Snapshot,
};
use lockgate::wireguard::{PeerReason, PeerState};

#[test]
fn a_snapshot_reads_back_as_it_was_written() {
    let before = snapshot();
    let json = serde_json::to_string_pretty(&before).unwrap();
    let after: Snapshot = serde_json::from_str(&json).unwrap();
    assert_eq!(before, after);
}

#[test]
fn counters_beyond_two_to_the_53_survive_javascript() {
    let json = serde_json::to_value(snapshot()).unwrap();
    let poznan = &json["tenants"][0]["sites"][3];
    assert_eq!(poznan["sentBytes"], "18446744073709551615");
    assert_eq!(poznan["receivedBytes"], "1234567890");
}

#[test]
fn a_counter_is_read_from_a_number_too() {
    assert_eq!(serde_json::from_str::<Count>("7").unwrap(), Count(7));
    assert!(serde_json::from_str::<Count>("\"-7\"").is_err());
    assert!(serde_json::from_str::<Count>("-7").is_err());
    assert!(serde_json::from_str::<Count>("\"18446744073709551616\"").is_err());
}

#[test]
fn keys_are_in_camel_case_and_the_schema_is_named() {
    let json = serde_json::to_value(snapshot()).unwrap();
    assert_eq!(json["schema"], "lockgate.dev/status/v1");
    assert_eq!(json["config"]["loadedGeneration"], 3);
    let tenant = &json["tenants"][0];
    assert_eq!(tenant["name"], "acme/gw");
    assert_eq!(tenant["conditions"][0]["type"], "Accepted");
    assert_eq!(tenant["conditions"][0]["lastTransitionTime"], "2026-11-24T00:55:00Z");
    assert_eq!(tenant["sites"][3]["lastHandshakeTime"], "2026-11-24T02:59:48Z");
    assert_eq!(tenant["sites"][3]["type"], "WireGuard");
    assert_eq!(tenant["sites"][3]["state"], "Up");
    assert_eq!(tenant["sites"][3]["reason"], "session_alive");
}

#[test]
fn times_read_back_on_every_kind_of_day() {
    let days = [0, 58, 59, 60, 364, 365, 789, 790, 11_015, 11_016, 11_017, 20_781, 47_540, 47_541];
    for day in days {
        let mut before = snapshot();
        before.taken = Timestamp::new(day * 86_400 + 86_399, 0);
        let json = serde_json::to_string(&before).unwrap();
        assert_eq!(before, serde_json::from_str(&json).unwrap(), "day {day}");
    }
}

#[test]
fn a_time_that_is_none_is_refused() {
    let json = serde_json::to_string(&snapshot()).unwrap();
    for wrong in [
        "2026-11-24T03:00:00+01:00",
        "2026-13-24T03:00:00Z",
        "2026-11-24T24:00:00Z",
        "1969-12-31T23:59:59Z",
        "99999999999999999999-01-01T00:00:00Z",
        "2026-11-24",
        "",
    ] {
        let json =
            json.replace("\"taken\":\"2026-11-24T03:00:00Z\"", &format!("\"taken\":\"{wrong}\""));
        assert!(json.contains(wrong));
        assert!(serde_json::from_str::<Snapshot>(&json).is_err(), "{wrong} was read");
    }
}

#[test]
fn names_are_the_same_in_json_and_in_text() {
    for state in SiteState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
    }
    for reason in SiteReason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
    }
    for kind in ConditionType::TENANT.into_iter().chain(ConditionType::SITE) {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
}

#[test]
fn a_site_is_judged_in_the_words_its_peer_is_judged_in() {
    for reason in PeerReason::ALL {
        assert_eq!(SiteReason::from(reason).name(), reason.name());
    }
    for state in [
        PeerState::NeverConnected,
        PeerState::Up,
        PeerState::Stale,
        PeerState::Blackholed,
        PeerState::Down,
    ] {
        assert_eq!(SiteState::from(state).name(), state.name());
    }
}

#[test]
fn states_are_told_apart_without_colour() {
    for a in SiteState::ALL {
        for b in SiteState::ALL {
            assert_eq!(a == b, a.icon() == b.icon());
            assert_eq!(a == b, a.urgency() == b.urgency());
        }
    }
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut conditions = Conditions::unknown(&ConditionType::TENANT, 1, ago(100));
    let ready = ConditionType::Ready;
    let failed = ConditionReason::ApplyFailed;
    assert!(conditions.set(ready, ConditionStatus::False, failed, "one", 1, ago(50)));
    assert!(!conditions.set(ready, ConditionStatus::False, failed, "two", 2, ago(40)));
    let condition = conditions.find(ready).unwrap();
    assert_eq!(condition.last_transition_time, ago(50));
    assert_eq!((condition.message.as_str(), condition.observed_generation), ("two", 2));
    assert!(conditions.set(ready, ConditionStatus::True, ConditionReason::Established, "", 2, NOW));
    assert_eq!(conditions.find(ready).unwrap().last_transition_time, NOW);
    assert_eq!(conditions.iter().count(), ConditionType::TENANT.len());
}

#[test]
fn a_history_ends_and_never_uses_an_id_again() {
    let mut history = History::new(3);
    for n in 0..10 {
        history.push(EventReason::StepFailed, None, format!("step {n}"), ago(10 - n));
    }
    let ids: Vec<u64> = history.iter().map(|event| event.id.0).collect();
    assert_eq!(ids, [7, 8, 9]);
}

#[test]
fn the_same_thing_again_is_counted_and_not_added() {
    let mut history = History::new(3);
    for n in 0..10 {
        history.push(EventReason::StepFailed, None, "the same".to_owned(), ago(10 - n));
    }
    history.push(EventReason::StepFailed, Some("hq".parse().unwrap()), "the same".to_owned(), NOW);
    let events = history.to_vec();
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].count, events[0].first, events[0].last), (Count(10), ago(10), ago(1)));
}

#[test]
fn an_age_reads_as_people_say_it() {
    let cases = [
        (0, "now"),
        (1, "1 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (7_500, "2 h 5 min ago"),
        (86_399, "23 h 59 min ago"),
        (86_400, "1 d ago"),
        (375_000, "4 d 8 h ago"),
    ];
    for (seconds, text) in cases {
        assert_eq!(Ago::between(ago(seconds), NOW).to_string(), text);
    }
}

#[test]
fn an_age_is_never_negative_when_the_clock_was_set_back() {
    assert_eq!(Ago::between(NOW, ago(3_600)).to_string(), "now");
}

#[test]
fn readiness_does_not_depend_on_a_customer_or_on_one_tenant() {
    let mut snapshot = snapshot();
    for site in &mut snapshot.tenants[0].sites {
        site.state = SiteState::Down;
    }
    assert!(snapshot.is_ready());
    snapshot.tenants[0].conditions = Conditions::default();
    assert!(snapshot.is_ready());
    snapshot.tenants[1].conditions = Conditions::default();
    assert!(!snapshot.is_ready());
    assert!(!Snapshot::starting("0.1.0", NOW).is_ready());
}

/// A snapshot cannot give away what its types cannot hold.
#[test]
fn no_type_of_the_status_room_can_hold_a_secret() {
    let room = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status");
    let mut files = 0;
    for entry in std::fs::read_dir(room).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for secret in ["PrivateKey", "PresharedKey", "DeviceConfig", "PeerConfig", "Zeroizing"] {
            assert!(!source.contains(secret), "the status room names {secret}");
        }
        files += 1;
    }
    assert!(files > 5);
}

/// A meter that sees the first tenant's first site with `bytes` received, each time so
/// many seconds after the first; and what it gives at last.
fn rate_after(readings: &[(u64, u64)]) -> Option<u64> {
    let mut meter = RateMeter::default();
    let mut rate = None;
    for (seconds, bytes) in readings {
        let mut snapshot = snapshot();
        snapshot.tenants[0].sites[0].received_bytes = Count(*bytes);
        meter.fill(&mut snapshot, Instant::from_secs(1_000 + seconds));
        rate = snapshot.tenants[0].sites[0].received_bits_per_second;
        assert!(snapshot.tenants[1].sites[0].received_bits_per_second.is_none_or(|rate| rate == 0));
    }
    rate
}

#[test]
fn a_rate_is_of_the_last_five_seconds_or_more() {
    assert_eq!(rate_after(&[(0, 1_000)]), None);
    assert_eq!(rate_after(&[(0, 1_000), (4, 9_000)]), None);
    assert_eq!(rate_after(&[(0, 1_000), (5, 2_000)]), Some(1_600));
    // Between two spans the last one stands.
    assert_eq!(rate_after(&[(0, 1_000), (5, 2_000), (6, 90_000)]), Some(1_600));
    assert_eq!(rate_after(&[(0, 1_000), (5, 2_000), (15, 2_000)]), Some(0));
    // No snapshot for long: the mean of the time since.
    assert_eq!(rate_after(&[(0, 0), (100, 100)]), Some(8));
}

#[test]
fn a_counter_that_went_back_is_no_rate_of_eighteen_quintillions() {
    assert_eq!(rate_after(&[(0, u64::MAX), (5, 10)]), None);
    assert_eq!(rate_after(&[(0, 1_000), (5, 2_000), (10, 0), (15, 5_000)]), Some(8_000));
    assert_eq!(rate_after(&[(0, 0), (5, u64::MAX)]), Some(u64::MAX));
}
