//! Clocks that were wrong: a peer's, and ours.

use super::net::{Flight, Net, endpoint, packet, public, secs};
use lockgate::net::Timestamp;
use lockgate::wireguard::{Device, DropReason, Received};
use std::time::Duration;

fn there(mark: u8) -> Vec<u8> {
    packet("10.1.0.1", "10.0.0.1", 100, mark)
}

const DAY: u64 = 24 * 3_600;

/// The site starts again with a clock from which its stamps are after `floor`.
fn site_starts_again(net: &mut Net, floor: Timestamp) {
    let config = net.nodes[1].config.clone();
    net.nodes[1].device = Device::new(config, [44; 32], floor, net.now);
}

/// A pair whose site has a clock that is so many seconds ahead; connected, and
/// an initiation of then.
fn ahead(seconds: u64) -> (Net, Flight) {
    let mut net = Net::pair();
    let floor = net.now.wall + secs(seconds);
    site_starts_again(&mut net, floor);
    net.send(1, &there(0));
    net.collect();
    let initiation = net.wire[0].clone();
    net.settle();
    assert_eq!(net.take_inbox(0), [there(0)]);
    net.pass(secs(10));
    (net, initiation)
}

#[test]
fn a_peer_whose_clock_had_run_ahead_was_locked_out_once_it_was_right() {
    let (mut net, _) = ahead(DAY);
    site_starts_again(&mut net, Timestamp::default());
    // From a network the gateway has never seen it in.
    net.nodes[1].address = endpoint(7);
    net.send(1, &there(1));
    net.settle();
    assert_eq!(net.take_inbox(0), [there(1)], "at once, in a session the gateway began");
    assert_eq!(net.drops(0)["initiation_replayed"], 1);
    assert_eq!(net.sample(0, 2).endpoint, Some(endpoint(7)));
}

#[test]
fn a_clock_that_is_a_little_ahead_has_to_wait_for_as_long() {
    let (mut net, _) = ahead(40);
    site_starts_again(&mut net, Timestamp::default());
    net.send(1, &there(1));
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 0);
    net.pass(secs(40));
    assert_eq!(net.take_inbox(0), [there(1)]);
}

#[test]
fn who_replays_initiations_of_a_clock_that_ran_ahead_gets_no_session_and_no_more_than_it_sent() {
    let (mut net, initiation) = ahead(DAY);
    let replay = Flight { from: endpoint(66), ..initiation };
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for _ in 0..100 {
        bytes_in += replay.bytes.len();
        let dropped = Received::Dropped(DropReason::InitiationReplayed);
        assert_eq!(net.deliver(0, &replay), dropped);
        net.pass_losing(secs(1), |flight| {
            let to_thief = flight.to == endpoint(66);
            bytes_out += if to_thief { flight.bytes.len() } else { 0 };
            to_thief
        });
    }
    assert!(0 < bytes_out && 4 * bytes_out <= bytes_in, "{bytes_in} in, {bytes_out} out");
    assert_eq!(net.sample(0, 2).endpoint, Some(endpoint(1)));
    // The true peer is as it was.
    net.send(1, &there(2));
    net.settle();
    assert_eq!(net.take_inbox(0), [there(2)]);
}

#[test]
fn who_replays_an_initiation_of_a_clock_that_ran_ahead_held_up_our_own_handshakes() {
    let (mut net, initiation) = ahead(DAY);
    let replay = Flight { from: endpoint(66), ..initiation };
    // The session has ended, and the true peer is away for a while.
    net.pass(secs(200));
    net.send(0, &packet("10.0.0.1", "10.1.0.1", 100, 3));
    let (mut to_peer, mut to_thief) = (Vec::new(), 0);
    for step in 0..120 {
        // As often as it likes, and at the worst moments.
        net.deliver(0, &replay);
        net.pass_losing(Duration::from_millis(250), |flight| {
            if flight.to == endpoint(66) {
                to_thief += 1;
            } else if flight.from == endpoint(0) {
                to_peer.push(step);
            }
            true
        });
    }
    // 30 s: at once, and after every five seconds and a third at most.
    assert!(6 <= to_peer.len() && to_peer[0] == 0, "{to_peer:?}");
    assert!((1..=7).contains(&to_thief), "{to_thief}");
    net.deliver(0, &replay);
    net.pass(secs(6));
    assert_eq!(net.take_inbox(1).len(), 1, "and the first that arrives is answered");
}

#[test]
fn a_call_back_reaches_a_peer_that_moved_while_we_call_its_old_place() {
    let (mut net, _) = ahead(DAY);
    site_starts_again(&mut net, Timestamp::default());
    net.nodes[1].address = endpoint(7);
    net.send(0, &packet("10.0.0.1", "10.1.0.1", 100, 4));
    net.pass(Duration::from_millis(300));
    net.send(1, &there(1));
    net.settle();
    assert_eq!(net.take_inbox(0), [there(1)], "though our own handshake was under way");
    assert_eq!(net.sample(0, 2).endpoint, Some(endpoint(7)));
}

#[test]
fn a_peer_whose_clock_was_set_back_an_hour_is_still_to_be_had_by_us() {
    let mut net = Net::connected();
    net.pass(secs(200));
    let right = net.now.wall;
    net.now.wall = right.before(secs(3_600));
    site_starts_again(&mut net, Timestamp::default());
    // Its own initiations are older than the last one, and nobody can tell them
    // from replays.
    net.send(1, &there(1));
    let early = net.drain(1);
    net.now.wall = right;
    let dropped = Received::Dropped(DropReason::InitiationReplayed);
    assert_eq!(net.deliver(0, &early[0]), dropped);
    assert_eq!(net.drain(0), [], "in silence");
    net.send(0, &packet("10.0.0.1", "10.1.0.1", 100, 2));
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1);
    assert_eq!(net.take_inbox(0), [there(1)], "and what it had to say waited for that");
    assert!(net.device(0).peer(&public(2)).is_some());
}
