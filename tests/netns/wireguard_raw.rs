//! [`RawCustomer`]: a customer's end without a link: boringtun's engine and a
//! UDP socket, so that a test can send what no router would; and the messages a
//! stranger can make.
#![allow(
    dead_code,
    clippy::wildcard_enum_match_arm,
    reason = "a tool is kept whether or not a test takes it up today; any other outcome fails"
)]

use crate::lab::{At, Lab};
use crate::wireguard_stage::socket;
use blake2::digest::{FixedOutput, KeyInit, Mac, Update};
use blake2::{Blake2s256, Blake2sMac, Digest};
use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519;
use lockgate::net::{PrivateKey, PublicKey};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Room for any datagram here.
const ROOM: usize = 4_096;

/// A customer's end.
pub(crate) struct RawCustomer {
    tunn: RefCell<Tunn>,
    /// Its socket; blocking, gives up after a second.
    pub(crate) socket: UdpSocket,
    /// Where the gateway is.
    pub(crate) gateway: SocketAddr,
}

impl RawCustomer {
    /// One at the address `own` of the namespace `at`, that has sent nothing yet.
    pub(crate) fn new<'a>(
        lab: &Lab,
        at: impl Into<At<'a>>,
        own: &str,
        key: &PrivateKey,
        gateway: (PublicKey, SocketAddr),
    ) -> Self {
        let tunn = Tunn::new(
            x25519::StaticSecret::from(*key.as_bytes()),
            x25519::PublicKey::from(*gateway.0.as_bytes()),
            None,
            None,
            1,
            None,
        );
        let socket = lab.udp(at, socket(own, 0));
        Self { tunn: RefCell::new(tunn), socket, gateway: gateway.1 }
    }

    /// A handshake initiation, not sent.
    pub(crate) fn initiation(&self) -> Vec<u8> {
        let mut room = [0; ROOM];
        match self.tunn.borrow_mut().format_handshake_initiation(&mut room, true) {
            TunnResult::WriteToNetwork(message) => message.to_vec(),
            other => panic!("no initiation: {other:?}"),
        }
    }

    /// A packet sealed in the session, not sent; empty: a keepalive.
    pub(crate) fn seal(&self, packet: &[u8]) -> Vec<u8> {
        let mut room = vec![0; packet.len() + ROOM];
        match self.tunn.borrow_mut().encapsulate(packet, &mut room) {
            TunnResult::WriteToNetwork(message) => message.to_vec(),
            other => panic!("not sealed: {other:?}"),
        }
    }

    /// Sends bytes to the gateway.
    pub(crate) fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.gateway).unwrap();
    }

    /// Shakes hands; what it sent is returned, for a replay.
    pub(crate) fn connect(&self) -> Vec<u8> {
        let initiation = self.initiation();
        self.send(&initiation);
        let mut datagram = [0; ROOM];
        let (len, _) = self.socket.recv_from(&mut datagram).expect("an answer to the initiation");
        assert_eq!((len, datagram[0]), (92, 2), "it is a handshake response");
        self.take(&datagram[..len]);
        initiation
    }

    /// Opens a datagram of the gateway's; sends what is to be answered.
    pub(crate) fn take(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut room = [0; ROOM];
        let mut tunn = self.tunn.borrow_mut();
        match tunn.decapsulate(None, datagram, &mut room) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                Some(packet.to_vec())
            }
            TunnResult::WriteToNetwork(reply) => {
                self.send(reply);
                None
            }
            // The second: an answer to an initiation that another one followed. The third:
            // more initiations at once than it answers, for they had waited.
            TunnResult::Done
            | TunnResult::Err(
                WireGuardError::WrongIndex
                | WireGuardError::UnexpectedPacket
                | WireGuardError::UnderLoad,
            ) => None,
            TunnResult::Err(error) => panic!("it cannot open what the gateway sent: {error:?}"),
        }
    }

    /// Whether it has shaken hands.
    pub(crate) fn is_connected(&self) -> bool {
        self.tunn.borrow().time_since_last_handshake().is_some()
    }

    /// The next packet that comes through the tunnel, within a second.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut datagram = [0; ROOM];
        loop {
            let (len, _) = self.socket.recv_from(&mut datagram).ok()?;
            if let Some(packet) = self.take(&datagram[..len]) {
                return Some(packet);
            }
        }
    }

    /// Sends an inner packet that asks for `payload` back, and says whether it
    /// came; three tries.
    pub(crate) fn asks(&self, from: &str, to: SocketAddr, payload: &[u8]) -> bool {
        let to_ip = to.ip().to_string();
        (0..3).any(|_| {
            self.send(&self.seal(&udp(from, 9_000, &to_ip, to.port(), payload)));
            self.receive().is_some_and(|packet| packet.ends_with(payload))
        })
    }

    /// Panics when the gateway has sent anything here.
    pub(crate) fn assert_silence(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut room = [0; ROOM];
        if let Ok((len, _)) = self.socket.recv_from(&mut room) {
            panic!("answered with {:02x?}", &room[..len.min(32)]);
        }
        self.socket.set_nonblocking(false).unwrap();
        self.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    }
}

/// An IPv4 packet with a UDP datagram without checksum in it.
pub(crate) fn udp(from: &str, from_port: u16, to: &str, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(28 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, 17, 0, 0]);
    packet.extend(from.parse::<Ipv4Addr>().unwrap().octets());
    packet.extend(to.parse::<Ipv4Addr>().unwrap().octets());
    header_checksum(&mut packet);
    for half in [from_port, to_port, len - 20, 0] {
        packet.extend(half.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// Writes the checksum of an IPv4 header of 20 bytes.
pub(crate) fn header_checksum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = sum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The Internet checksum (RFC 1071).
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let halves =
        bytes.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(*it.get(1).unwrap_or(&0)));
    let sum: u32 = halves.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

/// Bytes nobody can have foreseen, and everybody can repeat.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// An initiation of 148 bytes by someone who knows the gateway's public key and
/// nothing else: its MAC1 is right (WireGuard paper §5.4.4).
pub(crate) fn strangers_initiation(gateway: PublicKey, seed: u64) -> Vec<u8> {
    let mut message = noise(seed, 148);
    message[..4].copy_from_slice(&[1, 0, 0, 0]);
    let mut label = Blake2s256::new();
    Update::update(&mut label, b"mac1----");
    Update::update(&mut label, gateway.as_bytes());
    let key = label.finalize();
    type Mac1 = Blake2sMac<blake2::digest::consts::U16>;
    let mut mac = <Mac1 as KeyInit>::new_from_slice(&key).unwrap();
    Mac::update(&mut mac, &message[..116]);
    let mac = mac.finalize_fixed();
    message[116..132].copy_from_slice(&mac);
    message[132..].fill(0);
    message
}
