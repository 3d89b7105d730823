//! The house rule that no packet meets an allocator, for everything that is pure
//! on its way: taken apart, sealed, opened, marked, put together.

#![allow(unsafe_code, reason = "an allocator that counts is one that allocates")]

use lockgate::net::{Instant, Mtu, Now, PrivateKey, Timestamp};
use lockgate::packet::{Ecn, Gro, Gso, Offload, Superpacket, VirtioHeader, checksum, ecn, icmp};
use lockgate::wireguard::{Device, DeviceConfig, HEADER_LEN, PeerConfig, Received, SendState};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// What this thread has asked for so far.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may free, and ask, when this is gone already.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the ones asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the ones asked for.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the ones asked for.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What the calling thread has asked the allocator for so far.
pub(crate) fn asked() -> u64 {
    ASKED.get()
}

const SLOT: usize = 2_048;
const SLOTS: usize = 80;

fn now(milliseconds: u64) -> Now {
    Now {
        mono: Instant::from_nanos(100_000_000_000 + milliseconds * 1_000_000),
        wall: Timestamp::new(1_800_000_000, 0),
    }
}

fn address(side: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, side], 51_820))
}

/// A device with 10.`side`.0.0/16 behind it, and the other side as its peer.
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

/// A superpacket of 40 segments of 1,300 bytes from 10.1.0.1 to 10.2.0.1, whose
/// sender knows ECN.
fn superpacket(protocol: u8) -> (VirtioHeader, Vec<u8>) {
    let (gso, header_len, place) =
        if protocol == 6 { (Gso::TcpV4, 40, 36) } else { (Gso::UdpL4, 28, 26) };
    let mut packet = vec![7; header_len + 40 * 1_300];
    let len = packet.len() as u16;
    packet[..12].copy_from_slice(&[0x45, 2, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[12..20].copy_from_slice(&[10, 1, 0, 1, 10, 2, 0, 1]);
    if protocol == 6 {
        packet[32..34].copy_from_slice(&[0x50, 0x10]);
    }
    let begun = checksum::pseudo_header(&packet[12..20], protocol, packet.len() - 20).fold();
    packet[place..place + 2].copy_from_slice(&begun.to_be_bytes());
    (VirtioHeader::superpacket(gso, 20, header_len, 1_300), packet)
}

fn carry(from: &mut Device, side: u8, to: &mut Device) -> usize {
    let mut buffer = [0; SLOT];
    let mut count = 0;
    while let Some(transmit) = from.poll_transmit(&mut buffer, now(0)) {
        to.handle_datagram(address(side), None, &mut buffer[..transmit.len], now(0));
        count += 1;
    }
    count
}

#[test]
fn no_packet_meets_an_allocator() {
    let (mut here, mut there) = (device(1), device(2));
    let peer = here.route("10.2.0.1".parse().unwrap()).unwrap();
    let (_, first) = superpacket(17);
    here.stage(peer, &first[..1_000], now(0)).unwrap();
    while carry(&mut here, 1, &mut there) + carry(&mut there, 2, &mut here) != 0 {}

    let superpackets = [superpacket(6), superpacket(17)];
    let mut buffer = vec![0; SLOTS * SLOT];
    let mut gro = Gro::default();
    let mut passed = 0;
    let mut round = |moment: Now| {
        assert!(matches!(here.begin_send(peer, moment), SendState::Ready(_)));
        let mut slots = buffer.chunks_exact_mut(SLOT);
        let mut lengths = [0; SLOTS];
        let mut used = 0;
        for (header, packet) in &superpackets {
            for segment in Superpacket::read(header, packet).unwrap().segments() {
                let slot = slots.next().unwrap();
                let len = segment.write(&mut slot[HEADER_LEN..]).unwrap();
                lengths[used] = here.seal(peer, slot, len).unwrap();
                used += 1;
            }
        }
        here.sent(peer, used as u64, 1, moment);
        for (index, len) in lengths[..used].iter().enumerate() {
            let begin = index * SLOT;
            let datagram = &mut buffer[begin..begin + len];
            let received = there.handle_datagram(address(1), None, datagram, moment);
            let Received::Packet { range, .. } = received else { panic!("{received:?}") };
            ecn::decapsulate(Ecn::Ce, &mut datagram[range.clone()]).unwrap();
            gro.push(
                &buffer,
                begin + range.start..begin + range.end,
                Offload { tcp: true, udp: true },
            );
        }
        gro.flush(&mut buffer, |_, pieces| {
            assert_eq!(pieces.len(), 40);
            passed += pieces.len();
        });
        icmp::host_unreachable(&superpackets[0].1, &mut [0; icmp::ANSWER_LEN]).unwrap();
    };
    // What is made once is made in the first rounds.
    for moment in 0..5 {
        round(now(moment));
    }
    let before = ASKED.get();
    for moment in 5..50 {
        round(now(moment));
    }
    assert_eq!(ASKED.get() - before, 0, "allocations");
    assert_eq!(passed, 50 * 80);
}
