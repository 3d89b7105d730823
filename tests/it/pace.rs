//! How fast neighbors' connections are taken.

use lockgate::daemon::pace::Pace;
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn a_thousand_neighbors_that_came_back_at_once_waited_ten_seconds_for_one_another() {
    let begun = Instant::now();
    let mut pace = Pace::new(1_000, begun);
    for _ in 1..1_000 {
        assert_eq!(pace.take(begun), begun);
    }
    assert_eq!(pace.take(begun), begun + PAUSE, "each was there, and this is somebody again");
    assert_eq!(pace.take(begun + PAUSE), begun + 2 * PAUSE);
    // Half of them may come back after half the time.
    let later = begun + PAUSE + 500 * PAUSE;
    let at_once = (0..1_000).take_while(|_| pace.take(later) == later).count();
    assert_eq!(at_once, 499);
}

#[test]
fn whoever_waits_for_nobody_else_takes_one_connection_at_a_time() {
    let begun = Instant::now();
    for expected in [0, 1] {
        let mut pace = Pace::new(expected, begun);
        assert_eq!(pace.take(begun), begun + PAUSE);
        assert_eq!(pace.take(begun + PAUSE), begun + 2 * PAUSE);
        assert_eq!(pace.take(begun + 100 * PAUSE), begun + 101 * PAUSE);
    }
}
