//! `check-site`: what a monitoring system is told, and its exit codes.

use super::program::{ask, run};
use super::running::check;
use crate::http::server::Server;
use crate::sample::{HOSTILE, snapshot};
use expect_test::{Expect, expect};
use std::time::Duration;

/// What a monitoring system is told of `site`, and the exit code.
fn check_plugin(arguments: &[&str], code: i32, stdout: Expect) {
    check(&[&["check-site"], arguments].concat(), code, stdout);
}

#[test]
fn a_monitoring_system_is_told_of_a_site_as_by_any_plugin() {
    check_plugin(
        &["acme/poznan"],
        0,
        expect![[r#"
            LOCKGATE OK - acme/gw/poznan is Up (session_alive) | state_age=7500s received=1234567890c sent=18446744073709551615c handshakes=63c handshake_timeouts=0c handshake_age=12s heard_age=1s 'rtt 10.200.1.1'=7125us 'loss 10.200.1.1'=33% 'rtt 10.200.1.1:22'=7125us 'loss 10.200.1.1:22'=0%
        "#]],
    );
    check_plugin(
        &["acme/gw/krakow"],
        2,
        expect![[r#"
        LOCKGATE CRITICAL - acme/gw/krakow is Down (handshake_timeout): It was connected; handshakes are no longer answered. | state_age=7500s received=0c sent=0c handshakes=0c handshake_timeouts=40c handshake_age=375000s
    "#]],
    );
    check_plugin(
        &["lodz"],
        2,
        expect![[r#"
        LOCKGATE CRITICAL - acme/gw/lodz is Blackholed (no_reply): Packets are sent and nothing comes back: the customer's router may have lost its routes, its key or its uplink. | state_age=7500s received=0c sent=0c handshakes=0c handshake_timeouts=0c handshake_age=90s
    "#]],
    );
    check_plugin(
        &["gdansk"],
        1,
        expect![[r#"
        LOCKGATE WARNING - acme/gw/gdansk is Stale (session_expired): No traffic for more than three minutes; the next packet opens a new session. | state_age=7500s received=0c sent=0c handshakes=0c handshake_timeouts=0c handshake_age=7500s
    "#]],
    );
    check_plugin(
        &["gdansk", "--stale", "ok"],
        0,
        expect![[r#"
        LOCKGATE OK - acme/gw/gdansk is Stale (session_expired) | state_age=7500s received=0c sent=0c handshakes=0c handshake_timeouts=0c handshake_age=7500s
    "#]],
    );
    check_plugin(
        &["wroclaw", "--never-connected", "critical"],
        2,
        expect![[r#"
        LOCKGATE CRITICAL - acme/gw/wroclaw is NeverConnected (waiting_for_customer): No endpoint is configured, so the customer's router has to begin; nothing has come from it. | state_age=7500s received=0c sent=0c handshakes=0c handshake_timeouts=0c
    "#]],
    );
    check_plugin(
        &["elsewhere"],
        3,
        expect![[r#"
        LOCKGATE UNKNOWN - the gateway has no site "elsewhere"; `lockgate status` shows those it has
    "#]],
    );
}

#[test]
fn what_cannot_be_found_out_is_unknown_and_never_critical() {
    let nowhere = std::path::Path::new("/nonexistent/lockgate.sock");
    let ended = ask(nowhere, &["check-site", "acme/poznan"]);
    assert_eq!(ended.code, 3);
    assert!(ended.stdout.starts_with("LOCKGATE UNKNOWN - cannot reach the gateway"));
    assert_eq!(run(&["check-site"]).code, 3, "a usage error is not CRITICAL");
    assert_eq!(run(&["check-site", "a", "--stale", "maybe"]).code, 3);
    let server = Server::with(snapshot(), Duration::from_millis(50));
    for _ in 0..1_000 {
        if server.ask("/livez").status() == 503 {
            let ended = ask(&server.socket, &["check-site", "acme/poznan"]);
            assert_eq!(ended.code, 3);
            assert!(ended.stdout.contains("control loop hangs"), "{}", ended.stdout);
            return;
        }
    }
    panic!("the loop never hung");
}

#[test]
fn hostile_text_cannot_be_read_as_a_plugins_numbers() {
    let mut hostile = snapshot();
    for site in &mut hostile.tenants[0].sites {
        site.message = format!("{HOSTILE} | x=1 \n second line");
    }
    let server = Server::with(hostile, Duration::from_secs(60));
    let ended = ask(&server.socket, &["check-site", "krakow"]);
    assert_eq!((ended.stdout.matches('|').count(), ended.stdout.lines().count()), (1, 1));
}
