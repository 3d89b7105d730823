//! UDP sockets for BFD, made in the calling thread's namespace: where they are from
//! then on, whoever holds them.

use super::syscall;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// What every packet leaves with, so that who gets it can tell that it passed no
/// router (RFC 5881 §5).
const TTL: u32 = 255;

/// Internetwork control (CS6, RFC 4594 §3.1): what keeps the network going is not to
/// wait behind what goes over it.
const TRAFFIC_CLASS: u32 = 0xc0;

/// The first of the ports that packets may come from (RFC 5881 §4), and how many
/// there are.
const SOURCE_PORTS: (u16, u16) = (49_152, 16_384);

/// How many of them are tried: were so many taken, all would be.
const TRIES: u16 = 64;

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How much of it there is.
    pub length: usize,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The TTL, or hop limit, that it arrived with.
    pub ttl: u8,
}

/// A socket that hears what is sent to `local`.
///
/// # Errors
/// When the address is not ours or the port taken.
pub fn listen(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(local.is_ipv4())?;
    syscall::tell_ttl(&socket, local.is_ipv4())?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// A socket to send from, at `local` or, where that is `None`, at whatever address of
/// the family the routes say: at `port`, or another one of those that packets may come
/// from.
///
/// # Errors
/// When the address is not ours or no port is to be had.
pub fn sender(local: Option<IpAddr>, is_v4: bool, port: u16) -> io::Result<UdpSocket> {
    let unspecified = match is_v4 {
        true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        false => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let local = local.unwrap_or(unspecified);
    let socket = socket(is_v4)?;
    match is_v4 {
        true => {
            socket.set_ttl_v4(TTL)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        false => {
            socket.set_unicast_hops_v6(TTL)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
    }
    let (first, count) = SOURCE_PORTS;
    let mut outcome = Ok(());
    for step in 0..TRIES {
        let port = first + (port.wrapping_sub(first).wrapping_add(step)) % count;
        outcome = socket.bind(&SocketAddr::new(local, port).into());
        let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        if !outcome.as_ref().is_err_and(is_taken) {
            break;
        }
    }
    outcome.map(|()| socket.into())
}

/// Takes one datagram, as far as `buffer` has room.
///
/// # Errors
/// When there is none ([`io::ErrorKind::WouldBlock`]), or the kernel has another reason.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let (length, remote, ttl) = syscall::receive_with_ttl(socket, buffer)?;
    let remote = remote.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Received { length, remote, ttl })
}

fn socket(is_v4: bool) -> io::Result<Socket> {
    let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // An address may be named before its link has it.
    match is_v4 {
        true => socket.set_freebind_v4(true)?,
        false => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    Ok(socket)
}
