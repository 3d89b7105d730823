//! What one core does of WireGuard: sealing and opening at three packet sizes, one
//! superpacket through the device each way, the lookup that checks sources, and a
//! whole handshake of two devices.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark may fail by panicking, and is nobody's library"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lockgate::net::{Instant, Mtu, Now, Prefix, PrivateKey, Timestamp};
use lockgate::packet::{Ecn, Gro, Gso, Offload, Superpacket, VirtioHeader, checksum, ecn};
use lockgate::wireguard::{
    AllowedIps, Device, DeviceConfig, HEADER_LEN, PeerConfig, PeerIndex, Received,
};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const SIZES: [usize; 3] = [64, 576, 1_420];
const ROOM: usize = 2_048;
const SEGMENTS: usize = 47;
const MSS: usize = 1_380;

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
        next_private_key: None,
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

/// A TCP superpacket as a TUN hands it over: segments of `mss` bytes from a port.
fn superpacket(segments: usize, mss: usize, port: u8) -> (VirtioHeader, Vec<u8>) {
    let mut packet = packet(1, 40 + segments * mss);
    packet[6] = 0x40;
    packet[8..10].copy_from_slice(&[64, 6]);
    packet[20..24].copy_from_slice(&[0x13, port, 0x13, 0x89]);
    packet[32..34].copy_from_slice(&[0x50, 0x10]);
    let begun = checksum::pseudo_header(&packet[12..20], 6, packet.len() - 20).fold();
    packet[36..38].copy_from_slice(&begun.to_be_bytes());
    (VirtioHeader::superpacket(Gso::TcpV4, 20, 40, mss), packet)
}

/// Takes a superpacket apart; `each` is given every segment behind the room for a header.
fn split(
    header: &VirtioHeader,
    packet: &[u8],
    buffer: &mut [u8],
    mut each: impl FnMut(&mut [u8], usize),
) {
    let superpacket = Superpacket::read(header, packet).unwrap();
    for (segment, slot) in superpacket.segments().zip(buffer.chunks_exact_mut(ROOM)) {
        let len = segment.write(&mut slot[HEADER_LEN..]).unwrap();
        each(slot, len);
    }
}

/// Writes what was put together to nowhere, and says in how many pieces.
fn flush(gro: &mut Gro, buffer: &mut [u8]) -> usize {
    let mut count = 0;
    gro.flush(buffer, |header, pieces| {
        black_box((header, pieces));
        count += 1;
    });
    count
}

fn superpackets(c: &mut Criterion) {
    let (mut a, peer, mut b) = connected();
    let (header, packet) = superpacket(SEGMENTS, MSS, 1);
    let offload = Offload { tcp: true, udp: true };
    let mut group = c.benchmark_group("superpacket");
    group.throughput(Throughput::Bytes((SEGMENTS * MSS) as u64));
    let mut buffer = vec![0; SEGMENTS * ROOM];
    group.bench_function("split", |bench| {
        bench.iter(|| {
            split(&header, &packet, &mut buffer, |slot, len| {
                black_box((slot, len));
            });
        });
    });
    group.bench_function("split and seal", |bench| {
        bench.iter(|| {
            split(&header, &packet, &mut buffer, |slot, len| {
                black_box(a.seal(peer, slot, len).unwrap());
            });
        });
    });

    let mut gro = Gro::default();
    let mut plain = Vec::new();
    split(&header, &packet, &mut buffer, |slot, len| plain.extend(&slot[..HEADER_LEN + len]));
    let first = plain[..HEADER_LEN + 40].to_vec();
    group.bench_function("put together", |bench| {
        bench.iter(|| {
            plain[..first.len()].copy_from_slice(&first);
            for index in 0..SEGMENTS {
                let begin = HEADER_LEN + index * (HEADER_LEN + 40 + MSS);
                gro.push(&plain, begin..begin + 40 + MSS, offload);
            }
            assert_eq!(flush(&mut gro, &mut plain), 1);
        });
    });
    group.bench_function("open and put together", |bench| {
        let seal = || {
            let mut lengths = [0; SEGMENTS];
            let mut buffer = vec![0; SEGMENTS * ROOM];
            let mut next = 0;
            split(&header, &packet, &mut buffer, |slot, len| {
                lengths[next] = a.seal(peer, slot, len).unwrap();
                next += 1;
            });
            (buffer, lengths)
        };
        bench.iter_batched_ref(
            seal,
            |(buffer, lengths)| {
                for (index, len) in lengths.iter().enumerate() {
                    let begin = index * ROOM;
                    let datagram = &mut buffer[begin..begin + len];
                    let received = b.handle_datagram(address(1), None, datagram, now(2));
                    let Received::Packet { range, .. } = received else { panic!("{received:?}") };
                    ecn::decapsulate(Ecn::NotEct, &mut datagram[range.clone()]).unwrap();
                    gro.push(buffer, begin + range.start..begin + range.end, offload);
                }
                assert_eq!(flush(&mut gro, buffer), 1);
            },
            BatchSize::SmallInput,
        );
    });

    // The first segment of 100 bytes of each of 32 flows, then the second.
    let mut flows = [Vec::new(), Vec::new()];
    for port in 0..32 {
        let (header, packet) = superpacket(2, 100, port);
        let mut flows = flows.iter_mut();
        split(&header, &packet, &mut buffer, |slot, len| {
            flows.next().unwrap().extend(&slot[HEADER_LEN..HEADER_LEN + len]);
        });
    }
    let mut mixed = flows.concat();
    group.throughput(Throughput::Elements(64));
    let copy = mixed.clone();
    group.bench_function("put together 32 flows", |bench| {
        bench.iter(|| {
            mixed.copy_from_slice(&copy);
            for index in 0..64 {
                gro.push(&mixed, index * 140..(index + 1) * 140, offload);
            }
            assert_eq!(flush(&mut gro, &mut mixed), 32);
        });
    });
    group.finish();
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

criterion_group!(benches, data, superpackets, lookup, handshake);
criterion_main!(benches);
