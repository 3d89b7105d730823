//! Datagrams no honest peer sends, and honest ones at the edges. The peer is
//! the one written from the paper.

use super::net::{Flight, Net, config, endpoint, packet, peer, private, public, secs};
use super::paper::{Begun, Keys, Paper, stamp};
use lockgate::net::{PresharedKey, PrivateKey};
use lockgate::wireguard::{DropReason, PeerConfig, Received};
use std::time::Duration;

const INDEX: u32 = 0xc0ff_ee00;

/// A gateway and a peer of its by the book, whose packets come from 10.1.0.0/24.
struct Book {
    net: Net,
    peer: Paper,
    stamp: u64,
}

fn flight(bytes: Vec<u8>) -> Flight {
    Flight { from: endpoint(1), to: endpoint(0), bytes }
}

impl Book {
    fn new() -> Self {
        let net = Net::new(vec![config(
            1,
            &[
                (2, peer(&["10.1.0.0/24", "fd01::/64"])),
                (3, peer(&["10.1.0.128/25", "10.0.0.0/8"])),
            ],
        )]);
        let peer = Paper::new(*private(2).as_bytes(), *public(1).as_bytes());
        Self { net, peer, stamp: 1_000 }
    }

    fn hand(&mut self, bytes: Vec<u8>) -> Received {
        self.net.deliver(0, &flight(bytes))
    }

    fn initiation(&mut self) -> (Vec<u8>, Begun) {
        self.stamp += 1;
        self.net.now = self.net.now + Duration::from_millis(25);
        self.peer.initiation(INDEX, stamp(self.stamp, 0))
    }

    fn sent(&mut self) -> Vec<Flight> {
        self.net.drain(0)
    }

    fn connect(&mut self) -> Keys {
        let (initiation, begun) = self.initiation();
        assert_eq!(self.hand(initiation), Received::Nothing);
        let sent = self.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].to, endpoint(1));
        assert_eq!(sent[0].bytes[8..12], INDEX.to_le_bytes());
        let keys = self.peer.finish(&begun, &sent[0].bytes).unwrap();
        assert_eq!(self.hand(keys.seal(0, &[])), Received::Nothing);
        keys
    }

    /// What becomes of an inner packet.
    fn inner(&mut self, keys: &Keys, counter: u64, packet: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self.hand(keys.seal(counter, packet)) {
            Received::Packet { .. } => Ok(self.net.take_inbox(0).remove(0)),
            Received::Nothing => Err("nothing"),
            Received::Dropped(reason) => Err(reason.name()),
        }
    }

    /// Hands a datagram that is to be dropped in silence, for this reason.
    fn refuse(&mut self, bytes: Vec<u8>, reason: DropReason) {
        let before = self.net.sample(0, 2);
        let count = |net: &Net| net.drops(0).get(reason.name()).copied().unwrap_or(0);
        let counted = count(&self.net);
        assert_eq!(self.hand(bytes), Received::Dropped(reason));
        assert_eq!(count(&self.net), counted + 1);
        assert_eq!(self.sent().len(), 0, "an answer to what is refused");
        assert_eq!(self.net.sample(0, 2), before);
    }
}

#[test]
fn a_peer_by_the_book_connects_and_is_heard() {
    let mut book = Book::new();
    let keys = book.connect();
    let there = packet("10.1.0.1", "10.0.0.1", 64, 1);
    assert_eq!(book.inner(&keys, 1, &there), Ok(there));
    let back = packet("10.0.0.1", "10.1.0.1", 65, 2);
    let sealed = book.net.seal(0, &back).unwrap().unwrap();
    let opened = keys.open(&sealed.bytes).unwrap();
    assert_eq!(opened.len(), 80, "padded to 16");
    assert_eq!(opened[..65], back);
    assert_eq!(opened[65..], [0; 15], "what was in the buffer does not go out");
}

#[test]
fn a_preshared_key_has_to_be_the_same_on_both_sides() {
    let mut book = Book::new();
    let psk = PresharedKey::from_random([9; 32]);
    book.net.configure(0, |config| {
        config.peers.get_mut(&public(2)).unwrap().preshared_key = Some(psk);
    });
    let (initiation, begun) = book.initiation();
    book.hand(initiation);
    let response = book.sent().remove(0);
    assert!(book.peer.finish(&begun, &response.bytes).is_none());
    book.peer.psk = [9; 32];
    let keys = book.peer.finish(&begun, &response.bytes).unwrap();
    assert_eq!(book.hand(keys.seal(0, &[])), Received::Nothing);
    assert_eq!(book.net.sample(0, 2).handshakes, 1);
}

#[test]
fn datagrams_of_no_kind_or_length_are_dropped() {
    let mut book = Book::new();
    let keys = book.connect();
    for len in [0, 1, 3] {
        book.refuse(vec![4; len], DropReason::DatagramLength);
    }
    for kind in [0, 5, 255] {
        let mut bytes = vec![0; 148];
        bytes[0] = kind;
        book.refuse(bytes, DropReason::MessageType);
    }
    for (kind, len) in [(1, 148), (2, 92), (3, 64), (4, 32)] {
        let mut bytes = vec![0; len - 1];
        bytes[0] = kind;
        book.refuse(bytes.clone(), DropReason::DatagramLength);
        if kind != 4 {
            bytes.extend([0, 0]);
            book.refuse(bytes.clone(), DropReason::DatagramLength);
        }
        for reserved in 1..4 {
            let mut bytes = vec![0; len];
            bytes[0] = kind;
            bytes[reserved] = 1;
            book.refuse(bytes, DropReason::ReservedBytes);
        }
    }
    let mut huge = keys.seal(1, &vec![0; 65_535 - 32]);
    huge[40] ^= 1;
    book.refuse(huge, DropReason::Authentication);
    let train: Vec<u8> = (0..45).flat_map(|at| keys.seal(10 + at, &[0; 1_420])).collect();
    book.refuse(train, DropReason::Authentication);
}

#[test]
fn strangers_get_no_answer() {
    let mut book = Book::new();
    let mut noise: Vec<u8> = (0..148_u8).map(|at| at.wrapping_mul(37)).collect();
    noise[..4].copy_from_slice(&[1, 0, 0, 0]);
    book.refuse(noise, DropReason::Mac1);
    // Knows our public key, is no peer.
    let stranger = Paper::new([77; 32], *public(1).as_bytes());
    book.refuse(stranger.initiation(1, stamp(1, 0)).0, DropReason::UnknownPeer);
    // MAC1 is right and the rest is not.
    let (mut initiation, _) = book.initiation();
    initiation[50] ^= 1;
    initiation.truncate(116);
    book.peer.stamp_macs(&mut initiation, None);
    book.refuse(initiation, DropReason::Handshake);
    // An ephemeral key of small order, for which every secret is zero.
    let (mut initiation, _) = book.initiation();
    initiation[8..40].fill(0);
    initiation.truncate(116);
    book.peer.stamp_macs(&mut initiation, None);
    book.refuse(initiation, DropReason::Handshake);
    // Made for someone else's key.
    let other = Paper::new(*private(2).as_bytes(), *public(9).as_bytes());
    book.refuse(other.initiation(1, stamp(9_999, 0)).0, DropReason::Mac1);
}

#[test]
fn initiations_that_are_replayed_or_older_are_dropped() {
    let mut book = Book::new();
    let (first, _) = book.initiation();
    assert_eq!(book.hand(first.clone()), Received::Nothing);
    book.sent();
    book.net.now = book.net.now + secs(1);
    book.refuse(first, DropReason::InitiationReplayed);
    let older = book.peer.initiation(INDEX, stamp(500, 0)).0;
    book.refuse(older, DropReason::InitiationReplayed);
    // From the end of time, by the true peer: taken, and nothing breaks.
    let far = book.peer.initiation(INDEX, [0xff; 12]).0;
    assert_eq!(book.hand(far), Received::Nothing);
    assert_eq!(book.sent().len(), 1);
}

#[test]
fn one_peer_begins_at_most_fifty_handshakes_a_second() {
    let mut book = Book::new();
    let mut answered = 0;
    for at in 0..1_000 {
        book.net.now = book.net.now + Duration::from_millis(1);
        let (initiation, _) = book.peer.initiation(INDEX, stamp(10_000, at));
        book.hand(initiation);
        answered += book.sent().len();
    }
    assert_eq!(answered, 50);
    assert_eq!(book.net.drops(0)["peer_rate"], 950);
}

#[test]
fn data_of_no_session_and_data_that_was_changed_are_dropped() {
    let mut book = Book::new();
    let keys = book.connect();
    let datagram = keys.seal(5, &packet("10.1.0.1", "10.0.0.1", 64, 0));
    let mut elsewhere = datagram.clone();
    elsewhere[4] ^= 1;
    book.refuse(elsewhere, DropReason::UnknownIndex);
    for at in [8, 16, 40, datagram.len() - 1] {
        let mut changed = datagram.clone();
        changed[at] ^= 0x10;
        book.refuse(changed, DropReason::Authentication);
    }
    assert!(matches!(book.hand(datagram.clone()), Received::Packet { .. }));
    book.refuse(datagram, DropReason::Replayed);
}

#[test]
fn numbers_are_taken_once_and_8128_back() {
    let mut book = Book::new();
    let keys = book.connect();
    let inner = packet("10.1.0.1", "10.0.0.1", 20, 0);
    let mut take = |counter| book.inner(&keys, counter, &inner).map(|_| ());
    assert_eq!(take(10_000), Ok(()));
    assert_eq!(take(10_000 - 8_127), Ok(()));
    assert_eq!(take(10_000 - 8_127), Err("replayed"));
    assert_eq!(take(10_000 - 8_128), Err("replayed"));
    assert_eq!(take(9_999), Ok(()));
    // A jump empties the window, and what was before it is too old.
    assert_eq!(take(1 << 62), Ok(()));
    assert_eq!(take(10_001), Err("replayed"));
    assert_eq!(take((1 << 62) - 1), Ok(()));
    let last = u64::MAX - 8_128 - 2;
    assert_eq!(take(last + 1), Err("counter_exhausted"));
    assert_eq!(take(u64::MAX), Err("counter_exhausted"));
    assert_eq!(take(last), Ok(()));
    assert_eq!(take(last), Err("replayed"));
}

#[test]
fn inner_packets_that_lie_are_dropped_and_padding_is_cut_off() {
    let mut book = Book::new();
    let keys = book.connect();
    let v4 = packet("10.1.0.1", "10.0.0.1", 60, 0);
    let v6 = packet("fd01::1", "fd00::1", 60, 0);
    let edit = |packet: &[u8], at: usize, byte: u8| {
        let mut packet = packet.to_vec();
        packet[at] = byte;
        packet
    };
    let padded = |packet: &[u8]| [packet, &[0; 4]].concat();
    let cases = [
        (v4.clone(), Ok(v4.clone())),
        (v6.clone(), Ok(v6.clone())),
        (padded(&v4), Ok(v4.clone())),
        (padded(&v6), Ok(v6.clone())),
        (edit(&v4, 3, 61), Err("inner_length")),
        (edit(&v4, 2, 0xff), Err("inner_length")),
        (edit(&v4, 3, 19), Err("inner_header")),
        (edit(&v4, 0, 0x40), Err("inner_header")),
        (edit(&edit(&v4, 0, 0x4f), 3, 59), Err("inner_header")),
        (edit(&v6, 5, 21), Err("inner_length")),
        (edit(&v6, 4, 0xff), Err("inner_length")),
        (edit(&v4, 0, 0x55), Err("inner_version")),
        (edit(&v4, 0, 0x05), Err("inner_version")),
        (v4[..19].to_vec(), Err("inner_length")),
        (v6[..39].to_vec(), Err("inner_length")),
        (vec![0x45], Err("inner_length")),
        (vec![0x60], Err("inner_length")),
        (vec![], Err("nothing")),
    ];
    for (at, (inner, expected)) in cases.into_iter().enumerate() {
        assert_eq!(book.inner(&keys, 100 + at as u64, &inner), expected, "case {at}");
    }
}

#[test]
fn an_inner_source_must_be_this_very_peers() {
    let mut book = Book::new();
    let keys = book.connect();
    let mut take = |counter, source: &str| {
        let destination = if source.contains(':') { "fd00::1" } else { "10.0.0.1" };
        book.inner(&keys, counter, &packet(source, destination, 60, 0)).map(|_| ())
    };
    assert_eq!(take(1, "10.1.0.1"), Ok(()));
    // Within its own prefix, but another peer has a longer one.
    assert_eq!(take(2, "10.1.0.129"), Err("source_not_allowed"));
    // Another peer's alone, by a shorter one.
    assert_eq!(take(3, "10.9.0.1"), Err("source_not_allowed"));
    assert_eq!(take(4, "192.0.2.7"), Err("source_not_allowed"));
    assert_eq!(take(5, "0.0.0.0"), Err("source_not_allowed"));
    assert_eq!(take(6, "fd01:0:0:1::1"), Err("source_not_allowed"));
    assert_eq!(take(7, "::ffff:10.1.0.1"), Err("source_not_allowed"));
    assert_eq!(take(8, "10.1.0.1"), Ok(()));
}

#[test]
fn the_source_remembered_is_forgotten_when_the_prefix_is_anothers() {
    let mut book = Book::new();
    let keys = book.connect();
    let inner = packet("10.1.0.1", "10.0.0.1", 60, 0);
    assert!(book.inner(&keys, 1, &inner).is_ok());
    book.net.configure(0, |config| {
        let all = config.peers.get_mut(&public(3)).unwrap();
        all.allowed_ips.push("10.1.0.1/32".parse().unwrap());
    });
    assert_eq!(book.inner(&keys, 2, &inner), Err("source_not_allowed"));
}

#[test]
fn an_endpoint_moves_with_what_is_authenticated_and_new_only() {
    let mut book = Book::new();
    let keys = book.connect();
    let mut from = |port: u16, bytes: Vec<u8>| {
        let mut flight = flight(bytes);
        flight.from.set_port(port);
        book.net.deliver(0, &flight);
        book.net.sample(0, 2).endpoint.unwrap().port()
    };
    let inner = packet("10.1.0.1", "10.0.0.1", 60, 0);
    let captured = keys.seal(10, &inner);
    assert_eq!(from(1_001, captured.clone()), 1_001);
    // NAT churn: a keepalive suffices.
    assert_eq!(from(1_002, keys.seal(12, &[])), 1_002);
    assert_eq!(from(6_666, captured), 1_002);
    // Not replayed, but overtaken: that is where the peer was.
    assert_eq!(from(1_001, keys.seal(11, &inner)), 1_002);
    let mut forged = keys.seal(13, &inner);
    forged[30] ^= 1;
    assert_eq!(from(6_666, forged), 1_002);
    let mut cookie = vec![0; 64];
    cookie[0] = 3;
    assert_eq!(from(6_666, cookie), 1_002);
}

#[test]
fn answers_go_out_from_the_address_that_was_written_to() {
    let mut book = Book::new();
    let keys = book.connect();
    let inner = packet("10.1.0.1", "10.0.0.1", 60, 0);
    let mut second = flight(keys.seal(10, &inner));
    second.to = "198.51.100.1:51820".parse().unwrap();
    book.net.deliver(0, &second);
    let back = book.net.seal(0, &packet("10.0.0.1", "10.1.0.1", 60, 0)).unwrap().unwrap();
    assert_eq!((back.from, back.to), (second.to, endpoint(1)));
    // Moved by configuration: which address of ours fits is not known any more.
    book.net.configure(0, |config| {
        config.peers.get_mut(&public(2)).unwrap().endpoint = Some(endpoint(9));
    });
    let back = book.net.seal(0, &packet("10.0.0.1", "10.1.0.1", 60, 0)).unwrap().unwrap();
    assert_eq!((back.from, back.to), (endpoint(0), endpoint(9)));
}

#[test]
fn a_forged_response_does_not_keep_the_true_one_out() {
    let mut net = Net::pair();
    net.send(1, &packet("10.1.0.1", "10.0.0.1", 60, 0));
    let initiation = net.drain(1).remove(0);
    net.deliver(0, &initiation);
    let response = net.drain(0).remove(0);
    let forger = Paper::new([1; 32], *public(2).as_bytes());
    for at in [20, 50] {
        let mut forged = response.clone();
        forged.bytes.truncate(60);
        forged.bytes[at] ^= 1;
        forger.stamp_macs(&mut forged.bytes, None);
        forged.from = endpoint(66);
        assert_eq!(net.deliver(1, &forged), Received::Dropped(DropReason::Handshake));
    }
    assert_eq!(net.sample(1, 1).endpoint, Some(endpoint(0)));
    assert_eq!(net.deliver(1, &response), Received::Nothing);
    net.settle();
    assert_eq!(net.take_inbox(0).len(), 1);
}

#[test]
fn random_datagrams_never_bring_a_device_down() {
    let mut book = Book::new();
    let keys = book.connect();
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for at in 0..20_000 {
        let choice = random();
        let len = (random() % 200) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| random() as u8).collect();
        if choice % 3 == 0 && 4 <= len {
            bytes[..4].copy_from_slice(&[(choice >> 8) as u8 % 5, 0, 0, 0]);
        }
        if choice % 7 == 0 {
            // Well sealed, whatever it is.
            bytes = keys.seal(1_000 + at, &bytes);
        }
        book.hand(bytes);
        book.sent();
    }
    let inner = packet("10.1.0.1", "10.0.0.1", 60, 0);
    assert!(book.inner(&keys, 1_000_000, &inner).is_ok(), "the session is alive");
}

#[test]
fn a_device_does_not_talk_to_itself() {
    let mut net = Net::new(vec![config(
        1,
        &[(1, PeerConfig { endpoint: Some(endpoint(0)), initiate: true, ..peer(&["10.0.0.0/8"]) })],
    )]);
    net.settle();
    assert!(net.device(0).peer(&public(1)).is_none());
    let _: PrivateKey = private(1);
}
