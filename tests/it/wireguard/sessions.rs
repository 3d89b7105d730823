//! How sessions come to be, are renewed, and end.

use super::net::{Net, endpoint, packet, public, secs};
use lockgate::wireguard::{DropReason, SendState};
use std::time::Duration;

fn there(mark: u8) -> Vec<u8> {
    packet("10.1.0.1", "10.0.0.1", 100, mark)
}

fn back(mark: u8) -> Vec<u8> {
    packet("10.0.0.1", "10.1.0.1", 100, mark)
}

#[test]
fn a_packet_without_a_session_brings_one_about_and_arrives() {
    let mut net = Net::pair();
    net.send(1, &there(7));
    net.settle();
    assert_eq!(net.take_inbox(0), [there(7)]);
    let large = packet("10.0.0.1", "10.1.0.1", 1_420, 9);
    net.send(0, &large);
    net.settle();
    assert_eq!(net.take_inbox(1), [large]);
    assert_eq!(net.drops(0).len() + net.drops(1).len(), 0);
    for (node, peer) in [(0, 2), (1, 1)] {
        let sample = net.sample(node, peer);
        assert_eq!((sample.handshakes, sample.handshake_timeouts), (1, 0));
        assert_eq!((sample.sent_packets, sample.received_packets), (Some(1), Some(1)));
        assert_eq!(sample.last_handshake, Some(net.now.wall));
    }
    // Initiation, the packet of 100 bytes padded to 112; response, the packet of
    // 1,420, which padding would take beyond the MTU.
    assert_eq!(net.sample(1, 1).sent_bytes, 148 + 112 + 32);
    assert_eq!(net.sample(1, 1).received_bytes, 92 + 1_420 + 32);
}

#[test]
fn times_of_handshakes_do_not_move_with_the_clock() {
    let mut net = Net::connected();
    let when = net.now.wall;
    net.now.wall = net.now.wall.before(secs(3_600));
    assert_eq!(net.sample(0, 2).last_handshake, Some(when));
}

#[test]
fn the_initiator_confirms_at_once_when_it_has_nothing_to_say() {
    let mut net = Net::pair();
    net.configure(1, |config| config.peers.get_mut(&public(1)).unwrap().initiate = true);
    assert_eq!(net.pass(Duration::ZERO), 3, "initiation, response, keepalive");
    assert_eq!(net.sample(0, 2).handshakes, 1);
    net.send(0, &back(1));
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1);
}

#[test]
fn the_responder_does_not_use_a_session_before_it_was_confirmed() {
    let mut net = Net::connected();
    net.pass(secs(121));
    // The site rekeys as it sends; its confirmation is lost.
    net.send(1, &there(1));
    net.settle_losing(|flight| flight.from == endpoint(1) && flight.bytes.len() == 32);
    assert_eq!((net.sample(1, 1).handshakes, net.sample(0, 2).handshakes), (2, 1));
    assert_eq!(net.take_inbox(0).len(), 1);
    net.send(0, &back(2));
    net.settle();
    assert_eq!(net.take_inbox(1), [back(2)], "in the old session, which both have");
    net.send(1, &there(3));
    net.settle();
    assert_eq!(net.sample(0, 2).handshakes, 2);
    net.send(0, &back(4));
    net.settle();
    assert_eq!(net.take_inbox(1), [back(4)]);
}

#[test]
fn what_was_sealed_before_a_rekey_still_arrives_after_it() {
    let mut net = Net::connected();
    net.pass(secs(121));
    let late = net.seal(1, &there(1)).unwrap().unwrap();
    net.settle();
    net.send(1, &there(2));
    net.settle();
    assert_eq!(net.sample(0, 2).handshakes, 2);
    net.deliver(0, &late);
    assert_eq!(net.take_inbox(0), [there(2), there(1)]);
}

#[test]
fn both_begin_at_once_and_need_no_second_try() {
    let mut net = Net::connected();
    net.pass(secs(600));
    net.send(0, &back(1));
    net.send(1, &there(1));
    net.collect();
    assert_eq!(net.wire.iter().filter(|flight| flight.bytes.len() == 148).count(), 2);
    net.settle();
    assert_eq!((net.take_inbox(0).len(), net.take_inbox(1).len()), (1, 1));
    for mark in 2..5 {
        net.send(0, &back(mark));
        net.send(1, &there(mark));
        net.settle();
        assert_eq!((net.take_inbox(0).len(), net.take_inbox(1).len()), (1, 1));
    }
}

#[test]
fn the_initiator_renews_a_session_after_120_s_of_use_and_the_responder_does_not() {
    let mut net = Net::connected();
    let start = net.now;
    for second in 1..=119 {
        net.pass(secs(1));
        net.send(0, &back(1));
        net.send(1, &there(1));
        assert_eq!(net.sample(1, 1).handshakes, 1, "after {second} s");
    }
    net.pass(secs(1));
    net.send(0, &back(1));
    net.settle();
    net.take_inbox(1);
    assert_eq!(net.now.mono.since(start.mono), secs(120));
    assert_eq!(net.sample(0, 2).handshakes, 1);
    net.send(1, &there(1));
    net.settle();
    assert_eq!((net.sample(0, 2).handshakes, net.sample(1, 1).handshakes), (2, 2));
}

#[test]
fn an_initiator_that_only_listens_renews_in_time() {
    let mut net = Net::connected();
    net.configure(0, |config| {
        config.peers.get_mut(&public(2)).unwrap().keepalive = Some(secs(33));
    });
    // A keepalive answers the packet after 10 s, and one comes every 33 s from
    // then on: the first to find the session 165 s old comes at 175 s.
    net.pass(secs(174));
    assert_eq!(net.sample(1, 1).handshakes, 1);
    net.pass(secs(2));
    assert_eq!((net.sample(0, 2).handshakes, net.sample(1, 1).handshakes), (2, 2));
}

#[test]
fn a_session_ends_after_180_s_and_its_keys_are_forgotten_after_540() {
    let mut net = Net::connected();
    let old = net.seal(1, &there(1)).unwrap().unwrap();
    net.collect();
    let peer = net.device(1).peer(&public(1)).unwrap();
    net.now = net.now + secs(179);
    let now = net.now;
    assert!(matches!(net.device(1).begin_send(peer, now), SendState::Ready(_)));
    net.now = net.now + secs(1);
    let now = net.now;
    assert_eq!(net.device(1).begin_send(peer, now), SendState::Staging);
    assert_eq!(net.seal(1, &there(2)), Ok(None));
    net.deliver(0, &old);
    assert_eq!(net.drops(0)["session_expired"], 1);
    net.now = net.now + secs(360);
    let now = net.now;
    net.device(0).handle_timeout(now);
    net.deliver(0, &old);
    assert_eq!(net.drops(0)["unknown_index"], 1);
    assert_eq!(net.device(0).poll_timeout(), None, "an idle peer needs no waking");
}

#[test]
fn handshakes_are_tried_for_90_s_and_giving_up_is_a_state() {
    let mut net = Net::pair();
    net.send(1, &there(1));
    let mut tries = Vec::new();
    for tenth in 0..2_000 {
        net.pass_losing(Duration::from_millis(100), |flight| {
            assert_eq!(flight.bytes.len(), 148);
            tries.push(tenth);
            true
        });
    }
    assert_eq!(tries.len(), 18);
    assert!(tries.windows(2).all(|pair| (49..55).contains(&(pair[1] - pair[0]))));
    assert_eq!(net.drops(1)["handshake_gave_up"], 1);
    assert_eq!(net.sample(1, 1).handshake_timeouts, 18);
    // What comes later begins it again.
    net.send(1, &there(2));
    net.settle();
    assert_eq!(net.take_inbox(0), [there(2)]);
}

#[test]
fn a_packet_for_a_peer_whose_handshake_came_to_nothing_does_not_wait_for_the_next_packet() {
    let mut net = Net::pair();
    net.send(1, &there(1));
    // The gateway's answer is lost, and the site falls silent.
    net.settle_losing(|flight| flight.from == endpoint(0));
    net.pass_losing(secs(1), |_| true);
    net.send(0, &back(1));
    let mut begun = 0;
    net.pass_losing(Duration::from_millis(3_999), |flight| {
        assert_eq!(flight.from, endpoint(1), "so soon after the answer");
        true
    });
    net.pass_losing(Duration::from_millis(1), |flight| {
        begun += usize::from(flight.from == endpoint(0) && flight.bytes.len() == 148);
        true
    });
    assert_eq!(begun, 1);
}

#[test]
fn who_only_receives_says_after_10_s_that_it_is_there() {
    let mut net = Net::connected();
    let before = net.sample(0, 2).sent_bytes;
    assert_eq!(net.pass(Duration::from_millis(9_999)), 0);
    assert_eq!(net.pass(Duration::from_millis(1)), 1);
    assert_eq!(net.sample(0, 2).sent_bytes, before + 32);
    assert_eq!(net.pass(secs(100)), 0, "no keepalive answers a keepalive");
}

#[test]
fn who_sends_and_hears_nothing_for_15_s_begins_a_handshake() {
    let mut net = Net::connected();
    net.pass(secs(20));
    net.send(0, &back(1));
    net.wire.clear();
    let mut seen = Vec::new();
    net.pass_losing(Duration::from_millis(14_999), |flight| {
        seen.push(flight.bytes.len());
        true
    });
    assert!(seen.is_empty());
    net.pass_losing(Duration::from_millis(335), |flight| {
        seen.push(flight.bytes.len());
        true
    });
    assert_eq!(seen, [148]);
}

#[test]
fn an_address_of_ours_that_brings_silence_is_given_up() {
    let mut net = Net::connected();
    let asked = "198.51.100.1:51820".parse().unwrap();
    let mut flight = net.seal(1, &there(1)).unwrap().unwrap();
    flight.to = asked;
    net.deliver(0, &flight);
    net.pass(secs(20));
    let answer = net.seal(0, &back(1)).unwrap().unwrap();
    assert_eq!(answer.from, asked);
    let mut seen = Vec::new();
    net.pass_losing(secs(26), |flight| {
        seen.push(flight.from);
        true
    });
    // Which one fits is for the kernel to say, at every try.
    assert!(2 <= seen.len() && seen.iter().all(|from| *from == endpoint(0)), "{seen:?}");
}

#[test]
fn a_configured_keepalive_is_sent_in_silence_only() {
    let mut net = Net::connected();
    net.pass(secs(20));
    net.configure(1, |config| {
        config.peers.get_mut(&public(1)).unwrap().keepalive = Some(secs(25));
    });
    net.settle();
    assert_eq!(net.pass(secs(24)), 0);
    assert_eq!(net.pass(secs(1)), 1);
    net.pass(secs(20));
    net.send(0, &back(1));
    net.settle();
    // Hearing something puts it off; the answer to it is due after 10 s.
    assert_eq!(net.pass(Duration::from_millis(9_999)), 0);
    assert_eq!(net.pass(Duration::from_millis(1)), 1);
}

#[test]
fn numbers_that_run_out_bring_a_new_session_and_no_number_twice() {
    let mut net = Net::connected();
    let peer = net.device(1).peer(&public(1)).unwrap();
    net.pass(secs(10));
    net.device(1).skip_messages(peer, 1 << 60);
    net.send(1, &there(1));
    net.settle();
    assert_eq!(net.sample(1, 1).handshakes, 2, "renewed after 2^60");
    net.pass(secs(10));
    net.device(1).skip_messages(peer, u64::MAX - 8_128 - 3);
    let now = net.now;
    assert!(matches!(net.device(1).begin_send(peer, now), SendState::Ready(_)));
    let mut buffer = [0; 200];
    // The keepalives took two numbers or less; take the rest.
    let sealed = std::iter::from_fn(|| net.device(1).seal(peer, &mut buffer, 100).ok());
    assert!(sealed.count() <= 3);
    assert_eq!(net.device(1).seal(peer, &mut buffer, 100), Err(DropReason::CounterExhausted));
    let now = net.now;
    assert_eq!(net.device(1).begin_send(peer, now), SendState::Staging);
    net.send(1, &there(2));
    net.settle();
    assert_eq!(net.sample(1, 1).handshakes, 3);
    assert!(net.take_inbox(0).contains(&there(2)));
}

#[test]
fn a_wire_that_loses_and_reorders_delays_but_does_not_break() {
    let mut net = Net::pair();
    let mut state = 7_u32;
    let mut arrived = 0;
    for second in 0..600_u32 {
        net.send(1, &there(1));
        net.pass_losing(secs(1), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16 & 1 == 0
        });
        // Whatever is on the wire is reversed.
        net.wire.make_contiguous().reverse();
        arrived += net.take_inbox(0).len();
        assert!(second < 60 || 0 < arrived);
    }
    assert!((200..450).contains(&arrived), "{arrived} of 600");
    net.pass(secs(6));
    net.take_inbox(0);
    net.send(1, &there(9));
    net.settle();
    assert_eq!(net.take_inbox(0), [there(9)]);
}

#[test]
fn indices_tell_neither_how_many_sessions_there_were_nor_whose() {
    let mut net = Net::connected();
    let mut indices = Vec::new();
    for _ in 0..64 {
        net.pass(secs(200));
        net.send(1, &there(1));
        net.collect();
        let initiation = net.wire.iter().find(|flight| flight.bytes.len() == 148).unwrap();
        indices.push(u32::from_le_bytes(initiation.bytes[4..8].try_into().unwrap()));
        net.settle();
    }
    // Of random numbers half have any bit, and neighbours are nowhere near.
    for bit in 0..32 {
        let count = indices.iter().filter(|index| **index >> bit & 1 == 1).count();
        assert!((12..52).contains(&count), "bit {bit} in {count} of 64");
    }
    indices.sort_unstable();
    assert!(indices.windows(2).all(|pair| 256 < pair[1] - pair[0]), "{indices:x?}");
}
