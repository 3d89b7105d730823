//! The sockets of probes, made in the calling thread's namespace: where they are from
//! then on, whoever holds them. One for each time a device is asked, and gone with the
//! answer: nothing is held for a probe that waits for its turn.
//!
//! Echo requests leave by the kernel's own sockets for them (`IPPROTO_ICMP` of type
//! datagram), which need no privilege but that our group is in
//! `net.ipv4.ping_group_range`, and give us the answers to our own requests only. Where
//! the namespace is ours alone, that setting is made when it is needed.

use super::probe_calls::{self as calls};
use crate::probe::{Failure, IcmpError, Outcome, Target};
use rustix::fd::AsFd;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Who may have sockets for echo requests: a range of groups.
const PING_GROUP_RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Types of an echo request and its answer (RFC 792, RFC 4443 §4).
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// What an echo request carries beside its number, as long as that of most programs: 56
/// bytes together.
const FILLING: &[u8; 48] = b"lockgate asks whether this device can be reached";

/// The header of an echo: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// The longest answer there is to one of ours.
const LONGEST: usize = HEADER + 8 + FILLING.len();

/// A device that was asked.
#[derive(Debug)]
pub enum Asked {
    /// By an echo request.
    Echo(Echo),
    /// By a TCP connection, which stands or fails when the socket becomes writable.
    Connection(TcpStream),
}

/// An echo request that was sent.
#[derive(Debug)]
pub struct Echo {
    /// What the answer comes out of: to be read by [`Echo::read`] alone.
    pub socket: UdpSocket,
    check: Check,
}

/// What tells the answer from anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    target: IpAddr,
    number: u64,
    /// When it was sent, on the kernel's wall clock.
    sent: Duration,
}

/// Asks `target` now. `number` is in the request and in its answer, and nowhere else.
/// `is_ours` says that the namespace's settings are for us to make.
///
/// # Errors
/// What became of it, where that is known at once.
pub fn ask(target: &Target, number: u64, is_ours: bool) -> Result<Asked, Outcome> {
    let asked = match target.tcp_port {
        Some(port) => connect(SocketAddr::new(target.address, port)).map(Asked::Connection),
        None => echo(target.address, number, is_ours).map(Asked::Echo),
    };
    asked.map_err(|error| failed_at_once(&error))
}

fn echo(target: IpAddr, number: u64, is_ours: bool) -> io::Result<Echo> {
    let socket = match echo_socket(target.is_ipv4()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_ours => {
            let group = rustix::process::getegid();
            std::fs::write(PING_GROUP_RANGE, format!("{group} {group}"))?;
            echo_socket(target.is_ipv4())?
        }
        socket => socket?,
    };
    socket.set_nonblocking(true)?;
    calls::report_errors(&socket, target.is_ipv4())?;
    calls::stamp(&socket)?;
    socket.connect(&SockAddr::from(SocketAddr::new(target, 0)))?;
    let (request, _) = if target.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
    let mut bytes = [0; LONGEST];
    let (header, payload) = bytes.split_at_mut(HEADER);
    // Identifier and checksum are the kernel's matter.
    header.copy_from_slice(&[request, 0, 0, 0, 0, 0, (number >> 8) as u8, number as u8]);
    let (id, filling) = payload.split_at_mut(8);
    id.copy_from_slice(&number.to_be_bytes());
    filling.copy_from_slice(FILLING);
    let sent = calls::wall_clock();
    socket.send(&bytes)?;
    Ok(Echo { socket: socket.into(), check: Check { target, number, sent } })
}

fn echo_socket(is_v4: bool) -> io::Result<Socket> {
    match is_v4 {
        true => Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4)),
        false => Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::ICMPV6)),
    }
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let domain = if target.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    calls::report_errors(&socket, target.is_ipv4())?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

impl Echo {
    /// Parts the socket from what its answer is told by.
    pub fn into_parts(self) -> (UdpSocket, Check) {
        (self.socket, self.check)
    }
}

/// Takes what came out of the socket of an echo request; `None` is something else than
/// the answer. `waited` is how long it took by another clock: the kernel's stamps are of
/// the wall clock, which can be set meanwhile.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when nothing is there.
pub fn read_echo(
    socket: &impl AsFd,
    check: &Check,
    waited: Duration,
) -> io::Result<Option<Outcome>> {
    if let Some(error) = calls::error_of(socket, check.target.is_ipv4())? {
        return Ok(Some(told(error, check.target, waited)));
    }
    let mut bytes = [0; LONGEST];
    let received = match calls::receive_stamped(socket, &mut bytes) {
        Ok(received) => received,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
        // An error may have come after we looked.
        Err(error) => {
            let kept = calls::error_of(socket, check.target.is_ipv4())?;
            return Ok(Some(kept.map_or_else(
                || failed_at_once(&error),
                |error| told(error, check.target, waited),
            )));
        }
    };
    let (_, answer) = if check.target.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
    let bytes = bytes.get(..received.length).unwrap_or_default();
    let number = bytes.get(HEADER..HEADER + 8);
    let is_ours = received.from == Some(check.target)
        && bytes.first() == Some(&answer)
        && number == Some(&check.number.to_be_bytes());
    let took = received.at.and_then(|at| at.checked_sub(check.sent));
    let took = took.filter(|took| *took <= waited).unwrap_or(waited);
    Ok(is_ours.then_some(Outcome::Answered(took)))
}

/// What became of a connection whose socket has become writable. `waited` is how long
/// that took.
pub fn read_connection(socket: &TcpStream, target: IpAddr, waited: Duration) -> Outcome {
    let error = match socket.take_error() {
        Ok(None) => {
            let took = calls::round_trip(socket).filter(|took| *took <= waited);
            return Outcome::Answered(took.unwrap_or(waited));
        }
        Ok(Some(error)) | Err(error) => error,
    };
    if let Ok(Some(error)) = calls::error_of(socket, target.is_ipv4()) {
        return told(error, target, waited);
    }
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED | libc::ECONNRESET) => Outcome::Refused(waited),
        Some(_) | None => failed_at_once(&error),
    }
}

/// What an ICMP error means. That a port is closed, or that nobody may use it, is an
/// answer when the device says so itself. That it cannot be reached nobody can say of
/// himself: it is our own datapath that says so in its name, of a site without a session.
fn told(error: IcmpError, target: IpAddr, waited: Duration) -> Outcome {
    match (error.from == Some(target), error.is_refusal()) {
        (true, true) => Outcome::Refused(waited),
        (true, false) => Outcome::Lost(Failure::Unreachable(IcmpError { from: None, ..error })),
        (false, _) => Outcome::Lost(Failure::Unreachable(error)),
    }
}

/// What an error of the kernel means.
fn failed_at_once(error: &io::Error) -> Outcome {
    Outcome::Lost(match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => Failure::Timeout,
        Some(libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EADDRNOTAVAIL) => Failure::NoRoute,
        // So says its WireGuard of a peer without an endpoint, and of no peer at all.
        Some(libc::EDESTADDRREQ | libc::ENOKEY) => Failure::NoPeer,
        // What a chain for our own packets drops comes back as this.
        Some(libc::EPERM) => Failure::Filtered,
        Some(libc::EACCES) => Failure::NotPermitted,
        // There is no room for another socket: that is no loss.
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => return Outcome::Unsent,
        Some(other) => Failure::Other(other),
        None => Failure::Other(0),
    })
}

/// An error that the kernel keeps with the packet it is about.
pub(super) const fn icmp_error(is_v4: bool, kind: u8, code: u8, from: Option<IpAddr>) -> IcmpError {
    IcmpError { is_v4, kind, code, from }
}
