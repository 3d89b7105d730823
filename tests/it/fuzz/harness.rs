//! What a fuzzer feeds, as plain functions: the targets in `tests/fuzz` and the
//! replay of the corpus call the same ones.

use lockgate::config;
use lockgate::net::{Instant, Mtu, Now, PrivateKey, Timestamp};
use lockgate::packet::{self, Side, VIRTIO_LEN, View, VirtioHeader, ecn, gso};
use lockgate::wireguard::{Device, DeviceConfig, PeerConfig, Received};
use std::net::SocketAddr;

/// Any bytes as a file of documents.
pub(crate) fn documents(bytes: &[u8]) {
    let outcome = config::fuzz(bytes);
    // Whatever was accepted has passed every check, so checking it again agrees.
    assert_eq!(config::fuzz(bytes).config, outcome.config);
}

/// Any bytes as datagrams that reach a device: each begins with its length as
/// one byte, and all come from the same stranger.
pub(crate) fn datagram(bytes: &[u8]) {
    let now = |step: u64| Now {
        mono: Instant::from_secs(100 + step),
        wall: Timestamp::new(1_800_000_000 + step, 0),
    };
    let peer = PrivateKey::from_random([2; 32]).public();
    let allowed_ips = vec!["10.1.0.0/24".parse().unwrap(), "fd01::/64".parse().unwrap()];
    let config = DeviceConfig {
        private_key: PrivateKey::from_random([1; 32]),
        listen_port: 51_820,
        mtu: Mtu::new(1_420).unwrap(),
        peers: [(peer, PeerConfig { allowed_ips, ..PeerConfig::default() })].into(),
    };
    let mut device = Device::new(config, [3; 32], Timestamp::default(), now(0));
    let from: SocketAddr = "192.0.2.66:1111".parse().unwrap();
    let mut rest = bytes;
    let mut step = 0;
    let (mut taken, mut given) = (0, 0);
    while let Some((len, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(after.len().min(usize::from(*len)));
        rest = after;
        step += 1;
        let mut datagram = datagram.to_vec();
        taken += datagram.len();
        let received = device.handle_datagram(from, None, &mut datagram, now(step));
        assert!(!matches!(received, Received::Packet { .. }), "a packet of a stranger's");
        let mut buffer = vec![0; device.transmit_len()];
        while let Some(transmit) = device.poll_transmit(&mut buffer, now(step)) {
            given += transmit.len;
        }
        device.handle_timeout(now(step));
    }
    assert!(given <= taken, "{given} bytes for {taken} of a stranger's");
}

/// Any bytes as a virtio header and a packet, taken apart, marked, renamed.
pub(crate) fn inner_packet(bytes: &[u8]) {
    let Some((header, packet)) = bytes.split_first_chunk::<VIRTIO_LEN>() else { return };
    let header = VirtioHeader::decode(header);
    let mut out = vec![0; 128 * 2_048];
    if let Ok(segments) = gso::measure(&header, packet) {
        let stride = (segments.len + 48).max(64);
        let _ = gso::split(&header, packet, &mut out, 16, stride, 128);
    }
    if let Ok(view) = View::parse(packet) {
        assert!(view.len() <= packet.len() && view.header_len() <= view.len());
    }
    for outer in 0..4 {
        let _ = ecn::decapsulate(packet::Ecn::from_bits(outer), &mut packet.to_vec());
    }
    for (from, to) in [("10.0.0.0/8", "172.0.0.0/8"), ("fd00::/16", "fe00::/16")] {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        for side in [Side::Source, Side::Destination] {
            for partial in [false, true] {
                let mut packet = packet.to_vec();
                let len = packet.len();
                let _ = packet::translate(&mut packet, side, from, to, partial);
                assert_eq!(packet.len(), len);
            }
        }
    }
}
