//! [`Answerer`]: a host that says who it is to whoever asks, over ping, UDP and
//! TCP, so that an answer from another tenant's host with the same address is
//! known for what it is.
//!
//! A question is a [`Canary`] of who asks. An answer is the question, a canary
//! of who answers, and the name. To a ping the kernel's own answer would be the
//! question alone, so here the kernel keeps silent.
#![allow(clippy::disallowed_methods, reason = "it looks at its sockets at a steady pace")]

use crate::canary::{self, Canary};
use crate::lab::{Lab, slowness};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The ports every host answers at.
pub(crate) const UDP_PORTS: [u16; 2] = [162, 514];
pub(crate) const TCP_PORTS: [u16; 2] = [22, 443];

/// Connections that are kept open; more close the oldest.
const CONNECTIONS: usize = 256;

/// Answers until it is dropped.
pub(crate) struct Answerer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it answers with.
struct Name {
    text: String,
    mark: u8,
    answers: u64,
}

impl Answerer {
    /// One called `name` at `at`, which has these addresses; its canaries are `mark`'s.
    pub(crate) fn start(lab: &Lab, at: &str, name: &str, mark: u8, addresses: &[IpAddr]) -> Self {
        let (mut udp, mut tcp, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        lab.within(at, || {
            for silence in ["ipv4/icmp_echo_ignore_all", "ipv6/icmp/echo_ignore_all"] {
                std::fs::write(format!("/proc/sys/net/{silence}"), "1").unwrap();
            }
            for address in addresses {
                udp.extend(UDP_PORTS.map(|port| UdpSocket::bind((*address, port)).unwrap()));
                tcp.extend(TCP_PORTS.map(|port| TcpListener::bind((*address, port)).unwrap()));
                // One each, or the answer would come from another address than was asked.
                pings.push(ping_socket(*address));
            }
        });
        udp.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        tcp.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let mut name = Name { text: name.to_owned(), mark, answers: 0 };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut open = VecDeque::new();
            while !stopped.load(Ordering::Relaxed) {
                udp.iter().for_each(|socket| answer_udp(socket, &mut name));
                tcp.iter().for_each(|socket| answer_tcp(socket, &mut name, &mut open));
                pings.iter().for_each(|socket| answer_pings(socket, &mut name));
                std::thread::sleep(Duration::from_millis(2) * slowness());
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It can only have failed by a panic that was printed.
            let _ = thread.join();
        }
    }
}

impl Name {
    /// The answer to `question`, when it is one.
    fn answer(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        Canary::read(question)?;
        self.answers += 1;
        let mut answer = question[..canary::LEN].to_vec();
        answer.extend(Canary { owner: self.mark, number: self.answers }.bytes());
        answer.extend(self.text.bytes());
        Some(answer)
    }
}

/// Who gave this answer, and to which question. The bare question is what a
/// kernel answers a ping with.
pub(crate) fn read(answer: &[u8]) -> Option<(Canary, String)> {
    let question = Canary::read(answer)?;
    let name = match answer.get(2 * canary::LEN..) {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => "the gateway".to_owned(),
    };
    Some((question, name))
}

fn answer_udp(socket: &UdpSocket, name: &mut Name) {
    let mut room = [0; 2_048];
    // An error is silence, or the ICMP error of an earlier answer.
    while let Ok((len, from)) = socket.recv_from(&mut room) {
        if let Some(answer) = name.answer(&room[..len]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn answer_tcp(listener: &TcpListener, name: &mut Name, open: &mut VecDeque<(TcpStream, Vec<u8>)>) {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true).unwrap();
        open.push_back((stream, Vec::new()));
        if CONNECTIONS < open.len() {
            open.pop_front();
        }
    }
    open.retain_mut(|(stream, asked)| {
        let mut room = [0; canary::LEN];
        match stream.read(&mut room) {
            Ok(0) => return false,
            Ok(len) => asked.extend(&room[..len]),
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
        if let Some(answer) = name.answer(asked) {
            asked.clear();
            return stream.write_all(&answer).is_ok();
        }
        true
    });
}

/// A socket for echo requests and answers at an address of the calling thread's
/// namespace. It is none of UDP, and the standard library's does not mind.
pub(crate) fn ping_socket(own: IpAddr) -> UdpSocket {
    let (domain, protocol) = match own {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::new(own, 0))).unwrap();
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from(OwnedFd::from(socket))
}

/// ICMP echo and echo reply, by family.
const ECHO: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];

/// An echo request with this payload.
pub(crate) fn ping(to: IpAddr, id: u16, payload: &[u8]) -> Vec<u8> {
    icmp(ECHO[usize::from(to.is_ipv6())], to, &id.to_be_bytes(), payload)
}

/// A message; the kernel fills in the checksum of ICMPv6.
fn icmp(kind: u8, to: IpAddr, id: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(id);
    message.resize(8, 0);
    message.extend(payload);
    if to.is_ipv4() {
        let sum = crate::wireguard_raw::sum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// The next message: its type, the rest of it, and who sent it.
fn receive(socket: &UdpSocket) -> Option<(u8, Vec<u8>, IpAddr)> {
    let mut room = [0; 2_048];
    let (len, from) = socket.recv_from(&mut room).ok()?;
    // Of IPv4 the header comes along.
    let message = room[..len].get(if from.is_ipv4() { 20 } else { 0 }..)?;
    Some((*message.first()?, message.to_vec(), from.ip()))
}

/// The payload of the next answer to a ping of this number.
pub(crate) fn receive_ping_answer(socket: &UdpSocket, id: u16) -> Option<Vec<u8>> {
    loop {
        let (kind, message, _) = receive(socket)?;
        if ECHO_REPLY.contains(&kind) && message.get(4..6) == Some(&id.to_be_bytes()) {
            return Some(message.get(8..).unwrap_or_default().to_vec());
        }
    }
}

fn answer_pings(socket: &UdpSocket, name: &mut Name) {
    while let Some((kind, message, from)) = receive(socket) {
        if !ECHO.contains(&kind) || message.len() < 8 {
            continue;
        }
        if let Some(answer) = name.answer(&message[8..]) {
            let reply =
                icmp(ECHO_REPLY[usize::from(from.is_ipv6())], from, &message[4..8], &answer);
            let _ = socket.send_to(&reply, (from, 0));
        }
    }
}
