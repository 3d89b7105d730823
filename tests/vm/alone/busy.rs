//! One tenant takes all it can get, and the other hardly notices.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "what a flood did beside the others is said; a conversation goes on for a while"
)]

use crate::frames::{Wire, syn, udp};
use crate::gateway::{Gateway, drops};
use crate::lab::{At, Lab, PATIENCE, wait_until};
use crate::links;
use crate::raw_speaker::{KEEPALIVE, RawSpeaker, message, open};
use crate::vlan_hostile::{PORTS, tag};
use crate::vlan_stage::{ACME, APP, BOLT, Customer, DEVICE, app, documents, set, socket};
use lockgate::status::{DropPlace, EventReason, NeighborSnapshot, NeighborState, SiteState};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn serving<'lab>(lab: &'lab Lab, text: &str) -> Gateway<'lab> {
    set(lab, &[ACME, BOLT]);
    let gateway = Gateway::start(lab, At::Underlay, text);
    for customer in [ACME, BOLT] {
        app(lab, &customer);
        gateway.wait_state(&customer.tenant(), "lab", SiteState::Up);
    }
    gateway
}

/// Both customers' documents, with one port allowed; what passes is tracked.
fn tracked() -> String {
    let one = |protocol: &str| {
        format!("{{direction: FromSite, protocol: {protocol}, ports: [{}]}}", PORTS[1])
    };
    let allow = format!("  allow: [{}, {}]\n", one("UDP"), one("TCP"));
    [ACME, BOLT].iter().map(|customer| customer.documents() + &allow).collect()
}

/// Acme's speaker, and its neighbor where the application is.
fn speaking(documents: &str) -> String {
    let fabric = "    veth: {peer: apps-acme,";
    let bgp = "    bgp:
      localASN: 64600
      routerID: 10.136.40.1
      neighbors: [{name: tor, address: 10.136.40.10, remoteASN: 65001}]
      import: {prefixes: [{cidr: 10.140.0.0/16, ge: 24, le: 32}]}
";
    assert!(documents.contains(fabric));
    documents.replace(fabric, &format!("{bgp}{fabric}"))
}

fn neighbor(gateway: &Gateway<'_>) -> NeighborSnapshot {
    gateway.tenant(&ACME.tenant()).bgp.unwrap().neighbors.remove(0)
}

/// The most conversations a tenant may have here, when that is few enough to have them.
fn few(lab: &Lab) -> Option<u64> {
    let most = tracking(lab, &ACME, "nf_conntrack_max");
    if FEW < most {
        assert!(std::env::var_os("REQUIRE_VM").is_none(), "REQUIRE_VM is set; {most} at most");
        println!("skipped: {most} conversations are too many; `tests/run vm` allows few");
        return None;
    }
    Some(most)
}

/// How many of so many questions are not answered, each asked once, the next one when
/// there is an answer to the last. However long that takes: on an emulated processor
/// whatever else is done takes as long.
fn unanswered(lab: &Lab, customer: &Customer, count: u64) -> u64 {
    let echo = lab.udp_echo(&customer.app(), socket(APP[0], 0));
    let client = lab.udp(&customer.site(), socket(DEVICE[0], 0));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 8];
    let is_answered = |number: &u64| {
        client.send_to(&number.to_be_bytes(), echo.address).unwrap();
        client.recv_from(&mut answer).is_ok() && answer == number.to_be_bytes()
    };
    count - (0..count).filter(is_answered).count() as u64
}

/// V29: one tenant's customer sends as fast as it can through the trunk that both
/// share. Of what the other asks meanwhile nothing is lost, one way or the other.
///
/// What is bounded is in front of us: a link's queue, and the packets that wait for a
/// processor (`netdev_max_backlog`). A test of ours that were about time would be one of
/// the emulator.
#[test]
fn a_tenant_that_takes_all_it_can_get_leaves_the_other_its_answers() {
    links::run(|lab| {
        let _gateway = serving(lab, &documents(&[ACME, BOLT]));
        assert_eq!(unanswered(lab, &BOLT, 10), 0);
        let sink = lab.udp(&ACME.app(), socket(APP[0], PORTS[1]));
        let source = lab.udp(&ACME.site(), socket(DEVICE[0], PORTS[0]));
        source.connect(sink.local_addr().unwrap()).unwrap();
        let (stop, sent, arrived) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| flood(&source, &stop, &sent));
            scope.spawn(|| swallow(&sink, &stop, &arrived));
            wait_until("the flood to arrive", PATIENCE, || {
                let arrived = arrived.load(Ordering::Relaxed);
                if 1_000 < arrived { Ok(()) } else { Err(arrived) }
            });
            let before = arrived.load(Ordering::Relaxed);
            let questions = 300;
            let lost = unanswered(lab, &BOLT, questions);
            let during = arrived.load(Ordering::Relaxed) - before;
            stop.store(true, Ordering::Relaxed);
            let sent = sent.load(Ordering::Relaxed);
            println!("{lost} of {questions} lost, beside {during} of {sent} that arrived");
            assert_eq!(lost, 0, "of {questions}, beside {during} that arrived");
            // Whatever leaves no time for more is a flood there.
            assert!(questions <= during, "{during} arrived meanwhile: that is no flood");
        });
    });
}

fn flood(source: &UdpSocket, stop: &AtomicBool, sent: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        if source.send(&[7; 1_400]).is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn swallow(sink: &UdpSocket, stop: &AtomicBool, arrived: &AtomicU64) {
    sink.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut room = [0; 2_048];
    while !stop.load(Ordering::Relaxed) {
        if sink.recv(&mut room).is_ok() {
            arrived.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the kernel says of a tenant's conversations.
fn tracking(lab: &Lab, customer: &Customer, name: &str) -> u64 {
    let words = ["cat", &format!("/proc/sys/net/netfilter/{name}")];
    lab.command_output(&customer.netns(), &words).trim().parse().unwrap()
}

/// New conversations that the kernel dropped, for there was no room.
fn turned_away(lab: &Lab, customer: &Customer) -> u64 {
    let text = lab.command_output(&customer.netns(), &["cat", "/proc/net/stat/nf_conntrack"]);
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let at = lines.next().unwrap().iter().position(|name| *name == "drop").unwrap();
    lines.map(|line| u64::from_str_radix(line[at], 16).unwrap()).sum()
}

/// The most that tests/vm/guest lets a tenant track, so that it is soon reached.
const FEW: u64 = 10_000;

/// V22: one tenant has as many conversations as there may be. It begins no more
/// until one ends; those it has go on, and the other tenant begins what it likes.
/// Its sessions with its neighbors are none of them.
/// N10: whoever looks is told, by the log, the status and the metrics.
#[test]
fn a_tenant_whose_conversations_are_full_leaves_the_other_its_own() {
    links::run(|lab| {
        let gateway = serving(lab, &speaking(&tracked()));
        let Some(most) = few(lab) else { return };
        let mut raw = RawSpeaker::establish(lab, &ACME.app(), "10.136.40.1", &open(&[]));
        gateway.wait("the session to be up", |_| {
            neighbor(&gateway).state == NeighborState::Established
        });
        let since = neighbor(&gateway).since;
        let echoes = [ACME, BOLT].map(|it| lab.udp_echo(&it.app(), socket(APP[0], PORTS[1])));
        let asks = |customer: &Customer, client: &UdpSocket| {
            let echo = &echoes[usize::from(customer.name == BOLT.name)];
            lab.udp_ask(client, echo.address, b"still there").is_some()
        };
        let client = |customer: &Customer| lab.udp(&customer.site(), socket(DEVICE[0], 0));
        let old = [ACME, BOLT].map(|customer| (customer, client(&customer)));
        // One that is answered, and goes on for two seconds, is not given up for a
        // new one (nf_conntrack_proto_udp.c).
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            for (customer, client) in &old {
                assert!(asks(customer, client), "{}", customer.name);
            }
        }
        let wire = Wire::new(lab);
        let frames: Vec<Vec<u8>> = (0..most + 100)
            .map(|number| {
                let from = format!("192.168.1.{}", 100 + number / 5_000);
                let port = 10_000 + (number % 5_000) as u16;
                wire.frame(&[tag(&ACME)], &udp(&from, APP[0], [port, PORTS[1]], b"one of many"))
            })
            .collect();
        let bolts = tracking(lab, &BOLT, "nf_conntrack_count");
        wait_until("all to be taken", 3 * PATIENCE, || {
            raw.send(&message(KEEPALIVE, &[]));
            for some in frames.chunks(200) {
                wire.send(some);
                // They are answered one by one.
                std::thread::sleep(Duration::from_millis(50));
            }
            let (count, away) =
                (tracking(lab, &ACME, "nf_conntrack_count"), turned_away(lab, &ACME));
            if most <= count && 100 < away && !asks(&ACME, &client(&ACME)) {
                Ok(())
            } else {
                Err((count, away))
            }
        });
        let [(_, acmes), (_, bolts_client)] = &old;
        assert!(asks(&ACME, acmes), "what it had goes on");
        assert!(asks(&BOLT, bolts_client));
        assert!((0..20).all(|_| asks(&BOLT, &client(&BOLT))), "bolt begins what it likes");
        assert_eq!(turned_away(lab, &BOLT), 0);
        assert!(tracking(lab, &BOLT, "nf_conntrack_count") < bolts + 100);
        let stands = neighbor(&gateway);
        assert_eq!((stands.state, stands.since), (NeighborState::Established, since));
        drop(raw);
        let _raw = RawSpeaker::establish(lab, &ACME.app(), "10.136.40.1", &open(&[]));
        assert!(!asks(&ACME, &client(&ACME)), "acme's are full all the while");

        gateway.wait("acme's full table to be seen", |snapshot| {
            let acme = snapshot.tenants.iter().find(|it| it.name.to_string() == ACME.tenant());
            acme.is_some_and(|acme| {
                100 < drops(acme, DropPlace::Conntrack, "table_full")
                    && acme.conntrack.is_some_and(|it| u64::from(it.maximum) == most)
                    && acme.events.iter().any(|it| it.reason == EventReason::ConntrackLimit)
            })
        });
        let bolt = gateway.tenant(&BOLT.tenant());
        assert_eq!(drops(&bolt, DropPlace::Conntrack, "table_full"), 0);
        assert!(!bolt.events.iter().any(|it| it.reason == EventReason::ConntrackLimit));
        let is_told = |line: &str| line.contains("WARN") && line.contains("conntrack_limit");
        assert!(gateway.log().lines().any(is_told), "{}", gateway.log());
        let metrics = gateway.page("/metrics");
        let limit = format!("lockgate_conntrack_entries_limit{{tenant=\"acme/gw\"}} {most}");
        assert!(metrics.contains(&limit), "{metrics}");
        let dropped = "place=\"conntrack\",reason=\"table_full\"";
        assert!(metrics.contains(dropped), "{metrics}");
    });
}

/// V22: more connections are begun than there may be conversations, and nobody answers.
/// They give way to what is meant in earnest; where a site has no rules nothing is kept
/// of them in the first place.
#[test]
fn half_open_connections_without_number_keep_nobody_out() {
    links::run(|lab| {
        let gateway = serving(lab, &tracked());
        let Some(most) = few(lab) else { return };
        for customer in [ACME, BOLT] {
            // Their first segments are met with silence.
            let silent = "table inet silent {
                chain input {
                    type filter hook input priority 0
                    tcp dport 9001 ip saddr 192.168.1.100-192.168.1.200 drop
                }
            }\n";
            lab.nft(&customer.app(), silent);
        }
        let echoes = [ACME, BOLT].map(|it| lab.udp_echo(&it.app(), socket(APP[0], PORTS[1])));
        let client = |customer: &Customer| lab.udp(&customer.site(), socket(DEVICE[0], 0));
        let asks = |at: usize, client: &UdpSocket| {
            lab.udp_ask(client, echoes[at].address, b"still there").is_some()
        };
        let old = [ACME, BOLT].map(|customer| client(&customer));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            assert!(asks(0, &old[0]) && asks(1, &old[1]));
        }
        let wire = Wire::new(lab);
        let frames: Vec<Vec<u8>> = (0..2 * most)
            .map(|number| {
                let from = format!("192.168.1.{}", 100 + number / 5_000);
                let port = 10_000 + (number % 5_000) as u16;
                wire.frame(&[tag(&ACME)], &syn(&from, APP[0], [port, PORTS[1]]))
            })
            .collect();
        let bolts = tracking(lab, &BOLT, "nf_conntrack_count");
        let acmes = || tracking(lab, &ACME, "nf_conntrack_count");
        wait_until("the table to be full", PATIENCE, || {
            wire.send(&frames);
            let count = acmes();
            if most * 9 / 10 < count { Ok(()) } else { Err(count) }
        });
        assert!(acmes() <= most);
        assert!(asks(0, &old[0]), "what it had goes on");
        wait_until("acme to begin another", PATIENCE, || {
            if asks(0, &client(&ACME)) { Ok(()) } else { Err(acmes()) }
        });
        assert!(asks(1, &old[1]));
        assert!((0..20).all(|_| asks(1, &client(&BOLT))), "bolt begins what it likes");
        assert_eq!(turned_away(lab, &BOLT), 0);
        assert!(tracking(lab, &BOLT, "nf_conntrack_count") < bolts + 100);

        gateway.apply(&documents(&[ACME, BOLT]));
        let before = acmes();
        wire.send(&frames);
        assert!(asks(0, &client(&ACME)));
        assert!(acmes() <= before, "{before} became {}", acmes());
    });
}
