//! Changes while it runs, restarts, and many peers.

use super::net::{Net, at, config, endpoint, packet, peer, private, public, secs};
use lockgate::model::limits::{STAGED_BYTES, STAGED_PACKETS};
use lockgate::net::{PresharedKey, PrivateKey, PublicKey, Timestamp};
use lockgate::wireguard::{Device, DeviceConfig, DropReason, PeerConfig, SendState, Translation};
use std::time::Duration;

fn there() -> Vec<u8> {
    packet("10.1.0.1", "10.0.0.1", 100, 0)
}

fn back() -> Vec<u8> {
    packet("10.0.0.1", "10.1.0.1", 100, 0)
}

#[test]
fn the_same_configuration_again_changes_nothing() {
    let mut net = Net::connected();
    let before = net.sample(0, 2);
    net.configure(0, |_| {});
    net.configure(1, |_| {});
    assert_eq!(net.pass(Duration::ZERO), 0);
    assert_eq!(net.sample(0, 2), before);
    net.send(0, &back());
    assert_eq!(net.pass(Duration::ZERO), 1, "the session is still there");
}

#[test]
fn a_learned_endpoint_stays_until_another_one_is_configured() {
    let mut net = Net::connected();
    let learned = |net: &Net| net.sample(0, 2).endpoint;
    assert_eq!(learned(&net), Some(endpoint(1)));
    let set = |net: &mut Net, value| {
        net.configure(0, |config| config.peers.get_mut(&public(2)).unwrap().endpoint = value);
        net.sample(0, 2).endpoint
    };
    assert_eq!(set(&mut net, Some(endpoint(7))), Some(endpoint(7)));
    // Whatever was on its way is there by then.
    net.pass(secs(5));
    net.send(1, &there());
    net.settle();
    assert_eq!(learned(&net), Some(endpoint(1)));
    assert_eq!(set(&mut net, Some(endpoint(7))), Some(endpoint(1)));
    assert_eq!(set(&mut net, None), Some(endpoint(1)));
    assert_eq!(set(&mut net, Some(endpoint(8))), Some(endpoint(8)));
}

/// A peer answers to where it is written to: one packet that had been on its way from
/// there was enough for both to stay with the old address for good.
#[test]
fn a_late_packet_took_a_peer_back_to_where_it_had_been() {
    let mut net = Net::connected();
    let mut from_there = || net.seal(0, &back()).unwrap().unwrap();
    let (late, later) = (from_there(), from_there());
    net.configure(1, |config| {
        config.peers.get_mut(&public(1)).unwrap().endpoint = Some(endpoint(9));
    });
    let said: Vec<_> = net.drain(1).iter().map(|flight| flight.to).collect();
    assert_eq!(said, [endpoint(9)], "it hears of us from there, without a packet to send");
    net.deliver(1, &late);
    assert_eq!(net.sample(1, 1).endpoint, Some(endpoint(9)));
    assert_eq!(net.take_inbox(1).len(), 1, "what is in it is as good as ever");
    // Who is still there when that long is over is believed.
    net.pass_losing(secs(5), |_| true);
    net.deliver(1, &later);
    assert_eq!(net.sample(1, 1).endpoint, Some(endpoint(0)));
}

/// From anywhere else a peer moves as ever, and then back too.
#[test]
fn a_peer_that_was_heard_from_elsewhere_may_come_back() {
    let mut net = Net::connected();
    let mut from = |node: u8| {
        let flight = net.seal(0, &back()).unwrap().unwrap();
        super::net::Flight { from: endpoint(node), ..flight }
    };
    let (elsewhere, back) = (from(8), from(0));
    net.configure(1, |config| {
        config.peers.get_mut(&public(1)).unwrap().endpoint = Some(endpoint(9));
    });
    for flight in [elsewhere, back] {
        net.deliver(1, &flight);
        assert_eq!(net.sample(1, 1).endpoint, Some(flight.from));
    }
}

#[test]
fn where_a_peer_was_last_seen_serves_when_nothing_better_is_known() {
    let mut gateway = config(1, &[(2, peer(&["10.1.0.0/24"]))]);
    let wanted = gateway.peers.get_mut(&public(2)).unwrap();
    wanted.last_endpoint = Some(endpoint(1));
    let mut net = Net::new(vec![gateway, config(2, &[(1, peer(&["10.0.0.0/24"]))])]);
    net.send(0, &back());
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1);
}

#[test]
fn another_private_key_begins_all_sessions_anew_at_once() {
    let mut net = Net::connected();
    net.send(0, &back());
    net.settle();
    net.configure(1, |config| {
        let theirs = config.peers.remove(&public(1)).unwrap();
        config.peers.insert(public(9), theirs);
    });
    net.configure(0, |config| config.private_key = private(9));
    net.settle();
    net.take_inbox(1);
    assert_eq!(net.sample(1, 9).handshakes, 1, "and without a packet to send");
    net.send(0, &back());
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1);
}

#[test]
fn another_preshared_key_ends_the_session_and_is_needed() {
    let mut net = Net::connected();
    let set = |net: &mut Net, node, theirs| {
        net.configure(node, |config: &mut DeviceConfig| {
            config.peers.get_mut(&public(theirs)).unwrap().preshared_key =
                Some(PresharedKey::from_random([5; 32]));
        });
    };
    set(&mut net, 0, 2);
    net.pass(secs(6));
    net.take_inbox(0);
    net.send(1, &there());
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 0);
    set(&mut net, 1, 1);
    net.pass(secs(6));
    net.send(1, &there());
    net.settle();
    assert!(!net.take_inbox(0).is_empty());
}

#[test]
fn a_handshake_under_way_goes_on_with_another_preshared_key() {
    let mut net = Net::pair();
    net.send(1, &there());
    net.settle_losing(|_| true);
    let psk = || Some(PresharedKey::from_random([5; 32]));
    net.configure(0, |config| {
        config.peers.get_mut(&public(2)).unwrap().preshared_key = psk();
    });
    net.configure(1, |config| {
        config.peers.get_mut(&public(1)).unwrap().preshared_key = psk();
    });
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 1);
}

#[test]
fn a_peer_that_is_gone_is_forgotten_and_its_handle_leads_nowhere() {
    let mut net = Net::connected();
    let sealed = net.seal(1, &there()).unwrap().unwrap();
    let old = net.device(0).peer(&public(2)).unwrap();
    net.configure(0, |config| config.peers.clear());
    net.deliver(0, &sealed);
    assert_eq!(net.drops(0)["unknown_index"], 1);
    assert_eq!(net.device(0).route("10.1.0.1".parse().unwrap()), None);
    assert_eq!(net.device(0).poll_timeout(), None);
    net.configure(0, |config| {
        config.peers.insert(public(3), PeerConfig { endpoint: Some(endpoint(5)), ..peer(&[]) });
    });
    let now = net.now;
    let device = net.device(0);
    assert_ne!(device.peer(&public(3)), Some(old));
    assert_eq!(device.begin_send(old, now), SendState::NoEndpoint);
    assert_eq!(device.seal(old, &mut [0; 99], 20), Err(DropReason::PeerGone));
    assert_eq!(device.stage(old, &[0; 20], now), Err(DropReason::PeerGone));
}

#[test]
fn prefixes_change_hands_in_one_step_whichever_peer_comes_first() {
    for (from, to) in [(2, 3), (3, 2)] {
        let mut net = Net::new(vec![config(1, &[(from, peer(&["10.1.0.0/24"])), (to, peer(&[]))])]);
        net.configure(0, |config| {
            config.peers.insert(public(from), peer(&[]));
            config.peers.insert(public(to), peer(&["10.1.0.0/24"]));
        });
        let routed = net.device(0).route("10.1.0.1".parse().unwrap());
        assert_eq!(routed, net.device(0).peer(&public(to)));
    }
}

/// Whether a site that starts again, its clock an hour back, gets through.
fn restarts(last_initiation: impl Fn(&Net) -> Timestamp) -> bool {
    let mut net = Net::connected();
    net.pass(secs(200));
    let last = last_initiation(&net);
    let right = net.now.wall;
    net.now.wall = right.before(secs(3_600));
    let config = net.nodes[1].config.clone();
    net.nodes[1].device = Device::new(config, [44; 32], last, net.now);
    net.send(1, &there());
    net.collect();
    // The gateway's clock is right.
    net.now.wall = right;
    net.settle();
    !net.take_inbox(0).is_empty()
}

#[test]
fn a_restart_goes_on_after_the_last_stamp_although_the_clock_was_set_back() {
    assert!(restarts(|net| net.nodes[1].device.sample(net.now).last_initiation));
    assert!(!restarts(|_| Timestamp::default()), "else the peer takes it for a replay");
}

#[test]
fn stamps_go_on_when_the_clock_is_set_back_while_it_runs() {
    let mut net = Net::connected();
    for _ in 0..3 {
        let last = net.nodes[1].device.sample(net.now).last_initiation;
        net.now.wall = net.now.wall.before(secs(3_600));
        net.pass(secs(200));
        net.send(1, &there());
        net.settle();
        assert_eq!(net.take_inbox(0).len(), 1);
        let next = net.nodes[1].device.sample(net.now).last_initiation;
        assert!(last < next);
        assert!(next.since(last) < Duration::from_millis(34), "the least that is after it");
    }
    // Also for a peer that was removed meanwhile.
    let theirs = net.nodes[1].config.peers[&public(1)].clone();
    net.configure(1, |config| config.peers.clear());
    net.configure(1, |config| {
        config.peers.insert(public(1), theirs);
    });
    net.pass(secs(1));
    net.now.wall = net.now.wall.before(secs(3_600));
    net.send(1, &there());
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 1);
}

#[test]
fn the_clock_cannot_be_read_off_the_stamps() {
    let mut net = Net::pair();
    net.now.wall = Timestamp::new(1_800_000_000, 123_456_789);
    net.send(1, &there());
    net.settle();
    let stamp = net.nodes[1].device.sample(net.now).last_initiation;
    assert_eq!(stamp, Timestamp::new(1_800_000_000, 123_456_789 / (1 << 24) * (1 << 24)));
}

#[test]
fn what_waits_for_a_handshake_is_bounded_and_the_oldest_goes_first() {
    let mut net = Net::pair();
    for mark in 0..STAGED_PACKETS + 3 {
        net.send(1, &packet("10.1.0.1", "10.0.0.1", 21, mark as u8));
    }
    assert_eq!(net.drops(1)["staging_full"], 3);
    net.settle();
    let arrived = net.take_inbox(0);
    assert_eq!(arrived.len(), STAGED_PACKETS);
    assert_eq!(arrived[0][20], 3 + 20, "in order, from the fourth");
    assert_eq!(arrived[STAGED_PACKETS - 1][20], (STAGED_PACKETS + 2 + 20) as u8);

    let mut net = Net::pair();
    for _ in 0..STAGED_PACKETS {
        net.send(1, &packet("10.1.0.1", "10.0.0.1", 1_420, 0));
    }
    net.settle();
    assert_eq!(net.take_inbox(0).len(), STAGED_BYTES / 1_420);
    let peer = net.device(1).peer(&public(1)).unwrap();
    let now = net.now;
    assert_eq!(net.device(1).stage(peer, &[0; 1_421], now), Err(DropReason::TooBig));
}

/// A key of its own for each of many peers.
fn many(number: u32) -> PublicKey {
    let mut bytes = [1; 32];
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    PrivateKey::from_random(bytes).public()
}

fn crowd(count: u32) -> DeviceConfig {
    let mut crowd = config(1, &[]);
    for number in 0..count {
        let [_, _, high, low] = number.to_be_bytes();
        let wanted = PeerConfig {
            endpoint: Some(([198, 51, high, low], 51_820).into()),
            initiate: true,
            ..peer(&[&format!("10.{high}.{low}.0/24")])
        };
        crowd.peers.insert(many(number), wanted);
    }
    crowd
}

#[test]
fn many_peers_begin_batch_by_batch_and_few_at_once() {
    let mut net = Net::new(vec![crowd(200)]);
    assert_eq!(net.pass_losing(Duration::ZERO, |_| true), 200);
    let mut net = Net::new(vec![crowd(600)]);
    assert_eq!(net.pass_losing(Duration::from_millis(100), |_| true), 256);
    assert_eq!(net.pass_losing(Duration::from_millis(100), |_| true), 256);
    assert_eq!(net.pass_losing(Duration::from_millis(200), |_| true), 88);
}

#[test]
fn an_idle_device_of_ten_thousand_sleeps() {
    let mut crowd = crowd(10_000);
    crowd.peers.values_mut().for_each(|peer| peer.initiate = false);
    let device = Device::new(crowd, [1; 32], Timestamp::default(), at(0));
    assert_eq!(device.poll_timeout(), None);
    assert_eq!(device.sample(at(0)).peers.len(), 10_000);
    let peers = Device::IDLE_PEER_BYTES;
    eprintln!("an idle peer takes {peers} bytes besides its prefixes");
    assert!(peers <= 1_024, "{peers}");
}

/// Gives the site's 172.16.0.0/24 the name 10.1.0.0/24 at the gateway.
fn alias(net: &mut Net) {
    net.configure(0, |config| {
        config.peers.get_mut(&public(2)).unwrap().translations = vec![Translation {
            real: "172.16.0.0/24".parse().unwrap(),
            alias: "10.1.0.0/24".parse().unwrap(),
        }];
    });
}

#[test]
fn each_side_of_a_tunnel_sees_its_own_names_of_a_network() {
    let mut net = Net::connected();
    alias(&mut net);
    net.send(0, &packet("10.0.0.1", "10.1.0.7", 100, 1));
    net.settle();
    // Packets here have no checksum in their header; a renamed one has the change.
    let got = |mut packets: Vec<Vec<u8>>| {
        packets.iter_mut().for_each(|packet| packet[10..12].fill(0));
        packets
    };
    assert_eq!(got(net.take_inbox(1)), [packet("10.0.0.1", "172.16.0.7", 100, 1)]);
    net.send(1, &packet("172.16.0.7", "10.0.0.1", 100, 2));
    net.settle();
    assert_eq!(got(net.take_inbox(0)), [packet("10.1.0.7", "10.0.0.1", 100, 2)]);
}

#[test]
fn a_source_outside_the_renamed_network_is_not_let_in_by_its_alias() {
    let mut net = Net::connected();
    alias(&mut net);
    net.send(1, &packet("172.16.1.7", "10.0.0.1", 100, 3));
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 0);
    assert_eq!(net.drops(0).get("source_not_allowed"), Some(&1));
}

#[test]
fn a_customer_could_send_from_our_name_of_its_network() {
    let mut net = Net::connected();
    alias(&mut net);
    net.send(1, &packet("10.1.0.7", "10.0.0.1", 100, 3));
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 0, "it would be taken for 172.16.0.7");
    assert_eq!(net.drops(0).get("source_not_allowed"), Some(&1));
}

#[test]
fn what_could_be_renamed_in_part_only_does_not_pass() {
    let mut net = Net::connected();
    alias(&mut net);
    // An ICMP error about a packet of which there is nothing.
    let mut error = packet("172.16.0.7", "10.0.0.1", 28, 0);
    error[9] = 1;
    error[20..].copy_from_slice(&[3, 1, 0, 0, 0, 0, 0, 0]);
    net.send(1, &error);
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 0);
    assert_eq!(net.drops(0).get("translation"), Some(&1));
}

#[test]
fn nothing_is_sealed_without_a_session() {
    let mut net = Net::pair();
    let peer = net.device(1).peer(&public(1)).unwrap();
    assert_eq!(net.device(1).seal(peer, &mut [0; 200], 100), Err(DropReason::NoSession));
}
