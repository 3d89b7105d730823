//! What is kept of answers.

use lockgate::model::limits::PROBE_READINGS;
use lockgate::probe::{BOUNDS, Histogram, Reading, Summary, Window};
use lockgate::status::{Latency, ProbeWindow};
use std::time::Duration;

fn window(readings: &[Option<u64>]) -> Window {
    let mut window = Window::default();
    for reading in readings {
        let answered = |micros: u64| Reading::answered(Duration::from_micros(micros));
        window.push(reading.map_or(Reading::LOST, answered));
    }
    window
}

#[test]
fn a_window_tells_loss_and_latency() {
    assert_eq!(window(&[]).summary(), Summary::default());
    let all_lost = window(&[None, None]).summary();
    assert_eq!(all_lost, Summary { shots: 2, lost: 2, ..Summary::default() });
    let mixed = window(&[Some(100), None, Some(300), Some(200)]).summary();
    let told = Summary { shots: 4, lost: 1, minimum: Some(100), mean: Some(200), p99: Some(300) };
    assert_eq!(mixed, told);
}

#[test]
fn only_the_last_are_kept() {
    let all: Vec<Option<u64>> = (0..PROBE_READINGS as u64 + 5).map(Some).collect();
    let window = window(&all);
    assert_eq!(window.iter().count(), PROBE_READINGS);
    assert_eq!(window.iter().next().unwrap().micros(), Some(5), "the oldest went");
}

#[test]
fn an_answer_after_very_long_is_still_an_answer() {
    let reading = Reading::answered(Duration::from_secs(100_000));
    assert_eq!(reading.micros(), Some(u32::MAX - 1));
}

#[test]
fn a_histogram_counts_each_answer_in_all_buckets_it_fits() {
    let mut histogram = Histogram::default();
    for micros in [0, 500, 501, 1_500_000, 1_500_001] {
        histogram.push(Duration::from_micros(micros));
    }
    assert_eq!((histogram.within[0], histogram.within[1]), (2, 3));
    assert_eq!(histogram.within[BOUNDS.len() - 1], 4);
    assert_eq!((histogram.count, histogram.sum_micros), (5, 3_001_002));
    assert!(BOUNDS.is_sorted());
}

#[test]
fn latencies_are_read_at_a_glance() {
    let said = |micros| Latency(Some(micros)).to_string();
    assert_eq!(said(0), "0 µs");
    assert_eq!(said(417), "417 µs");
    assert_eq!(said(4_170), "4.17 ms");
    assert_eq!(said(41_700), "41.7 ms");
    assert_eq!(said(417_000), "417 ms");
    assert_eq!(said(1_417_000), "1.42 s");
    assert_eq!(Latency(None).to_string(), "—");
}

#[test]
fn loss_is_of_what_was_asked() {
    let percent = |lost, all| {
        ProbeWindow { micros: vec![None; all], lost, ..ProbeWindow::default() }.loss_percent()
    };
    assert_eq!(percent(0, 0), None);
    assert_eq!((percent(0, 60), percent(60, 60)), (Some(0), Some(100)));
    assert_eq!(percent(1, 3), Some(33));
}
