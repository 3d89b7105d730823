//! What one core does of WireGuard: sealing and opening at three packet sizes,
//! the lookup that checks sources, and a whole handshake of two devices.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark may fail by panicking, and is nobody's library"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lockgate::net::{Instant, Mtu, Now, Prefix, PrivateKey, Timestamp};
use lockgate::wireguard::{
    AllowedIps, Device, DeviceConfig, HEADER_LEN, PeerConfig, PeerIndex, Received,
};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const SIZES: [usize; 3] = [64, 576, 1_420];
const ROOM: usize = 2_048;

fn now(seconds: u64) -> Now {
    Now { mono: Instant::from_secs(seconds), wall: Timestamp::new(1_800_000_000 + seconds, 0) }
}

fn address(side: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, side], 51_820))
}

/// A device that has 10.`side`.0.0/16 behind it, and the other side as its peer.
fn device(side: u8) -> Device {
    let other = 3 - side;
    let key = |side| PrivateKey::from_random([side; 32]);
    let peer = PeerConfig {
        endpoint: Some(address(other)),
        allowed_ips: vec![format!("10.{other}.0.0/16").parse().unwrap()],
        ..PeerConfig::default()
    };
    let config = DeviceConfig {
        private_key: key(side),
        listen_port: 51_820,
        mtu: Mtu::new(1_420).unwrap(),
        peers: [(key(other).public(), peer)].into(),
    };
    Device::new(config, [side; 32], Timestamp::default(), now(0))
}

fn packet(from: u8, len: usize) -> Vec<u8> {
    let mut packet = vec![0; len];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    packet[12..16].copy_from_slice(&[10, from, 0, 1]);
    packet[16..20].copy_from_slice(&[10, 3 - from, 0, 1]);
    packet
}

fn carry(from: &mut Device, side: u8, to: &mut Device, now: Now) -> usize {
    let mut buffer = [0; ROOM];
    let mut count = 0;
    while let Some(transmit) = from.poll_transmit(&mut buffer, now) {
        to.handle_datagram(address(side), None, &mut buffer[..transmit.len], now);
        count += 1;
    }
    count
}

/// Two devices with a session, and the handle each has of the other.
fn connected() -> (Device, PeerIndex, Device) {
    let (mut a, mut b) = (device(1), device(2));
    let peer = a.route("10.2.0.1".parse().unwrap()).unwrap();
    a.stage(peer, &packet(1, 64), now(1)).unwrap();
    while carry(&mut a, 1, &mut b, now(1)) + carry(&mut b, 2, &mut a, now(1)) != 0 {}
    (a, peer, b)
}

fn data(c: &mut Criterion) {
    let (mut a, peer, mut b) = connected();
    for len in SIZES {
        let packet = packet(1, len);
        let mut group = c.benchmark_group("data");
        group.throughput(Throughput::Bytes(len as u64));
        let mut buffer = [0; ROOM];
        group.bench_function(format!("seal/{len}"), |bench| {
            bench.iter(|| {
                buffer[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&packet);
                black_box(a.seal(peer, &mut buffer, len).unwrap())
            });
        });
        group.bench_function(format!("open/{len}"), |bench| {
            let seal = || {
                let mut buffer = [0; ROOM];
                buffer[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&packet);
                let sealed = a.seal(peer, &mut buffer, len).unwrap();
                (buffer, sealed)
            };
            let open = |(buffer, sealed): &mut ([u8; ROOM], usize)| {
                let received = b.handle_datagram(address(1), None, &mut buffer[..*sealed], now(2));
                assert!(matches!(received, Received::Packet { .. }));
            };
            bench.iter_batched_ref(seal, open, BatchSize::SmallInput);
        });
        group.finish();
    }
}

fn lookup(c: &mut Criterion) {
    let (a, peer, _) = connected();
    drop(a);
    let mut table = AllowedIps::default();
    for number in 0..10_000_u32 {
        let address = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + (number << 8)));
        table.insert(Prefix::containing_address(address, 24).unwrap(), peer);
    }
    let mut at = 0_u32;
    c.bench_function("allowed_ips/10000", |bench| {
        bench.iter(|| {
            at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let address = Ipv4Addr::from(0x0a00_0000 + (at >> 9));
            black_box(table.longest_match(address.into()))
        });
    });
}

fn handshake(c: &mut Criterion) {
    let (mut a, peer, mut b) = connected();
    let packet = packet(1, 64);
    let mut seconds = 1;
    c.bench_function("handshake/pair", |bench| {
        bench.iter(|| {
            // Past the session's end, so that the packet needs a new one.
            seconds += 200;
            a.stage(peer, &packet, now(seconds)).unwrap();
            while carry(&mut a, 1, &mut b, now(seconds)) + carry(&mut b, 2, &mut a, now(seconds))
                != 0
            {}
        });
    });
    let handshakes: u64 = a.sample(now(seconds)).peers.values().map(|peer| peer.handshakes).sum();
    assert!(1 < handshakes);
}

criterion_group!(benches, data, lookup, handshake);
criterion_main!(benches);
