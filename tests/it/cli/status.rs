//! `status`: all sites, one, and as documents.

use super::program::{ask, command};
use super::running::{check, healthy};
use crate::http::server::Server;
use crate::sample::{NOW, snapshot};
use expect_test::expect;
use lockgate::status::Snapshot;
use std::time::Duration;

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
            their key since  104 d 4 h ago

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
            their key since  104 d 4 h ago

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
            keys:
            - role: customer
              publicKey: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
              since: "2026-08-11T23:00:00Z"
              isUsed: true
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
