//! Headers and messages that should not be, in each state (RFC 4271 §6, RFC 6608).

use super::bytes::*;
use super::pair::{Alone, Pair};
use lockgate::bgp::Family;
use lockgate::bgp::proto::{MessageKind, Notification};
use lockgate::bgp::session::{DownReason, SessionState};
use lockgate::model::limits::BGP_NOTIFICATION_KINDS;

fn header(length: u16, kind: u8) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(length.to_be_bytes());
    message.push(kind);
    message
}

#[test]
fn a_bad_header_is_answered_with_what_was_bad() {
    let mut bad_marker = keepalive();
    bad_marker[7] = 0;
    let cases: Vec<(&str, Vec<u8>, Notification)> = vec![
        ("marker", bad_marker, Notification::new(1, 1, vec![])),
        ("TLS", vec![0x16, 3, 1, 2, 0], Notification::new(1, 1, vec![])),
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec(), Notification::new(1, 1, vec![])),
        ("length 0", header(0, 4), Notification::new(1, 2, vec![0, 0])),
        ("length 18", header(18, 4), Notification::new(1, 2, vec![0, 18])),
        ("length 4097", header(4_097, 2), Notification::new(1, 2, vec![0x10, 1])),
        ("length 65535", header(65_535, 2), Notification::new(1, 2, vec![0xff, 0xff])),
        ("type 0", header(19, 0), Notification::new(1, 3, vec![0])),
        ("type 6", header(19, 6), Notification::new(1, 3, vec![6])),
        ("type 255", header(19, 255), Notification::new(1, 3, vec![255])),
        ("OPEN of 28", header(28, 1), Notification::new(1, 2, vec![0, 28])),
        ("UPDATE of 22", header(22, 2), Notification::new(1, 2, vec![0, 22])),
        ("NOTIFICATION of 20", header(20, 3), Notification::new(1, 2, vec![0, 20])),
        ("KEEPALIVE of 20", header(20, 4), Notification::new(1, 2, vec![0, 20])),
        ("ROUTE-REFRESH of 22", header(22, 5), Notification::new(1, 2, vec![0, 22])),
    ];
    for (what, bytes, expected) in cases {
        let mut alone = Alone::connected(offer());
        alone.receive(&bytes);
        assert_eq!(alone.notification(), expected, "{what}");
        assert_eq!(alone.end.session.state(), SessionState::Idle);
        // What was sent in between changes nothing.
        let mut alone = Alone::established(offer(), &bird_open());
        alone.receive(&bytes);
        assert_eq!(alone.notification(), expected, "{what}");
        assert_eq!(alone.end.down(), (&DownReason::Sent(expected), false));
    }
}

#[test]
fn an_open_and_a_keepalive_are_never_long() {
    let mut pair = Pair::established(offer(), their_offer());
    let id = pair.pipes[0].ids[0];
    assert_eq!(pair.ends[0].negotiated().maximum_message, 65_535);
    let mut long = header(5_000, 1);
    long.resize(5_000, 0);
    pair.ends[0].session.handle_bytes(id, &long, pair.now);
    pair.ends[0].drain();
    let expected = Notification::new(1, 2, 5_000_u16.to_be_bytes().to_vec());
    assert_eq!(pair.ends[0].down().0, &DownReason::Sent(expected));
}

#[test]
fn a_bad_open_is_answered_with_what_was_bad() {
    let asn = u16::try_from(THEIR_ASN).unwrap();
    let id = [10, 0, 0, 2];
    let v4: &[(u8, &[u8])] = &[(1, &[0, 1, 0, 1])];
    let raw = |version: u8, parameters: &[u8]| {
        let mut body = vec![version];
        body.extend(asn.to_be_bytes());
        body.extend([0, 90, 10, 0, 0, 2]);
        body.extend(parameters);
        message(1, &body)
    };
    let cases: Vec<(&str, Vec<u8>, (u8, u8))> = vec![
        ("version 3", raw(3, &[0]), (2, 1)),
        ("AS 0", open(0, 90, id, v4), (2, 2)),
        ("another AS", open(65_099, 90, id, v4), (2, 2)),
        ("AS_TRANS without the AS", open(23_456, 90, id, v4), (2, 2)),
        ("AS 0 of four bytes", open(asn, 90, id, &[(65, &[0; 4])]), (2, 2)),
        ("two ASes", open(65_099, 90, id, &[(65, &THEIR_ASN.to_be_bytes())]), (2, 2)),
        ("identifier 0", open(asn, 90, [0; 4], v4), (2, 3)),
        ("an unknown parameter", raw(4, &[3, 7, 1, 0]), (2, 4)),
        ("hold time 1", open(asn, 1, id, v4), (2, 6)),
        ("hold time 2", open(asn, 2, id, v4), (2, 6)),
        ("only EVPN", open(asn, 90, id, &[(1, &[0, 25, 0, 70])]), (2, 7)),
        ("only a family nobody knows", open(asn, 90, id, &[(1, &[0, 1, 0, 129])]), (2, 7)),
        ("parameters longer than the message", raw(4, &[9, 2, 0]), (2, 0)),
        ("parameters shorter than the message", raw(4, &[0, 2, 0]), (2, 0)),
        ("a parameter that overruns", raw(4, &[3, 2, 9, 1]), (2, 0)),
        ("a capability that overruns", raw(4, &[4, 2, 2, 64, 9]), (2, 0)),
        ("an extended length that lies", raw(4, &[255, 255, 0, 9, 2, 0, 0]), (2, 0)),
    ];
    for (what, bytes, expected) in cases {
        let mut alone = Alone::connected(offer());
        alone.receive(&bytes);
        assert_eq!(numbers(&alone.notification()), expected, "{what}");
        assert!(alone.end.events.is_empty(), "{what}");
    }
    // An identifier of our own is one's own within a system alone (RFC 6286 §2.2).
    let mut alone = Alone::connected(offer());
    alone.receive(&open(asn, 90, [10, 0, 0, 1], v4));
    assert_eq!(alone.end.session.state(), SessionState::OpenConfirm);
    let mut inside = offer();
    inside.remote_asn = inside.local_asn;
    let mut alone = Alone::connected(inside);
    alone.receive(&open(u16::try_from(OUR_ASN).unwrap(), 90, [10, 0, 0, 1], v4));
    assert_eq!(numbers(&alone.notification()), (2, 3));
}

#[test]
fn an_unusual_open_is_taken() {
    let asn = u16::try_from(THEIR_ASN).unwrap();
    let id = [10, 0, 0, 2];
    let v4: (u8, &[u8]) = (1, &[0, 1, 0, 1]);
    let name = [255; 90];
    let none: &[(u8, &[u8])] = &[];
    let mut extended = vec![4];
    extended.extend(asn.to_be_bytes());
    extended.extend([0, 90, 10, 0, 0, 2, 255, 255, 0, 9, 2, 0, 6, 1, 4, 0, 1, 0, 1]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("of one that knows no capabilities", open(asn, 90, id, none)),
        ("twice the same", open(asn, 90, id, &[v4, v4, (2, &[]), (2, &[])])),
        ("a software version of nothing", open(asn, 90, id, &[v4, (75, &[])])),
        ("a name that overruns itself", open(asn, 90, id, &[v4, (73, &name)])),
        ("a family of a wrong length", open(asn, 90, id, &[v4, (1, &[0, 1])])),
        ("extended parameters", message(1, &extended)),
    ];
    for (what, bytes) in cases {
        let alone = Alone::established(offer(), &bytes);
        assert_eq!(alone.end.negotiated().families, [Family::Ipv4Unicast], "{what}");
    }
    // As many as the parameters hold: 125 that are empty; and more, in a field whose length
    // has two bytes, over several parameters (RFC 9072 §2).
    let mut many = vec![4];
    many.extend(asn.to_be_bytes());
    many.extend([0, 90, 10, 0, 0, 2, 252, 2, 250]);
    many.extend([200, 0].repeat(125));
    Alone::established(offer(), &message(1, &many));
    let mut more = vec![4];
    more.extend(asn.to_be_bytes());
    let one = [&[2, 0, 170][..], &[200, 0].repeat(85)].concat();
    let all = [one.repeat(3), vec![2, 0, 6, 1, 4, 0, 1, 0, 1]].concat();
    more.extend([0, 90, 10, 0, 0, 2, 255, 255]);
    more.extend(u16::try_from(all.len()).unwrap().to_be_bytes());
    more.extend(all);
    let alone = Alone::established(offer(), &message(1, &more));
    assert_eq!(alone.end.negotiated().families, [Family::Ipv4Unicast]);
}

#[test]
fn a_message_out_of_place_is_a_fault_of_its_state() {
    let update = update(&[], &mandatory(), &[8, 10]);
    let refresh = message(5, &[0, 1, 0, 1]);
    for bytes in [keepalive(), update.clone(), refresh.clone()] {
        let mut alone = Alone::connected(offer());
        alone.receive(&bytes);
        assert_eq!(numbers(&alone.notification()), (5, 1));
    }
    for bytes in [bird_open(), update, refresh] {
        let mut alone = Alone::connected(offer());
        alone.receive(&bird_open());
        assert_eq!(alone.end.session.state(), SessionState::OpenConfirm);
        alone.receive(&bytes);
        assert_eq!(numbers(&alone.notification()), (5, 2));
    }
    let mut alone = Alone::established(offer(), &bird_open());
    alone.receive(&bird_open());
    assert_eq!(numbers(&alone.notification()), (5, 3));
    assert!(matches!(alone.end.down(), (DownReason::Sent(_), false)));
}

#[test]
fn a_notification_is_never_answered() {
    for code in [[6, 2], [1, 1], [77, 99]] {
        for up in [false, true] {
            let mut alone = Alone::connected(offer());
            if up {
                alone = Alone::established(offer(), &bird_open());
            }
            alone.receive(&message(3, &code));
            assert_eq!(alone.end.closed, [(alone.id, Vec::new())]);
            let sample = alone.end.session.sample();
            assert_eq!(sample.counters.notifications_received[&(code[0], code[1])], 1);
            assert_eq!(sample.counters.sent[MessageKind::Notification as usize], 0);
        }
    }
}

/// A number for each would be as many as a neighbor likes.
#[test]
fn notifications_of_ever_new_kinds_are_counted_within_bounds() {
    let mut alone = Alone::connected(offer());
    for number in 0..1_000_u16 {
        let [code, subcode] = number.to_be_bytes();
        alone.receive(&message(3, &[code, subcode]));
        // Whoever starts it does not wait out the error.
        alone.end.session.start(alone.now);
        alone.id = alone.end.session.handle_incoming(OUR_ADDRESS, THEIR_ADDRESS, alone.now);
        alone.end.drain();
    }
    let counted = alone.end.session.sample().counters.notifications_received;
    assert!(counted.len() <= BGP_NOTIFICATION_KINDS + 1, "{}", counted.len());
    assert_eq!(counted.values().sum::<u64>(), 1_000, "each is counted as something");
}

#[test]
fn what_people_wrote_is_shown_without_what_moves_a_cursor() {
    let words = |data: &[u8]| Notification::new(6, 2, data.to_vec()).text();
    assert_eq!(words(b"\x05lunch").as_deref(), Some("lunch"));
    assert_eq!(words(b"\x05\x1b[2J!").as_deref(), Some("\u{fffd}[2J!"));
    assert_eq!(words(b"\x02\xff\xfe"), None);
    assert_eq!(words(b"\x09lunch"), None);
    assert_eq!(words(b""), None);
    let long = [&[200_u8][..], &[b'a'; 200]].concat();
    assert_eq!(words(&long).map(|text| text.len()), Some(200));
    let hard = Notification::cease_with_text(2, "moving house").into_hard_reset();
    assert_eq!(hard.text().as_deref(), Some("moving house"));
    assert!(hard.to_string().contains("moving house"), "{hard}");
}

#[test]
fn a_session_comes_up_byte_by_byte() {
    let mut pair = Pair::new(offer(), their_offer());
    pair.start();
    pair.connect(0);
    pair.pipes[0].piece = 1;
    pair.settle();
    pair.check_up();
}
