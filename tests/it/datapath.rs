//! The packet threads, with a pair of datagram sockets for each TUN and
//! loopback for the underlay.

#![allow(clippy::disallowed_methods, reason = "real sockets are waited for, with a bound")]

use lockgate::datapath::{Attach, Datapath, DatapathError, Event, Options, Tun};
use lockgate::net::{Mtu, PrivateKey, PublicKey, TenantName, Timestamp};
use lockgate::wireguard::{DeviceConfig, PeerConfig};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const MTU: u32 = 1420;
const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PATIENCE: Duration = Duration::from_secs(10);

/// The far side of a TUN that is none.
struct Inside(Socket);

impl Inside {
    fn new() -> (Self, Tun) {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        ours.set_write_timeout(Some(PATIENCE)).unwrap();
        (Self(ours), Tun { fd: OwnedFd::from(theirs), tso: true, uso: true })
    }

    fn write(&self, header: [u8; 10], packet: &[u8]) {
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(packet);
        self.0.send(&bytes).unwrap();
    }

    /// One packet or superpacket, and its header.
    fn read(&self) -> ([u8; 10], Vec<u8>) {
        let mut bytes = vec![0; 70_000];
        let len = (&self.0).read(&mut bytes).expect("a packet in time");
        bytes.truncate(len);
        let packet = bytes.split_off(10);
        (bytes.try_into().unwrap(), packet)
    }

    /// What comes within a moment.
    fn read_soon(&self) -> Option<([u8; 10], Vec<u8>)> {
        self.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut bytes = vec![0; 70_000];
        let len = (&self.0).read(&mut bytes);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        bytes.truncate(len.ok()?);
        let packet = bytes.split_off(10);
        Some((bytes.try_into().unwrap(), packet))
    }
}

/// One end of a tunnel.
struct End {
    datapath: Datapath,
    events: Receiver<Event>,
    inside: Inside,
    tenant: TenantName,
    port: u16,
}

fn tenant(name: &str) -> TenantName {
    TenantName::new("test", name).unwrap()
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

fn one_thread() -> Options {
    Options { threads: NonZeroUsize::new(1), ..Options::default() }
}

fn config(own: u8, peers: &[(u8, Ipv4Addr, Option<u16>)]) -> DeviceConfig {
    let peers = peers.iter().map(|&(seed, inner, port)| {
        let peer = PeerConfig {
            endpoint: port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            allowed_ips: vec![format!("{inner}/32").parse().unwrap()],
            ..PeerConfig::default()
        };
        (key(seed).public(), peer)
    });
    let peers: BTreeMap<PublicKey, PeerConfig> = peers.collect();
    DeviceConfig {
        private_key: key(own),
        next_private_key: None,
        listen_port: 0,
        mtu: Mtu::new(MTU).unwrap(),
        peers,
    }
}

fn attach(datapath: &Datapath, tenant: &TenantName, tun: Tun, config: DeviceConfig) -> u16 {
    let attach =
        Attach { tenant: tenant.clone(), tun, config, last_initiation: Timestamp::default() };
    datapath.attach(attach).unwrap()
}

fn end(options: Options, config: DeviceConfig) -> End {
    let (datapath, events) = Datapath::start(options).unwrap();
    let (inside, tun) = Inside::new();
    let tenant = tenant("a");
    let port = attach(&datapath, &tenant, tun, config);
    End { datapath, events, inside, tenant, port }
}

/// Two ends; the first knows the second's endpoint, not the other way round.
fn pair(here: Options, there: Options) -> (End, End) {
    let there = end(there, config(2, &[(1, HERE, None)]));
    let here = end(here, config(1, &[(2, THERE, Some(there.port))]));
    (here, there)
}

/// A UDP packet, checksum left out as IPv4 allows.
fn udp(from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(from, to, 17, 8 + payload.len());
    packet.extend([0x13, 0x88, 0x13, 0x89]);
    packet.extend((8 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    header[2..4].copy_from_slice(&(20 + payload as u16).to_be_bytes());
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = !sum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The Internet checksum's sum, not complemented (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn pseudo_header(packet: &[u8]) -> Vec<u8> {
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, packet[9]]);
    pseudo.extend((packet.len() as u16 - 20).to_be_bytes());
    pseudo
}

/// A TCP superpacket as a TUN hands it over, and its header: `payload` in
/// segments of `mss`, the checksum begun only.
fn tcp_superpacket(payload: &[u8], mss: u16) -> ([u8; 10], Vec<u8>) {
    let mut packet = ipv4(HERE, THERE, 6, 20 + payload.len());
    packet.extend([0x13, 0x88, 0x13, 0x89, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    let begun = sum(&pseudo_header(&packet));
    packet[36..38].copy_from_slice(&begun.to_be_bytes());
    let mut header = [0; 10];
    header[0] = 1; // NEEDS_CSUM
    header[1] = 1; // TCPV4
    header[2..4].copy_from_slice(&40_u16.to_ne_bytes());
    header[4..6].copy_from_slice(&mss.to_ne_bytes());
    header[6..8].copy_from_slice(&20_u16.to_ne_bytes());
    header[8..10].copy_from_slice(&16_u16.to_ne_bytes());
    (header, packet)
}

/// Sequence number and payload of a TCP packet whose checksums, complete or
/// begun as `header` says, are right.
fn tcp_payload(header: &[u8; 10], packet: &[u8]) -> (u32, Vec<u8>) {
    assert_eq!(sum(&packet[..20]), 0xffff, "the IPv4 checksum");
    let pseudo = sum(&pseudo_header(packet));
    if header[0] & 1 == 1 {
        let begun = u16::from_be_bytes([packet[36], packet[37]]);
        assert_eq!(begun, pseudo, "the begun TCP checksum");
    } else {
        let mut covered = pseudo_header(packet);
        covered.extend(&packet[20..]);
        assert_eq!(sum(&covered), 0xffff, "the TCP checksum");
    }
    let sequence = u32::from_be_bytes(packet[24..28].try_into().unwrap());
    (sequence, packet[40..].to_vec())
}

/// Both ends have a session, and `there` knows where `here` is.
fn connect(here: &End, there: &End) {
    let packet = udp(HERE, THERE, b"first");
    here.inside.write([0; 10], &packet);
    assert_eq!(there.inside.read().1, packet);
}

#[test]
fn packets_pass_both_ways_and_the_first_one_waits_for_the_session() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let answer = udp(THERE, HERE, b"answer");
    there.inside.write([0; 10], &answer);
    assert_eq!(here.inside.read().1, answer);
    for size in [0, 1, 15, 16, 17, 1_000, MTU as usize - 28] {
        let packet = udp(HERE, THERE, &vec![7; size]);
        here.inside.write([0; 10], &packet);
        assert_eq!(there.inside.read().1, packet, "{size} bytes");
    }
}

/// A superpacket written at one end arrives whole and in order at the other, in
/// at most `most` pieces.
fn check_superpacket(here: Options, there: Options, most: usize) {
    let (here, there) = pair(here, there);
    connect(&here, &there);
    let payload: Vec<u8> = (0..60_000_u32).map(|i| (i % 251) as u8).collect();
    let (header, packet) = tcp_superpacket(&payload, 1_380);
    here.inside.write(header, &packet);
    let mut got = Vec::new();
    let mut pieces = 0;
    while got.len() < payload.len() {
        let (header, packet) = there.inside.read();
        let (sequence, part) = tcp_payload(&header, &packet);
        assert_eq!(sequence, 7 + got.len() as u32, "in order");
        got.extend(part);
        pieces += 1;
    }
    assert!(got == payload, "the bytes are what was sent");
    assert!(pieces <= most, "{pieces} pieces");
}

#[test]
fn superpackets_pass_whole() {
    check_superpacket(one_thread(), one_thread(), 4);
}

#[test]
fn superpackets_pass_without_udp_segmentation() {
    let without = Options { udp_gso: false, ..one_thread() };
    check_superpacket(without, one_thread(), 44);
}

#[test]
fn superpackets_pass_without_udp_receive_offload() {
    let without = Options { udp_gro: false, ..one_thread() };
    check_superpacket(one_thread(), without, 44);
}

#[test]
fn superpackets_pass_to_an_end_without_tun_offload() {
    let without = Options { tun_offload: false, ..one_thread() };
    check_superpacket(one_thread(), without, 44);
}

#[test]
fn segments_are_not_put_together_when_tun_offload_is_off() {
    let without = Options { tun_offload: false, ..one_thread() };
    let (here, there) = pair(one_thread(), without);
    connect(&here, &there);
    let (header, packet) = tcp_superpacket(&[7; 4_000], 1_000);
    here.inside.write(header, &packet);
    for _ in 0..4 {
        let (header, packet) = there.inside.read();
        assert_eq!((header, packet.len()), ([0; 10], 1_040));
    }
}

/// The segments of [`tcp_superpacket`] one by one, as a TUN without offload
/// hands them over.
fn tcp_segments(payload: &[u8], mss: usize) -> Vec<Vec<u8>> {
    let segment = |(index, part): (usize, &[u8])| {
        let (_, mut packet) = tcp_superpacket(part, 1);
        let sequence = 7 + (index * mss) as u32;
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[36..38].fill(0);
        let mut covered = pseudo_header(&packet);
        covered.extend(&packet[20..]);
        let checksum = !sum(&covered);
        packet[36..38].copy_from_slice(&checksum.to_be_bytes());
        packet
    };
    payload.chunks(mss).enumerate().map(segment).collect()
}

/// Writes `packets` in one go (the thread finds them all when it wakes, or some
/// at a time) and returns what comes out until `bytes` of payload have.
fn through(here: &End, there: &End, packets: &[Vec<u8>]) -> Vec<([u8; 10], Vec<u8>)> {
    let bytes: usize = packets.iter().map(|packet| packet.len() - 40).sum();
    for packet in packets {
        here.inside.write([0; 10], packet);
    }
    let mut got = Vec::new();
    let mut seen = 0;
    while seen < bytes {
        let (header, packet) = there.inside.read();
        seen += packet.len() - 40;
        got.push((header, packet));
    }
    got
}

#[test]
fn a_corrupt_segment_is_never_put_together_with_others() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let payload: Vec<u8> = (0..9_000_u32).map(|i| (i % 251) as u8).collect();
    let mut packets = tcp_segments(&payload, 1_000);
    packets[4][500] ^= 1;
    // Whether they meet in one batch is a matter of luck each time.
    for _ in 0..20 {
        let got = through(&here, &there, &packets);
        // Its checksum must still be there to be found wrong.
        let as_sent = |got: &&([u8; 10], Vec<u8>)| got.0 == [0; 10] && got.1 == packets[4];
        assert_eq!(got.iter().filter(as_sent).count(), 1);
        for (header, packet) in got.iter().filter(|got| !as_sent(got)) {
            tcp_payload(header, packet);
        }
    }
}

/// Something done to a packet.
type Change = fn(&mut Vec<u8>);

#[test]
fn a_damaged_ipv4_header_is_not_mended_by_putting_packets_together() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let payload: Vec<u8> = (0..9_000_u32).map(|i| (i % 251) as u8).collect();
    let mut packets = tcp_segments(&payload, 1_000);
    packets[4][10] ^= 1;
    for _ in 0..20 {
        let got = through(&here, &there, &packets);
        let as_sent = |got: &&([u8; 10], Vec<u8>)| got.0 == [0; 10] && got.1 == packets[4];
        assert_eq!(got.iter().filter(as_sent).count(), 1);
    }
}

#[test]
fn what_taking_apart_would_not_give_back_is_left_alone() {
    let payload: Vec<u8> = (0..6_000_u32).map(|i| (i % 251) as u8).collect();
    let changes: [(&str, Change); 6] = [
        ("another acknowledgement", |packet| packet[31] ^= 1),
        ("another window", |packet| packet[35] ^= 1),
        ("FIN", |packet| packet[33] |= 1),
        ("CWR", |packet| packet[33] |= 0x80),
        ("another TTL", |packet| packet[8] -= 1),
        ("another port", |packet| packet[21] ^= 1),
    ];
    for (what, change) in changes {
        let (here, there) = pair(one_thread(), one_thread());
        connect(&here, &there);
        let mut packets = tcp_segments(&payload, 1_000);
        let odd = &mut packets[2];
        change(odd);
        odd[10..12].fill(0);
        let checksum = !sum(&odd[..20]);
        odd[10..12].copy_from_slice(&checksum.to_be_bytes());
        odd[36..38].fill(0);
        let mut covered = pseudo_header(odd);
        covered.extend(&odd[20..]);
        let checksum = !sum(&covered);
        odd[36..38].copy_from_slice(&checksum.to_be_bytes());
        for _ in 0..20 {
            let got = through(&here, &there, &packets);
            assert!(got.iter().any(|(_, packet)| *packet == packets[2]), "{what}");
        }
    }
}

#[test]
fn a_udp_superpacket_passes_whole() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let payload: Vec<u8> = (0..10_500_u32).map(|i| (i % 251) as u8).collect();
    let mut packet = udp(HERE, THERE, &payload);
    let begun = sum(&pseudo_header(&packet));
    packet[26..28].copy_from_slice(&begun.to_be_bytes());
    // NEEDS_CSUM, UDP_L4, 28 bytes of header, 1,000 in each, from 20 at 6.
    let mut header = [1, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    for (at, value) in [(2, 28_u16), (4, 1_000), (6, 20), (8, 6)] {
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    here.inside.write(header, &packet);
    let (mut got, mut pieces) = (Vec::<u8>::new(), 0);
    while got.len() < payload.len() {
        let (header, packet) = there.inside.read();
        assert_eq!(sum(&packet[..20]), 0xffff, "the IPv4 checksum");
        if header != [0; 10] {
            assert_eq!((header[0], header[1]), (1, 5));
            assert_eq!(u16::from_ne_bytes([header[4], header[5]]), 1_000);
            assert_eq!(packet[26..28], sum(&pseudo_header(&packet)).to_be_bytes());
        }
        got.extend(&packet[28..]);
        pieces += 1;
    }
    assert!(got == payload && pieces <= 2, "{pieces} pieces");
}

#[test]
fn a_superpacket_waits_for_the_session_in_segments() {
    let (here, there) = pair(one_thread(), one_thread());
    let (header, packet) = tcp_superpacket(&[7; 5_000], 1_000);
    here.inside.write(header, &packet);
    let mut got = 0;
    while got < 5_000 {
        let (header, packet) = there.inside.read();
        let (sequence, part) = tcp_payload(&header, &packet);
        assert_eq!(sequence, 7 + got);
        got += part.len() as u32;
    }
}

/// A relay on loopback between two ends that notes the ECN bits of each datagram
/// and sends them on with `set`, if given.
fn relay(to: u16, set: Option<u32>) -> (u16, Receiver<u8>) {
    let front = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    front.set_recv_tos_v4(true).unwrap();
    front.set_read_timeout(Some(PATIENCE)).unwrap();
    front.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = front.local_addr().unwrap().as_socket().unwrap().port();
    let far = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
    let (sender, seen) = std::sync::mpsc::sync_channel(1_000);
    std::thread::spawn(move || {
        let state = quinn_udp::UdpSocketState::new((&front).into()).unwrap();
        front.set_nonblocking(false).unwrap();
        let mut near = None;
        let mut bytes = vec![0; 70_000];
        loop {
            let mut meta = [quinn_udp::RecvMeta::default()];
            let mut buffers = [std::io::IoSliceMut::new(&mut bytes)];
            if state.recv((&front).into(), &mut buffers, &mut meta).is_err() {
                return;
            }
            let [meta] = meta;
            let to = if meta.addr == far { near } else { Some(far) };
            if meta.addr != far {
                near = Some(meta.addr);
                let _ = sender.try_send(meta.ecn.map_or(0, |ecn| ecn as u8));
            }
            front.set_tos_v4(set.unwrap_or(0)).unwrap();
            for datagram in bytes[..meta.len].chunks(meta.stride) {
                front.send_to(datagram, &to.unwrap().into()).unwrap();
            }
        }
    });
    (port, seen)
}

/// A packet with ECN bits `inner`, through a network that sets `outer`: what the
/// network sees, and the bits that arrive; `None` when it does not arrive.
fn check_ecn(inner: u8, outer: u32) -> (u8, Option<u8>) {
    let there = end(one_thread(), config(2, &[(1, HERE, None)]));
    let (port, seen) = relay(there.port, Some(outer));
    let here = end(one_thread(), config(1, &[(2, THERE, Some(port))]));
    // One that gets the session going, and may carry every mark.
    let mut first = tcp_like(10, 1);
    mark(&mut first, 1);
    here.inside.write([0; 10], &first);
    there.inside.read();
    while seen.try_recv().is_ok() {}
    let mut packet = tcp_like(100, 2);
    mark(&mut packet, inner);
    here.inside.write([0; 10], &packet);
    let sent = seen.recv_timeout(PATIENCE).unwrap();
    let Some((_, got)) = there.inside.read_soon() else { return (sent, None) };
    assert_eq!(sum(&got[..20]), 0xffff, "the IPv4 checksum");
    (sent, Some(got[1] & 3))
}

fn mark(packet: &mut [u8], ecn: u8) {
    packet[1] = ecn;
    packet[10..12].fill(0);
    let checksum = !sum(&packet[..20]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn congestion_marks_cross_the_tunnel() {
    assert_eq!(check_ecn(0, 0), (0, Some(0)));
    assert_eq!(check_ecn(1, 0), (1, Some(1)));
    assert_eq!(check_ecn(2, 0), (2, Some(2)));
    assert_eq!(check_ecn(2, 1), (2, Some(1)), "RFC 6040, figure 4");
    assert_eq!(check_ecn(2, 3), (2, Some(3)), "a mark on the way reaches the inner packet");
    assert_eq!(check_ecn(0, 3), (0, None), "whose sender cannot understand it loses it");
}

#[test]
fn small_packets_keep_their_order() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    // Lengths that change force new batches; equal ones share one.
    let sizes = [100, 100, 100, 300, 300, 80, 300, 300, 64, 64, 64, 64, 1_300, 1_300, 10];
    let packets: Vec<_> = sizes.iter().zip(0_u8..).map(|(&size, i)| tcp_like(size, i)).collect();
    for packet in &packets {
        here.inside.write([0; 10], packet);
    }
    for packet in &packets {
        assert!(there.inside.read().1 == *packet);
    }
}

/// A packet of a protocol that nobody puts together.
fn tcp_like(size: usize, mark: u8) -> Vec<u8> {
    let mut packet = ipv4(HERE, THERE, 253, size);
    packet.extend(vec![mark; size]);
    packet
}

#[test]
fn a_lost_tun_is_told_and_harms_no_other_tenant() {
    let (here, there) = pair(one_thread(), one_thread());
    let (broken, tun) = Inside::new();
    attach(&here.datapath, &tenant("broken"), tun, config(3, &[]));
    drop(broken);
    match here.events.recv_timeout(PATIENCE).unwrap() {
        Event::TunLost { tenant: lost, .. } => assert_eq!(lost, tenant("broken")),
        event @ (Event::ThreadLost { .. } | Event::UdpGsoOff { .. }) => panic!("{event:?}"),
    }
    connect(&here, &there);
    assert!(here.datapath.sample(&tenant("broken")).unwrap().path.tun_lost);
    assert!(!here.datapath.sample(&here.tenant).unwrap().path.tun_lost);
    here.datapath.detach(&tenant("broken")).unwrap();
}

/// The flood never ends: of random bytes there are always more.
#[test]
fn a_flood_of_one_tenant_does_not_starve_another() {
    let (here, there) = pair(one_thread(), one_thread());
    // A thread that comes to no end would be waited for without one.
    let here = std::mem::ManuallyDrop::new(here);
    connect(&here, &there);
    let fd = OwnedFd::from(std::fs::File::open("/dev/random").unwrap());
    let flooded = tenant("flooded");
    attach(&here.datapath, &flooded, Tun { fd, tso: true, uso: true }, config(3, &[]));
    for mark in 0..50 {
        let packet = tcp_like(100, mark);
        here.inside.write([0; 10], &packet);
        assert_eq!(there.inside.read().1, packet);
    }
    let drops = here.datapath.sample(&flooded).unwrap().device.drops;
    let read: u64 = drops.values().sum();
    assert!(50 < read, "{drops:?}: that is no flood");
    drop(std::mem::ManuallyDrop::into_inner(here));
}

#[test]
fn a_port_in_use_is_named_and_detaching_frees_it() {
    let one = end(one_thread(), config(1, &[]));
    let (_inside, tun) = Inside::new();
    let wanted = DeviceConfig { listen_port: one.port, ..config(2, &[]) };
    let name = tenant("late");
    let attach_late = |tun| {
        one.datapath.attach(Attach {
            tenant: name.clone(),
            tun,
            config: wanted.clone(),
            last_initiation: Timestamp::default(),
        })
    };
    match attach_late(tun) {
        Err(DatapathError::Bind { port, .. }) => assert_eq!(port, one.port),
        result => panic!("{result:?}"),
    }
    one.datapath.detach(&one.tenant).unwrap();
    let (_inside, tun) = Inside::new();
    assert_eq!(attach_late(tun).unwrap(), one.port);
    assert!(matches!(
        one.datapath.sample(&one.tenant),
        Err(DatapathError::NotAttached(name)) if name == one.tenant
    ));
}

#[test]
fn a_tenant_is_attached_once() {
    let one = end(one_thread(), config(1, &[]));
    let (_inside, tun) = Inside::new();
    let again = Attach {
        tenant: one.tenant.clone(),
        tun,
        config: config(2, &[]),
        last_initiation: Timestamp::default(),
    };
    assert!(matches!(one.datapath.attach(again), Err(DatapathError::Attached(_))));
    assert_eq!(one.datapath.sample(&one.tenant).unwrap().path.port, one.port);
}

#[test]
fn a_new_port_is_listened_on_at_once() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let free = std::net::UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let moved = DeviceConfig { listen_port: free, ..config(2, &[(1, HERE, None)]) };
    assert_eq!(there.datapath.configure(&there.tenant, moved).unwrap(), free);
    // The session goes on: `here` learns the new port from the next packet.
    let answer = udp(THERE, HERE, b"from the new port");
    there.inside.write([0; 10], &answer);
    assert_eq!(here.inside.read().1, answer);
    connect(&here, &there);
}

#[test]
fn a_port_that_cannot_be_had_leaves_the_device_as_it_was() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    let moved = DeviceConfig { listen_port: here.port, ..config(2, &[]) };
    let refused = there.datapath.configure(&there.tenant, moved);
    assert!(matches!(refused, Err(DatapathError::Bind { port, .. }) if port == here.port));
    connect(&here, &there);
}

#[test]
fn a_sample_says_what_passed_and_how() {
    let (here, there) = pair(one_thread(), Options { udp_gso: false, ..one_thread() });
    connect(&here, &there);
    let sample = here.datapath.sample(&here.tenant).unwrap();
    let peer = sample.device.peers[&key(2).public()];
    assert_eq!((peer.sent_packets, peer.handshakes), (Some(1), 1));
    assert_eq!(peer.endpoint, Some(SocketAddr::from((Ipv4Addr::LOCALHOST, there.port))));
    assert_eq!(sample.path.port, here.port);
    assert!(sample.path.udp_gso && sample.path.tso);
    let sample = there.datapath.sample(&there.tenant).unwrap();
    assert_eq!(sample.device.peers[&key(1).public()].received_packets, Some(1));
    assert!(!sample.path.udp_gso);
}

#[test]
fn every_tenant_is_sampled_and_they_are_spread_over_the_threads() {
    let options = Options { threads: NonZeroUsize::new(3), ..Options::default() };
    let (datapath, _events) = Datapath::start(options).unwrap();
    let mut insides = Vec::new();
    for number in 0..100 {
        let (inside, tun) = Inside::new();
        insides.push(inside);
        attach(&datapath, &tenant(&format!("t{number}")), tun, config(1, &[]));
    }
    let samples = datapath.sample_all().unwrap();
    assert_eq!(samples.len(), 100);
    for thread in 0..3 {
        let count = samples.values().filter(|sample| sample.path.thread == thread).count();
        assert!((33..=34).contains(&count), "thread {thread} has {count}");
    }
}

#[test]
fn a_defect_in_one_thread_ended_the_packets_of_its_tenants_for_good() {
    let there = end(one_thread(), config(2, &[(1, HERE, None)]));
    let options = Options { threads: NonZeroUsize::new(2), ..Options::default() };
    let here = end(options, config(1, &[(2, THERE, Some(there.port))]));
    let bystander = tenant("bystander");
    let (_inside, tun) = Inside::new();
    attach(&here.datapath, &bystander, tun, config(3, &[]));
    connect(&here, &there);

    let thread = here.datapath.sample(&here.tenant).unwrap().path.thread;
    here.datapath.break_off(thread).unwrap();
    let lost = here.events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(lost, Event::ThreadLost { thread: lost } if lost == thread), "{lost:?}");
    assert!(matches!(here.datapath.sample(&here.tenant), Err(DatapathError::ThreadEnded(_))));
    here.datapath.sample(&bystander).unwrap();

    assert_eq!(here.datapath.restart(thread).unwrap(), std::slice::from_ref(&here.tenant));
    let (inside, tun) = Inside::new();
    attach(&here.datapath, &here.tenant, tun, config(1, &[(2, THERE, Some(there.port))]));
    let here = End { inside, ..here };
    assert_eq!(here.datapath.sample(&here.tenant).unwrap().path.thread, thread);
    connect(&here, &there);
}

#[test]
fn packets_to_nobody_are_counted() {
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    here.inside.write([0; 10], &udp(HERE, Ipv4Addr::new(10, 9, 9, 9), b"no route"));
    here.inside.write([0; 10], &udp(HERE, THERE, b"no endpoint"));
    let begun = Instant::now();
    loop {
        let drops = here.datapath.sample(&here.tenant).unwrap().device.drops;
        if drops.get("no_route") == Some(&1) && drops.get("no_endpoint") == Some(&1) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{drops:?}");
        std::thread::yield_now();
    }
}

#[test]
fn who_sends_to_nobody_is_told_but_not_without_end() {
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    let packet = udp(HERE, THERE, b"no endpoint");
    for _ in 0..200 {
        here.inside.write([0; 10], &packet);
    }
    let (header, answer) = here.inside.read();
    assert_eq!(header, [0; 10]);
    assert_eq!(sum(&answer[..20]), 0xffff, "the IPv4 checksum");
    assert_eq!(sum(&answer[20..]), 0xffff, "the ICMP checksum");
    assert_eq!((answer[9], &answer[20..22]), (1, &[3, 1][..]), "host unreachable");
    assert_eq!(answer[12..20], [THERE.octets(), HERE.octets()].concat());
    assert_eq!(answer[28..], packet);
    let mut answers = 1;
    while here.inside.read_soon().is_some() {
        answers += 1;
    }
    assert!(answers <= 100, "{answers} answers");
    // An error is never answered with another one (RFC 1122 §3.2.2).
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    let mut error = answer;
    error[12..16].copy_from_slice(&HERE.octets());
    error[16..20].copy_from_slice(&THERE.octets());
    here.inside.write([0; 10], &error);
    assert_eq!(here.inside.read_soon(), None);
    // Nor is a packet that claims to come from a loopback.
    let martian = udp(Ipv4Addr::LOCALHOST, THERE, b"from nowhere");
    here.inside.write([0; 10], &martian);
    assert_eq!(here.inside.read_soon(), None);
}

#[test]
fn who_sends_a_superpacket_to_nobody_is_told_of_its_first_packet() {
    let here = end(one_thread(), config(1, &[(2, THERE, None)]));
    let payload: Vec<u8> = (0..5_000_u32).map(|i| (i % 251) as u8).collect();
    let (header, packet) = tcp_superpacket(&payload, 400);
    here.inside.write(header, &packet);
    let (_, answer) = here.inside.read();
    assert_eq!((answer[9], &answer[20..22]), (1, &[3, 1][..]), "host unreachable");
    assert_eq!(answer[28..], tcp_segments(&payload, 400)[0]);
    let drops = here.datapath.sample(&here.tenant).unwrap().device.drops;
    assert_eq!(drops.get("no_endpoint"), Some(&13));
}

#[test]
fn what_is_no_packet_is_dropped_and_the_tenant_lives() {
    let (here, there) = pair(one_thread(), one_thread());
    connect(&here, &there);
    for rubbish in [&[][..], &[0], &[0x45], &[0x45; 19], &[0x60; 39], &[0xff; 100], &[0x45; 1_500]]
    {
        for header in [[0; 10], [0xff; 10], [1, 1, 40, 0, 0, 0, 20, 0, 16, 0]] {
            here.inside.write(header, rubbish);
        }
    }
    connect(&here, &there);
    let drops = here.datapath.sample(&here.tenant).unwrap().device.drops;
    assert!(drops.get("tun_header").is_some_and(|count| 0 < *count), "{drops:?}");
    let outside = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for rubbish in [&[][..], &[0], &[4, 0, 0, 0], &[1; 148], &[4; 32], &[0xff; 9_000]] {
        outside.send_to(rubbish, (Ipv4Addr::LOCALHOST, here.port)).unwrap();
    }
    connect(&here, &there);
    assert_eq!(here.inside.read_soon(), None);
}
