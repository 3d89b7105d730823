//! TCP sockets for BGP, made in the calling thread's namespace: where they are
//! from then on, whoever holds them.
//!
//! What guards a session is set before the first packet: on a listening socket
//! before it listens, on the other kind before it connects.

use super::syscall;
use crate::model::limits;
use crate::net::{Prefix, TcpPassword};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

/// Connections the kernel keeps for us before we accept them, beside one of each
/// neighbor that is waited for. Whoever else connects is turned away at once.
const BACKLOG: usize = 32;

/// The longest TTL there is.
const MAXIMUM_TTL: u8 = 255;

/// How far away a neighbor is, which is what its packets' TTLs must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On a link of ours: what we send is not to leave it.
    Link,
    /// Routers away.
    Multihop,
    /// At most so many hops away, 1 being a link of ours, and nobody farther away
    /// is heard (GTSM, RFC 5082).
    Secured(u8),
}

impl Reach {
    /// The least TTL of what is heard; `None` is any.
    fn minimum_ttl(self) -> Option<u8> {
        match self {
            Self::Link | Self::Multihop => None,
            Self::Secured(hops) => Some(MAXIMUM_TTL - hops.saturating_sub(1)),
        }
    }

    /// The TTL of what is sent; `None` is the system's.
    const fn ttl(self) -> Option<u8> {
        match self {
            Self::Link => Some(1),
            Self::Multihop => None,
            Self::Secured(_) => Some(MAXIMUM_TTL),
        }
    }
}

/// Neighbors as their packets must show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Where they are: a host, or a network that any of them may be in.
    pub from: Prefix,
    /// How far away they are.
    pub reach: Reach,
    /// The key every segment is signed with (TCP-MD5, RFC 2385).
    pub password: Option<TcpPassword>,
}

impl Guard {
    /// The one that an address has to pass: of those it is in the smallest.
    pub fn of(guards: &[Self], address: IpAddr) -> Option<&Self> {
        let all = guards.iter().filter(|guard| guard.from.contains(address));
        all.max_by_key(|guard| guard.from.length())
    }

    /// How many neighbors may connect in the same instant, as all of a range do that lost
    /// their sessions together: at most as many as one range may have.
    pub fn expected(guards: &[Self]) -> usize {
        let of = |guard: &Self| {
            let free = if guard.from.is_v4() { 32 } else { 128 } - u32::from(guard.from.length());
            1_usize.checked_shl(free).unwrap_or(usize::MAX).min(limits::NEIGHBORS_PER_RANGE)
        };
        guards.iter().map(of).sum::<usize>().min(limits::NEIGHBORS_PER_RANGE)
    }
}

/// A socket that listens at `local` for these neighbors.
///
/// A neighbor with a password is not even answered without it, and nobody in a
/// network with one is; of several passwords that of the smallest network counts. The
/// least TTL of each is for [`admit`] to set, for a listening socket has but one.
///
/// # Errors
/// When the address is not ours or taken, or the kernel has no TCP-MD5
/// (`CONFIG_TCP_MD5SIG`).
pub fn listen(local: SocketAddr, neighbors: &[Guard]) -> io::Result<TcpListener> {
    let socket = socket(local.is_ipv4())?;
    socket.set_reuse_address(true)?;
    // An address may be named before its link has it.
    match local {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    for neighbor in neighbors.iter().filter(|it| it.from.is_v4() == local.is_ipv4()) {
        sign(&socket, neighbor)?;
    }
    // The answer to a first packet already has the TTL the neighbor asks for.
    let is_secured = |it: &&Guard| matches!(it.reach, Reach::Secured(_));
    if neighbors.iter().any(|it| is_secured(&it)) {
        set_ttl(&socket, local.is_ipv4(), MAXIMUM_TTL)?;
    }
    // Whom all of them would drop is dropped before it costs a connection.
    let least = neighbors.iter().map(|it| it.reach.minimum_ttl()).min().flatten();
    if let Some(ttl) = least {
        syscall::set_minimum_ttl(&socket, local.is_ipv4(), ttl)?;
    }
    socket.bind(&local.into())?;
    let backlog = BACKLOG + Guard::expected(neighbors);
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Sets what `neighbor` is to show on a connection of its that was accepted.
///
/// # Errors
/// When the kernel does not let it be set; the connection is then of no use.
pub fn admit(connection: &impl AsFd, neighbor: &Guard) -> io::Result<()> {
    let socket = socket2::SockRef::from(connection);
    socket.set_tcp_nodelay(true)?;
    guard(&socket, neighbor)
}

/// A socket that connects to `remote`, a neighbor that `neighbor` tells of; whether that
/// succeeds shows when it becomes writable.
///
/// # Errors
/// When `local` is not ours, there is no route, or the kernel has no TCP-MD5.
pub fn dial(remote: SocketAddr, neighbor: &Guard, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = socket(remote.is_ipv4())?;
    socket.set_tcp_nodelay(true)?;
    guard(&socket, neighbor)?;
    sign(&socket, neighbor)?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    match socket.connect(&remote.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

fn socket(is_v4: bool) -> io::Result<Socket> {
    let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn guard(socket: &Socket, neighbor: &Guard) -> io::Result<()> {
    let is_v4 = neighbor.from.is_v4();
    if let Some(ttl) = neighbor.reach.ttl() {
        set_ttl(socket, is_v4, ttl)?;
    }
    if let Some(ttl) = neighbor.reach.minimum_ttl() {
        syscall::set_minimum_ttl(socket, is_v4, ttl)?;
    }
    Ok(())
}

fn sign(socket: &Socket, neighbor: &Guard) -> io::Result<()> {
    match &neighbor.password {
        Some(password) => Ok(syscall::set_tcp_md5(socket, neighbor.from, password.as_bytes())?),
        None => Ok(()),
    }
}

fn set_ttl(socket: &Socket, is_v4: bool, ttl: u8) -> io::Result<()> {
    match is_v4 {
        true => socket.set_ttl_v4(ttl.into()),
        false => socket.set_unicast_hops_v6(ttl.into()),
    }
}
