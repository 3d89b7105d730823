//! `show`: peers, routes, neighbors and their networks.

use super::program::ask;
use super::running::check;
use crate::http::server::Server;
use expect_test::expect;

#[test]
fn show_neighbors_says_who_is_there_and_why_not() {
    check(
        &["show", "neighbors"],
        0,
        expect![[r#"
            TENANT         NEIGHBOR              ADDRESS            TYPE              AS     STATE        SINCE          BFD  HEARD  TAKEN  TOLD  INFO
            class default  rr1                   10.1.0.113         shared            64512  Established  2 h ago        —    —      —      —     heard by 2 tenants; 17 routes for nobody
            acme/gw        nodes                 172.16.130.128/25  range             65002  2 of 100     —              —    —      —      —     7 refused, for it was full
            acme/gw        tor                   172.16.130.1       fabric, external  65001  Established  2 h 3 min ago  Up      12      9     2  we are Customer, it is Provider
            acme/gw        nodes/172.16.130.200  172.16.130.200     fabric, external  65002  Established  2 h 3 min ago  —        3      2     2
            acme/gw        nodes/172.16.130.201  172.16.130.201     fabric, external  65002  Active       2 h 3 min ago  —        1      1     0
            acme/gw        site/poznan           10.255.30.1        site, external    65010  Active       1 min ago      —        0      0     0  cannot connect: Connection refused (os error 111)
            beta/gw        nodes                 172.16.130.128/25  range             65002  2 of 100     —              —    —      —      —     7 refused, for it was full
            beta/gw        tor                   172.16.130.1       fabric, external  65001  Established  2 h 3 min ago  Up      12      9     2  we are Customer, it is Provider
            beta/gw        nodes/172.16.130.200  172.16.130.200     fabric, external  65002  Established  2 h 3 min ago  —        3      2     2
            beta/gw        nodes/172.16.130.201  172.16.130.201     fabric, external  65002  Active       2 h 3 min ago  —        1      1     0
            beta/gw        site/poznan           10.255.30.1        site, external    65010  Active       1 min ago      —        0      0     0  cannot connect: Connection refused (os error 111)
        "#]],
    );
    check(
        &["show", "neighbors", "--tenant", "acme/gw", "-o", "json"],
        0,
        expect![[r#"
            [
              {
                "class": "default",
                "name": "rr1",
                "address": "10.1.0.113",
                "remoteASN": 64512,
                "families": [
                  "VPNv4",
                  "VPNv6",
                  "RTC"
                ],
                "state": "Established",
                "since": "2026-11-24T01:00:00Z",
                "lastError": null,
                "lastErrorTime": null,
                "tenants": 2,
                "notKept": "17",
                "notifications": [
                  {
                    "isSent": false,
                    "code": 6,
                    "subcode": 4,
                    "count": "1"
                  }
                ],
                "flaws": [
                  {
                    "reason": "as_loop",
                    "count": "2"
                  }
                ],
                "flaps": "1"
              },
              {
                "tenant": "acme/gw",
                "name": "nodes",
                "range": "172.16.130.128/25",
                "remoteASN": 65002,
                "maximum": 100,
                "neighbors": 2,
                "refused": "7",
                "notifications": [
                  {
                    "isSent": true,
                    "code": 2,
                    "subcode": 2,
                    "count": "1"
                  }
                ],
                "flaws": [],
                "flaps": "5"
              },
              {
                "tenant": "acme/gw",
                "name": "tor",
                "site": null,
                "range": null,
                "type": "fabric, external",
                "address": "172.16.130.1",
                "remoteASN": 65001,
                "role": "Customer",
                "remoteRole": "Provider",
                "families": [
                  "IPv4"
                ],
                "state": "Established",
                "since": "2026-11-24T00:56:40Z",
                "lastError": null,
                "lastErrorTime": null,
                "prefixes": {
                  "received": 12,
                  "accepted": 9,
                  "serving": 8,
                  "stale": 0,
                  "advertised": 2,
                  "notKept": 0
                },
                "notifications": [],
                "flaws": [
                  {
                    "reason": "as_loop",
                    "count": "2"
                  }
                ],
                "flaps": "0",
                "convergedMillis": 250,
                "bfd": {
                  "state": "Up",
                  "since": "2026-11-24T00:58:20Z",
                  "diagnostic": "no diagnostic",
                  "remoteState": "Up",
                  "remoteDiagnostic": "no diagnostic",
                  "intervalMillis": 300,
                  "detectionMillis": 900,
                  "flaps": "1",
                  "received": "27000",
                  "sent": "27100",
                  "discarded": [
                    {
                      "reason": "ttl",
                      "count": "4"
                    }
                  ]
                }
              },
              {
                "tenant": "acme/gw",
                "name": "nodes/172.16.130.200",
                "site": null,
                "range": "nodes",
                "type": "fabric, external",
                "address": "172.16.130.200",
                "remoteASN": 65002,
                "role": null,
                "remoteRole": null,
                "families": [
                  "IPv4",
                  "IPv6"
                ],
                "state": "Established",
                "since": "2026-11-24T00:56:40Z",
                "lastError": null,
                "lastErrorTime": null,
                "prefixes": {
                  "received": 3,
                  "accepted": 2,
                  "serving": 2,
                  "stale": 0,
                  "advertised": 2,
                  "notKept": 0
                },
                "notifications": [],
                "flaws": [],
                "flaps": "0",
                "bfd": null
              },
              {
                "tenant": "acme/gw",
                "name": "nodes/172.16.130.201",
                "site": null,
                "range": "nodes",
                "type": "fabric, external",
                "address": "172.16.130.201",
                "remoteASN": 65002,
                "role": null,
                "remoteRole": null,
                "families": [
                  "IPv4",
                  "IPv6"
                ],
                "state": "Active",
                "since": "2026-11-24T00:56:40Z",
                "lastError": null,
                "lastErrorTime": null,
                "prefixes": {
                  "received": 1,
                  "accepted": 1,
                  "serving": 1,
                  "stale": 1,
                  "advertised": 0,
                  "notKept": 0
                },
                "notifications": [],
                "flaws": [],
                "flaps": "0",
                "bfd": null
              },
              {
                "tenant": "acme/gw",
                "name": "site/poznan",
                "site": "poznan",
                "range": null,
                "type": "site, external",
                "address": "10.255.30.1",
                "remoteASN": 65010,
                "role": null,
                "remoteRole": null,
                "families": [
                  "IPv4",
                  "IPv6"
                ],
                "state": "Active",
                "since": "2026-11-24T02:58:25Z",
                "lastError": "cannot connect: Connection refused (os error 111)",
                "lastErrorTime": "2026-11-24T02:59:57Z",
                "prefixes": {
                  "received": 0,
                  "accepted": 0,
                  "serving": 0,
                  "stale": 0,
                  "advertised": 0,
                  "notKept": 0
                },
                "notifications": [
                  {
                    "isSent": true,
                    "code": 6,
                    "subcode": 2,
                    "count": "1"
                  },
                  {
                    "isSent": false,
                    "code": 4,
                    "subcode": 0,
                    "count": "3"
                  }
                ],
                "flaws": [],
                "flaps": "3",
                "bfd": null
              }
            ]
        "#]],
    );
}

#[test]
fn show_rib_has_every_page_and_why_each_path_became_what_it_did() {
    check(
        &["show", "rib"],
        0,
        expect![[r#"
        TENANT   NETWORK                         NEIGHBOR     VIA           PATH   PREF  MED  COMMUNITIES          BECAME
        acme/gw  10.140.1.0/24                   tor          172.16.130.1  65001     —   50  64512:40 64512:1:40  best
        acme/gw  10.140.1.0/24                   second       172.16.130.1  65001     —   50  64512:40 64512:1:40  lost: its router identifier is higher
        acme/gw  10.200.1.0/24 (192.168.1.0/24)  site/poznan  172.16.130.1  65001     —   50  64512:40 64512:1:40  refused: no import prefix names it, stale
    "#]],
    );
    check(
        &["show", "rib", "10.200.1.0/24"],
        0,
        expect![[r#"
            TENANT   NETWORK                         NEIGHBOR     VIA           PATH   PREF  MED  COMMUNITIES          BECAME
            acme/gw  10.200.1.0/24 (192.168.1.0/24)  site/poznan  172.16.130.1  65001     —   50  64512:40 64512:1:40  refused: no import prefix names it, stale
        "#]],
    );
    check(
        &["show", "rib", "10.9.0.0/16", "-o", "json"],
        0,
        expect![[r#"
        []
    "#]],
    );
}

#[test]
fn a_network_is_for_the_rib_alone() {
    let server = Server::start();
    let ended = ask(&server.socket, &["show", "neighbors", "10.0.0.0/8"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("only `show rib` takes a network"), "{}", ended.stderr);
}

#[test]
fn peers() {
    check(
        &["show", "peers", "--tenant", "acme/gw"],
        0,
        expect![[r#"
        TENANT   SITE     PEER                                          STATE             ENDPOINT            HANDSHAKE      RECEIVED  SENT
        acme/gw  gdansk   xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=  ◐ Stale           —                   2 h 5 min ago       0 B       0 B
        acme/gw  krakow   xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=  ✖ Down            —                   4 d 8 h ago         0 B       0 B
        acme/gw  lodz     xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=  ◍ Blackholed      —                   1 min ago           0 B       0 B
        acme/gw  poznan   xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=  ● Up              198.51.100.7:51820  12 s ago       1.15 GiB  16.0 EiB
        acme/gw  wroclaw  xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=  ○ NeverConnected  —                   never               0 B       0 B
    "#]],
    );
}

#[test]
fn routes() {
    check(
        &["show", "routes"],
        0,
        expect![[r#"
        TENANT   PREFIX          VIA           LINK      SITE    SOURCE  INSTALLED
        acme/gw  10.200.1.0/24   —             lg-wg     poznan  Static  yes
        acme/gw  10.136.40.0/24  172.16.130.1  eth1.130  —       App     no
        beta/gw  10.200.1.0/24   —             lg-wg     poznan  Static  yes
        beta/gw  10.136.40.0/24  172.16.130.1  eth1.130  —       App     no
    "#]],
    );
}

#[test]
fn routes_as_json() {
    check(
        &["show", "routes", "--tenant", "beta/gw", "-o", "json"],
        0,
        expect![[r#"
        [
          {
            "tenant": "beta/gw",
            "prefix": "10.200.1.0/24",
            "via": null,
            "link": "lg-wg",
            "site": "poznan",
            "source": "Static",
            "installed": true
          },
          {
            "tenant": "beta/gw",
            "prefix": "10.136.40.0/24",
            "via": "172.16.130.1",
            "link": "eth1.130",
            "site": null,
            "source": "App",
            "installed": false
          }
        ]
    "#]],
    );
}
