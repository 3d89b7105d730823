//! The outer wire between a router and the gateway, played by the test: a NAT
//! that forgets ([`Relay::churn`]), a path that reorders ([`Order`]); and what
//! is in a captured frame ([`Seen`]).
#![allow(dead_code, reason = "a tool is kept whether or not a test takes it up today")]

use crate::lab::{At, Lab};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How often a thread of a relay looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// Room for what comes while a relay is not scheduled.
const BUFFER: usize = 8 << 20;

/// The type of a data message.
const DATA: u8 = 4;

/// Passes datagrams on between a router, which sends to [`Relay::near`], and the
/// gateway, until dropped. It lives in the router's namespace.
pub(crate) struct Relay<'lab> {
    lab: &'lab Lab,
    at: &'lab str,
    /// Where the router sends to.
    pub(crate) near: SocketAddr,
    ends: Arc<Ends>,
}

struct Ends {
    near: UdpSocket,
    gateway: SocketAddr,
    far: Mutex<Arc<UdpSocket>>,
    router: Mutex<Option<SocketAddr>>,
    packets: AtomicU64,
    stop: AtomicBool,
}

impl<'lab> Relay<'lab> {
    /// One that sends to the gateway from the address `own`, and lets the
    /// router's datagrams through in this order.
    pub(crate) fn start(
        lab: &'lab Lab,
        at: &'lab str,
        own: &str,
        gateway: SocketAddr,
        order: Order,
    ) -> Self {
        let near = lab.udp(at, SocketAddr::from(([127, 0, 0, 1], 0)));
        near.set_read_timeout(Some(LOOK)).unwrap();
        set_socket_recv_buffer_size_force(&near, BUFFER).unwrap();
        let far = far(lab, at, own.parse().unwrap(), gateway);
        let ends = Arc::new(Ends {
            near,
            gateway,
            far: Mutex::new(Arc::clone(&far)),
            router: Mutex::default(),
            packets: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let near = ends.near.local_addr().unwrap();
        let up = Arc::clone(&ends);
        thread::spawn(move || up.run_up(order));
        let down = Arc::clone(&ends);
        thread::spawn(move || down.run_down(&far));
        Self { lab, at, near, ends }
    }

    /// Another port from now on, as a NAT that has lost its table. What comes to
    /// the old one is lost.
    pub(crate) fn churn(&self) -> SocketAddr {
        let own = self.address().ip();
        let next = far(self.lab, self.at, own, self.ends.gateway);
        *self.ends.far.lock().unwrap() = Arc::clone(&next);
        let down = Arc::clone(&self.ends);
        thread::spawn(move || down.run_down(&next));
        self.address()
    }

    /// Where the gateway sees the router.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ends.far.lock().unwrap().local_addr().unwrap()
    }

    /// Data messages of the router passed on that held a packet.
    pub(crate) fn packets(&self) -> u64 {
        self.ends.packets.load(Ordering::Relaxed)
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.ends.stop.store(true, Ordering::Relaxed);
    }
}

fn far(lab: &Lab, at: &str, own: IpAddr, gateway: SocketAddr) -> Arc<UdpSocket> {
    let socket = lab.udp(At::Netns(at), SocketAddr::new(own, 0));
    socket.connect(gateway).unwrap();
    socket.set_read_timeout(Some(LOOK)).unwrap();
    Arc::new(socket)
}

impl Ends {
    fn run_up(&self, mut order: Order) {
        let mut buffer = [0; 4_096];
        while !self.stop.load(Ordering::Relaxed) {
            let received = self.near.recv_from(&mut buffer);
            let far = Arc::clone(&self.far.lock().unwrap());
            let mut pass = |datagram: &[u8]| {
                // An error is the ICMP error of an earlier one.
                let _ = far.send(datagram).or_else(|_| far.send(datagram));
                if datagram[0] == DATA && 32 < datagram.len() {
                    self.packets.fetch_add(1, Ordering::Relaxed);
                }
            };
            match received {
                Ok((len, from)) => {
                    *self.router.lock().unwrap() = Some(from);
                    order.take(&buffer[..len], &mut pass);
                }
                Err(_) => order.flush(&mut pass),
            }
        }
    }

    /// Passes on what comes to `far`, for as long as that is the one in use.
    fn run_down(&self, far: &Arc<UdpSocket>) {
        let mut buffer = [0; 4_096];
        let is_in_use = || Arc::ptr_eq(&self.far.lock().unwrap(), far);
        while !self.stop.load(Ordering::Relaxed) && is_in_use() {
            let Ok(len) = far.recv(&mut buffer) else { continue };
            let router = *self.router.lock().unwrap();
            if let Some(router) = router.filter(|_| is_in_use()) {
                let _ = self.near.send_to(&buffer[..len], router);
            }
        }
    }
}

/// In which order datagrams are passed on.
pub(crate) enum Order {
    /// As they come.
    Kept,
    /// A quarter of the data messages is held back until one comes whose number is
    /// greater by up to so many; by lot, the same for a seed.
    HeldBack(HeldBack),
}

impl Order {
    /// A quarter is held back for up to `most` numbers.
    pub(crate) fn held_back(most: u64, seed: u64) -> Self {
        Self::HeldBack(HeldBack { most, state: seed, waiting: BTreeMap::new() })
    }

    fn take(&mut self, datagram: &[u8], pass: &mut impl FnMut(&[u8])) {
        match self {
            Self::HeldBack(held) if datagram[0] == DATA => held.take(datagram, pass),
            Self::HeldBack(_) | Self::Kept => pass(datagram),
        }
    }

    /// Nothing more comes: what was held back goes.
    fn flush(&mut self, pass: &mut impl FnMut(&[u8])) {
        if let Self::HeldBack(held) = self {
            while let Some((_, datagram)) = held.waiting.pop_first() {
                pass(&datagram);
            }
        }
    }
}

/// See [`Order::HeldBack`].
pub(crate) struct HeldBack {
    most: u64,
    state: u64,
    /// What waits, by the number it waits for and its own.
    waiting: BTreeMap<(u64, u64), Vec<u8>>,
}

impl HeldBack {
    fn take(&mut self, datagram: &[u8], pass: &mut impl FnMut(&[u8])) {
        let number = u64::from_le_bytes(*datagram[8..].first_chunk().unwrap());
        // First what waited for it: of the numbers in between many may be lost, and this
        // one can be beyond whatever the receiver still tells apart.
        while let Some(first) = self.waiting.first_entry() {
            if number < first.key().0 {
                break;
            }
            pass(&first.remove());
        }
        if self.random().is_multiple_of(4) {
            let until = number + 1 + self.random() % self.most;
            self.waiting.insert((until, number), datagram.to_vec());
        } else {
            pass(datagram);
        }
    }

    /// xorshift64.
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 16
    }
}

/// An IP packet of a captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    /// The traffic class or type of service.
    pub(crate) class: u8,
    pub(crate) protocol: u8,
    /// What follows the IP header.
    pub(crate) payload: Vec<u8>,
}

impl Seen {
    /// The packet of an Ethernet frame; `None` when it is another thing.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(14..)?;
        match (frame[12], frame[13]) {
            (0x08, 0x00) => {
                let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                let address =
                    |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
                let header = usize::from(packet[0] & 15) * 4;
                Some(Self {
                    from: address(12),
                    to: address(16),
                    class: packet[1],
                    protocol: packet[9],
                    payload: packet.get(header..len)?.to_vec(),
                })
            }
            (0x86, 0xdd) => {
                let len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
                let address = |at: usize| {
                    IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap()))
                };
                Some(Self {
                    from: address(8),
                    to: address(24),
                    class: packet[0] << 4 | packet[1] >> 4,
                    protocol: packet[6],
                    payload: packet.get(40..40 + len)?.to_vec(),
                })
            }
            _ => None,
        }
    }

    /// Its destination port, of TCP or UDP.
    pub(crate) fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.payload[2], self.payload[3]])
    }

    /// Its source port, of TCP or UDP.
    pub(crate) fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }
}
