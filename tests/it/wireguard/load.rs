//! Floods of handshakes, and who gets through them.

use super::net::{Flight, Net, endpoint, packet, private, public};
use super::paper::{Paper, stamp};
use lockgate::model::limits::COOKIE_REPLIES;
use lockgate::wireguard::{DropReason, Received};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Initiations by a stranger who knows the gateway's key.
fn strangers() -> Vec<Vec<u8>> {
    (0..50).map(stranger).collect()
}

fn stranger(number: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..116_u32).map(|at| (at * 7 + number) as u8).collect();
    bytes[..4].copy_from_slice(&[1, 0, 0, 0]);
    let stranger = Paper::new([99; 32], *public(1).as_bytes());
    stranger.stamp_macs(&mut bytes, None);
    bytes
}

/// One of them, from anywhere.
fn spoofed(strangers: &[Vec<u8>], number: u32) -> Flight {
    let bytes = strangers[number as usize % strangers.len()].clone();
    let [_, b, c, d] = number.to_be_bytes();
    let from = SocketAddr::from(([203, b, c, d], 1_000));
    Flight { from, to: endpoint(0), bytes }
}

/// Lets 10,000 spoofed initiations a second in for a while.
fn flood(net: &mut Net, time: Duration) -> (usize, usize) {
    let (mut bytes_in, mut bytes_out) = (0, 0);
    let end = net.now + time;
    let strangers = strangers();
    let mut number = 0;
    while net.now.mono < end.mono {
        net.now = net.now + Duration::from_millis(10);
        for _ in 0..100 {
            number += 1;
            let flight = spoofed(&strangers, number);
            bytes_in += flight.bytes.len();
            net.deliver(0, &flight);
        }
        let now = net.now;
        for node in &mut net.nodes {
            node.device.handle_timeout(now);
        }
        net.settle_losing(|flight| {
            let to_stranger = flight.to.port() == 1_000;
            bytes_out += if to_stranger { flight.bytes.len() } else { 0 };
            to_stranger
        });
    }
    (bytes_in, bytes_out)
}

#[test]
fn a_true_peer_connects_under_a_flood_of_spoofed_handshakes() {
    let mut net = Net::pair();
    let (bytes_in, bytes_out) = flood(&mut net, Duration::from_millis(200));
    assert!(0 < bytes_out && bytes_out <= bytes_in, "{bytes_in} in, {bytes_out} out");
    let drops = net.drops(0);
    assert_eq!(drops["handshake"], 1_000, "multiplied for before load was seen");
    assert_eq!(drops["under_load"], 1_000);
    net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
    flood(&mut net, Duration::from_millis(5_400));
    assert_eq!(net.take_inbox(0).len(), 1, "after one cookie and one retry");
    assert_eq!(net.sample(1, 1).handshake_timeouts, 1);
    assert_eq!(net.drops(0)["handshake"], 1_000, "no stranger was multiplied for since");
}

#[test]
fn load_is_over_a_second_after_the_flood() {
    let mut net = Net::pair();
    flood(&mut net, Duration::from_millis(200));
    net.pass(Duration::from_millis(1_001));
    net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 1);
}

#[test]
fn a_cookie_is_good_for_the_address_and_port_it_was_sent_to() {
    let mut net = Net::pair();
    flood(&mut net, Duration::from_millis(200));
    net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
    net.settle();
    // The site has its cookie now, and has to wait to use it.
    net.now = net.now + Duration::from_millis(5_400);
    flood_again(&mut net);
    let now = net.now;
    net.device(1).handle_timeout(now);
    let retry = net.drain(1).remove(0);
    for from in ["192.0.2.1:51821", "192.0.2.2:51820", "[2001:db8::1]:51820"] {
        let elsewhere = Flight { from: from.parse().unwrap(), ..retry.clone() };
        assert_eq!(net.deliver(0, &elsewhere), Received::Dropped(DropReason::UnderLoad));
    }
    assert_eq!(net.deliver(0, &retry), Received::Nothing);
}

pub(crate) fn flood_again(net: &mut Net) {
    let strangers = strangers();
    for number in 0..1_100 {
        net.deliver(0, &spoofed(&strangers, number));
    }
    net.drain(0);
}

#[test]
fn one_source_gets_five_handshakes_at_once_and_twenty_a_second() {
    let mut net = Net::pair();
    flood_again(&mut net);
    let begin = Beginner::new(SocketAddr::from(([198, 51, 100, 7], 1_000)), &mut net);
    assert_eq!(begin.passed(&mut net, 30), 5);
    net.now = net.now + Duration::from_millis(100);
    assert_eq!(begin.passed(&mut net, 30), 2);
}

/// A stranger that gets what is sent to it, and so its cookie.
struct Beginner {
    from: SocketAddr,
    message: Vec<u8>,
}

impl Beginner {
    fn new(from: SocketAddr, net: &mut Net) -> Self {
        let stranger = Paper::new(*private(50).as_bytes(), *public(1).as_bytes());
        let (mut message, _) = stranger.initiation(1, stamp(0, 0));
        net.deliver(0, &Flight { from, to: endpoint(0), bytes: message.clone() });
        let reply = net.drain(0).remove(0);
        assert_eq!((reply.to, reply.bytes.len()), (from, 64));
        let cookie = stranger.open_cookie(&message, &reply.bytes);
        message.truncate(116);
        stranger.stamp_macs(&mut message, Some(&cookie));
        Self { from, message }
    }

    /// How many of so many initiations were opened.
    fn passed(&self, net: &mut Net, count: usize) -> usize {
        let flight = Flight { from: self.from, to: endpoint(0), bytes: self.message.clone() };
        let results = (0..count).map(|_| net.deliver(0, &flight));
        results.filter(|result| *result == Received::Dropped(DropReason::UnknownPeer)).count()
    }
}

#[test]
fn a_network_of_64_bits_is_one_source() {
    let mut net = Net::pair();
    flood_again(&mut net);
    let source = |last: u16, net: &mut Net| {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, last / 10, 0, 0, 0, last % 10);
        Beginner::new(SocketAddr::from((address, 1_000)), net)
    };
    let of_one_network: usize = (0..10).map(|at| source(at, &mut net).passed(&mut net, 1)).sum();
    assert_eq!(of_one_network, 5);
    assert_eq!(source(10, &mut net).passed(&mut net, 10), 5, "the next network has its own");
}

#[test]
fn all_sources_together_get_a_thousand_handshakes_a_second() {
    let mut net = Net::pair();
    flood_again(&mut net);
    let mut passed = 0;
    for number in 0..240_u8 {
        let from = SocketAddr::from(([198, 51, 100, number], 1_000));
        passed += Beginner::new(from, &mut net).passed(&mut net, 5);
    }
    assert_eq!(passed, 1_000);
    assert_eq!(net.drops(0)["device_rate"], 200);
}

#[test]
fn a_cookie_is_good_for_two_minutes() {
    // The site keeps its cookie for 115 s and the gateway takes it for up to 120.
    for (wait, expected) in [
        (Duration::from_secs(114), Received::Nothing),
        (Duration::from_secs(121), Received::Dropped(DropReason::UnderLoad)),
    ] {
        let mut net = Net::pair();
        flood_again(&mut net);
        net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
        net.settle();
        assert_eq!(net.drops(0)["under_load"], 101);
        net.now = net.now + wait;
        flood_again(&mut net);
        let now = net.now;
        net.device(1).handle_timeout(now);
        let retry = net.drain(1).remove(0);
        assert_eq!(retry.bytes[132..] == [0; 16], expected != Received::Nothing);
        assert_eq!(net.deliver(0, &retry), expected);
    }
}

#[test]
fn forged_cookie_replies_are_dropped() {
    let mut net = Net::pair();
    net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
    let initiation = net.drain(1).remove(0);
    let mut forged = vec![3, 0, 0, 0];
    forged.extend(&initiation.bytes[4..8]);
    forged.extend([7; 56]);
    let forged = Flight { from: endpoint(66), to: endpoint(1), bytes: forged };
    assert_eq!(net.deliver(1, &forged), Received::Dropped(DropReason::CookieReply));
    assert_eq!(net.sample(1, 1).endpoint, Some(endpoint(0)));
    let mut unasked = forged;
    unasked.bytes[4] ^= 1;
    assert_eq!(net.deliver(1, &unasked), Received::Dropped(DropReason::UnknownIndex));
}

#[test]
fn cookies_that_wait_to_be_sent_are_bounded() {
    let mut net = Net::pair();
    flood_again(&mut net);
    let strangers = strangers();
    let dropped = |net: &mut Net, number| net.deliver(0, &spoofed(&strangers, number));
    for number in 0..COOKIE_REPLIES as u32 {
        assert_eq!(dropped(&mut net, number), Received::Dropped(DropReason::UnderLoad));
    }
    assert_eq!(dropped(&mut net, 9_999), Received::Dropped(DropReason::CookieBacklog));
    assert_eq!(net.drain(0).len(), COOKIE_REPLIES);
    assert_eq!(dropped(&mut net, 9_999), Received::Dropped(DropReason::UnderLoad));
}

#[test]
fn forged_answers_to_one_initiation_are_looked_at_sixteen_times() {
    let mut net = Net::pair();
    net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
    let initiation = net.drain(1).remove(0);
    net.deliver(0, &initiation);
    let mut forged = net.drain(0).remove(0);
    let forger = Paper::new([1; 32], *public(2).as_bytes());
    forged.bytes.truncate(60);
    forged.bytes[50] ^= 1;
    forger.stamp_macs(&mut forged.bytes, None);
    for _ in 0..16 {
        assert_eq!(net.deliver(1, &forged), Received::Dropped(DropReason::Handshake));
    }
    assert_eq!(net.deliver(1, &forged), Received::Dropped(DropReason::PeerRate));
    // The next initiation has its own.
    net.pass(Duration::from_secs(6));
    assert_eq!(net.take_inbox(0).len(), 1);
}
