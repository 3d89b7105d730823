//! The packet threads with real TUNs and a real link between two namespaces.

use crate::lab::{self, At, Lab, PATIENCE, wait_until};
use lockgate::datapath::{Attach, Datapath, Event, Options, TenantSample, Tun};
use lockgate::linux::{Kernel, KernelOptions, Offload};
use lockgate::model::Placement;
use lockgate::net::{Mtu, PrivateKey, TenantName, Timestamp};
use lockgate::wireguard::{DeviceConfig, PeerConfig};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::mpsc::Receiver;

const PORT: u16 = 51_820;
const BULK: usize = 8 << 20;

struct End {
    datapath: Datapath,
    events: Receiver<Event>,
}

impl End {
    fn sample(&self) -> TenantSample {
        self.datapath.sample(&tenant()).unwrap()
    }
}

fn tenant() -> TenantName {
    TenantName::new("test", "one").unwrap()
}

fn options() -> Options {
    Options { threads: NonZeroUsize::new(1), ..Options::default() }
}

/// The end in namespace `own`; `outer` is the other end's address.
fn end(lab: &Lab, own: u8, outer: &str, options: Options) -> End {
    let other = 3 - own;
    let namespace = format!("n{own}");
    let key = |seed| PrivateKey::from_random([seed; 32]);
    let peer = PeerConfig {
        endpoint: Some(SocketAddr::new(outer.parse().unwrap(), PORT)),
        allowed_ips: vec![
            format!("10.0.0.{other}/32").parse().unwrap(),
            format!("fd00::{other}/128").parse().unwrap(),
        ],
        ..PeerConfig::default()
    };
    let config = DeviceConfig {
        private_key: key(own),
        next_private_key: None,
        listen_port: PORT,
        mtu: Mtu::new(1_420).unwrap(),
        peers: BTreeMap::from([(key(other).public(), peer)]),
    };
    let end = lab.within(namespace.as_str(), || {
        let wanted = Offload {
            tcp: options.tun_offload,
            ecn: options.tun_offload,
            udp: options.tun_offload && options.uso,
        };
        let kernel = Kernel::new(Placement::Current, KernelOptions { offload: wanted }).unwrap();
        let tun = lab.block_on(kernel.open_tun(&tenant())).unwrap();
        let tun = Tun { fd: tun.fd, tso: tun.offload.tcp, uso: tun.offload.udp };
        let (datapath, events) = Datapath::start(options).unwrap();
        let attach =
            Attach { tenant: tenant(), tun, config, last_initiation: Timestamp::default() };
        assert_eq!(datapath.attach(attach).unwrap(), PORT);
        End { datapath, events }
    });
    let at = namespace.as_str();
    lab.address(at, "lg-wg", &format!("10.0.0.{own}/24"));
    lab.address(at, "lg-wg", &format!("fd00::{own}/64"));
    lab.ip(at, "link set lg-wg mtu 1420 up");
    end
}

/// Two namespaces joined by a link with this MTU, a tunnel between them.
fn pair(lab: &Lab, outer_mtu: u32, v6: bool, options: [Options; 2]) -> [End; 2] {
    for name in ["n1", "n2"] {
        lab.add(name);
    }
    lab.veth((At::Netns("n1"), "eth0"), (At::Netns("n2"), "eth0"));
    let outer = |end: u8| if v6 { format!("2001:db8::{end}") } else { format!("192.0.2.{end}") };
    for own in [1, 2] {
        let at = format!("n{own}");
        lab.address(at.as_str(), "eth0", &format!("{}/{}", outer(own), if v6 { 64 } else { 24 }));
        lab.ip(at.as_str(), &format!("link set eth0 mtu {outer_mtu}"));
    }
    let [one, two] = options;
    [end(lab, 1, &outer(2), one), end(lab, 2, &outer(1), two)]
}

/// Sends [`BULK`] bytes each way over one TCP connection; they arrive as sent.
fn bulk(lab: &Lab, to: &str) {
    let address = SocketAddr::new(to.parse().unwrap(), 7_000);
    let listener = lab.within("n2", || TcpListener::bind(address)).unwrap();
    let client = std::thread::spawn({
        let client = lab.within("n1", || TcpStream::connect_timeout(&address, PATIENCE)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        move || exchange(client)
    });
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server.set_write_timeout(Some(PATIENCE)).unwrap();
    exchange(server);
    client.join().unwrap();
}

fn exchange(mut stream: TcpStream) {
    let sent: Vec<u8> = (0..BULK).map(|i| (i * 7 % 253) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        let mut got = vec![0; BULK];
        stream.read_exact(&mut got).unwrap();
        assert!(got == sent, "the bytes are what was sent");
    });
}

fn check_bulk(outer_mtu: u32, v6: bool, options: [Options; 2], see: fn([TenantSample; 2])) {
    lab::run(move |lab| {
        let ends = pair(lab, outer_mtu, v6, options);
        assert!(lab.ping("n1", "10.0.0.2"), "a ping passes");
        bulk(lab, "10.0.0.2");
        bulk(lab, "fd00::2");
        let samples = ends.each_ref().map(End::sample);
        samples.iter().for_each(assert_nothing_misread);
        see(samples);
    });
}

/// What we or the kernel misread is lost; TCP would make up for it.
fn assert_nothing_misread(sample: &TenantSample) {
    let drops = &sample.device.drops;
    let misread = ["tun_header", "tun_refused"].into_iter().find(|name| drops.contains_key(name));
    assert_eq!(misread, None, "{drops:?}");
}

/// Sends datagrams of `segment` bytes from n1 in one call, as QUIC does; they
/// arrive in n2 as they were sent.
fn train(lab: &Lab, to: &str, segment: usize, len: usize) {
    let address = SocketAddr::new(to.parse().unwrap(), 0);
    let receiver = lab.within("n2", || UdpSocket::bind(address)).unwrap();
    let address = receiver.local_addr().unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let sender = lab.within("n1", || UdpSocket::bind(any)).unwrap();
    let sent: Vec<u8> = (0..len).map(|i| (i * 7 % 253) as u8).collect();
    let transmit = quinn_udp::Transmit {
        destination: address,
        ecn: None,
        contents: &sent,
        segment_size: Some(segment),
        src_ip: None,
    };
    let state = quinn_udp::UdpSocketState::new((&sender).into()).unwrap();
    state.try_send((&sender).into(), &transmit).unwrap();
    let mut got = [0; 2_000];
    for datagram in sent.chunks(segment) {
        let len = receiver.recv(&mut got).expect("a datagram in time");
        assert!(got[..len] == *datagram);
    }
}

#[test]
fn trains_of_datagrams_pass_as_they_were_sent() {
    for offload in [true, false] {
        lab::run(move |lab| {
            let without = Options { uso: false, ..options() };
            let ends =
                pair(lab, 1_500, false, [options(), if offload { options() } else { without }]);
            assert!(lab.ping("n1", "10.0.0.2"));
            for to in ["10.0.0.2", "fd00::2"] {
                for (segment, len) in
                    [(1_000, 40_000), (1_300, 40_001), (100, 6_400), (1_200, 1_200)]
                {
                    train(lab, to, segment, len);
                }
            }
            ends.iter().for_each(|end| assert_nothing_misread(&end.sample()));
        });
    }
}

#[test]
fn bulk_passes_with_every_offload() {
    check_bulk(1_500, false, [options(); 2], |samples| {
        for sample in samples {
            assert!(sample.path.tso && sample.path.udp_gso && sample.path.udp_gro);
        }
    });
}

#[test]
fn bulk_passes_over_ipv6() {
    check_bulk(1_500, true, [options(); 2], |_| {});
}

#[test]
fn bulk_passes_without_any_offload() {
    let none =
        Options { tun_offload: false, uso: false, udp_gso: false, udp_gro: false, ..options() };
    check_bulk(1_500, false, [none; 2], |samples| {
        for sample in samples {
            assert!(!sample.path.tso && !sample.path.udp_gso && !sample.path.udp_gro);
        }
    });
}

#[test]
fn bulk_passes_between_an_end_with_and_an_end_without_offload() {
    let none =
        Options { tun_offload: false, uso: false, udp_gso: false, udp_gro: false, ..options() };
    check_bulk(1_500, false, [options(), none], |_| {});
}

#[test]
fn a_path_narrower_than_the_datagrams_takes_fragments() {
    check_bulk(1_300, false, [options(); 2], |samples| {
        for sample in samples {
            assert!(sample.path.udp_gso, "one narrow path turns nothing off for others");
        }
    });
}

#[test]
fn a_narrow_ipv6_path_takes_fragments_too() {
    check_bulk(1_300, true, [options(); 2], |_| {});
}

#[test]
fn a_deleted_link_is_told() {
    lab::run(|lab| {
        let [one, two] = pair(lab, 1_500, false, [options(); 2]);
        assert!(lab.ping("n1", "10.0.0.2"));
        lab.ip("n1", "link delete lg-wg");
        match one.events.recv_timeout(PATIENCE).unwrap() {
            Event::TunLost { tenant: lost, .. } => assert_eq!(lost, tenant()),
            event @ (Event::ThreadLost { .. } | Event::UdpGsoOff { .. }) => panic!("{event:?}"),
        }
        assert!(one.sample().path.tun_lost);
        assert!(!two.sample().path.tun_lost);
    });
}

#[test]
fn a_link_that_was_down_passes_packets_again() {
    lab::run(|lab| {
        let ends = pair(lab, 1_500, false, [options(); 2]);
        assert!(lab.ping("n1", "10.0.0.2"));
        lab.ip("n2", "link set lg-wg down");
        assert!(!lab.ping("n1", "10.0.0.2"));
        wait_until("packets refused by a TUN that is down", PATIENCE, || {
            let drops = ends[1].sample().device.drops;
            if drops.contains_key("tun_refused") { Ok(()) } else { Err(drops) }
        });
        lab.ip("n2", "link set lg-wg up");
        assert!(lab.ping("n1", "10.0.0.2"));
    });
}
