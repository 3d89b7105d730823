//! `ETag` and conditions (threats H9): who has an answer is not sent it again, and
//! nobody is told to keep what is not theirs.

use super::server::{Answer, Server};
use crate::sample::{NOW, snapshot};
use lockgate::net::Timestamp;
use std::sync::Arc;

fn ask(server: &Server, method: &str, path: &str, fields: &str) -> Answer {
    server.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"
    ))
}

fn tag(server: &Server, path: &str) -> String {
    server.ask(path).header("etag").unwrap_or_else(|| panic!("{path} has none")).to_owned()
}

const KEPT: [&str; 7] = [
    "/api/v1/status",
    "/api/v1/tenants/acme/gw",
    "/api/v1/tenants/acme/gw/sites/poznan",
    "/api/v1/tenants/acme/gw/rib",
    "/openapi.json",
    "/style.css",
    "/app.js",
];

#[test]
fn who_has_an_answer_already_is_told_so_without_it() {
    let server = Server::start();
    for path in KEPT {
        let tag = tag(&server, path);
        assert!(tag.starts_with('"') && tag.ends_with('"') && 20 < tag.len(), "{tag} is strong");
        for method in ["GET", "HEAD"] {
            let answer = ask(&server, method, path, &format!("If-None-Match: {tag}\r\n"));
            assert_eq!(answer.status(), 304, "{method} {path}");
            assert_eq!(answer.body(), "", "{method} {path}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            assert!(answer.header("cache-control").is_some());
            assert_eq!(answer.header("content-type"), None);
        }
        let head = ask(&server, "HEAD", path, "");
        assert_eq!((head.status(), head.header("etag")), (200, Some(tag.as_str())), "{path}");
    }
}

#[test]
fn a_list_and_a_weak_and_any_tag_match_as_they_should() {
    let server = Server::start();
    let path = "/api/v1/status";
    let tag = tag(&server, path);
    for (fields, status) in [
        (format!("If-None-Match: \"other\", {tag}"), 304),
        (format!("If-None-Match: \"with,comma\",W/{tag}"), 304),
        (format!("If-None-Match: \"other\"\r\nIf-None-Match: {tag}"), 304),
        ("If-None-Match: *".to_owned(), 304),
        ("If-None-Match: \"other\"".to_owned(), 200),
        (format!("If-None-Match: {}", tag.trim_matches('"')), 200),
        (format!("If-None-Match: \"{tag}"), 200),
        ("If-None-Match: ".to_owned(), 200),
        (format!("If-None-Match: {}", "\"x\",".repeat(2_000)), 200),
        (format!("If-Match: {tag}"), 200),
        ("If-Match: *".to_owned(), 200),
        ("If-Match: \"other\"".to_owned(), 412),
        // Weakly the same is not strongly the same (RFC 9110 §13.1.1).
        (format!("If-Match: W/{tag}"), 412),
        ("If-Modified-Since: Tue, 24 Nov 2037 03:00:00 GMT".to_owned(), 200),
    ] {
        assert_eq!(
            ask(&server, "GET", path, &format!("{fields}\r\n")).status(),
            status,
            "{fields}"
        );
    }
}

#[test]
fn another_snapshot_has_another_tag_and_the_same_site_has_the_same() {
    let server = Server::start();
    let site = "/api/v1/tenants/beta/gw/sites/poznan";
    let (whole, part) = (tag(&server, "/api/v1/status"), tag(&server, site));
    let mut later = snapshot();
    later.taken = Timestamp::new(NOW.seconds() + 1, 0);
    server.snapshots.send_replace(Arc::new(later));
    assert_ne!(tag(&server, "/api/v1/status"), whole);
    assert_eq!(tag(&server, site), part);
}

#[test]
fn a_condition_is_nothing_to_what_is_not_there() {
    let server = Server::start();
    for path in ["/api/v1/tenants/acme/other", "/api/v2/status"] {
        for condition in ["If-None-Match: *\r\n", "If-Match: \"other\"\r\n"] {
            let answer = ask(&server, "GET", path, condition);
            assert_eq!((answer.status(), answer.header("etag")), (404, None), "{path}");
        }
    }
}

#[test]
fn a_part_that_is_asked_for_is_answered_with_the_whole() {
    let server = Server::start();
    for path in ["/api/v1/status", "/style.css", "/"] {
        let whole = server.ask(path);
        for range in ["bytes=0-9", "bytes=-1", "bytes=9999999-", "bytes=0-1,2-3,4-5", "rubbish"] {
            let answer = ask(&server, "GET", path, &format!("Range: {range}\r\n"));
            assert_eq!((answer.status(), answer.body()), (200, whole.body()), "{path} {range}");
        }
    }
}

#[test]
fn what_is_kept_is_asked_about_and_what_is_somebodys_is_not_kept() {
    let server = Server::start();
    assert_eq!(server.ask("/style.css").header("cache-control"), Some("no-cache"));
    assert_eq!(server.ask("/api/v1/status").header("cache-control"), Some("no-store"));
    assert_eq!(server.ask("/metrics").header("etag"), None);
    assert_eq!(server.ask("/").header("cache-control"), Some("no-store"));
}
