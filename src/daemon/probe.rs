//! Asks a device once, from its tenant's namespace, and waits for what becomes of it.
//!
//! Nothing here decides anything. A socket is held from the question to its answer, for
//! [`TIMEOUT`] at most, and the waiting is a task's and not a thread's.

use crate::linux::probe::{self, Asked, Check};
use crate::linux::{EnterError, Kernel};
use crate::net::TenantName;
use crate::probe::{Failure, Outcome, TIMEOUT, Target};
use std::io;
use std::net::{IpAddr, TcpStream, UdpSocket};
use tokio::io::Interest;
use tokio::time::{Instant, timeout_at};

/// Asks `target`. `number` tells the answer from all others.
pub(super) async fn ask(
    kernel: &Kernel,
    tenant: &TenantName,
    target: Target,
    number: u64,
) -> Outcome {
    try_ask(kernel, tenant, target, number).await.unwrap_or_else(|error| {
        tracing::debug!(%tenant, %target, %error, "a device could not be asked");
        Outcome::Unsent
    })
}

/// The same, where who asks wants to know why nothing could be asked.
///
/// # Errors
/// When the tenant has no namespace, or it cannot be entered.
pub async fn try_ask(
    kernel: &Kernel,
    tenant: &TenantName,
    target: Target,
    number: u64,
) -> Result<Outcome, EnterError> {
    let (asked, at) = match kernel.ask(tenant, target, number).await? {
        (Ok(asked), at) => (asked, at),
        (Err(outcome), _) => return Ok(outcome),
    };
    let answer = async {
        match asked {
            Asked::Echo(echo) => {
                let (socket, check) = echo.into_parts();
                await_echo(socket, &check, at).await
            }
            Asked::Connection(socket) => await_connection(socket, target.address, at).await,
        }
    };
    Ok(match timeout_at(at + TIMEOUT, answer).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::debug!(%tenant, %target, %error, "an answer could not be waited for");
            Outcome::Unsent
        }
        Err(_) => Outcome::Lost(Failure::Timeout),
    })
}

async fn await_echo(socket: UdpSocket, check: &Check, at: Instant) -> io::Result<Outcome> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    // An ICMP error about what was sent makes no packet to read.
    let told = Interest::READABLE.add(Interest::ERROR);
    loop {
        let read = || probe::read_echo(&socket, check, at.elapsed());
        if let Some(outcome) = socket.async_io(told, read).await? {
            return Ok(outcome);
        }
    }
}

async fn await_connection(socket: TcpStream, target: IpAddr, at: Instant) -> io::Result<Outcome> {
    let socket = tokio::net::TcpStream::from_std(socket)?;
    socket.writable().await?;
    let waited = at.elapsed();
    // Back to one that can be asked for its error, and is closed when dropped.
    let socket = socket.into_std()?;
    Ok(probe::read_connection(&socket, target, waited))
}
