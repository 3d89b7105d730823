//! Clocks that were set back (threats H12) and snapshots that change while they are read
//! (threats H6).

use super::server::Server;
use crate::sample::{NOW, snapshot};
use lockgate::net::Timestamp;
use std::sync::Arc;

#[test]
fn an_hour_that_was_set_back_makes_no_age_negative() {
    let mut back = snapshot();
    back.taken = Timestamp::new(NOW.seconds() - 3_600 * 5, 0);
    let server = Server::start();
    server.snapshots.send_replace(Arc::new(back));
    for path in ["/", "/?wall=1", "/tenants/acme/gw", "/tenants/acme/gw/sites/poznan"] {
        let page = server.ask(path);
        assert_eq!(page.status(), 200);
        for unit in [" s", " min", " h", " d"] {
            let ending = format!("{unit} ago");
            let mut ages = page.body().match_indices(&ending);
            let is_negative = |(at, _): (usize, &str)| {
                let number = page.body()[..at].rsplit([' ', '>']).next().unwrap();
                number.parse::<u64>().is_err()
            };
            assert!(!ages.any(is_negative), "{path} has a negative age");
        }
        assert!(page.body().contains("now"), "{path}: what is to come is now");
    }
    let metrics = server.ask("/metrics");
    assert!(!metrics.body().lines().any(|line| line.contains(" -")), "{}", metrics.body());
}

#[test]
fn a_scrape_is_of_one_moment_however_often_that_changes() {
    let server = Server::start();
    let two = Arc::new(snapshot());
    let mut one = snapshot();
    one.tenants.truncate(1);
    one.config.loaded_generation = 4;
    let one = Arc::new(one);
    let (mut ones, mut twos) = (0, 0);
    std::thread::scope(|scope| {
        let (say, stopped) = std::sync::mpsc::sync_channel::<()>(0);
        let snapshots = &server.snapshots;
        let turning = [Arc::clone(&one), Arc::clone(&two)];
        scope.spawn(move || {
            use std::sync::mpsc::TryRecvError;
            for next in turning.iter().cycle() {
                snapshots.send_replace(Arc::clone(next));
                if stopped.try_recv() == Err(TryRecvError::Disconnected) {
                    return;
                }
                std::thread::yield_now();
            }
        });
        for _ in 0..200 {
            let text = server.ask("/metrics").0;
            let tenants =
                text.lines().filter(|line| line.starts_with("lockgate_isolation_ok{")).count();
            let loaded = |generation| {
                text.contains(&format!(
                    "lockgate_config_generation{{stage=\"loaded\"}} {generation}"
                ))
            };
            match tenants {
                1 if loaded(4) => ones += 1,
                2 if loaded(3) => twos += 1,
                _ => panic!("{tenants} tenants of another moment: {text}"),
            }
        }
        drop(say);
    });
    assert!(0 < ones && 0 < twos, "{ones} {twos}");
}
