//! One connection of BGP, from the dial or the accept to its last words.

use super::bgp::{BgpInput, PORT, SessionName, Whose, guard};
use super::task::text;
use crate::bgp::speaker::Endpoint;
use crate::gateway::SocketEvent;
use crate::linux::{Kernel, tcp};
use crate::model::limits::BGP_SOCKET_READ_BYTES;
use crate::net::Prefix;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How long a neighbor has to take the last words. What it sends meanwhile is thrown
/// away: were it left lying, the kernel would tell the neighbor of that instead.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a connection is to do.
pub(super) enum Order {
    /// Write whole messages, and say when it is done.
    Write(Vec<u8>),
    /// Read again: what was read is worked off.
    Read,
    /// Write this as far as it goes at once, and close.
    Close(Vec<u8>),
}

/// Connects to a neighbor and goes on from there.
pub(super) async fn dial(
    kernel: &Kernel,
    endpoint: Option<Endpoint>,
    mut orders: mpsc::Receiver<Order>,
    whose: &Whose,
    input: &mpsc::Sender<BgpInput>,
) {
    let connect = async {
        let endpoint = endpoint.ok_or_else(|| "no neighbor of this name".to_owned())?;
        let (address, local) = (endpoint.address, endpoint.local);
        let guard = guard(Prefix::host(address), &endpoint);
        let remote = SocketAddr::new(address, PORT);
        let dial = move || tcp::dial(remote, &guard, local);
        let stream = match &whose.session {
            SessionName::Own(tenant, _) => kernel.in_tenant(tenant, dial).await.map_err(text)?,
            // Nothing is waited for there, and this is the underlay's thread.
            SessionName::Shared(_) => dial(),
        };
        connected(stream.map_err(text)?).await.map_err(text)
    };
    let connected = tokio::select! {
        connected = connect => connected,
        // Nothing but an order to stop comes before it is connected.
        _ = orders.recv() => return,
    };
    match connected {
        Ok((stream, local, remote)) => {
            tell(whose, input, SocketEvent::Connected { local, remote }).await;
            match &whose.session {
                SessionName::Own(tenant, _) => {
                    let left = kernel.left(tenant, stream.as_fd());
                    until(left, converse(stream, orders, whose, input), whose, input).await;
                }
                SessionName::Shared(_) => converse(stream, orders, whose, input).await,
            }
        }
        Err(why) => tell(whose, input, SocketEvent::Closed(why)).await,
    }
}

async fn connected(
    stream: std::net::TcpStream,
) -> io::Result<(TcpStream, std::net::IpAddr, std::net::IpAddr)> {
    let stream = TcpStream::from_std(stream)?;
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let (local, remote) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
    Ok((stream, local, remote))
}

/// Talks until it has `left` its tenant's namespace, in which nobody hears it then.
pub(super) async fn until(
    left: impl Future<Output = ()>,
    talk: impl Future<Output = ()>,
    whose: &Whose,
    input: &mpsc::Sender<BgpInput>,
) {
    tokio::select! {
        () = talk => return,
        () = left => {}
    }
    tell(whose, input, SocketEvent::Closed("the tenant's namespace is gone".to_owned())).await;
}

/// Reads and writes as it is told, until one of both ends closes.
pub(super) async fn converse(
    stream: TcpStream,
    mut orders: mpsc::Receiver<Order>,
    whose: &Whose,
    input: &mpsc::Sender<BgpInput>,
) {
    let (mut may_read, mut chunk, mut written) = (true, Vec::new(), 0);
    loop {
        let why = tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Write(bytes)) => {
                    (chunk, written) = (bytes, 0);
                    continue;
                }
                Some(Order::Read) => {
                    may_read = true;
                    continue;
                }
                Some(Order::Close(last)) => {
                    let begun = rest_of_message(&chunk, written);
                    return close(stream, begun, &last).await;
                }
                None => return,
            },
            ready = stream.readable(), if may_read => {
                let mut bytes = Vec::with_capacity(BGP_SOCKET_READ_BYTES);
                match ready.and_then(|()| stream.try_read_buf(&mut bytes)) {
                    Ok(0) => "the neighbor closed it".to_owned(),
                    Ok(_) => {
                        may_read = false;
                        tell(whose, input, SocketEvent::Bytes(bytes)).await;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => text(error),
                }
            },
            ready = stream.writable(), if written < chunk.len() => {
                let (rest, total) = (chunk.get(written..).unwrap_or_default(), chunk.len());
                match ready.and_then(|()| stream.try_write(rest)) {
                    Ok(count) => {
                        written += count;
                        if written == chunk.len() {
                            (chunk, written) = (Vec::new(), 0);
                            tell(whose, input, SocketEvent::Written(total)).await;
                        }
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => text(error),
                }
            },
        };
        return tell(whose, input, SocketEvent::Closed(why)).await;
    }
}

/// Says the last words after the message that was begun, and closes.
async fn close(mut stream: TcpStream, begun: &[u8], last: &[u8]) {
    if last.is_empty() {
        return;
    }
    let end = async {
        let words = [begun, last].concat();
        stream.write_all(&words).await?;
        stream.shutdown().await?;
        loop {
            let mut unread = Vec::with_capacity(BGP_SOCKET_READ_BYTES);
            stream.readable().await?;
            match stream.try_read_buf(&mut unread) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    let _: Result<io::Result<()>, _> = tokio::time::timeout(LAST_WORDS, end).await;
}

async fn tell(whose: &Whose, input: &mpsc::Sender<BgpInput>, event: SocketEvent) {
    // Fails only when the loop has ended.
    let _ = input.send(BgpInput::Event(whose.clone(), event)).await;
}

/// The length of the message that begins here, out of its header (RFC 4271 §4.1).
pub(super) fn message_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(16..18) {
        Some([high, low]) => Some(usize::from(u16::from_be_bytes([*high, *low])).max(1)),
        Some(_) | None => None,
    }
}

/// What is left of the message in which the first `written` bytes of `chunk` end:
/// whatever is said next has to stand behind it.
fn rest_of_message(chunk: &[u8], written: usize) -> &[u8] {
    let mut end = 0;
    while end < written {
        let length = message_length(chunk.get(end..).unwrap_or_default());
        end += length.unwrap_or(chunk.len());
    }
    chunk.get(written..end.min(chunk.len())).unwrap_or_default()
}
