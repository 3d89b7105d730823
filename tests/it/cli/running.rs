//! How verbs that read a running gateway find it, fail and print, asked of a real socket.

use super::program::{ask, command, run};
use crate::http::server::Server;
use crate::sample::{HOSTILE, snapshot};
use expect_test::Expect;
use lockgate::status::{SiteState, Snapshot};
use std::time::Duration;

/// What a verb prints of the sample, and its exit code.
pub(super) fn check(arguments: &[&str], code: i32, stdout: Expect) {
    let server = Server::start();
    let ended = ask(&server.socket, arguments);
    stdout.assert_eq(&ended.stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (code, ""));
}

/// The sample without anything amiss.
pub(super) fn healthy() -> Snapshot {
    let mut snapshot = snapshot();
    for tenant in &mut snapshot.tenants {
        tenant.sites.retain(|site| site.state == SiteState::Up);
    }
    snapshot.config.last_reload = None;
    snapshot.refused.clear();
    snapshot
}

#[test]
fn a_name_of_several_sites_or_of_none_is_refused() {
    let server = Server::start();
    let ended = ask(&server.socket, &["status", "poznan"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (2, "lockgate: several sites are called \"poznan\"; say which: acme/poznan, beta/poznan\n")
    );
    let ended = ask(&server.socket, &["status", "nowhere"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("no site \"nowhere\""));
    let ended = ask(&server.socket, &["show", "peers", "-t", "acme/other"]);
    assert_eq!(ended.code, 2);
}

#[test]
fn a_gateway_that_is_not_there_is_code_3_and_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("lockgate.sock");
    for verb in [&["status"][..], &["show", "peers"], &["status", "-o", "json"]] {
        let ended = ask(&socket, verb);
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
        assert!(ended.stderr.contains("is `lockgate run` running"), "{}", ended.stderr);
        assert_eq!(ended.stderr.matches("No such file").count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_gateway_that_does_not_speak_http_is_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("lockgate.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let closer = std::thread::spawn(move || drop(listener.accept()));
    assert_eq!(ask(&socket, &["status"]).code, 3);
    closer.join().unwrap();
}

#[test]
fn the_runtime_directory_can_come_from_the_environment() {
    let server = Server::start();
    let directory = server.socket.parent().unwrap();
    let output = command(&["status"]).env("LOCKGATE_RUNTIME_DIR", directory).output().unwrap();
    assert!(output.status.code() == Some(1), "{output:?}");
}

#[test]
fn a_hung_gateway_is_shown_with_a_warning() {
    let server = Server::with(healthy(), Duration::from_millis(20));
    let warned =
        (0..500).any(|_| ask(&server.socket, &["status"]).stderr.contains("control loop hangs"));
    assert!(warned);
}

#[test]
fn colour_follows_the_flag_and_not_a_pipe() {
    let server = Server::start();
    assert!(!ask(&server.socket, &["status"]).stdout.contains('\u{1b}'));
    assert!(!ask(&server.socket, &["status", "--color", "never"]).stdout.contains('\u{1b}'));
    assert!(
        ask(&server.socket, &["status", "--color", "always"]).stdout.contains("\u{1b}[38;5;9m")
    );
}

#[test]
fn a_hostile_text_does_not_drive_the_terminal() {
    let mut hostile = snapshot();
    hostile.version = HOSTILE.to_owned();
    hostile.config.source = HOSTILE.to_owned();
    hostile.refused[0].message = HOSTILE.to_owned();
    hostile.config.last_reload.as_mut().unwrap().errors = vec![HOSTILE.to_owned()];
    for tenant in &mut hostile.tenants {
        for site in &mut tenant.sites {
            site.message = HOSTILE.to_owned();
        }
        for event in &mut tenant.events {
            event.message = HOSTILE.to_owned();
        }
        for route in &mut tenant.routes {
            route.link = HOSTILE.to_owned();
        }
    }
    let server = Server::with(hostile, Duration::from_secs(60));
    for verb in
        [&["status"][..], &["status", "krakow"], &["show", "routes"], &["status", "-o", "json"]]
    {
        let ended = ask(&server.socket, verb);
        assert!(!ended.stdout.contains(['\u{1b}', '\u{0}']), "{verb:?}: {}", ended.stdout);
        assert!(ended.stdout.contains("alert(1)"), "{verb:?}: {}", ended.stdout);
    }
}

#[test]
fn a_verb_that_nobody_knows_is_code_2() {
    assert_eq!(run(&["no-such-verb"]).code, 2);
    assert_eq!(run(&["status", "-o", "xml"]).code, 2);
    assert_eq!(run(&["status", "--interval", "5"]).code, 2);
    assert_eq!(run(&[]).code, 2);
}
