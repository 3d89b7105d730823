//! What no stock router says, written by hand: what is wrong with a route takes the
//! route (RFC 7606), what is wrong with a message takes the session with the right
//! NOTIFICATION (RFC 4271 §6), and a session that comes after is as good as any.

use crate::bgp_odd_stage::{MARK, Outcome, check_odd, neighbor};
use crate::bgp_stage::{Ask, GATEWAY, NETNS, attach, tenant_document, wait_learned};
use crate::gateway::Gateway;
use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use crate::raw_speaker::{KEEPALIVE, RawSpeaker, UPDATE, attribute, message, open, update};
use crate::wireguard_stage::class_document;
use lockgate::status::NeighborState;

pub(crate) const ODD: &str = "10.140.1.0/24";
pub(crate) const ODD_NLRI: &[u8] = &[24, 10, 140, 1];
const STILL: &str = "10.140.2.0/24";
const STILL_NLRI: &[u8] = &[24, 10, 140, 2];

fn origin() -> Vec<u8> {
    attribute(0x40, 1, &[0])
}

fn as_path() -> Vec<u8> {
    attribute(0x40, 2, &[2, 1, 0, 0, 0xfd, 0xe9])
}

fn next_hop() -> Vec<u8> {
    attribute(0x40, 3, &[10, 136, 40, 2])
}

fn med(value: u32) -> Vec<u8> {
    attribute(0x80, 4, &value.to_be_bytes())
}

/// What a route needs, its network said with these bytes.
pub(crate) fn sound(nlri: &[u8]) -> Vec<u8> {
    update(&[origin(), as_path(), next_hop()], nlri)
}

pub(crate) fn gateway(lab: &Lab) -> (Gateway<'_>, String) {
    let documents = class_document() + &tenant_document(&Ask::default());
    let gateway = Gateway::start(lab, At::Underlay, &documents);
    let at = attach(lab, "acme");
    (gateway, at)
}

#[test]
fn what_is_wrong_with_a_route_takes_the_route_alone() {
    lab::run(|lab| {
        let (gateway, at) = gateway(lab);
        // With graceful restart agreed on: what it keeps was never judged otherwise.
        let restart = [64, 6, 0, 120, 0, 1, 1, 0x80];
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&restart));
        raw.send(&sound(STILL_NLRI));
        wait_learned(lab, NETNS, &[STILL]);
        let mark = || med(MARK);
        let malformed = Outcome::Withdrawn("malformed_attribute");
        let missing = Outcome::Withdrawn("missing_attribute");
        let mut overrun = as_path();
        overrun[2] = 200;
        let cases: Vec<(&str, Vec<Vec<u8>>, Outcome)> = vec![
            ("no ORIGIN (§3 d)", vec![as_path(), next_hop()], missing),
            ("no AS_PATH", vec![origin(), next_hop()], missing),
            ("no NEXT_HOP", vec![origin(), as_path()], missing),
            (
                "a NEXT_HOP of three bytes (§7.3)",
                vec![origin(), as_path(), attribute(0x40, 3, &[10, 136, 40])],
                malformed,
            ),
            (
                "ORIGIN twice: the first counts (§3 g)",
                vec![origin(), as_path(), next_hop(), attribute(0x40, 1, &[2]), mark()],
                Outcome::Discarded,
            ),
            (
                "LOCAL_PREF of an external neighbor, and three bytes of it (§7.5)",
                vec![origin(), as_path(), next_hop(), mark(), attribute(0x40, 5, &[0, 0, 1])],
                Outcome::Discarded,
            ),
            ("a length beyond the attributes (§4)", vec![origin(), next_hop(), overrun], malformed),
            (
                "flags that say two things at once (§3 c)",
                vec![attribute(0x00, 1, &[0]), as_path(), next_hop()],
                malformed,
            ),
        ];
        for (what, attributes, outcome) in cases {
            raw.send(&sound(ODD_NLRI));
            wait_learned(lab, NETNS, &[ODD, STILL]);
            check_odd(lab, &gateway, what, (ODD, &[STILL]), outcome, || {
                raw.send(&update(&attributes, ODD_NLRI));
            });
        }
    });
}

/// Each of these ends the session: there may be networks that were not found, or the
/// other end is no BGP speaker in its right mind.
#[test]
fn what_is_wrong_with_a_message_ends_the_session_with_the_reason() {
    lab::run(|lab| {
        let (mut gateway, at) = gateway(lab);
        let both = |body: &[u8]| message(UPDATE, body);
        let mut wrong_marker = message(KEEPALIVE, &[]);
        wrong_marker[3] = 0;
        let with_length = |length: u16| {
            let mut bytes = message(KEEPALIVE, &[]);
            bytes[16..18].copy_from_slice(&length.to_be_bytes());
            bytes
        };
        let cases: Vec<(&str, Vec<u8>, (u8, u8))> = vec![
            ("a marker with a hole", wrong_marker, (1, 1)),
            ("a length of 0", with_length(0), (1, 2)),
            ("a length of 18", with_length(18), (1, 2)),
            ("a KEEPALIVE of 20", with_length(20), (1, 2)),
            ("a length that was not agreed on", with_length(65_535), (1, 2)),
            ("a type there is not", message(77, &[]), (1, 3)),
            ("attributes longer than the message", both(&[0, 0, 0, 200, 0x40]), (3, 1)),
            ("withdrawn networks longer than it", both(&[0, 200, 24, 0]), (3, 1)),
            (
                "a network of 33 bits",
                update(&[origin(), as_path(), next_hop()], &[33, 10, 1, 2, 3, 4]),
                (3, 10),
            ),
            ("a network cut off", update(&[origin(), as_path(), next_hop()], &[24, 10]), (3, 10)),
            ("ORIGIN 3 of no network", update(&[attribute(0x40, 1, &[3])], &[]), (3, 6)),
            ("a second OPEN", open(&[]), (5, 3)),
            ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), (1, 1)),
        ];
        for (what, bytes, expected) in cases {
            // Who has said such a thing is not heard again at once, and each time less
            // soon; a gateway that begins anew knows of none.
            again(&mut gateway);
            let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
            raw.send(&sound(ODD_NLRI));
            wait_learned(lab, NETNS, &[ODD]);
            raw.send(&bytes);
            assert_eq!(raw.notification(), Some(expected), "{what}");
            assert_eq!(raw.receive(), None, "{what}: it is over");
            // No restart was agreed on.
            wait_learned(lab, NETNS, &[]);
            wait_until(&format!("{what}: to be shown"), PATIENCE, || {
                let seen = neighbor(&gateway);
                let is_it = |kind: &lockgate::status::NotificationCount| {
                    kind.is_sent && (kind.code, kind.subcode) == expected
                };
                let is_over = seen.state != NeighborState::Established;
                if is_over && seen.notifications.iter().any(is_it) { Ok(()) } else { Err(seen) }
            });
        }
        gateway.wait_programmed();
    });
}

pub(crate) fn again(gateway: &mut Gateway<'_>) {
    gateway.kill();
    gateway.spawn();
    gateway.wait_programmed();
}

/// Who speaks something else, or offers what cannot be, is told at once.
#[test]
fn an_opening_that_is_none_is_answered_and_does_no_harm() {
    lab::run(|lab| {
        let (mut gateway, at) = gateway(lab);
        let changed = |at: usize, bytes: &[u8]| {
            let mut changed = open(&[]);
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            changed
        };
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        let cases: Vec<(&str, Vec<u8>, (u8, u8))> = vec![
            ("a TLS ClientHello", hello.to_vec(), (1, 1)),
            ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec(), (1, 1)),
            ("version 3", changed(19, &[3]), (2, 1)),
            ("another system", changed(20, &[0xfd, 0xea]), (2, 2)),
            ("a hold time of 1 s", changed(22, &[0, 1]), (2, 6)),
            ("no identifier", changed(24, &[0; 4]), (2, 3)),
            ("an UPDATE first", sound(ODD_NLRI), (5, 1)),
        ];
        for (what, bytes, expected) in cases {
            again(&mut gateway);
            let mut raw = RawSpeaker::connect(lab, &at, GATEWAY);
            raw.send(&bytes);
            assert_eq!(raw.notification(), Some(expected), "{what}");
            assert_eq!(raw.receive(), None, "{what}: it is over");
            // The next one is turned away for a while, and costs nothing.
            let mut next = RawSpeaker::connect(lab, &at, GATEWAY);
            next.send(&open(&[]));
            assert_eq!(next.notification(), None, "{what}");
        }
        again(&mut gateway);
        let mut raw = RawSpeaker::establish(lab, &at, GATEWAY, &open(&[]));
        raw.send(&sound(STILL_NLRI));
        wait_learned(lab, NETNS, &[STILL]);
        gateway.wait("the session to be shown", |snapshot| {
            let bgp = snapshot.tenants.first().and_then(|tenant| tenant.bgp.as_ref());
            bgp.is_some_and(|bgp| bgp.neighbors[0].state == NeighborState::Established)
        });
    });
}
