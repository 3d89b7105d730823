//! BFD with a stock BIRD: both see it up, a neighbor that is not there any more is gone
//! within a second and not within the hold time, and nobody else has a say in it.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how long it took is said and bounded"
)]

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, NETNS, attach, bird_config, learned, start_bird, tenant_document,
    wait_learned,
};
use crate::bird::Bird;
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, slowness, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::bfd::{Diagnostic, Packet, State};
use lockgate::status::{BfdSnapshot, BfdState, EventReason, NeighborSnapshot, NeighborState};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Three packets of 300 ms, and what a loaded machine takes to act on it.
const SOON: Duration = Duration::from_millis(1_500);

/// BIRD with a session that it watches; `session` is added to it.
fn bird(session: &str) -> String {
    let session = format!("bfd on; {session}");
    bird_config(&["10.140.1.0/24"], &["10.140.2.0/24"], &session)
        + "protocol bfd watch { interface \"*\" { multiplier 3; }; multihop { multiplier 3; }; }\n"
}

const WATCHED: &str = ", bfd: true";

fn documents(neighbor: &str) -> String {
    class_document() + &tenant_document(&Ask { neighbor, ..Ask::default() })
}

fn neighbor(gateway: &Gateway<'_>) -> NeighborSnapshot {
    gateway.tenant("acme/gw").bgp.unwrap().neighbors.remove(0)
}

fn session(gateway: &Gateway<'_>) -> BfdSnapshot {
    neighbor(gateway).bfd.expect("a BFD session")
}

/// Waits until both ends say the session is up.
fn wait_up(gateway: &Gateway<'_>, bird: &Bird<'_>) {
    wait_until("BFD to be up at both ends", PATIENCE, || {
        let ours = neighbor(gateway).bfd;
        let theirs = bird.say("show bfd sessions");
        let is_up = theirs.lines().any(|line| line.contains(GATEWAY) && line.contains(" Up "));
        if ours.as_ref().is_some_and(|it| it.state == BfdState::Up) && is_up {
            Ok(())
        } else {
            Err(format!("{ours:#?} {theirs}"))
        }
    });
}

/// A gateway and a BIRD that watch each other.
fn stage<'lab>(lab: &'lab Lab, session: &str) -> (Gateway<'lab>, Bird<'lab>, String) {
    let gateway = Gateway::start(lab, At::Underlay, &documents(WATCHED));
    let at = attach(lab, "acme");
    let bird = start_bird(lab, &at, &bird(session));
    wait_up(&gateway, &bird);
    wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
    // The status follows within a tenth of a second.
    gateway.wait("the session to be shown", |snapshot| {
        let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
        bgp.is_some_and(|bgp| bgp.learned_routes == 2)
    });
    (gateway, bird, at)
}

#[test]
fn a_router_that_stands_still_is_gone_within_a_second_and_a_half() {
    lab::run(|lab| {
        let (gateway, bird, _) = stage(lab, "graceful restart off;");
        let ours = session(&gateway);
        assert_eq!((ours.interval_millis, ours.detection_millis), (Some(300), Some(900)));
        let table = gateway.show(&["neighbors"]);
        let tor = table.lines().find(|line| line.contains("tor")).unwrap();
        assert!(tor.contains("Established") && tor.contains(" Up "), "{table}");

        // Nobody flaps while nothing happens.
        let end = Instant::now() + Duration::from_secs(5);
        wait_until("five seconds to pass", PATIENCE, || {
            let session = session(&gateway);
            assert_eq!((session.state, session.flaps.0), (BfdState::Up, 0), "{session:?}");
            if end < Instant::now() { Ok(()) } else { Err(()) }
        });

        bird.freeze();
        let frozen = Instant::now();
        wait_learned(lab, NETNS, &[]);
        let gone = frozen.elapsed();
        println!("routes gone {gone:?} after the router stood still");
        assert!(gone < SOON * slowness(), "{gone:?}");
        gateway.wait("BFD to be shown as down", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            let session = bgp.and_then(|bgp| bgp.neighbors[0].bfd.as_ref());
            session.is_some_and(|it| it.state == BfdState::Down && it.flaps.0 == 1)
        });
        let events = gateway.tenant("acme/gw").events;
        let has = |reason| events.iter().any(|event| event.reason == reason);
        assert!(has(EventReason::BfdUp) && has(EventReason::BfdDown), "{events:#?}");
        let metrics = gateway.page("/metrics");
        let tor = "{tenant=\"acme/gw\",neighbor=\"tor\"}";
        for line in
            [format!("lockgate_bfd_neighbor_up{tor} 0"), format!("lockgate_bfd_flaps_total{tor} 1")]
        {
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }

        bird.thaw();
        wait_up(&gateway, &bird);
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
    });
}

/// BIRD's BFD may have died with its BGP: its C bit is not set, and it has announced
/// that it comes back (RFC 5882 §4.3).
#[test]
fn routes_of_a_router_that_may_be_restarting_are_kept_and_its_session_is_not() {
    lab::run(|lab| {
        let (gateway, bird, _) = stage(lab, "");
        bird.freeze();
        let frozen = Instant::now();
        gateway.wait("the session to be over", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| {
                bgp.neighbors[0].state != NeighborState::Established
                    && bgp.neighbors[0].prefixes.stale == 2
            })
        });
        assert!(frozen.elapsed() < SOON * slowness(), "{:?}", frozen.elapsed());
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
    });
}

/// What would take a session that is up down, were it the neighbor's.
fn down() -> Packet {
    Packet {
        diagnostic: Diagnostic::NEIGHBOR_SIGNALED_DOWN,
        state: State::Down,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 99,
        your_discriminator: 0,
        desired_min_tx: Duration::from_millis(300),
        required_min_rx: Duration::from_millis(300),
        required_min_echo_rx: Duration::ZERO,
    }
}

#[test]
fn a_stranger_and_who_comes_from_afar_change_nothing() {
    lab::run(|lab| {
        let (gateway, _bird, at) = stage(lab, "graceful restart off;");
        lab.address(&at, "apps-acme", "10.136.40.3/24");
        let say = |from: &str, ttl: u32, port: u16| {
            let from: SocketAddr = format!("{from}:50123").parse().unwrap();
            let socket = lab.within(&at, || UdpSocket::bind(from)).unwrap();
            socket.set_ttl(ttl).unwrap();
            socket.send_to(&down().encode(), format!("{GATEWAY}:{port}")).unwrap();
        };
        for _ in 0..5 {
            say("10.136.40.3", 255, 3_784);
            say(BIRD, 255, 4_784);
            say(BIRD, 254, 3_784);
        }
        wait_until("what came from afar to be counted", PATIENCE, || {
            let session = session(&gateway);
            let count = session.discarded.iter().find(|it| it.reason == "ttl");
            if count.is_some_and(|it| it.count.0 == 5) {
                Ok(())
            } else {
                Err(format!("{session:#?}"))
            }
        });
        let found = neighbor(&gateway);
        assert_eq!(found.state, NeighborState::Established);
        let session = found.bfd.unwrap();
        assert_eq!((session.state, session.flaps.0), (BfdState::Up, 0));
        assert_eq!(session.discarded.len(), 1, "{session:?}");

        // The same from the neighbor itself is its word.
        say(BIRD, 255, 3_784);
        gateway.wait("that to be taken", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].bfd.as_ref().unwrap().flaps.0 == 1)
        });
    });
}

/// BFD may begin beside a session that stands, and goes on over a reload that is about
/// something else.
#[test]
fn a_reload_takes_nothing_down_that_stands() {
    lab::run(|lab| {
        let gateway = Gateway::start(lab, At::Underlay, &documents(""));
        let at = attach(lab, "acme");
        let bird = start_bird(lab, &at, &bird(""));
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.2.0/24"]);
        gateway.apply(&documents(WATCHED));
        wait_up(&gateway, &bird);
        let since = neighbor(&gateway).since;
        gateway.apply(&documents(WATCHED).replace("ge: 24", "ge: 23"));
        let found = neighbor(&gateway);
        let session = found.bfd.unwrap();
        assert_eq!((session.state, session.flaps.0), (BfdState::Up, 0), "{session:?}");
        assert_eq!((found.state, found.since), (NeighborState::Established, since));
        assert!(bird.is_established("lockgate"));
    });
}

/// Work that comes all at once keeps neither end from being heard. It is bounded by what
/// an unoptimised build does between two turns of its loop.
#[test]
fn a_thousand_networks_are_no_failure() {
    lab::run(|lab| {
        let gateway = Gateway::start(lab, At::Underlay, &documents(WATCHED));
        let at = attach(lab, "acme");
        let networks: Vec<String> =
            (0..1_000_u32).map(|n| format!("10.140.{}.{}/30", n / 64, n % 64 * 4)).collect();
        let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
        let config = bird_config(&["10.140.255.0/24"], &networks, "bfd on;")
            + "protocol bfd watch { interface \"*\" { multiplier 3; }; }\n";
        let bird = start_bird(lab, &at, &config);
        wait_up(&gateway, &bird);
        for (words, count) in [("disable more", 1), ("enable more", 1_001), ("disable more", 1)] {
            bird.say(words);
            wait_until(&format!("{count} networks"), 3 * PATIENCE, || {
                let found = learned(lab, NETNS).len();
                if found == count { Ok(()) } else { Err(found) }
            });
        }
        wait_up(&gateway, &bird);
        let found = neighbor(&gateway);
        let session = found.bfd.unwrap();
        assert_eq!(
            (session.flaps.0, found.state),
            (0, NeighborState::Established),
            "{session:?} {}",
            gateway.log()
        );
    });
}

/// Who ends as planned says so: BIRD knows it at once, and not by a silence.
#[test]
fn a_gateway_that_ends_as_planned_says_so() {
    for is_kept in [false, true] {
        lab::run(move |lab| {
            let mut gateway = Gateway::new(lab, At::Underlay);
            gateway.write("documents.yaml", &documents(WATCHED));
            if is_kept {
                gateway.argument(&["--keep"]);
            }
            gateway.spawn();
            gateway.wait_programmed();
            let at = attach(lab, "acme");
            let bird = start_bird(lab, &at, &bird(""));
            wait_up(&gateway, &bird);
            let capture = lab.capture_all(&at);
            assert!(gateway.terminate().success());
            let states: Vec<u8> = capture.frames().iter().filter_map(|it| state_of(it)).collect();
            assert!(states.contains(&0), "AdminDown is 0, of {states:?}");
        });
    }
}

/// The state in a frame that is BFD over one hop, from the gateway over IPv4.
fn state_of(frame: &[u8]) -> Option<u8> {
    let ip = frame.get(14..)?;
    let ours: Ipv4Addr = GATEWAY.parse().unwrap();
    let is_bfd = ip.get(9) == Some(&17)
        && ip.get(12..16) == Some(&ours.octets()[..])
        && ip.get(22..24) == Some(&3_784_u16.to_be_bytes()[..]);
    ip.get(29).filter(|_| is_bfd).map(|flags| flags >> 6)
}

/// Both, one over IPv6 on the link and one over IPv4 with a router in between:
///
/// ```text
///   gateway ─ fabric link ─ middle ─ far
///   fd00:40::1              fd00:40::2 (BIRD)
///   10.136.40.1             10.136.40.254   10.136.50.2 (BIRD)
/// ```
#[test]
fn a_router_that_is_hops_away_and_one_of_ipv6_are_watched_too() {
    lab::run(|lab| {
        let documents = class_document()
            + "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  listenPort: 51821
  appPrefixes: [10.136.50.0/24, 10.140.0.0/16, 'fd00:140::/32']
  fabric:
    veth:
      peer: apps-acme
      addresses: [10.136.40.1/24, 'fd00:40::1/64']
      nextHops: [10.136.40.254]
    bgp:
      localASN: 64600
      routerID: 10.136.40.1
      neighbors:
        - {name: far, address: 10.136.50.2, remoteASN: 65001, bfd: true}
        - {name: six, address: 'fd00:40::2', remoteASN: 65001, bfd: true}
      import: {prefixes: [{cidr: 'fd00:140::/32', ge: 48, le: 64}]}
";
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        lab.add("middle");
        lab.add("far");
        lab.ip(At::Underlay, "link set apps-acme netns middle");
        lab.ip("middle", "link set apps-acme up");
        lab.address("middle", "apps-acme", "10.136.40.254/24");
        lab.address("middle", "apps-acme", "fd00:40::2/64");
        lab.veth((At::Netns("middle"), "far"), (At::Netns("far"), "near"));
        lab.address("middle", "far", "10.136.50.1/24");
        lab.address("far", "near", "10.136.50.2/24");
        lab.route("far", "10.136.40.0/24", "10.136.50.1");
        lab.command_output("middle", &["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
        let config = |router_id: &str, protocol: &str| {
            format!(
                "log \"/dev/null\" all;
router id {router_id};
protocol device {{}}
protocol bfd watch {{ interface \"*\" {{ multiplier 3; }}; multihop {{ multiplier 3; }}; }}
protocol static apps {{ ipv6; route fd00:140:1::/48 blackhole; }}
protocol bgp lockgate {{
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  graceful restart off;
  bfd on;
  {protocol}
}}
"
            )
        };
        let far = config(
            "10.136.50.2",
            "local 10.136.50.2 as 65001; neighbor 10.136.40.1 as 64600; multihop;
             ipv4 { import all; export none; };",
        );
        let far = start_bird(lab, "far", &far);
        let six = config(
            "10.136.40.254",
            "local fd00:40::2 as 65001; neighbor fd00:40::1 as 64600;
             ipv6 { import all; export where source = RTS_STATIC; next hop self; };",
        );
        let six = start_bird(lab, "middle", &six);
        let states = |gateway: &Gateway<'_>| {
            let neighbors = gateway.tenant("acme/gw").bgp.unwrap().neighbors;
            let of = |it: &NeighborSnapshot| {
                (it.name.clone(), it.state, it.bfd.as_ref().map(|bfd| bfd.state))
            };
            neighbors.iter().map(of).collect::<Vec<_>>()
        };
        let is_up = |it: &(String, NeighborState, Option<BfdState>)| {
            (it.1, it.2) == (NeighborState::Established, Some(BfdState::Up))
        };
        wait_until("both to be up", PATIENCE, || {
            let found = states(&gateway);
            let theirs = [&far, &six].map(|bird| bird.say("show bfd sessions"));
            if found.iter().all(is_up) && theirs.iter().all(|text| text.contains(" Up ")) {
                return Ok(());
            }
            Err(format!("{found:?} {theirs:?} {}", gateway.log()))
        });
        for (bird, name) in [(&far, "far"), (&six, "six")] {
            bird.freeze();
            let frozen = Instant::now();
            wait_until(&format!("{name} to be gone"), PATIENCE, || {
                let found = states(&gateway);
                let is_down = found.iter().any(|it| it.0 == name && !is_up(it));
                if is_down { Ok(()) } else { Err(found) }
            });
            println!("{name} gone {:?} after it stood still", frozen.elapsed());
            assert!(frozen.elapsed() < SOON * slowness(), "{:?}", frozen.elapsed());
        }
    });
}
