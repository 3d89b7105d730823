//! Devices and a wire between them that does what a test wants with datagrams.

use lockgate::net::{Mtu, Now, Prefix, PrivateKey, PublicKey, Timestamp};
use lockgate::wireguard::{
    Device, DeviceConfig, DropReason, HEADER_LEN, PeerConfig, PeerSample, Received, SendState,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub(crate) const MTU: u32 = 1_420;

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Node {
    pub(crate) device: Device,
    pub(crate) config: DeviceConfig,
    pub(crate) address: SocketAddr,
    /// Packets that came through the tunnel.
    pub(crate) inbox: Vec<Vec<u8>>,
}

/// Devices on one wire.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Now,
    /// What was sent and not delivered yet.
    pub(crate) wire: VecDeque<Flight>,
}

pub(crate) fn at(seconds: u64) -> Now {
    Now {
        mono: lockgate::net::Instant::from_secs(seconds),
        wall: Timestamp::new(1_800_000_000 + seconds, 0),
    }
}

pub(crate) fn private(number: u8) -> PrivateKey {
    PrivateKey::from_random([number; 32])
}

pub(crate) fn public(number: u8) -> PublicKey {
    private(number).public()
}

pub(crate) fn endpoint(node: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node], 51_820))
}

pub(crate) fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn peer(allowed: &[&str]) -> PeerConfig {
    PeerConfig { allowed_ips: prefixes(allowed), ..PeerConfig::default() }
}

pub(crate) fn config(number: u8, peers: &[(u8, PeerConfig)]) -> DeviceConfig {
    DeviceConfig {
        private_key: private(number),
        next_private_key: None,
        listen_port: 51_820,
        mtu: Mtu::new(MTU).unwrap(),
        peers: peers.iter().map(|(key, peer)| (public(*key), peer.clone())).collect(),
    }
}

/// A packet from `source` to `destination`, `len` bytes long, whose bytes after
/// the header count up from `mark`.
pub(crate) fn packet(source: &str, destination: &str, len: usize, mark: u8) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..len).map(|at| mark.wrapping_add(at as u8)).collect();
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet[..20].fill(0);
            packet[0] = 0x45;
            packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            packet[8] = 64;
            packet[9] = 253; // for experiments, RFC 3692
            packet[12..16].copy_from_slice(&Ipv4Addr::octets(&source));
            packet[16..20].copy_from_slice(&Ipv4Addr::octets(&destination));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet[..40].fill(0);
            packet[0] = 0x60;
            packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
            packet[6] = 253;
            packet[7] = 64;
            packet[8..24].copy_from_slice(&Ipv6Addr::octets(&source));
            packet[24..40].copy_from_slice(&Ipv6Addr::octets(&destination));
        }
        _ => panic!("one family"),
    }
    packet
}

/// Whatever the device wants to send.
fn drain(device: &mut Device, from: SocketAddr, now: Now) -> Vec<Flight> {
    let mut buffer = vec![0; device.transmit_len()];
    let mut flights = Vec::new();
    while let Some(transmit) = device.poll_transmit(&mut buffer, now) {
        let from = transmit.from.map_or(from, |address| SocketAddr::new(address, from.port()));
        flights.push(Flight { from, to: transmit.to, bytes: buffer[..transmit.len].to_vec() });
        assert!(flights.len() < 100_000, "a device that never stops sending");
    }
    flights
}

impl Net {
    pub(crate) fn new(configs: Vec<DeviceConfig>) -> Self {
        let now = at(1_000);
        let nodes = configs.into_iter().enumerate().map(|(at, config)| Node {
            device: Device::new(config.clone(), [at as u8 + 100; 32], Timestamp::default(), now),
            config,
            address: endpoint(at as u8),
            inbox: Vec::new(),
        });
        Self { nodes: nodes.collect(), now, wire: VecDeque::new() }
    }

    /// Node 0 (a gateway with 10.0.0.0/24 behind it) and node 1 (a site with
    /// 10.1.0.0/24), of which node 1 knows where node 0 is.
    pub(crate) fn pair() -> Self {
        let gateway = config(1, &[(2, peer(&["10.1.0.0/24", "fd01::/64"]))]);
        let site = config(
            2,
            &[(
                1,
                PeerConfig { endpoint: Some(endpoint(0)), ..peer(&["10.0.0.0/24", "fd00::/64"]) },
            )],
        );
        Self::new(vec![gateway, site])
    }

    /// A pair with a session, nothing on the wire.
    pub(crate) fn connected() -> Self {
        let mut net = Self::pair();
        net.send(1, &packet("10.1.0.1", "10.0.0.1", 100, 0));
        net.settle();
        assert_eq!(net.take_inbox(0).len(), 1);
        net
    }

    pub(crate) fn device(&mut self, node: usize) -> &mut Device {
        &mut self.nodes[node].device
    }

    pub(crate) fn sample(&self, node: usize, peer: u8) -> PeerSample {
        self.nodes[node].device.sample(self.now).peers[&public(peer)]
    }

    pub(crate) fn drops(&self, node: usize) -> BTreeMap<&'static str, u64> {
        self.nodes[node].device.sample(self.now).drops
    }

    pub(crate) fn take_inbox(&mut self, node: usize) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.nodes[node].inbox)
    }

    pub(crate) fn configure(&mut self, node: usize, change: impl FnOnce(&mut DeviceConfig)) {
        let now = self.now;
        let node = &mut self.nodes[node];
        change(&mut node.config);
        node.device.configure(node.config.clone(), now);
    }

    /// Sends a packet as a shell does; gives the datagram, if it was sealed.
    pub(crate) fn seal(
        &mut self,
        node: usize,
        packet: &[u8],
    ) -> Result<Option<Flight>, DropReason> {
        let now = self.now;
        let Node { device, address, .. } = &mut self.nodes[node];
        let destination = match packet[0] >> 4 {
            4 => IpAddr::from(<[u8; 4]>::try_from(&packet[16..20]).unwrap()),
            _ => IpAddr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap()),
        };
        let peer = device.route(destination).ok_or(DropReason::NoRoute)?;
        match device.begin_send(peer, now) {
            SendState::Ready(destination) => {
                let mut buffer = vec![0xee; HEADER_LEN + packet.len() + 15 + 16];
                buffer[HEADER_LEN..HEADER_LEN + packet.len()].copy_from_slice(packet);
                let len = device.seal(peer, &mut buffer, packet.len())?;
                device.sent(peer, 1, len as u64, now);
                buffer.truncate(len);
                let from =
                    destination.from.map_or(*address, |ip| SocketAddr::new(ip, address.port()));
                Ok(Some(Flight { from, to: destination.to, bytes: buffer }))
            }
            SendState::Staging => device.stage(peer, packet, now).map(|()| None),
            SendState::NoEndpoint => Err(DropReason::NoEndpoint),
        }
    }

    pub(crate) fn send(&mut self, node: usize, packet: &[u8]) {
        let flight = self.seal(node, packet).unwrap();
        self.wire.extend(flight);
    }

    /// Hands a datagram to a node.
    pub(crate) fn deliver(&mut self, node: usize, flight: &Flight) -> Received {
        let mut bytes = flight.bytes.clone();
        let Node { device, inbox, .. } = &mut self.nodes[node];
        let received =
            device.handle_datagram(flight.from, Some(flight.to.ip()), &mut bytes, self.now);
        if let Received::Packet { range, .. } = &received {
            inbox.push(bytes[range.clone()].to_vec());
        }
        received
    }

    /// What a node wants to send.
    pub(crate) fn drain(&mut self, node: usize) -> Vec<Flight> {
        let Node { device, address, .. } = &mut self.nodes[node];
        drain(device, *address, self.now)
    }

    /// Puts what devices want to send on the wire.
    pub(crate) fn collect(&mut self) {
        let now = self.now;
        for node in &mut self.nodes {
            self.wire.extend(drain(&mut node.device, node.address, now));
        }
    }

    /// Delivers until nothing is on its way, save what `lose` says is lost.
    pub(crate) fn settle_losing(&mut self, mut lose: impl FnMut(&Flight) -> bool) {
        loop {
            self.collect();
            let Some(flight) = self.wire.pop_front() else { break };
            if lose(&flight) {
                continue;
            }
            if let Some(node) = self.nodes.iter().position(|node| node.address == flight.to) {
                self.deliver(node, &flight);
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        self.settle_losing(|_| false);
    }

    /// Lets time pass, doing what is due when it is, with `lose` as the wire.
    /// Gives how many datagrams went out.
    pub(crate) fn pass_losing(
        &mut self,
        time: Duration,
        mut lose: impl FnMut(&Flight) -> bool,
    ) -> usize {
        let end = self.now + time;
        let mut flown = 0;
        loop {
            self.settle_losing(|flight| {
                flown += 1;
                lose(flight)
            });
            let next = self.nodes.iter().filter_map(|node| node.device.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end.mono) else { break };
            self.now = self.now + next.since(self.now.mono);
            let now = self.now;
            for node in &mut self.nodes {
                node.device.handle_timeout(now);
            }
        }
        self.now = end;
        flown
    }

    pub(crate) fn pass(&mut self, time: Duration) -> usize {
        self.pass_losing(time, |_| false)
    }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
