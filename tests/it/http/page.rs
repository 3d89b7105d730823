//! The pages for people.

use super::server::Server;
use crate::sample::{HOSTILE, NOW, ago, site, snapshot};
use expect_test::expect;
use lockgate::http::Ticket;
use lockgate::status::{SiteReason, SiteState, Snapshot, TenantSnapshot};
use std::time::Duration;

fn many(sites: usize) -> Snapshot {
    let mut large = snapshot();
    let template: TenantSnapshot = large.tenants[0].clone();
    large.tenants = (0..sites.div_ceil(10))
        .map(|n| TenantSnapshot {
            name: format!("t{n}/gw").parse().unwrap(),
            sites: (0..10)
                .map(|n| site(&format!("s{n}"), SiteState::Up, SiteReason::SessionAlive))
                .collect(),
            bgp: None,
            ..template.clone()
        })
        .collect();
    large
}

#[test]
fn the_page_shows_the_worst_first_with_a_word_and_a_sign() {
    let server = Server::start();
    let answer = server.ask("/");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let table = &answer.body()[answer.body().find("<table id=\"sites\"").unwrap()..];
    let at = |state: &str| table.find(&format!("</span> {state}</span>")).unwrap();
    assert!(at("Down") < at("Blackholed"));
    assert!(at("Blackholed") < at("NeverConnected"));
    assert!(at("NeverConnected") < at("Stale"));
    assert!(at("Stale") < at("Up"));
    assert!(answer.body().contains('✖'));
}

#[test]
fn nothing_on_a_page_comes_from_elsewhere_or_needs_a_script() {
    let server = Server::start();
    for path in
        ["/", "/?wall=1", "/tenants/acme/gw", "/tenants/acme/gw/sites/poznan", "/tenants/no/gw"]
    {
        let page = server.ask(path);
        let body = page.body();
        assert!(!body.contains("style="), "{path}: the policy forbids inline style");
        assert_eq!(body.matches("<script").count(), 1, "{path}");
        assert!(body.contains("<script src=\"/app.js\" defer></script>"), "{path}");
        assert!(!body.contains("://"), "{path} names another host");
        assert!(body.contains("<noscript><meta http-equiv=\"refresh\""), "{path}");
        for link in body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let target = link.split('#').next().unwrap();
            let found =
                target.is_empty() || server.ask(&target.replace("&amp;", "&")).status() == 200;
            assert!(found, "{path} links to {link}, which is not there");
        }
        let mut ids: Vec<_> =
            body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{path}: an id twice");
    }
    for (path, kind) in [
        ("/style.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        assert_eq!(server.ask(path).header("content-type"), Some(kind));
    }
}

#[test]
fn hostile_text_stays_text_on_every_page() {
    let mut hostile = snapshot();
    hostile.version = HOSTILE.to_owned();
    hostile.endpoint.as_mut().unwrap().problems = vec![HOSTILE.to_owned()];
    for tenant in &mut hostile.tenants {
        tenant.backend_reason = HOSTILE.to_owned();
        tenant.endpoint_host = Some(HOSTILE.to_owned());
        tenant.routes[0].link = HOSTILE.to_owned();
        tenant.drops[0].reason = HOSTILE.to_owned();
        for neighbor in &mut tenant.bgp.as_mut().unwrap().neighbors {
            neighbor.name = HOSTILE.to_owned();
            neighbor.role = Some(HOSTILE.to_owned());
            neighbor.last_error = Some(HOSTILE.to_owned());
        }
        tenant.bgp.as_mut().unwrap().ranges[0].name = HOSTILE.to_owned();
        for site in &mut tenant.sites {
            site.message = HOSTILE.to_owned();
            site.link = Some(HOSTILE.to_owned());
        }
        for event in &mut tenant.events {
            event.message = HOSTILE.to_owned();
        }
    }
    let server = Server::with(hostile, Duration::from_secs(60));
    for path in ["/", "/?wall=1", "/tenants/acme/gw", "/tenants/acme/gw/sites/krakow"] {
        let page = server.ask(path);
        assert_eq!(page.body().matches("<script").count(), 1, "{path}");
        assert!(page.body().contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
        assert!(!page.body().contains(['\u{202e}', '\u{0}', '\u{1b}']), "{path}");
    }
    let query = "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&state=%3Cscript%3E";
    assert_eq!(server.ask(query).body().matches("<script").count(), 1);
}

/// What the page at `path` lists of sites.
fn check_found(server: &Server, path: &str, expected: &[&str]) {
    let page = server.ask(path);
    let table = page.body().split("<table id=\"sites\"").nth(1).unwrap_or_default();
    let table = table.split("</table>").next().unwrap_or_default();
    let mut found: Vec<_> =
        table.split("/sites/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{path}");
}

#[test]
fn sites_are_found_by_state_name_network_endpoint_and_key() {
    let mut one = snapshot();
    one.tenants.truncate(1);
    let server = Server::with(one, Duration::from_secs(60));
    let all = ["gdansk", "krakow", "lodz", "poznan", "wroclaw"];
    check_found(&server, "/", &all);
    check_found(&server, "/?state=Down", &["krakow"]);
    check_found(&server, "/?q=KRAK", &["krakow"]);
    check_found(&server, "/?q=10.200.1.0", &["poznan"]);
    check_found(&server, "/?q=198.51.100.7", &["poznan"]);
    check_found(&server, "/?q=acme+no_reply", &["lodz"]);
    check_found(&server, "/?q=xTIBA5rb&state=Stale", &["gdansk"]);
    check_found(&server, "/?q=beta", &[]);
    check_found(&server, "/?state=nonsense&other=1", &all);
    // Of words without end the first eight are looked for.
    check_found(&server, &format!("/?q={}nowhere", "a+".repeat(8)), &all);
    check_found(&server, &format!("/?q={}nowhere", "a+".repeat(7)), &[]);
}

#[test]
fn a_tenants_page_has_all_that_is_known_of_it() {
    let server = Server::start();
    let page = server.ask("/tenants/acme/gw");
    for what in [
        "10.200.1.0/24",
        "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
        "51834",
        "id=\"neighbor-tor\"",
        "id=\"neighbor-site/poznan\"",
        "cannot connect: Connection refused",
        "Customer",
        "source_not_allowed",
        "Up → Down",
        "460 of at most 5000; 12 forgotten",
        "generation 3 accepted",
        "172.16.130.128/25",
    ] {
        assert!(page.body().contains(what), "no {what}");
    }
    assert_eq!(server.ask("/tenants/acme/other").status(), 404);
    assert_eq!(server.ask("/tenants/acme/gw/sites/elsewhere").status(), 404);
    assert_eq!(server.ask("/tenants/acme/gw/sites/%3Cscript%3E").status(), 404);
}

#[test]
fn a_screen_on_a_wall_shows_what_is_wrong_and_nothing_to_click() {
    let server = Server::start();
    let wall = server.ask("/?wall=1");
    assert!(wall.body().contains("class=\"wall\"") && !wall.body().contains("<form"));
    assert!(wall.body().contains("krakow") && !wall.body().contains("poznan"));
    let mut well = snapshot();
    for tenant in &mut well.tenants {
        tenant.sites.retain(|site| site.state == SiteState::Up);
    }
    let server = Server::with(well, Duration::from_secs(60));
    assert!(server.ask("/?wall=1").body().contains("All sites are up."));
}

#[test]
fn a_ticket_says_in_text_what_the_customer_is_asked() {
    let snapshot = snapshot();
    let tenant = &snapshot.tenants[0];
    let site = tenant.sites.iter().find(|site| site.name.to_string() == "krakow").unwrap();
    assert_eq!((snapshot.taken, site.last_handshake_time), (NOW, Some(ago(375_000))));
    expect![[r#"
        Site:           acme/gw/krakow (WireGuard)
        State:          Down since 2026-11-24T00:55:00Z (2 h 5 min ago)
        Reason:         handshake_timeout: It was connected; handshakes are no longer answered.
        Last handshake: 2026-11-19T18:50:00Z (4 d 8 h ago)
        Last heard:     never
        Its public key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
        Our endpoint:   vpn.example.net:51834
        Our public key: HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
        Received, sent: 0, 0 bytes
        Network:        192.168.1.0/24
        2026-11-24T02:59:00Z: site_state_changed: Up → Down
        As of 2026-11-24T03:00:00Z, Lockgate 0.1.0
    "#]]
    .assert_eq(&Ticket { snapshot: &snapshot, tenant, site }.to_string());
    let server = Server::start();
    let page = server.ask("/tenants/acme/gw/sites/krakow");
    assert!(page.body().contains("Site:           acme/gw/krakow (WireGuard)\n"));
}

#[test]
fn a_page_of_a_thousand_sites_is_less_than_a_megabyte() {
    let server = Server::with(many(1_000), Duration::from_secs(60));
    let page = server.ask("/");
    assert!(page.body().len() < 1_000_000, "{} bytes", page.body().len());
    assert_eq!(page.body().matches("/sites/s").count(), 1_000);
}

#[test]
fn more_sites_than_anyone_reads_are_counted_and_not_written() {
    let server = Server::with(many(3_000), Duration::from_secs(60));
    let page = server.ask("/");
    assert_eq!(page.body().matches("/sites/s").count(), 1_000);
    assert!(page.body().contains("And 2000 more, less urgent"));
    check_found(&server, "/?q=t299+s7", &["s7"]);
}

/// Tables of headers alone, and no way back but to take the words out by hand.
#[test]
fn where_nothing_is_found_the_page_says_so_and_leads_back() {
    let server = Server::start();
    let page = server.ask("/?q=no-such-site");
    assert!(page.body().contains("No site is like that. <a href=\"/\">Show all of them</a>"));
    assert!(
        !page.body().contains("<table id=\"sites\"") && !page.body().contains("id=\"tenants\"")
    );
    let mut none = snapshot();
    none.tenants.clear();
    server.snapshots.send_replace(none.into());
    let page = server.ask("/");
    assert!(page.body().contains("There are no sites yet"), "{}", page.body());
}

#[test]
fn a_state_that_no_site_is_in_does_not_catch_the_eye() {
    let server = Server::start();
    let mut up = snapshot();
    for site in up.tenants.iter_mut().flat_map(|tenant| &mut tenant.sites) {
        site.state = SiteState::Up;
    }
    server.snapshots.send_replace(up.into());
    let page = server.ask("/");
    assert!(page.body().contains("<a class=\"none\" href=\"/?state=Down\">"));
    assert!(page.body().contains("<a href=\"/?state=Up\">"));
}
