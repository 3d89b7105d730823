//! What a fuzzer feeds, as plain functions: the targets in `tests/fuzz` and the
//! replay of the corpus call the same ones.

use lockgate::config;
use lockgate::net::{Instant, Mtu, Now, PrivateKey, Timestamp};
use lockgate::packet::{
    self, Gro, Offload, Side, Superpacket, VIRTIO_LEN, View, VirtioHeader, ecn, icmp,
};
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
        next_private_key: None,
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

/// Any bytes as a virtio header and a packet, on every way a packet goes: read,
/// taken apart, put together, answered, marked, renamed.
pub(crate) fn inner_packet(bytes: &[u8]) {
    let Some((header, packet)) = bytes.split_first_chunk::<VIRTIO_LEN>() else { return };
    let header = VirtioHeader::decode(header);
    if let Ok(view) = View::parse(packet) {
        assert!(view.len() <= packet.len() && view.header_len() <= view.len());
        assert!(view.transport() <= packet.len());
    }
    let mut packets = taken_apart(&header, packet);
    packets.insert(packets.len() / 2, packet.to_vec());
    packets.push(packet.to_vec());
    put_together(&packets);
    let mut answer = [0; icmp::ANSWER_LEN];
    if let Some(len) = icmp::host_unreachable(packet, &mut answer) {
        let answer = &answer[..len];
        assert_eq!(View::parse(answer).unwrap().len(), len);
        assert_eq!(icmp::host_unreachable(answer, &mut [0; icmp::ANSWER_LEN]), None);
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

/// The first packets that `packet` stands for.
fn taken_apart(header: &VirtioHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let Ok(superpacket) = Superpacket::read(header, packet) else { return Vec::new() };
    let mut packets = Vec::new();
    for segment in superpacket.segments().take(128) {
        let mut out = vec![0; segment.len()];
        assert_eq!(segment.write(&mut out), Ok(out.len()));
        packets.push(out);
    }
    packets
}

/// Puts packets together and takes them apart again: as many, and as long.
fn put_together(packets: &[Vec<u8>]) {
    let offload = Offload { tcp: true, udp: true };
    let mut buffer = packets.concat();
    let mut gro = Gro::default();
    let mut given = Vec::new();
    let mut write = |header, pieces: &[&[u8]]| {
        let written = pieces.concat();
        if header == VirtioHeader::default() {
            assert!(packets.contains(&written), "left alone, and changed");
            given.push(written.len());
        } else {
            let again = taken_apart(&header, &written);
            assert_eq!(again.len(), pieces.len());
            given.extend(again.iter().map(Vec::len));
        }
    };
    let mut end = 0;
    for packet in packets {
        let begin = end;
        end += packet.len();
        gro.push(&buffer, begin..end, offload);
        if gro.is_full() {
            gro.flush(&mut buffer, &mut write);
        }
    }
    gro.flush(&mut buffer, &mut write);
    let mut came: Vec<_> = packets.iter().map(Vec::len).collect();
    came.sort_unstable();
    given.sort_unstable();
    assert_eq!(given, came);
}
