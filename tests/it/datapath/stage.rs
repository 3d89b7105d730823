//! [`End`]: one end of a tunnel, with a pair of datagram sockets for its TUN.

use super::packets::udp;
use lockgate::datapath::{Attach, Datapath, Event, Options, Tun};
use lockgate::net::{Mtu, PrivateKey, PublicKey, TenantName, Timestamp};
use lockgate::wireguard::{DeviceConfig, PeerConfig};
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;
use std::time::Duration;

pub(super) const MTU: u32 = 1420;

pub(super) const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

pub(super) const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The far side of a TUN that is none.
pub(super) struct Inside(Socket);

impl Inside {
    pub(super) fn new() -> (Self, Tun) {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        ours.set_write_timeout(Some(PATIENCE)).unwrap();
        (Self(ours), Tun { fd: OwnedFd::from(theirs), tso: true, uso: true })
    }

    pub(super) fn write(&self, header: [u8; 10], packet: &[u8]) {
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(packet);
        self.0.send(&bytes).unwrap();
    }

    /// One packet or superpacket, and its header.
    pub(super) fn read(&self) -> ([u8; 10], Vec<u8>) {
        let mut bytes = vec![0; 70_000];
        let len = (&self.0).read(&mut bytes).expect("a packet in time");
        bytes.truncate(len);
        let packet = bytes.split_off(10);
        (bytes.try_into().unwrap(), packet)
    }

    /// What comes within a moment.
    pub(super) fn read_soon(&self) -> Option<([u8; 10], Vec<u8>)> {
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
pub(super) struct End {
    pub(super) datapath: Datapath,
    pub(super) events: Receiver<Event>,
    pub(super) inside: Inside,
    pub(super) tenant: TenantName,
    pub(super) port: u16,
}

pub(super) fn tenant(name: &str) -> TenantName {
    TenantName::new("test", name).unwrap()
}

pub(super) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

pub(super) fn one_thread() -> Options {
    Options { threads: NonZeroUsize::new(1), ..Options::default() }
}

pub(super) fn config(own: u8, peers: &[(u8, Ipv4Addr, Option<u16>)]) -> DeviceConfig {
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

pub(super) fn attach(
    datapath: &Datapath,
    tenant: &TenantName,
    tun: Tun,
    config: DeviceConfig,
) -> u16 {
    let attach =
        Attach { tenant: tenant.clone(), tun, config, last_initiation: Timestamp::default() };
    datapath.attach(attach).unwrap()
}

pub(super) fn end(options: Options, config: DeviceConfig) -> End {
    let (datapath, events) = Datapath::start(options).unwrap();
    let (inside, tun) = Inside::new();
    let tenant = tenant("a");
    let port = attach(&datapath, &tenant, tun, config);
    End { datapath, events, inside, tenant, port }
}

/// Two ends; the first knows the second's endpoint, not the other way round.
pub(super) fn pair(here: Options, there: Options) -> (End, End) {
    let there = end(there, config(2, &[(1, HERE, None)]));
    let here = end(here, config(1, &[(2, THERE, Some(there.port))]));
    (here, there)
}

/// Both ends have a session, and `there` knows where `here` is.
pub(super) fn connect(here: &End, there: &End) {
    let packet = udp(HERE, THERE, b"first");
    here.inside.write([0; 10], &packet);
    assert_eq!(there.inside.read().1, packet);
}
