//! What a tenant's token shows (threats H7): that tenant, and not even that there are
//! others. Every path is asked, so that one that is added later is asked too.

use super::server::{Answer, Server};
use super::tokens;
use crate::sample::snapshot;
use lockgate::http::openapi_document;
use lockgate::net::Timestamp;
use lockgate::status::{Count, EndpointSnapshot, Event, EventReason, Snapshot};
use std::io::{Read, Write};
use std::sync::Arc;

const NOC: &str = "Authorization: Bearer test\r\n";
const ACME: &str = "Authorization: Bearer acme\r\n";
const BETA: &str = "Authorization: Bearer beta\r\n";

fn ask(server: &Server, path: &str, fields: &str) -> Answer {
    server.send(format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"
    ))
}

/// Nothing that is another's, or the whole gateway's business.
fn check_acmes(path: &str, answer: &Answer) {
    for word in ["beta", "acme.yaml", "two-tenants", "SiteAttachment/hq", "canary"] {
        assert!(!answer.0.contains(word), "{path} tells of {word}: {}", answer.0);
    }
}

#[test]
fn a_tenant_sees_itself_and_no_other_on_every_path() {
    let server = tokens::server();
    let mut canary = snapshot();
    canary.endpoint =
        Some(EndpointSnapshot { certificate_expires: None, problems: vec!["canary".to_owned()] });
    canary.reflectors[0].name = "canary".to_owned();
    server.snapshots.send_replace(Arc::new(canary));
    let document = openapi_document();
    let named = document["paths"].as_object().unwrap().keys().cloned();
    let mut paths: Vec<String> = named
        .filter(|path| !path.ends_with("/events"))
        .map(|path| {
            path.replace("{namespace}", "acme")
                .replace("{tenant}", "gw")
                .replace("{site}", "poznan")
        })
        .collect();
    assert!(6 < paths.len(), "{paths:?}");
    paths.extend(
        ["/", "/?wall=1", "/?q=beta", "/?state=Up", "/tenants/acme/gw", "/readyz?verbose"]
            .map(str::to_owned),
    );
    for path in paths {
        let answer = ask(&server, &path, ACME);
        assert_eq!(answer.status(), 200, "{path}");
        if path == "/?q=beta" {
            // What was asked for is in the field it was typed into.
            assert!(!answer.body().contains("beta/gw"));
            continue;
        }
        check_acmes(&path, &answer);
        assert!(ask(&server, &path, NOC).status() == 200, "{path}");
    }
    let whole = ask(&server, "/api/v1/status", NOC).0;
    assert!(whole.contains("beta/gw") && whole.contains("canary"));
    let page = ask(&server, "/", ACME);
    assert!(page.body().contains("acme/gw") && page.body().contains("1 tenants"));
}

#[test]
fn another_tenant_is_as_one_that_is_not_there() {
    let server = tokens::server();
    for (token, own, other) in [(ACME, "acme/gw", "beta/gw"), (BETA, "beta/gw", "acme/gw")] {
        for path in [
            "/api/v1/tenants/TENANT",
            "/api/v1/tenants/TENANT/rib",
            "/api/v1/tenants/TENANT/sites/poznan",
            "/tenants/TENANT",
            "/tenants/TENANT/sites/poznan",
        ] {
            let ask = |tenant: &str| ask(&server, &path.replace("TENANT", tenant), token);
            let (others, nobodys) = (ask(other), ask("none/gw"));
            assert_eq!(others.status(), 404, "{path} of {other}");
            assert_eq!(others.body(), nobodys.body(), "{path} of {other}");
            // In this sample only acme has BGP, and so a table.
            let has = !path.ends_with("/rib") || own == "acme/gw";
            assert_eq!(ask(own).status(), if has { 200 } else { 404 }, "{path} of {own}");
        }
    }
}

#[test]
fn a_tag_is_another_for_who_sees_something_else() {
    let server = tokens::server();
    for path in ["/api/v1/status", "/api/v1/tenants/acme/gw", "/openapi.json"] {
        let (all, one) = (ask(&server, path, NOC), ask(&server, path, ACME));
        assert_ne!(all.header("etag").unwrap(), one.header("etag").unwrap(), "{path}");
        assert!(all.head().contains("vary: Authorization"), "{}", all.head());
        let known = format!("If-None-Match: {}\r\n", all.header("etag").unwrap());
        let unchanged = ask(&server, path, &format!("{NOC}{known}"));
        assert_eq!(unchanged.status(), 304, "{path}");
        assert!(unchanged.head().contains("vary: Authorization"), "{}", unchanged.head());
        assert_eq!(ask(&server, path, &format!("{ACME}{known}")).status(), 200, "{path}");
        assert_eq!(ask(&server, path, &known).status(), 401, "{path}");
    }
}

/// What a stream says until it tells of a moment at which something happened at both
/// tenants.
fn heard(query: &str) -> String {
    let server = tokens::server();
    let mut stream = server.connect();
    write!(stream, "GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{ACME}\r\n").unwrap();
    let mut heard = String::new();
    let mut read_until = |wanted: &str| {
        while !heard.contains(wanted) {
            let mut piece = [0; 4_096];
            let count = stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "it ended after {heard}");
            heard += &String::from_utf8_lossy(&piece[..count]);
        }
    };
    read_until("event: snapshot");
    let mut now = snapshot();
    happen(&mut now, 1, "canary");
    happen(&mut now, 0, "for acme");
    now.taken = Timestamp::new(now.taken.seconds() + 7, 0);
    server.snapshots.send_replace(Arc::new(now));
    read_until("03:00:07Z");
    heard
}

fn happen(snapshot: &mut Snapshot, tenant: usize, message: &str) {
    let events = &mut snapshot.tenants[tenant].events;
    let id = events.last().map_or(0, |last| last.id.0 + 1);
    let now = snapshot.taken;
    events.push(Event {
        id: Count(id),
        first: now,
        last: now,
        count: Count(1),
        site: None,
        reason: EventReason::SiteStateChanged,
        message: message.to_owned(),
    });
}

#[test]
fn a_tenant_hears_of_itself_and_of_no_other() {
    let all = heard("");
    assert!(all.contains("for acme"), "{all}");
    assert!(!all.contains("canary") && !all.contains("beta"), "{all}");
    let others = heard("?tenant=beta/gw");
    assert!(others.contains("event: snapshot"), "{others}");
    assert!(!others.contains("canary") && !others.contains("for acme"), "{others}");
}
