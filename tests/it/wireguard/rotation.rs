//! Keys that change: the customer's, the preshared one, and ours; both are good for a
//! while, and nothing is lost.

use super::net::{Net, config, endpoint, packet, peer, private, public, secs};
use lockgate::net::PresharedKey;
use lockgate::wireguard::{DeviceConfig, Overlap, PeerConfig};

/// The gateway, its next key, the customer and its next key.
const GATEWAY: u8 = 1;
const GATEWAY_NEXT: u8 = 11;
const CUSTOMER: u8 = 2;
const CUSTOMER_NEXT: u8 = 12;

fn there() -> Vec<u8> {
    packet("10.1.0.1", "10.0.0.1", 100, 0)
}

fn back() -> Vec<u8> {
    packet("10.0.0.1", "10.1.0.1", 100, 0)
}

fn psk(number: u8) -> PresharedKey {
    PresharedKey::from_random([number; 32])
}

/// Both of the customer's keys as peers of the gateway's.
fn twins(config: &mut DeviceConfig) {
    let peer = config.peers.remove(&public(CUSTOMER)).unwrap();
    let twin = |other: u8, is_second| PeerConfig {
        overlap: Some(Box::new(Overlap {
            twin: Some(public(other)),
            is_second,
            next_preshared_key: None,
        })),
        ..peer.clone()
    };
    config.peers.insert(public(CUSTOMER), twin(CUSTOMER_NEXT, false));
    config.peers.insert(public(CUSTOMER_NEXT), twin(CUSTOMER, true));
}

fn retire_first(config: &mut DeviceConfig) {
    config.peers.remove(&public(CUSTOMER)).unwrap();
    config.peers.get_mut(&public(CUSTOMER_NEXT)).unwrap().overlap = None;
}

/// A pair with a session, and the customer's next key among the gateway's peers.
fn rotating() -> Net {
    let mut net = Net::connected();
    net.configure(0, twins);
    net
}

/// The customer as it comes with another key, from another device where it stands.
fn changed_over() -> Net {
    let mut net = Net::pair();
    net.configure(0, twins);
    let other = config(CUSTOMER_NEXT, &[]);
    let peers = net.nodes[1].config.peers.clone();
    net.send(1, &there());
    net.settle();
    net.take_inbox(0);
    net.configure(1, |config| *config = DeviceConfig { peers, ..other });
    net
}

fn assert_delivers(net: &mut Net) {
    net.send(1, &there());
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 1, "there");
    net.send(0, &back());
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1, "and back");
}

#[test]
fn that_a_key_is_to_come_ends_no_session() {
    let mut net = rotating();
    let before = net.sample(0, CUSTOMER).handshakes;
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER).handshakes, before);
    assert_eq!(net.sample(0, CUSTOMER_NEXT).handshakes, 0);
}

#[test]
fn packets_go_to_the_key_that_shook_hands_last_with_the_first_packet_it_sends() {
    let mut net = changed_over();
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER_NEXT).handshakes, 1);
    assert_eq!(net.sample(0, CUSTOMER).sent_packets, Some(0), "nothing went to the key before");
    // And back again, as often as it likes.
    let first = config(CUSTOMER, &[]).private_key;
    net.configure(1, |config| config.private_key = first);
    net.pass(secs(6));
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER_NEXT).sent_packets, Some(1));
}

/// What had been on its way when the customer changed over was from a peer that had
/// no networks any more.
#[test]
fn what_was_on_its_way_from_the_key_before_is_let_in() {
    let mut net = Net::connected();
    net.configure(0, twins);
    let late = net.seal(1, &there()).unwrap().unwrap();
    net.configure(1, |config| config.private_key = private(CUSTOMER_NEXT));
    assert_delivers(&mut net);
    net.deliver(0, &late);
    assert_eq!(net.take_inbox(0).len(), 1);
    // In a session that is over nothing moves the networks back.
    net.send(0, &back());
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1);
}

/// The prefixes of the twins are theirs alone, as those of any peer.
#[test]
fn twins_are_let_in_with_their_own_addresses_only() {
    let mut net = changed_over();
    assert_delivers(&mut net);
    net.send(1, &packet("10.9.0.1", "10.0.0.1", 100, 0));
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 0);
    assert_eq!(net.drops(0)["source_not_allowed"], 1);
}

#[test]
fn the_key_before_goes_and_the_session_of_the_next_one_stays() {
    let mut net = changed_over();
    assert_delivers(&mut net);
    net.configure(0, retire_first);
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER_NEXT).handshakes, 1);
}

/// Taking the next key out of the document again gives the networks back.
#[test]
fn a_next_key_that_is_given_up_leaves_its_networks_to_the_first() {
    let mut net = changed_over();
    assert_delivers(&mut net);
    net.configure(0, |config| {
        config.peers.remove(&public(CUSTOMER_NEXT)).unwrap();
        config.peers.get_mut(&public(CUSTOMER)).unwrap().overlap = None;
    });
    net.configure(1, |config| config.private_key = private(CUSTOMER));
    net.pass(secs(6));
    assert_delivers(&mut net);
}

/// A customer that waits to be called has changed over: what is for it waits for a
/// session with the key before, which never comes.
#[test]
fn a_customer_that_waits_is_called_by_its_other_key() {
    let mut gateway = config(GATEWAY, &[(CUSTOMER, peer(&["10.1.0.0/24"]))]);
    gateway.peers.get_mut(&public(CUSTOMER)).unwrap().endpoint = Some(endpoint(1));
    twins(&mut gateway);
    let site = config(CUSTOMER_NEXT, &[(GATEWAY, peer(&["10.0.0.0/24"]))]);
    let mut net = Net::new(vec![gateway, site]);
    net.send(0, &back());
    net.pass(secs(7));
    assert_eq!(net.take_inbox(1).len(), 1, "the packet that waited");
    assert_eq!(net.sample(0, CUSTOMER_NEXT).handshakes, 1);
}

fn next_psk(config: &mut DeviceConfig, peer: u8, first: Option<u8>, next: Option<u8>) {
    let peer = config.peers.get_mut(&public(peer)).unwrap();
    peer.preshared_key = first.map(psk);
    peer.overlap = next.map(|next| {
        Box::new(Overlap { next_preshared_key: Some(psk(next)), ..Overlap::default() })
    });
}

/// From none to one, and from one to another, by whoever begins.
#[test]
fn either_preshared_key_is_good_while_there_are_two() {
    for first in [None, Some(1)] {
        for begins in [0, 1] {
            for theirs in [first, Some(2)] {
                let mut net = Net::pair();
                net.configure(0, |config| next_psk(config, CUSTOMER, first, Some(2)));
                net.configure(0, |config| {
                    config.peers.get_mut(&public(CUSTOMER)).unwrap().endpoint = Some(endpoint(1));
                });
                net.configure(1, |config| next_psk(config, GATEWAY, theirs, None));
                let first_packet = if begins == 0 { back() } else { there() };
                net.send(begins, &first_packet);
                net.settle();
                let what = format!("{first:?}, {theirs:?}, begun by {begins}");
                assert_eq!(net.take_inbox(1 - begins).len(), 1, "at once: {what}");
                assert_delivers(&mut net);
                let sample = net.sample(0, CUSTOMER);
                assert_eq!(sample.by_next_preshared_key, theirs == Some(2), "{what}");
                assert_eq!(sample.handshakes, 1, "{what}");
            }
        }
    }
}

#[test]
fn a_third_preshared_key_is_good_for_nothing() {
    let mut net = Net::pair();
    net.configure(0, |config| next_psk(config, CUSTOMER, Some(1), Some(2)));
    net.configure(1, |config| next_psk(config, GATEWAY, Some(3), None));
    net.send(1, &there());
    net.pass(secs(30));
    assert!(net.take_inbox(0).is_empty());
    assert_eq!(net.sample(0, CUSTOMER).handshakes, 0);
}

#[test]
fn a_session_goes_on_while_the_preshared_key_it_was_made_with_is_good() {
    let mut net = Net::pair();
    let gateway = |first, next| {
        move |config: &mut DeviceConfig| next_psk(config, CUSTOMER, Some(first), next)
    };
    net.configure(0, gateway(1, None));
    net.configure(1, |config| next_psk(config, GATEWAY, Some(1), None));
    assert_delivers(&mut net);
    net.configure(0, gateway(1, Some(2)));
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER).handshakes, 1, "the first is still good");
    net.configure(1, |config| next_psk(config, GATEWAY, Some(2), None));
    net.pass(secs(6));
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER).handshakes, 2);
    assert!(net.sample(0, CUSTOMER).by_next_preshared_key);
    net.configure(0, gateway(2, None));
    assert_delivers(&mut net);
    let sample = net.sample(0, CUSTOMER);
    assert_eq!((sample.handshakes, sample.by_next_preshared_key), (2, false), "it is the only one");
    net.configure(0, gateway(3, None));
    net.send(0, &back());
    net.settle();
    assert!(net.take_inbox(1).is_empty(), "a session made with a key that is no good any more");
}

fn move_to_next(config: &mut DeviceConfig) {
    let theirs = config.peers.remove(&public(GATEWAY)).unwrap();
    config.peers.insert(public(GATEWAY_NEXT), theirs);
}

#[test]
fn the_gateway_is_known_by_either_of_its_keys() {
    let mut net = Net::connected();
    net.configure(0, |config| config.next_private_key = Some(private(GATEWAY_NEXT)));
    assert_delivers(&mut net);
    assert_eq!(net.sample(0, CUSTOMER).handshakes, 1, "that there is a next one ends no session");
    assert!(!net.sample(0, CUSTOMER).by_next_key);

    // As soon as it is heard again: initiations that come at once are not all taken.
    net.pass(secs(1));
    net.configure(1, move_to_next);
    assert_delivers(&mut net);
    let sample = net.sample(0, CUSTOMER);
    assert_eq!((sample.handshakes, sample.by_next_key), (2, true));

    // It stays so when the session is renewed, by whoever begins.
    net.pass(secs(130));
    assert_delivers(&mut net);
    assert!(net.sample(0, CUSTOMER).by_next_key);

    let handshakes = net.sample(0, CUSTOMER).handshakes;
    net.configure(0, |config| {
        config.private_key = private(GATEWAY_NEXT);
        config.next_private_key = None;
    });
    assert_delivers(&mut net);
    let sample = net.sample(0, CUSTOMER);
    assert_eq!((sample.handshakes, sample.by_next_key), (handshakes, false), "the session goes on");
}

/// Until it was heard in the new session, what it was sent went by the old one, which it
/// had forgotten.
#[test]
fn what_a_customer_was_sent_while_it_changed_over_to_our_next_key_was_lost() {
    let mut net = Net::connected();
    net.configure(0, |config| config.next_private_key = Some(private(GATEWAY_NEXT)));
    net.pass(secs(1));
    net.configure(1, move_to_next);
    net.send(1, &there());
    let initiation = net.drain(1);
    assert_eq!(initiation.len(), 1);
    net.deliver(0, &initiation[0]);
    (0..3).for_each(|_| net.send(0, &back()));
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 3);
    assert_eq!((net.take_inbox(0).len(), net.sample(0, CUSTOMER).by_next_key), (1, true));
}

/// A customer may have us as two peers while it tries the next key, and talk by the first.
#[test]
fn a_customer_that_tries_our_next_key_and_goes_on_by_the_first_waits_for_nothing() {
    let mut net = Net::connected();
    net.configure(0, |config| config.next_private_key = Some(private(GATEWAY_NEXT)));
    net.pass(secs(1));
    let by_next = PeerConfig { initiate: true, endpoint: Some(endpoint(0)), ..peer(&[]) };
    net.configure(1, |config| {
        config.peers.insert(public(GATEWAY_NEXT), by_next);
    });
    let initiation = net.drain(1);
    assert_eq!(initiation.len(), 1);
    net.deliver(0, &initiation[0]);
    let response = net.drain(0);
    assert_eq!(response.len(), 1, "it gets lost");
    net.send(0, &back());
    assert!(net.drain(0).is_empty(), "it may have forgotten the session at hand");
    net.send(1, &there());
    net.settle();
    assert_eq!((net.take_inbox(0).len(), net.take_inbox(1).len()), (1, 1));
    net.send(0, &back());
    net.settle();
    assert_eq!(net.take_inbox(1).len(), 1, "it has not");
}

/// A key that is retired while a customer has no other ends its session.
#[test]
fn a_customer_that_did_not_change_over_is_cut_off_when_the_key_goes() {
    let mut net = Net::connected();
    net.configure(0, |config| config.next_private_key = Some(private(GATEWAY_NEXT)));
    net.configure(0, |config| {
        config.private_key = private(GATEWAY_NEXT);
        config.next_private_key = None;
    });
    net.send(1, &there());
    net.settle();
    assert!(net.take_inbox(0).is_empty());
    // As soon as it is heard again: initiations that come at once are not all taken.
    net.pass(secs(1));
    net.configure(1, move_to_next);
    assert_delivers(&mut net);
}

/// We call a customer as whom it knows us; one that waits may know either.
#[test]
fn a_customer_that_waits_is_called_with_the_key_it_knows() {
    for known in [GATEWAY, GATEWAY_NEXT] {
        let wait = PeerConfig { endpoint: Some(endpoint(1)), ..peer(&["10.1.0.0/24"]) };
        let mut gateway = config(GATEWAY, &[(CUSTOMER, wait)]);
        gateway.next_private_key = Some(private(GATEWAY_NEXT));
        let site = config(CUSTOMER, &[(known, peer(&["10.0.0.0/24"]))]);
        let mut net = Net::new(vec![gateway, site]);
        net.send(0, &back());
        net.pass(secs(7));
        assert_eq!(net.take_inbox(1).len(), 1, "{known}");
        assert_eq!(net.sample(0, CUSTOMER).by_next_key, known == GATEWAY_NEXT);
    }
}

/// Whoever knows neither key gets no answer, with a flood behind it or without.
#[test]
fn who_knows_neither_key_hears_nothing() {
    let mut net = Net::pair();
    net.configure(0, |config| config.next_private_key = Some(private(GATEWAY_NEXT)));
    net.configure(1, |config| {
        let theirs = config.peers.remove(&public(GATEWAY)).unwrap();
        config.peers.insert(public(99), theirs);
    });
    net.send(1, &there());
    let stranger = net.drain(1).remove(0);
    for _ in 0..2_000 {
        net.deliver(0, &stranger);
    }
    assert!(net.drain(0).is_empty());
    assert_eq!(net.drops(0)["mac1"], 2_000);
}

/// Nobody is a peer of itself, by either key.
#[test]
fn a_peer_that_is_the_gateways_next_key_is_none() {
    let mut net = Net::pair();
    net.configure(0, |config| {
        config.next_private_key = Some(private(GATEWAY_NEXT));
        config.peers.insert(public(GATEWAY_NEXT), peer(&["10.7.0.0/24"]));
    });
    assert!(net.nodes[0].device.peer(&public(GATEWAY_NEXT)).is_none());
}
