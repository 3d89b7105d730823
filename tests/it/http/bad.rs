//! Requests nobody means well with (threats H1, H2, H4): each is refused at
//! once, and the endpoint answers the next one.

use super::server::Server;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const HOST: &str = "Host: localhost\r\nConnection: close\r\n";

/// Refused: an answer of 4xx, or the connection closed without any.
fn check_refused(request: impl AsRef<[u8]>) {
    let server = Server::start();
    let answer = server.send(request.as_ref());
    assert!(
        matches!(answer.status(), 0 | 400..=499),
        "{:?} was answered {:?}",
        String::from_utf8_lossy(&request.as_ref()[..request.as_ref().len().min(200)]),
        answer.head()
    );
    assert!(!answer.0.contains("acme/gw"), "it told about a tenant");
    assert_eq!(server.ask("/livez").status(), 200, "it no longer answers");
}

#[test]
fn a_body_of_any_kind_is_refused() {
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nhello"));
    check_refused(format!(
        "GET / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
    ));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n"));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    check_refused(format!(
        "GET / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ));
    check_refused(format!(
        "GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n"
    ));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n\u{1f}\u{8b}"));
}

#[test]
fn a_refused_body_is_not_taken_for_the_next_request() {
    let server = Server::start();
    let inner = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = inner.len();
    let answer = server.send(format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{inner}"
    ));
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.0.matches("HTTP/1.1").count(), 1, "{}", answer.0);
}

#[test]
fn malformed_heads_are_refused() {
    check_refused("GET /\r\n\r\n");
    check_refused("\r\n\r\n\r\n\0\0\0");
    check_refused("GET / HTTP/1.1\r\n\r\n");
    check_refused(format!("GET /\0 HTTP/1.1\r\n{HOST}\r\n"));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}X: a\r\n b: folded\r\n\r\n"));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}X : space\r\n\r\n"));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}X: \u{1}\r\n\r\n"));
    check_refused(format!("GET / HTTP/3.7\r\n{HOST}\r\n"));
    check_refused(format!("GET http://localhost/ HTTP/1.1\r\n{HOST}\r\n"));
    check_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    check_refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice());
}

#[test]
fn heads_that_are_too_large_are_refused() {
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}X: {}\r\n\r\n", "a".repeat(1 << 20)));
    check_refused(format!("GET /?{} HTTP/1.1\r\n{HOST}\r\n", "a=b&".repeat(100_000)));
    check_refused(format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "X: y\r\n".repeat(100)));
}

#[test]
fn paths_that_climb_or_hide_lead_nowhere() {
    for path in ["//..%2f", "/../etc/passwd", "/%00", "/api/v1/status/", "/api/v1/tenants/..%2f/gw"]
    {
        check_refused(format!("GET {path} HTTP/1.1\r\n{HOST}\r\n"));
    }
}

#[test]
fn only_get_and_head_are_answered() {
    let server = Server::start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get"] {
        for path in ["/", "/api/v1/status", "/metrics", "/nothing"] {
            let answer = server.ask_as(method, path);
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
    check_refused(format!("CONNECT localhost:80 HTTP/1.1\r\n{HOST}\r\n"));
}

#[test]
fn a_page_elsewhere_cannot_read_us_under_its_own_name() {
    for host in [
        "evil.example",
        "localhost.evil.example",
        "192.0.2.1",
        "evil.example@localhost",
        "localhost@evil.example",
        "",
        "[::ffff:192.0.2.1]",
        "127.0.0.1.evil.example:9586",
    ] {
        check_refused(format!(
            "GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
    }
    let twice = format!("GET / HTTP/1.1\r\nHost: evil.example\r\n{HOST}\r\n");
    check_refused(twice);
}

#[test]
fn it_answers_to_its_own_names() {
    let server = Server::start();
    let port = server.address.port();
    for host in [
        "localhost".to_owned(),
        "LOCALHOST".to_owned(),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
        "noc.example.net".to_owned(),
        format!("127.0.0.1:{port}"),
        format!("noc.EXAMPLE.net:{port}"),
    ] {
        let answer = server
            .send(format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{host}");
    }
}

#[test]
fn nothing_is_offered_to_other_origins() {
    let server = Server::start();
    for path in ["/", "/api/v1/status", "/metrics", "/livez", "/nothing"] {
        let answer = server
            .send(format!("GET {path} HTTP/1.1\r\n{HOST}Origin: https://evil.example\r\n\r\n"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'"));
        assert!(policy.contains("frame-ancestors 'none'"));
    }
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let server = Server::start();
    let mut slow = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
    let mut answer = Vec::new();
    // Without a limit this read would run into its own timeout of 20 s.
    slow.read_to_end(&mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
}

#[test]
fn idle_connections_beyond_the_limit_are_dropped_and_the_others_served() {
    let server = Server::start();
    let mut idle = Vec::new();
    for _ in 0..lockgate::model::limits::HTTP_CONNECTIONS + 20 {
        idle.push(server.connect());
    }
    let last = idle.last_mut().unwrap();
    // Far below the five seconds after which an idle one is closed anyway.
    last.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(matches!(last.read(&mut [0]), Ok(0)), "the last was kept");
    drop(idle);
    let mut tries = (0..200).map(|_| {
        std::sync::mpsc::sync_channel::<()>(0).1.recv_timeout(Duration::from_millis(10)).ok();
        server.ask("/livez").status()
    });
    assert!(tries.any(|status| status == 200), "it does not come back");
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let server = Server::start();
    let one = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = format!("GET /nothing HTTP/1.1\r\n{HOST}\r\n");
    let answer = server.send(one.repeat(20) + &last);
    assert_eq!(answer.0.matches("HTTP/1.1 200").count(), 20);
    assert_eq!(answer.0.matches("HTTP/1.1 404").count(), 1);
}

#[test]
fn the_unix_socket_is_its_owners_alone_and_goes_with_the_server() {
    let mut server = Server::start();
    let mode = std::fs::metadata(&server.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer = server.send_unix(format!("GET /api/v1/status HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(answer.json()["schema"], "lockgate.dev/status/v1");
    server.stop();
    assert!(!server.socket.exists());
}

#[tokio::test]
async fn a_socket_left_by_the_dead_is_replaced_and_one_of_the_living_is_not() {
    use lockgate::http::{ListenError, Listener};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let living = Listener::unix(&path).unwrap();
    assert!(matches!(Listener::unix(&path), Err(ListenError::InUse(_))));
    drop(living);
    std::fs::write(&path, "not a socket").unwrap();
    assert!(matches!(Listener::unix(&path), Err(ListenError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}

#[test]
fn stopping_does_not_wait_for_the_idle() {
    let mut server = Server::start();
    let idle = server.connect();
    server.stop();
    drop(idle);
}
