//! When what the gateway is doing is shown again.

use lockgate::daemon::publishing::Publishing;
use std::time::Duration;
use tokio::time::Instant;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn shows_what_is_new_and_takes_a_twentieth_of_the_time() {
    let begun = Instant::now();
    let mut publishing = Publishing::new(begun);
    assert_eq!(publishing.due(), Some(begun));
    publishing.done(begun, begun + MILLISECOND);
    assert_eq!(publishing.due(), None, "nothing is new");
    publishing.note(false);
    assert_eq!(publishing.due(), None);
    publishing.note(true);
    assert_eq!(publishing.due(), Some(begun + 101 * MILLISECOND));
    publishing.done(begun, begun + 20 * MILLISECOND);
    publishing.note(true);
    assert_eq!(publishing.due(), Some(begun + 420 * MILLISECOND));
    publishing.hurry(begun);
    assert_eq!(publishing.due(), Some(begun));
}

#[test]
fn a_snapshot_on_a_busy_machine_kept_the_status_old_for_twenty_seconds() {
    let begun = Instant::now();
    let mut publishing = Publishing::new(begun);
    let end = begun + Duration::from_secs(1);
    publishing.done(begun, end);
    publishing.note(true);
    assert_eq!(publishing.due(), Some(end + Duration::from_secs(1)));
}
