//! What a stock BIRD says becomes routes of its tenant's namespace, and no other's;
//! what the gateway says hangs on the sites.

use crate::bgp_stage::{
    Ask, BIRD, GATEWAY, LAB, NETNS, attach, bird_config, build_lab, learned, start_bird,
};
use crate::bgp_stage::{tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::wireguard_stage::class_document;
use lockgate::linux::tcp::{self, Guard, Reach};
use lockgate::net::Prefix;
use lockgate::status::{EventReason, NeighborState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::net::{IpAddr, SocketAddr};

#[test]
fn what_bird_says_is_in_the_tenants_table_until_it_is_withdrawn() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        // Outside of the list, and shorter than it has it.
        let bad = ["10.99.0.0/24", "10.140.0.0/16"];
        let apps = [&["10.140.1.0/24", "10.140.2.128/25"][..], &bad].concat();
        let bird = start_bird(lab, &at, &bird_config(&apps, &["10.140.9.0/24"], ""));
        let all = ["10.140.1.0/24", "10.140.2.128/25", "10.140.9.0/24"];
        wait_learned(lab, NETNS, &all);
        for line in learned(lab, NETNS) {
            assert!(line.contains(&format!("via {BIRD} dev lg-fabric metric 32")), "{line}");
        }
        assert!(lab.ip(At::Underlay, "route show").lines().all(|line| !line.contains("10.140")));

        // The status follows within a tenth of a second.
        gateway.wait("the status to show all of it", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| {
                bgp.learned_routes == 3 && bgp.neighbors[0].prefixes.received == 5
            })
        });
        let all_of = gateway.show(&["rib"]);
        for (network, state) in [
            ("10.140.1.0/24", "best"),
            ("10.99.0.0/24", "refused: "),
            ("10.140.0.0/16", "refused: "),
        ] {
            let one = gateway.show(&["rib", network]);
            let line = one.lines().last().unwrap();
            assert!(line.contains(network) && line.contains(state), "{one}");
            assert!(line.contains("65001") && line.contains("tor"), "{one}");
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert!(all_of.lines().any(|it| words(it) == words(line)), "{all_of}");
        }
        let absent = gateway.show(&["rib", "10.1.2.0/24"]);
        assert_eq!(
            absent.lines().skip(1).collect::<Vec<_>>(),
            ["acme/gw: no neighbor says 10.1.2.0/24"]
        );
        let neighbors = gateway.show(&["neighbors"]);
        let tor = neighbors.lines().find(|line| line.contains("tor")).unwrap();
        assert!(tor.contains("Established") && tor.contains("fabric, external"), "{neighbors}");
        let routes = gateway.show(&["routes"]);
        assert_eq!(routes.lines().filter(|line| line.contains("BGP")).count(), 3, "{routes}");
        let metrics = gateway.page("/metrics");
        let tor = "{tenant=\"acme/gw\",neighbor=\"tor\"}";
        for line in [
            format!("lockgate_bgp_neighbor_up{tor} 1"),
            // Two connections that met may have counted one.
            format!("lockgate_bgp_flaps_total{tor} "),
            "lockgate_bgp_prefixes{tenant=\"acme/gw\",neighbor=\"tor\",stage=\"received\"} 5"
                .to_owned(),
            "lockgate_bgp_prefixes{tenant=\"acme/gw\",neighbor=\"tor\",stage=\"accepted\"} 3"
                .to_owned(),
        ] {
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }

        bird.say("disable more");
        wait_learned(lab, NETNS, &all[..2]);
        bird.say("enable more");
        wait_learned(lab, NETNS, &all);
        // Nothing of this is a fault.
        gateway.wait_programmed();
        bird.say("disable lockgate");
        wait_learned(lab, NETNS, &[]);
        gateway.wait_programmed();
        gateway.wait("the session to be shown as over", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].state != NeighborState::Established)
        });
        let events = gateway.tenant("acme/gw").events;
        let has = |reason| events.iter().any(|event| event.reason == reason);
        assert!(
            has(EventReason::SessionEstablished) && has(EventReason::SessionDown),
            "{events:#?}"
        );
        assert!(!has(EventReason::DriftRepaired), "{events:#?}");
    });
}

/// Many networks are made in few steps, go in few, and nobody takes what we do
/// ourselves for a drift.
#[test]
fn ten_thousand_networks_come_and_go() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let networks: Vec<String> =
            (0..10_000_u32).map(|n| format!("10.140.{}.{}/30", n / 64, n % 64 * 4)).collect();
        let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
        let bird = start_bird(lab, &at, &bird_config(&["10.140.255.0/24"], &networks, ""));
        let wait_count = |count: usize| {
            wait_until(&format!("{count} networks"), 3 * PATIENCE, || {
                let found = learned(lab, NETNS).len();
                if found == count { Ok(()) } else { Err(found) }
            });
        };
        wait_count(10_001);
        gateway.wait_programmed();
        bird.say("disable more");
        wait_count(1);
        bird.say("enable more");
        wait_count(10_001);
        let rows = gateway.show(&["rib"]);
        assert_eq!(rows.lines().filter(|line| line.contains("best")).count(), 10_001);
        let routes = gateway.show(&["routes"]);
        assert!(routes.lines().filter(|line| line.contains("BGP")).count() <= 200);
        let events = gateway.tenant("acme/gw").events;
        let is_amiss =
            |reason| matches!(reason, EventReason::DriftRepaired | EventReason::StepFailed);
        assert!(!events.iter().any(|event| is_amiss(event.reason)), "{events:#?}");
    });
}

/// Who is no neighbor does not come as far as the socket that listens.
#[test]
fn who_is_no_neighbor_is_not_answered() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "10.136.40.3/24");
        let stranger = "10.136.40.3".parse().unwrap();
        let neighbor = BIRD.parse().unwrap();
        let gateway_at = SocketAddr::new(GATEWAY.parse().unwrap(), 179);
        let to =
            Guard { from: Prefix::host(gateway_at.ip()), reach: Reach::Multihop, password: None };
        let connects = |from: IpAddr, patience: i64| {
            let stream =
                lab.within(at.as_str(), || tcp::dial(gateway_at, &to, Some(from))).unwrap();
            let mut ready = [PollFd::new(&stream, PollFlags::OUT)];
            let patience = Timespec { tv_sec: patience, tv_nsec: 0 };
            let count = poll(&mut ready, Some(&patience)).unwrap();
            count == 1 && stream.take_error().unwrap().is_none()
        };
        wait_until("the neighbor to be answered", PATIENCE, || {
            if connects(neighbor, 1) { Ok(()) } else { Err("not yet") }
        });
        assert!(!connects(stranger, 2));
        gateway.wait_firewall_drops("acme/gw", "to_gateway", 1);
    });
}

pub(crate) const BOTH_FAMILIES: &str = "---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {name: gw, namespace: acme}
spec:
  listenPort: 51821
  appPrefixes: [10.140.0.0/16, '2001:db8:140::/48']
  fabric:
    veth: {peer: apps-acme, addresses: [10.136.40.1/24, '2001:db8:40::1/64'], mtu: 1500}
    bgp:
      localASN: 64600
      routerID: 10.136.40.1
      neighbors: [{name: tor, address: '2001:db8:40::2', remoteASN: 65001}]
      import:
        prefixes: [{cidr: 10.140.0.0/16, ge: 24, le: 32}, {cidr: '2001:db8:140::/48', ge: 56, le: 64}]
";

/// Over IPv6, with an IPv6 next hop for both (RFC 8950).
#[test]
fn one_session_carries_both_families() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + BOTH_FAMILIES + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "2001:db8:40::2/64");
        let bird = start_bird(
            lab,
            &at,
            "log \"/dev/null\" all;
router id 10.136.40.2;
protocol device {}
protocol static four { ipv4; route 10.140.1.0/24 blackhole; }
protocol static six { ipv6; route 2001:db8:140:1::/64 blackhole; route 2001:db8:99::/48 blackhole; }
protocol bgp lockgate {
  local 2001:db8:40::2 as 65001;
  neighbor 2001:db8:40::1 as 64600;
  connect delay time 1; connect retry time 2; error wait time 1, 5;
  ipv4 { import all; export all; extended next hop on; next hop self; };
  ipv6 { import all; export all; next hop self; };
}
",
        );
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let line = &learned(lab, NETNS)[0];
        assert!(line.contains("via inet6 2001:db8:40::2 dev lg-fabric metric 32"), "{line}");
        let six = || {
            let text = lab.ip(NETNS, "-6 route show proto 76");
            let lines = text.lines().filter(|line| line.contains("metric 32"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        wait_until("the IPv6 network", PATIENCE, || match &six()[..] {
            [one] if one.starts_with("2001:db8:140:1::/64 via 2001:db8:40::2 dev lg-fabric") => {
                Ok(())
            }
            other => Err(other.to_vec()),
        });
        bird.wait_told("lockgate", &["10.64.0.0/16"]);
        gateway.wait_programmed();
        bird.say("disable six");
        wait_until("the IPv6 network to go", PATIENCE, || {
            if six().is_empty() { Ok(()) } else { Err(six()) }
        });
    });
}

/// A path through our own AS is a loop, unless the neighbor may say such (`allowas-in`).
#[test]
fn a_path_through_our_own_as_is_taken_as_often_as_allowed() {
    lab::run(|lab| {
        let documents =
            |neighbor| class_document() + &tenant_document(&Ask { neighbor, ..Ask::default() });
        let gateway = Gateway::start(lab, At::Underlay, &documents(""));
        let at = attach(lab, "acme");
        let networks = ["10.140.1.0/24", "10.140.2.0/24", "10.140.3.0/24"];
        let through = "export filter {
            if net = 10.140.1.0/24 then { bgp_path.prepend(64600); bgp_path.prepend(65077); }
            if net = 10.140.2.0/24 then { bgp_path.prepend(64600); bgp_path.prepend(65077);
                bgp_path.prepend(64600); }
            accept; }";
        let config = bird_config(&networks, &[], "");
        let usual = "export where source = RTS_STATIC";
        assert!(config.contains(usual));
        let _bird = start_bird(lab, &at, &config.replace(usual, through));
        wait_learned(lab, NETNS, &networks[2..]);
        gateway.apply(&documents(", allowOwnASN: 1"));
        wait_learned(lab, NETNS, &["10.140.1.0/24", "10.140.3.0/24"]);
        gateway.apply(&documents(", allowOwnASN: 2"));
        wait_learned(lab, NETNS, &networks);
        let page = gateway.page("/api/v1/tenants/acme/gw/rib?prefix=10.140.2.0/24");
        assert!(page.contains("65001 64600 65077 64600"), "{page}");
    });
}

/// How long it took is told: to say everything, and from then to the kernel.
#[test]
fn how_long_routes_take_to_the_kernel_is_measured() {
    lab::run(|lab| {
        let documents = class_document() + &tenant_document(&Ask::default());
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        assert!(!gateway.page("/metrics").contains("convergence_seconds{"), "nothing was heard");
        let at = attach(lab, "acme");
        let _bird = start_bird(lab, &at, &bird_config(&["10.140.1.0/24"], &[], ""));
        wait_learned(lab, NETNS, &["10.140.1.0/24"]);
        let seconds = |name: &str| {
            let metrics = gateway.page("/metrics");
            let line = metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        };
        for name in [
            "lockgate_bgp_neighbor_convergence_seconds{tenant=\"acme/gw\",neighbor=\"tor\"}",
            "lockgate_bgp_convergence_seconds{tenant=\"acme/gw\"}",
        ] {
            wait_until(name, PATIENCE, || seconds(name).ok_or(()));
            let found = seconds(name).unwrap();
            // A moment of an unoptimised build on a busy machine is no second.
            assert!((0.0..PATIENCE.as_secs_f64()).contains(&found), "{name} {found}");
        }
    });
}
