//! Against an engine that is not ours: boringtun's, in both roles.

use super::net::{Flight, MTU, Net, config, endpoint, packet, peer, private, public, secs};
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use lockgate::net::PresharedKey;
use lockgate::wireguard::{DropReason, PeerConfig, Received};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Our device with 10.0.0.0/24 behind it, and boringtun with 10.1.0.0/24.
struct Both {
    net: Net,
    tunn: Tunn,
    inbox: Vec<Vec<u8>>,
    /// Lengths of what boringtun sent.
    sent: Vec<usize>,
}

impl Both {
    fn new(psk: Option<[u8; 32]>, limit: u64) -> Self {
        let site = PeerConfig {
            endpoint: Some(endpoint(1)),
            preshared_key: psk.map(PresharedKey::from_random),
            ..peer(&["10.1.0.0/24"])
        };
        let net = Net::new(vec![config(1, &[(2, site)])]);
        let theirs = PublicKey::from(*public(2).as_bytes());
        let tunn = Tunn::new(
            StaticSecret::from(*private(2).as_bytes()),
            PublicKey::from(*public(1).as_bytes()),
            psk,
            None,
            7,
            Some(Arc::new(RateLimiter::new(&theirs, limit))),
        );
        Self { net, tunn, inbox: Vec::new(), sent: Vec::new() }
    }

    fn ours_receive(&mut self, bytes: &[u8]) -> Received {
        self.sent.push(bytes.len());
        let flight = Flight { from: endpoint(1), to: endpoint(0), bytes: bytes.to_vec() };
        self.net.deliver(0, &flight)
    }

    fn theirs_receive(&mut self, bytes: &[u8]) {
        let mut buffer = [0; 2_048];
        let mut datagram = bytes;
        loop {
            let result = self.tunn.decapsulate(Some(endpoint(0).ip()), datagram, &mut buffer);
            match result {
                TunnResult::WriteToNetwork(reply) => {
                    let reply = reply.to_vec();
                    self.ours_receive(&reply);
                    datagram = &[];
                }
                TunnResult::WriteToTunnelV4(packet, _) => {
                    self.inbox.push(packet.to_vec());
                    break;
                }
                TunnResult::Done | TunnResult::Err(_) => break,
                TunnResult::WriteToTunnelV6(..) => panic!("no IPv6 was sent"),
            }
        }
    }

    fn settle(&mut self) {
        loop {
            let flights = self.net.drain(0);
            if flights.is_empty() {
                break;
            }
            flights.iter().for_each(|flight| self.theirs_receive(&flight.bytes));
        }
    }

    fn theirs_send(&mut self, packet: &[u8]) {
        let mut buffer = [0; 2_048];
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.encapsulate(packet, &mut buffer) {
            let datagram = datagram.to_vec();
            self.ours_receive(&datagram);
        }
        self.settle();
    }

    fn theirs_begin(&mut self) {
        let mut buffer = [0; 2_048];
        let result = self.tunn.format_handshake_initiation(&mut buffer, true);
        let TunnResult::WriteToNetwork(datagram) = result else { panic!("no initiation") };
        let datagram = datagram.to_vec();
        self.ours_receive(&datagram);
        self.settle();
    }

    fn ours_send(&mut self, packet: &[u8]) {
        if let Some(flight) = self.net.seal(0, packet).unwrap() {
            self.theirs_receive(&flight.bytes);
        }
        self.settle();
    }

    /// Packets of several lengths both ways.
    fn check_traffic(&mut self) {
        self.net.take_inbox(0);
        self.inbox.clear();
        for len in [20, 21, 35, 36, 100, 1_419, MTU as usize] {
            let there = packet("10.1.0.1", "10.0.0.1", len, 3);
            self.theirs_send(&there);
            assert_eq!(self.net.take_inbox(0), [there]);
            let back = packet("10.0.0.1", "10.1.0.1", len, 4);
            self.ours_send(&back);
            assert_eq!(std::mem::take(&mut self.inbox), [back]);
        }
    }
}

#[test]
fn boringtun_begins() {
    for psk in [None, Some([6; 32])] {
        let mut both = Both::new(psk, 100);
        both.theirs_send(&packet("10.1.0.1", "10.0.0.1", 60, 0));
        assert_eq!(both.net.take_inbox(0).len(), 1);
        both.check_traffic();
        // Its next handshake; what is sent in between arrives.
        both.net.pass(secs(1));
        both.theirs_begin();
        assert_eq!(both.net.sample(0, 2).handshakes, 2);
        both.check_traffic();
    }
}

#[test]
fn we_begin() {
    for psk in [None, Some([6; 32])] {
        let mut both = Both::new(psk, 100);
        both.ours_send(&packet("10.0.0.1", "10.1.0.1", 60, 0));
        assert_eq!(both.inbox.len(), 1);
        both.check_traffic();
        both.net.now = both.net.now + secs(121);
        both.ours_send(&packet("10.0.0.1", "10.1.0.1", 60, 1));
        both.settle();
        assert_eq!(both.net.sample(0, 2).handshakes, 2);
        both.check_traffic();
    }
}

#[test]
fn another_preshared_key_makes_no_session() {
    let mut both = Both::new(Some([6; 32]), 100);
    both.net.configure(0, |config| {
        config.peers.get_mut(&public(2)).unwrap().preshared_key =
            Some(PresharedKey::from_random([7; 32]));
    });
    both.theirs_send(&packet("10.1.0.1", "10.0.0.1", 60, 0));
    both.ours_send(&packet("10.0.0.1", "10.1.0.1", 60, 0));
    assert_eq!(both.net.take_inbox(0).len() + both.inbox.len(), 0);
    assert_eq!(both.net.sample(0, 2).handshakes, 0);
}

#[test]
fn boringtun_takes_our_cookie_and_we_take_its() {
    // Ours under load: strangers who know the key.
    let mut both = Both::new(None, 100);
    super::load::flood_again(&mut both.net);
    both.theirs_begin();
    assert_eq!(both.net.drops(0)["under_load"], 101);
    assert_eq!(both.net.sample(0, 2).handshakes, 0);
    both.theirs_begin();
    assert_eq!(both.net.sample(0, 2).handshakes, 1, "with the cookie, and confirmed");

    // Its under load, always.
    let mut both = Both::new(None, 0);
    both.ours_send(&packet("10.0.0.1", "10.1.0.1", 60, 0));
    assert_eq!(both.sent, [64]);
    assert_eq!(both.net.sample(0, 2).handshakes, 0);
    both.net.now = both.net.now + secs(6);
    let now = both.net.now;
    both.net.device(0).handle_timeout(now);
    both.settle();
    assert_eq!(both.net.sample(0, 2).handshakes, 1);
    assert_eq!(both.inbox.len(), 1);
}

/// The order in which packets arrive when one in a hundred is held up for
/// 2,000–6,000 others.
fn arrivals(count: u32) -> Vec<u32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32 % below
    };
    let mut order = BTreeMap::new();
    for number in 0..count {
        let delay = if random(100) == 0 { 2_000 + random(4_001) } else { 0 };
        order.insert((number + delay, delay != 0, number), number);
    }
    order.into_values().collect()
}

#[test]
fn packets_held_up_for_thousands_of_others_are_lost_by_boringtun_and_not_by_us() {
    const COUNT: u32 = 20_000;
    let order = arrivals(COUNT);
    assert_eq!(order.len(), COUNT as usize);

    let mut both = Both::new(None, 100);
    both.theirs_send(&packet("10.1.0.1", "10.0.0.1", 60, 0));
    both.net.take_inbox(0);
    let there = packet("10.1.0.1", "10.0.0.1", 60, 0);
    let back = packet("10.0.0.1", "10.1.0.1", 60, 0);
    let mut buffer = [0; 2_048];
    let (mut to_ours, mut to_theirs) = (Vec::new(), Vec::new());
    for _ in 0..COUNT {
        let result = both.tunn.encapsulate(&there, &mut buffer);
        let TunnResult::WriteToNetwork(datagram) = result else { panic!("not sealed") };
        to_ours.push(datagram.to_vec());
        to_theirs.push(both.net.seal(0, &back).unwrap().unwrap().bytes);
    }
    for number in order {
        both.ours_receive(&to_ours[number as usize]);
        both.theirs_receive(&to_theirs[number as usize]);
    }
    let ours = COUNT as usize - both.net.take_inbox(0).len();
    let theirs = COUNT as usize - both.inbox.len();
    eprintln!("of {COUNT} packets boringtun's engine lost {theirs}, ours {ours}");
    assert_eq!(ours, 0);
    assert_eq!(theirs, 210);
    assert_eq!(both.net.drops(0).get(DropReason::Replayed.name()), None);
}
