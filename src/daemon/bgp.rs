//! The sockets of BGP, each in its tenant's namespace, and in the underlay those of
//! sessions that tenants share: what listens, what is connected, and what each connection
//! is doing.
//!
//! Nothing here decides anything, and nothing waits: each listener and each
//! connection is a task of its own, has one thing to tell at a time, and is given one
//! thing to write at a time. Whoever is slow is alone in it.

use super::bgp_connection::{self, Order};
use super::pace::Pace;
use super::task::text;
use crate::bgp::NeighborName;
use crate::bgp::session::ConnectionId;
use crate::bgp::speaker::{Endpoint, SocketWork};
use crate::gateway::{BgpAction, Gateway, Listening, SharedName, SocketEvent};
use crate::linux::Kernel;
use crate::linux::tcp::{self, Guard, Reach};
use crate::model::limits::BGP_SOCKET_WRITE_BYTES;
use crate::net::{Now, Prefix, TenantName};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Where BGP listens (RFC 4271 §8.2.1).
pub(super) const PORT: u16 = 179;

/// How soon it is tried again to listen: at first, and once that has failed.
const LISTEN_RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Orders that a connection has not taken yet: one to write, one to read, one to close.
const ORDERS: usize = 4;

/// What a tenant's sockets have to tell.
pub(super) enum BgpInput {
    /// A neighbor connected.
    Incoming { tenant: TenantName, local: IpAddr, remote: IpAddr, stream: TcpStream },
    /// Something happened on a connection.
    Event(Whose, SocketEvent),
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    pub(super) session: SessionName,
    pub(super) id: ConnectionId,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SessionName {
    /// A tenant's, with a neighbor of its own.
    Own(TenantName, NeighborName),
    /// One in the underlay, which tenants share.
    Shared(SharedName),
}

/// All sockets.
pub(super) struct Sockets {
    kernel: Kernel,
    input: mpsc::Sender<BgpInput>,
    tenants: BTreeMap<TenantName, TenantSockets>,
    connections: BTreeMap<Whose, Connection>,
}

/// Whom a tenant speaks with, and where it listens for them.
#[derive(Default)]
struct TenantSockets {
    endpoints: BTreeMap<NeighborName, Endpoint>,
    listeners: BTreeMap<IpAddr, Listener>,
}

/// A task that listens, until it is dropped.
struct Listener {
    guards: Vec<Guard>,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection's task; it ends when this is dropped.
struct Connection {
    orders: mpsc::Sender<Order>,
    is_writing: bool,
}

impl Sockets {
    pub(super) fn new(kernel: Kernel, input: mpsc::Sender<BgpInput>) -> Self {
        Self { kernel, input, tenants: BTreeMap::new(), connections: BTreeMap::new() }
    }

    /// Carries out what the gateway says.
    pub(super) fn carry_out(&mut self, tenant: &TenantName, action: BgpAction, gateway: &Gateway) {
        match action {
            BgpAction::Listen(listening) => {
                self.listen(tenant, listening);
                self.tenants.retain(|_, it| !it.endpoints.is_empty() || !it.listeners.is_empty());
            }
            BgpAction::Dial(neighbor, id) => {
                let sockets = self.tenants.get(tenant);
                let endpoint = sockets.and_then(|it| it.endpoints.get(&neighbor)).cloned();
                self.dial(endpoint, own(tenant, neighbor, id));
            }
            BgpAction::Write(neighbor, id) => self.write(&own(tenant, neighbor, id), gateway),
            BgpAction::Close { neighbor, connection, last } => {
                self.close(&own(tenant, neighbor, connection), last);
            }
        }
    }

    /// Carries out what the gateway says of a session that tenants share.
    pub(super) fn carry_out_shared(
        &mut self,
        name: SharedName,
        work: SocketWork,
        gateway: &Gateway,
    ) {
        let endpoint = gateway.shared_endpoint(&name).cloned();
        let whose = |id| Whose { session: SessionName::Shared(name), id };
        match work {
            SocketWork::Dial(id) => self.dial(endpoint, whose(id)),
            SocketWork::Write(id) => self.write(&whose(id), gateway),
            SocketWork::Close { connection, last } => self.close(&whose(connection), last),
        }
    }

    fn close(&mut self, whose: &Whose, last: Vec<u8>) {
        if let Some(found) = self.connections.remove(whose) {
            // There is room for it, unless the task has ended.
            let _ = found.orders.try_send(Order::Close(last));
        }
    }

    /// Hands what sockets tell to the gateway.
    pub(super) fn handle(&mut self, input: BgpInput, gateway: &mut Gateway, now: Now) {
        match input {
            BgpInput::Incoming { tenant, local, remote, stream } => {
                let whose = gateway.handle_incoming(&tenant, local, remote, now);
                if let Some((neighbor, id)) = whose {
                    let left = self.kernel.left(&tenant, stream.as_fd());
                    let whose = own(&tenant, neighbor, id);
                    let (input, connection) = (self.input.clone(), whose.clone());
                    self.start(whose, |orders| async move {
                        let talk = bgp_connection::converse(stream, orders, &connection, &input);
                        bgp_connection::until(left, talk, &connection, &input).await;
                    });
                }
            }
            BgpInput::Event(whose, event) => self.handle_event(&whose, &event, gateway, now),
        }
    }

    fn handle_event(
        &mut self,
        whose: &Whose,
        event: &SocketEvent,
        gateway: &mut Gateway,
        now: Now,
    ) {
        // What was told before it was closed is of no use after.
        let Some(connection) = self.connections.get_mut(whose) else { return };
        match event {
            SocketEvent::Closed(_) => drop(self.connections.remove(whose)),
            SocketEvent::Written(_) => connection.is_writing = false,
            SocketEvent::Connected { .. } | SocketEvent::Bytes(_) => {}
        }
        match &whose.session {
            SessionName::Own(tenant, neighbor) => {
                gateway.handle_socket(tenant, neighbor, whose.id, event, now);
            }
            SessionName::Shared(name) => gateway.handle_shared(name, whose.id, event, now),
        }
        match event {
            SocketEvent::Bytes(_) => {
                if let Some(connection) = self.connections.get(whose) {
                    let _ = connection.orders.try_send(Order::Read);
                }
            }
            SocketEvent::Written(_) => self.write(whose, gateway),
            SocketEvent::Connected { .. } | SocketEvent::Closed(_) => {}
        }
    }

    /// Gives a connection what is to be written next, once it has written all before.
    fn write(&mut self, whose: &Whose, gateway: &Gateway) {
        let connection = self.connections.get_mut(whose);
        let Some(connection) = connection.filter(|it| !it.is_writing) else { return };
        let chunk = whole_messages(match &whose.session {
            SessionName::Own(tenant, neighbor) => gateway.unsent(tenant, neighbor, whose.id),
            SessionName::Shared(name) => gateway.shared_unsent(name, whose.id),
        });
        if !chunk.is_empty() {
            connection.is_writing = true;
            let _ = connection.orders.try_send(Order::Write(chunk.to_vec()));
        }
    }

    fn dial(&mut self, endpoint: Option<Endpoint>, whose: Whose) {
        let (kernel, input) = (self.kernel.clone(), self.input.clone());
        let connection = whose.clone();
        self.start(whose, |orders| async move {
            bgp_connection::dial(&kernel, endpoint, orders, &connection, &input).await;
        });
    }

    /// Starts the task of a connection.
    fn start<F>(&mut self, whose: Whose, task: impl FnOnce(mpsc::Receiver<Order>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (orders, taken) = mpsc::channel(ORDERS);
        tokio::spawn(task(taken));
        self.connections.insert(whose, Connection { orders, is_writing: false });
    }

    /// Listens anew where the neighbors are others than before, and nowhere else.
    fn listen(&mut self, tenant: &TenantName, listening: Listening) {
        let sockets = self.tenants.entry(tenant.clone()).or_default();
        let Listening { endpoints, at } = listening;
        sockets.listeners.retain(|local, _| at.contains_key(local));
        for (local, waited) in at {
            let guards = waited.iter().map(|(from, endpoint)| guard(*from, endpoint));
            let guards: Vec<Guard> = guards.collect();
            if sockets.listeners.get(&local).is_some_and(|it| it.guards == guards) {
                continue;
            }
            sockets.listeners.remove(&local);
            let (kernel, input) = (self.kernel.clone(), self.input.clone());
            let task = listen(kernel, tenant.clone(), local, guards.clone(), input);
            let task = tokio::spawn(task).abort_handle();
            sockets.listeners.insert(local, Listener { guards, task });
        }
        sockets.endpoints = endpoints;
    }
}

fn own(tenant: &TenantName, neighbor: NeighborName, id: ConnectionId) -> Whose {
    Whose { session: SessionName::Own(tenant.clone(), neighbor), id }
}

/// How the packets of a neighbor must be that is somewhere in `from`.
pub(super) fn guard(from: Prefix, endpoint: &Endpoint) -> Guard {
    let reach = match endpoint.ttl_security {
        Some(hops) => Reach::Secured(hops),
        None if endpoint.on_link => Reach::Link,
        None => Reach::Multihop,
    };
    Guard { from, reach, password: endpoint.password.clone() }
}

/// As many whole messages as are written in one go (RFC 4271 §4.1): what a connection
/// has begun can then be ended at any moment without what is before it.
fn whole_messages(unsent: &[u8]) -> &[u8] {
    let mut end = 0;
    while let Some(length) = bgp_connection::message_length(unsent.get(end..).unwrap_or_default())
        && end + length <= BGP_SOCKET_WRITE_BYTES.min(unsent.len())
    {
        end += length;
    }
    unsent.get(..end).unwrap_or_default()
}

/// Listens at `local` in the tenant's namespace, for as long as it is wanted.
async fn listen(
    kernel: Kernel,
    tenant: TenantName,
    local: IpAddr,
    guards: Vec<Guard>,
    input: mpsc::Sender<BgpInput>,
) {
    let mut waits = LISTEN_RETRY.into_iter();
    loop {
        kernel.back(&tenant).await;
        let neighbors = guards.clone();
        let listen = move || tcp::listen(SocketAddr::new(local, PORT), &neighbors);
        let listener = match kernel.in_tenant(&tenant, listen).await {
            Ok(listener) => listener.and_then(TcpListener::from_std).map_err(text),
            Err(error) => Err(text(error)),
        };
        match listener {
            Ok(listener) => {
                let left = kernel.left(&tenant, listener.as_fd());
                tokio::select! {
                    () = accept(&listener, &tenant, &guards, &input) => {}
                    () = left => {}
                }
                drop(listener);
                waits = LISTEN_RETRY.into_iter();
                tokio::time::sleep(LISTEN_RETRY[0]).await;
            }
            Err(error) => {
                let wait = waits.next().unwrap_or_else(|| {
                    tracing::warn!(%tenant, %local, error, "cannot listen for BGP neighbors");
                    LISTEN_RETRY[1]
                });
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Takes neighbors' connections; anybody else's is closed without a word.
async fn accept(
    listener: &TcpListener,
    tenant: &TenantName,
    guards: &[Guard],
    input: &mpsc::Sender<BgpInput>,
) {
    let mut pace = Pace::new(Guard::expected(guards), Instant::now());
    loop {
        if let Ok((stream, remote)) = listener.accept().await
            && let Some(guard) = Guard::of(guards, remote.ip().to_canonical())
            && tcp::admit(&stream, guard).is_ok()
            && let Ok(local) = stream.local_addr()
        {
            let (local, remote) = (local.ip(), remote.ip());
            let incoming = BgpInput::Incoming { tenant: tenant.clone(), local, remote, stream };
            // Fails only when the loop has ended.
            let _ = input.send(incoming).await;
        }
        tokio::time::sleep_until(pace.take(Instant::now())).await;
    }
}
