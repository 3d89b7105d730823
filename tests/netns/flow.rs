//! [`Flow`]: numbered datagrams one way at a steady pace, and [`Stream`]: one
//! TCP connection that carries bytes as long as a test runs; and what became of
//! them.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "a tool is kept whether or not a test takes it up today; \
              a flow has a pace, and arrivals have a time"
)]

use crate::lab::{Lab, PATIENCE, wait_until};
use crate::wireguard_stage::socket;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the last datagrams may take to arrive.
const TAIL: Duration = Duration::from_millis(500);

/// Bytes of datagrams that may wait for the receiver.
const ROOM: usize = 16 << 20;

/// Numbered datagrams from one host to another.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<()>,
    arrivals: Arc<Mutex<Vec<(u64, Instant)>>>,
}

/// What became of a flow.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// How many were sent.
    pub(crate) sent: u64,
    /// The number of each that arrived, and when, in the order of arrival.
    pub(crate) arrived: Vec<(u64, Instant)>,
}

impl Flow {
    /// Begins to send, one each `interval`: from an address at one host to an
    /// address at the other.
    pub(crate) fn start(
        lab: &Lab,
        from: (&str, &str),
        to: (&str, &str),
        interval: Duration,
    ) -> Self {
        let receiving = lab.udp(to.0, socket(to.1, 0));
        // What waits here while the test has no processor is not lost on the way.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&receiving, ROOM).unwrap();
        let sending = lab.udp(from.0, socket(from.1, 0));
        let to = receiving.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = std::thread::spawn(move || send(&sending, to, interval, &stopped));
        let arrivals: Arc<Mutex<Vec<(u64, Instant)>>> = Arc::default();
        let (noted, stopped) = (Arc::clone(&arrivals), Arc::clone(&stop));
        receiving.set_read_timeout(Some(TAIL)).unwrap();
        let receiver = std::thread::spawn(move || {
            let mut number = [0; 8];
            loop {
                match receiving.recv(&mut number) {
                    Ok(_) => {
                        noted.lock().unwrap().push((u64::from_be_bytes(number), Instant::now()));
                    }
                    Err(_) if stopped.load(Ordering::Relaxed) => return,
                    Err(_) => {}
                }
            }
        });
        Self { stop, sender, receiver, arrivals }
    }

    /// When the first datagram arrived after `moment`, once one has.
    pub(crate) fn wait_arrival_after(&self, moment: Instant) -> Instant {
        wait_until("a datagram to arrive", PATIENCE, || {
            let arrivals = self.arrivals.lock().unwrap();
            let first = arrivals.iter().map(|(_, at)| *at).find(|at| moment < *at);
            first.ok_or_else(|| format!("{} arrived, all of them before", arrivals.len()))
        })
    }

    /// Ends it; what is on its way has time to arrive.
    pub(crate) fn stop(self) -> Arrivals {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap();
        self.receiver.join().unwrap();
        let arrived = std::mem::take(&mut *self.arrivals.lock().unwrap());
        Arrivals { sent, arrived }
    }
}

/// Sends one each interval; those that are late for want of a processor at once.
fn send(socket: &UdpSocket, to: SocketAddr, interval: Duration, stop: &AtomicBool) -> u64 {
    let begun = Instant::now();
    let mut number: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        // An error is of an earlier one: somebody said it is unreachable.
        let _ = socket.send_to(&number.to_be_bytes(), to);
        number += 1;
        let due = begun + interval * u32::try_from(number).unwrap();
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    number
}

impl Arrivals {
    /// The numbers that never arrived.
    pub(crate) fn lost(&self) -> Vec<u64> {
        let arrived: BTreeSet<u64> = self.arrived.iter().map(|(number, _)| *number).collect();
        (0..self.sent).filter(|number| !arrived.contains(number)).collect()
    }

    /// The longest time without an arrival between the first and the last.
    pub(crate) fn longest_gap(&self) -> Duration {
        let pairs = self.arrived.windows(2).map(|pair| pair[1].1 - pair[0].1);
        pairs.max().unwrap_or_default()
    }
}

/// One TCP connection that carries numbered bytes.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<u64>,
}

/// Bytes written at once, and the pause after them: some 6 Mb/s.
const PIECE: usize = 4_096;
const PAUSE: Duration = Duration::from_millis(5);

impl Stream {
    /// Connects from one host to an address at the other, and begins to send.
    pub(crate) fn start(lab: &Lab, from: &str, to: (&str, &str)) -> Self {
        let listener = lab.within(to.0, || TcpListener::bind(socket(to.1, 0))).unwrap();
        let to = listener.local_addr().unwrap();
        let mut client = lab.within(from, || TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let piece: Vec<u8> = (sent..sent + PIECE as u64).map(byte).collect();
                client.write_all(&piece).expect("the connection stands");
                sent += PIECE as u64;
                std::thread::sleep(PAUSE);
            }
            sent
        });
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        let receiver = std::thread::spawn(move || {
            let (mut at, mut room) = (0, vec![0; 65_536]);
            loop {
                let len = server.read(&mut room).expect("the connection stands");
                if len == 0 {
                    return at;
                }
                let as_sent = (at..).map(byte).zip(&room[..len]).all(|(sent, got)| sent == *got);
                assert!(as_sent, "byte {at} or one soon after it is another");
                at += len as u64;
                count.store(at, Ordering::Relaxed);
            }
        });
        Self { stop, received, sender, receiver }
    }

    /// How many bytes arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Ends it; panics when it broke or bytes are missing. Gives how many arrived.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap();
        assert_eq!(self.receiver.join().unwrap(), sent, "bytes that arrived, and that were sent");
        sent
    }
}

/// The byte at a place of a stream.
fn byte(at: u64) -> u8 {
    (at * 7 % 253) as u8
}
