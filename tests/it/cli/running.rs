//! Verbs that read a running gateway, asked of a real socket.

use super::program::{ask, command, run};
use crate::http::server::Server;
use crate::sample::{HOSTILE, NOW, snapshot};
use expect_test::{Expect, expect};
use lockgate::status::{SiteState, Snapshot};
use std::time::Duration;

/// What a verb prints of the sample, and its exit code.
fn check(arguments: &[&str], code: i32, stdout: Expect) {
    let server = Server::start();
    let ended = ask(&server.socket, arguments);
    stdout.assert_eq(&ended.stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (code, ""));
}

/// The sample without anything amiss.
fn healthy() -> Snapshot {
    let mut snapshot = snapshot();
    for tenant in &mut snapshot.tenants {
        tenant.sites.retain(|site| site.state == SiteState::Up);
    }
    snapshot.config.last_reload = None;
    snapshot.refused.clear();
    snapshot
}

#[test]
fn status_shows_the_worst_first_and_what_is_amiss() {
    check(
        &["status"],
        1,
        expect![[r#"
        lockgate 0.1.0, running since 2026-11-24T00:55:00Z (2 h 5 min ago)
        config config/two-tenants.yaml, generation 3 applied 1 h ago
        tenants 2, sites: 1 Down, 1 Blackholed, 1 NeverConnected, 1 Stale, 2 Up

        STATE             SITE     TENANT   WHY                   SINCE          HANDSHAKE      RECEIVED  SENT
        ✖ Down            krakow   acme/gw  handshake_timeout     2 h 5 min ago  4 d 8 h ago         0 B       0 B
        ◍ Blackholed      lodz     acme/gw  no_reply              2 h 5 min ago  1 min ago           0 B       0 B
        ○ NeverConnected  wroclaw  acme/gw  waiting_for_customer  2 h 5 min ago  never               0 B       0 B
        ◐ Stale           gdansk   acme/gw  session_expired       2 h 5 min ago  2 h 5 min ago       0 B       0 B
        ● Up              poznan   acme/gw  session_alive         2 h 5 min ago  12 s ago       1.15 GiB  16.0 EiB
        ● Up              poznan   beta/gw  session_alive         2 h 5 min ago  12 s ago       1.15 GiB  16.0 EiB

        The documents were refused 30 s ago; the set before stays in force:
          acme.yaml: SiteAttachment/hq: spec.vlan.id: 4095 is reserved (1–4094)

        Not served:
          SiteAttachment/hq: spec.vlan.id: 4095 is reserved (1–4094)
    "#]],
    );
}

#[test]
fn show_neighbors_says_who_is_there_and_why_not() {
    check(
        &["show", "neighbors"],
        0,
        expect![[r#"
            TENANT   NEIGHBOR              ADDRESS            TYPE              AS     STATE        SINCE          BFD  HEARD  TAKEN  TOLD  INFO
            acme/gw  nodes                 172.16.130.128/25  range             65002  2 of 100     —              —    —      —      —     7 refused, for it was full
            acme/gw  tor                   172.16.130.1       fabric, external  65001  Established  2 h 3 min ago  Up      12      9     2  we are Customer, it is Provider
            acme/gw  nodes/172.16.130.200  172.16.130.200     fabric, external  65002  Established  2 h 3 min ago  —        3      2     2
            acme/gw  nodes/172.16.130.201  172.16.130.201     fabric, external  65002  Active       2 h 3 min ago  —        1      1     0
            acme/gw  site/poznan           10.255.30.1        site, external    65010  Active       1 min ago      —        0      0     0  cannot connect: Connection refused (os error 111)
            beta/gw  nodes                 172.16.130.128/25  range             65002  2 of 100     —              —    —      —      —     7 refused, for it was full
            beta/gw  tor                   172.16.130.1       fabric, external  65001  Established  2 h 3 min ago  Up      12      9     2  we are Customer, it is Provider
            beta/gw  nodes/172.16.130.200  172.16.130.200     fabric, external  65002  Established  2 h 3 min ago  —        3      2     2
            beta/gw  nodes/172.16.130.201  172.16.130.201     fabric, external  65002  Active       2 h 3 min ago  —        1      1     0
            beta/gw  site/poznan           10.255.30.1        site, external    65010  Active       1 min ago      —        0      0     0  cannot connect: Connection refused (os error 111)
        "#]],
    );
    check(
        &["show", "neighbors", "--tenant", "acme/gw", "-o", "json"],
        0,
        expect![[r#"
            [
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
fn status_shows_more_when_wide() {
    check(
        &["status", "-o", "wide"],
        1,
        expect![[r#"
            lockgate 0.1.0, running since 2026-11-24T00:55:00Z (2 h 5 min ago)
            config config/two-tenants.yaml, generation 3 applied 1 h ago
            tenants 2, sites: 1 Down, 1 Blackholed, 1 NeverConnected, 1 Stale, 2 Up

            STATE             SITE     TENANT   WHY                   SINCE          HANDSHAKE      RECEIVED  SENT      IN  OUT  TYPE       ENDPOINT            HANDSHAKES  PREFIXES
            ✖ Down            krakow   acme/gw  handshake_timeout     2 h 5 min ago  4 d 8 h ago         0 B       0 B   —    —  WireGuard  —                            0  192.168.1.0/24
            ◍ Blackholed      lodz     acme/gw  no_reply              2 h 5 min ago  1 min ago           0 B       0 B   —    —  WireGuard  —                            0  192.168.1.0/24
            ○ NeverConnected  wroclaw  acme/gw  waiting_for_customer  2 h 5 min ago  never               0 B       0 B   —    —  WireGuard  —                            0  192.168.1.0/24
            ◐ Stale           gdansk   acme/gw  session_expired       2 h 5 min ago  2 h 5 min ago       0 B       0 B   —    —  WireGuard  —                            0  192.168.1.0/24
            ● Up              poznan   acme/gw  session_alive         2 h 5 min ago  12 s ago       1.15 GiB  16.0 EiB   —    —  WireGuard  198.51.100.7:51820          63  192.168.1.0/24 as 10.200.1.0/24
            ● Up              poznan   beta/gw  session_alive         2 h 5 min ago  12 s ago       1.15 GiB  16.0 EiB   —    —  WireGuard  198.51.100.7:51820          63  192.168.1.0/24 as 10.200.1.0/24

            The documents were refused 30 s ago; the set before stays in force:
              acme.yaml: SiteAttachment/hq: spec.vlan.id: 4095 is reserved (1–4094)

            Not served:
              SiteAttachment/hq: spec.vlan.id: 4095 is reserved (1–4094)
        "#]],
    );
}

#[test]
fn status_of_a_site_shows_everything_about_it() {
    check(
        &["status", "acme/poznan"],
        0,
        expect![[r#"
            state            ● Up
            site             acme/poznan
            tenant           acme/gw
            type             WireGuard
            why              session_alive: A session is alive and the site is heard.
            since            2 h 5 min ago (2026-11-24T00:55:00Z)
            endpoint         198.51.100.7:51820
            their key        xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
            our key          HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
            our endpoint     vpn.example.net:51834
            backend          Userspace: the kernel has no WireGuard (module `wireguard`)
            handshake        12 s ago (2026-11-24T02:59:48Z)
            handshakes       63, unanswered 0
            received         1.15 GiB in 1000000 packets, last 1 s ago
            sent             16.0 EiB in 17 packets, last now
            now              — in, — out
            our key since    104 d 4 h ago, not in use
            our next key     maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=, since 1 d ago, not in use
            their key since  104 d 4 h ago, in use

            PREFIX          SEEN AS        INSTALLED
            192.168.1.0/24  10.200.1.0/24  yes

            PROBE          STATE       LOSS       LAST     MIN      MEAN     P99      ANSWERED  LAST LOSS
            10.200.1.1     ● Answered  33 % of 3  7.12 ms  6.90 ms  7.00 ms  7.12 ms  9 s ago   no answer, 40 s ago
            10.200.1.1:22  ◍ Refused    0 % of 1  7.12 ms  6.90 ms  7.00 ms  7.12 ms  9 s ago   no answer, 40 s ago

            CONDITION       STATUS   REASON   SINCE          MESSAGE
            Accepted        Unknown  Pending  2 h 5 min ago
            ResolvedRefs    Unknown  Pending  2 h 5 min ago
            Programmed      Unknown  Pending  2 h 5 min ago
            Connected       Unknown  Pending  2 h 5 min ago
            Reachable       Unknown  Pending  2 h 5 min ago
            BGPEstablished  Unknown  Pending  2 h 5 min ago
        "#]],
    );
}

#[test]
fn status_of_a_site_that_is_down_is_a_finding() {
    check(
        &["status", "krakow"],
        1,
        expect![[r#"
            state            ✖ Down
            site             acme/krakow
            tenant           acme/gw
            type             WireGuard
            why              handshake_timeout: It was connected; handshakes are no longer answered.
            since            2 h 5 min ago (2026-11-24T00:55:00Z)
            endpoint         —
            their key        xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
            our key          HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
            our endpoint     vpn.example.net:51834
            backend          Userspace: the kernel has no WireGuard (module `wireguard`)
            handshake        4 d 8 h ago (2026-11-19T18:50:00Z)
            handshakes       0, unanswered 40
            received         0 B, last never
            sent             0 B, last never
            now              — in, — out
            our key since    104 d 4 h ago, not in use
            our next key     maLGAt7qlDKheJ0b2UB2czTze0w+olYPiKypk6zlMC0=, since 1 d ago, not in use
            their key since  104 d 4 h ago, in use

            PREFIX          SEEN AS         INSTALLED
            192.168.1.0/24  192.168.1.0/24  yes

            CONDITION       STATUS   REASON   SINCE          MESSAGE
            Accepted        Unknown  Pending  2 h 5 min ago
            ResolvedRefs    Unknown  Pending  2 h 5 min ago
            Programmed      Unknown  Pending  2 h 5 min ago
            Connected       Unknown  Pending  2 h 5 min ago
            Reachable       Unknown  Pending  2 h 5 min ago
            BGPEstablished  Unknown  Pending  2 h 5 min ago

            WHEN       EVENT               TIMES  MESSAGE
            1 min ago  site_state_changed      1  Up → Down
        "#]],
    );
}

#[test]
fn a_site_as_yaml() {
    check(
        &["status", "krakow", "-o", "yaml"],
        1,
        expect![[r#"
            tenant: acme/gw
            name: krakow
            type: WireGuard
            state: Down
            reason: handshake_timeout
            message: It was connected; handshakes are no longer answered.
            since: "2026-11-24T00:55:00Z"
            publicKey: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
            endpoint: null
            lastHandshakeTime: "2026-11-19T18:50:00Z"
            lastReceivedTime: null
            lastSentTime: null
            receivedBytes: "0"
            sentBytes: "0"
            receivedBitsPerSecond: null
            sentBitsPerSecond: null
            handshakes: "0"
            handshakeTimeouts: "40"
            prefixes:
            - cidr: 192.168.1.0/24
              alias: null
              source: Static
              installed: true
            conditions:
            - type: Accepted
              status: Unknown
              reason: Pending
              message: ""
              lastTransitionTime: "2026-11-24T00:55:00Z"
              observedGeneration: 3
            - type: ResolvedRefs
              status: Unknown
              reason: Pending
              message: ""
              lastTransitionTime: "2026-11-24T00:55:00Z"
              observedGeneration: 3
            - type: Programmed
              status: Unknown
              reason: Pending
              message: ""
              lastTransitionTime: "2026-11-24T00:55:00Z"
              observedGeneration: 3
            - type: Connected
              status: Unknown
              reason: Pending
              message: ""
              lastTransitionTime: "2026-11-24T00:55:00Z"
              observedGeneration: 3
            - type: Reachable
              status: Unknown
              reason: Pending
              message: ""
              lastTransitionTime: "2026-11-24T00:55:00Z"
              observedGeneration: 3
            - type: BGPEstablished
              status: Unknown
              reason: Pending
              message: ""
              lastTransitionTime: "2026-11-24T00:55:00Z"
              observedGeneration: 3
        "#]],
    );
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

#[test]
fn status_as_json_is_the_snapshot() {
    let server = Server::start();
    let ended = ask(&server.socket, &["status", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Snapshot>(&ended.stdout).unwrap(), snapshot());
}

#[test]
fn a_healthy_gateway_is_no_finding() {
    let server = Server::with(healthy(), Duration::from_secs(60));
    assert_eq!(ask(&server.socket, &["status"]).code, 0);
}

#[test]
fn a_connection_table_that_is_nearly_full_is_a_finding() {
    let mut full = healthy();
    full.tenants[0].conntrack.as_mut().unwrap().entries = 4_500;
    let server = Server::with(full, Duration::from_secs(60));
    let ended = ask(&server.socket, &["status"]);
    assert_eq!(ended.code, 1);
    let line = "acme/gw: 4500 of 5000 conversations are tracked: at the maximum, \
                net.netfilter.nf_conntrack_max, none can begin\n";
    assert!(ended.stdout.ends_with(line), "{}", ended.stdout);
}

#[test]
fn a_gateway_that_serves_nobody_says_so() {
    let server = Server::with(Snapshot::starting("0.1.0", NOW), Duration::from_secs(60));
    let ended = ask(&server.socket, &["status"]);
    expect![[r#"
        lockgate 0.1.0, running since 2026-11-24T03:00:00Z (now)
        config , generation 0 not applied yet
        tenants 0, sites: none

    "#]]
    .assert_eq(&ended.stdout);
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
fn watching_ends_when_interrupted_and_shows_what_was_before() {
    use std::io::Read;
    let server = Server::with(healthy(), Duration::from_secs(60));
    let directory = server.socket.parent().unwrap().to_str().unwrap();
    let mut child = command(&["--runtime-dir", directory, "status", "-w"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4_096];
    // Two pictures: it has drawn again.
    while seen.matches("running since").count() < 2 {
        let read = stdout.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "it ended: {seen}");
        seen += std::str::from_utf8(&buffer[..read]).unwrap_or("");
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!seen.contains('\u{1b}'), "control sequences in a pipe");
}

#[test]
fn a_verb_that_nobody_knows_is_code_2() {
    assert_eq!(run(&["no-such-verb"]).code, 2);
    assert_eq!(run(&["status", "-o", "xml"]).code, 2);
    assert_eq!(run(&["status", "--interval", "5"]).code, 2);
    assert_eq!(run(&[]).code, 2);
}

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
