//! What a neighbor may say beside its networks, said too often, too late or out of all
//! sense: NOTIFICATIONs, restarts, refreshes, and nothing at all while it is spoken to.

use crate::bgp_flood::{memory, ticks};
use crate::bgp_odd_stage::neighbor;
use crate::bgp_raw::{ODD, ODD_NLRI, again, gateway, sound};
use crate::bgp_stage::{
    Ask, GATEWAY, LAB, NETNS, attach, bird_config, build_lab, start_bird, tenant_document,
    wait_learned,
};
use crate::gateway::Gateway;
use crate::lab::{self, At, PATIENCE, wait_until};
use crate::raw_speaker::{KEEPALIVE, NOTIFICATION, RawSpeaker, UPDATE, message, open};
use crate::wireguard_stage::class_document;
use lockgate::model::limits::BGP_OUT_QUEUE_BYTES;
use lockgate::status::NeighborState;
use std::collections::BTreeSet;

const REFRESH: u8 = 5;

/// The capability of graceful restart of IPv4 (RFC 4724 §3): flags and time as they are in
/// the first two bytes, and whether forwarding went on (the F bit).
const fn restart(flags: u8, time: u8, forwarded: bool) -> [u8; 8] {
    [64, 6, flags, time, 0, 1, 1, if forwarded { 0x80 } else { 0 }]
}

/// The N bit (RFC 8538), and 120 s.
const KEEPS: [u8; 8] = restart(0x40, 120, true);

fn notification(code: u8, subcode: u8, data: &[u8]) -> Vec<u8> {
    message(NOTIFICATION, &[&[code, subcode], data].concat())
}

/// What it is, what is offered, how the session ends, and what is left then: the routes that
/// are held, and how many of them are stale.
type Case = (&'static str, [u8; 8], Vec<u8>, (u64, u64));

/// The routes that are shown of the neighbor, and how many of them are stale; once its
/// session is over.
#[track_caller]
fn wait_over(gateway: &Gateway<'_>, what: &str, expected: (u64, u64)) {
    wait_until(&format!("{what}: the session to be over, with {expected:?}"), PATIENCE, || {
        let seen = neighbor(gateway);
        let routes = (seen.prefixes.received, seen.prefixes.stale);
        let is_over = seen.state != NeighborState::Established;
        if is_over && routes == expected { Ok(()) } else { Err(seen) }
    });
}

/// RFC 8538: where both say the N bit, a NOTIFICATION ends the session and not the routes,
/// unless it is a Hard Reset; without it each is the end of both.
#[test]
fn what_is_kept_hangs_on_what_a_session_was_ended_with() {
    lab::run(|lab| {
        let (mut gateway, at) = gateway(lab);
        let without = restart(0, 120, true);
        let (kept, gone) = ((1, 1), (0, 0));
        let text = [&[200_u8][..], &[b'a'; 200]].concat();
        let bad_text = [4, 0xff, 0xfe, 0x1b, b'['];
        let cases: [Case; 13] = [
            ("not a word", KEEPS, Vec::new(), kept),
            ("not a word, without N", without, Vec::new(), kept),
            ("Administrative Shutdown", KEEPS, notification(6, 2, &text), kept),
            ("the same, no text at all", KEEPS, notification(6, 2, &bad_text), kept),
            ("the same without N", without, notification(6, 2, &[]), gone),
            ("Peer De-configured", KEEPS, notification(6, 3, &[]), kept),
            ("Administrative Reset", KEEPS, notification(6, 4, &[]), kept),
            ("Hard Reset", KEEPS, notification(6, 9, &[6, 4]), gone),
            ("Hard Reset of nothing", KEEPS, notification(6, 9, &[]), gone),
            ("a Cease nobody knows", KEEPS, notification(6, 200, &[1; 300]), kept),
            ("Hold Timer Expired", KEEPS, notification(4, 0, &[]), kept),
            ("the same without N", without, notification(4, 0, &[]), gone),
            ("a code nobody knows", KEEPS, notification(77, 99, &[]), kept),
        ];
        for (what, capability, last, expected) in cases {
            again(&mut gateway);
            let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&capability));
            raw.send(&sound(ODD_NLRI));
            wait_learned(lab, NETNS, &[ODD]);
            if last.is_empty() {
                drop(raw);
            } else {
                raw.send(&last);
                // It is never answered (RFC 4271 §6.4).
                assert_eq!(raw.notification(), None, "{what}");
            }
            wait_over(&gateway, what, expected);
            wait_learned(lab, NETNS, &[ODD][..usize::try_from(expected.0).unwrap()]);
            let shown = gateway.show(&["neighbors"]);
            assert!(!shown.contains('\u{1b}'), "{what}: {shown:?}");
        }
    });
}

/// Whoever ends each session with a NOTIFICATION, and many of them, is heard once for
/// each, and let in again when it has waited.
#[test]
fn ten_thousand_notifications_are_the_end_of_one_session() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab);
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&sound(ODD_NLRI));
        wait_learned(lab, NETNS, &[ODD]);
        let before = memory(&gateway);
        raw.send(&notification(6, 4, &[0]).repeat(10_000));
        wait_over(&gateway, "a flood", (0, 0));
        for _ in 0..200 {
            // Before it is heard: most of these meet a session that waits.
            let mut raw = RawSpeaker::connect(lab, &at, GATEWAY);
            raw.send(&notification(2, 2, &[]).repeat(50));
        }
        let after = memory(&gateway);
        assert!(after < before + 16 * 1_024, "{before} KiB before, {after} KiB after");
        let received = |gateway: &Gateway<'_>| -> u64 {
            let kinds = neighbor(gateway).notifications;
            kinds.iter().filter(|it| !it.is_sent).map(|it| it.count.0).sum()
        };
        assert!(received(&gateway) < 50, "{:?}", neighbor(&gateway));
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&sound(ODD_NLRI));
        wait_learned(lab, NETNS, &[ODD]);
    });
}

/// A session that comes up and goes hundreds of times costs what each is worth, and what
/// was kept of one does not outlive the next (RFC 4724 §4.1).
#[test]
fn a_session_that_comes_and_goes_hundreds_of_times_costs_little() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab);
        let connect = || RawSpeaker::establish(lab, &at, GATEWAY, &open(&KEEPS));
        connect().send(&sound(ODD_NLRI));
        wait_over(&gateway, "the first", (1, 1));
        let (memory_before, ticks_before) = (memory(&gateway), ticks(&gateway));
        for _ in 0..300 {
            drop(connect());
        }
        wait_over(&gateway, "the last", (0, 0));
        let (memory_after, ticks_after) = (memory(&gateway), ticks(&gateway));
        assert!(memory_after < memory_before + 16 * 1_024, "{memory_before} {memory_after}");
        // A session with all that goes with it is worth a few thousandths of a second.
        assert!(ticks_after < ticks_before + 1_500, "{ticks_before} {ticks_after}");
        wait_until("each of them to be counted", PATIENCE, || {
            let flaps = neighbor(&gateway).flaps.0;
            if 301 <= flaps { Ok(()) } else { Err(flaps) }
        });
        let mut raw = connect();
        raw.send(&sound(ODD_NLRI));
        wait_learned(lab, NETNS, &[ODD]);
        assert_eq!(neighbor(&gateway).prefixes.stale, 0);
    });
}

/// Restart times of more than an hour, an end of table that is said twice, and one who did
/// not forward meanwhile.
#[test]
fn what_is_stale_goes_with_its_restart_however_that_is_said() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab);
        let end = message(UPDATE, &[0; 4]);
        let long = restart(0x0f, 0xff, true);
        let other = [24, 10, 140, 3];
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&long));
        raw.send(&[sound(ODD_NLRI), sound(&other)].concat());
        wait_learned(lab, NETNS, &[ODD, "10.140.3.0/24"]);
        drop(raw);
        wait_over(&gateway, "4,095 s", (2, 2));
        // It is back, has restarted, and says less; twice that it was all.
        let restarted = restart(0x80, 120, true);
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&restarted));
        raw.send(&sound(ODD_NLRI));
        wait_until("one of them to be fresh", PATIENCE, || {
            let seen = neighbor(&gateway);
            if seen.prefixes.stale == 1 { Ok(()) } else { Err(seen) }
        });
        wait_learned(lab, NETNS, &[ODD, "10.140.3.0/24"]);
        raw.send(&end);
        wait_learned(lab, NETNS, &[ODD]);
        raw.send(&sound(&other));
        raw.send(&end);
        wait_learned(lab, NETNS, &[ODD, "10.140.3.0/24"]);
        drop(raw);
        wait_over(&gateway, "120 s", (2, 2));
        // Its kernel was empty meanwhile: so is what is kept, before it says anything.
        let fallen = restart(0x80, 120, false);
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&fallen));
        wait_learned(lab, NETNS, &[]);
        raw.send(&sound(ODD_NLRI));
        wait_learned(lab, NETNS, &[ODD]);
    });
}

/// The networks that are known to the raw end after these UPDATEs.
fn apply(known: &mut BTreeSet<Vec<u8>>, body: &[u8]) {
    let split = |mut bytes: &[u8]| {
        let mut all = Vec::new();
        while let Some((length, rest)) = bytes.split_first() {
            let (address, rest) = rest.split_at(usize::from(length.div_ceil(8)));
            all.push([&[*length][..], address].concat());
            bytes = rest;
        }
        all
    };
    let field = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = 2 + field(0);
    let attributes = withdrawn + 2 + field(withdrawn);
    for network in split(&body[2..withdrawn]) {
        known.remove(&network);
    }
    known.extend(split(&body[attributes..]));
}

/// A neighbor that asks for everything again and again and reads nothing: it is owed no
/// more than fits, others are served meanwhile, and when it reads, what it knows in the end
/// is what is true then.
#[test]
fn who_asks_and_does_not_read_is_owed_a_bounded_amount() {
    lab::run(|lab| {
        build_lab(lab);
        let networks: Vec<String> = (0..1_000_u32)
            .map(|n| format!("{{cidr: 10.64.{}.{}/29}}", n / 32, n % 32 * 8))
            .collect();
        let many = format!("prefixes: [{}]", networks.join(", "));
        let neighbors = "{name: tor, address: 10.136.40.2, remoteASN: 65001}, \
             {name: raw, address: 10.136.40.3, remoteASN: 65001}";
        let tenant = tenant_document(&Ask::default())
            .replace("{name: tor, address: 10.136.40.2, remoteASN: 65001}", neighbors);
        let site = LAB.replace("prefixes: [{cidr: 10.64.0.0/16}]", &many);
        assert!(site.contains("/29") && tenant.contains("raw"));
        let gateway = Gateway::start(lab, At::Underlay, &(class_document() + &tenant + &site));
        let at = attach(lab, "acme");
        lab.address(&at, "apps-acme", "10.136.40.3/24");
        // The kernel keeps little of it on its way.
        for (netns, buffer) in [(NETNS, "net.ipv4.tcp_wmem"), (&at, "net.ipv4.tcp_rmem")] {
            let set = format!("{buffer}=4096 8192 16384");
            lab.command_output(netns, &["sysctl", "-qw", &set]);
        }
        let bird = start_bird(lab, &at, &bird_config(&[], &[], "strict bind on;"));
        wait_until("BIRD to hear all", PATIENCE, || {
            let told = bird.told("lockgate").len();
            if told == networks.len() { Ok(()) } else { Err(told) }
        });

        let mut raw = RawSpeaker::establish_from(lab, &at, "10.136.40.3", GATEWAY, &open(&[]));
        let before = memory(&gateway);
        // Some 5 KB are owed for each time it is read.
        for _ in 0..100 {
            raw.send(&message(REFRESH, &[0, 1, 0, 1]).repeat(1_000));
            raw.send(&message(KEEPALIVE, &[]));
        }
        // The kernel has all that it takes, and the rest waits here.
        wait_until("something to wait for it", PATIENCE, || {
            let sockets = lab.command_output(NETNS, &["ss", "-Htn", "dst", "10.136.40.3"]);
            let queued = sockets.split_whitespace().nth(2).and_then(|it| it.parse::<u64>().ok());
            if queued.is_some_and(|bytes| 0 < bytes) { Ok(()) } else { Err(sockets) }
        });
        let after = memory(&gateway);
        assert!(after < before + 16 * 1_024, "{before} KiB before, {after} KiB after");
        // Everybody else is told at once.
        gateway.apply(&(class_document() + &tenant));
        bird.wait_told("lockgate", &[]);
        let mut known = BTreeSet::new();
        let mut bytes = 0;
        while bytes == 0 || !known.is_empty() {
            match raw.receive() {
                Some((UPDATE, body)) => {
                    apply(&mut known, &body);
                    bytes += 19 + body.len();
                }
                Some((KEEPALIVE | REFRESH, _)) => {}
                other => panic!("{other:?}, {} are left", known.len()),
            }
        }
        // What waited here was a queue full of it, and the kernel's share beside.
        let most = BGP_OUT_QUEUE_BYTES + (96 << 10);
        assert!((BGP_OUT_QUEUE_BYTES..most).contains(&bytes), "{bytes} bytes were said");
        let neighbors = gateway.tenant("acme/gw").bgp.unwrap().neighbors;
        assert!(neighbors.iter().all(|it| it.state == NeighborState::Established));
    });
}

/// Refreshes of what nobody carries, with filters nobody offered, or with marks that were
/// not agreed on, say nothing; one that is one is answered.
#[test]
fn refreshes_that_ask_for_nothing_change_nothing() {
    lab::run(|lab| {
        build_lab(lab);
        let documents = class_document() + &tenant_document(&Ask::default()) + LAB;
        let gateway = Gateway::start(lab, At::Underlay, &documents);
        let at = attach(lab, "acme");
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&sound(ODD_NLRI));
        wait_learned(lab, NETNS, &[ODD]);
        let said = |raw: &mut RawSpeaker| loop {
            match raw.receive() {
                Some((UPDATE, body)) if body.ends_with(&[16, 10, 64]) => return,
                Some((UPDATE | KEEPALIVE, _)) => {}
                other => panic!("{other:?}"),
            }
        };
        said(&mut raw);
        let odd: [&[u8]; 7] = [
            &[0x40, 0x04, 0, 0x47],
            &[0, 2, 0, 1],
            &[0, 1, 0, 128],
            &[0, 1, 1, 1],
            &[0, 1, 2, 1],
            &[0, 1, 77, 1],
            // Filters of a kind there is not, whose length lies (RFC 5291 §4).
            &[0, 1, 0, 1, 0xff, 64, 0xff, 0xff, 1, 2, 3],
        ];
        for words in odd {
            raw.send(&message(REFRESH, words).repeat(50));
        }
        raw.send(&message(REFRESH, &[0, 1, 0, 1]));
        said(&mut raw);
        let seen = neighbor(&gateway);
        assert_eq!((seen.state, seen.flaps.0), (NeighborState::Established, 0));
        assert_eq!(&seen.notifications[..], &[][..]);
        wait_learned(lab, NETNS, &[ODD]);
    });
}
