//! The sockets of tenants' BGP, each in its tenant's namespace: what listens, what
//! is connected, and what each connection is doing.
//!
//! Nothing here decides anything, and nothing waits: each listener and each
//! connection is a task of its own, has one thing to tell at a time, and is given one
//! thing to write at a time. Whoever is slow is alone in it.

use super::bgp_connection::{self, Order};
use super::pace::Pace;
use super::task::text;
use crate::bgp::NeighborName;
use crate::bgp::session::ConnectionId;
use crate::bgp::speaker::Endpoint;
use crate::gateway::{BgpAction, Gateway, Listening, SocketEvent};
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
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub(super) tenant: TenantName,
    pub(super) neighbor: NeighborName,
    pub(super) id: ConnectionId,
}

/// The sockets of all tenants.
pub(super) struct Sockets {
    kernel: Kernel,
    input: mpsc::Sender<BgpInput>,
    tenants: BTreeMap<TenantName, TenantSockets>,
}

/// The sockets of one tenant.
#[derive(Default)]
struct TenantSockets {
    endpoints: BTreeMap<NeighborName, Endpoint>,
    listeners: BTreeMap<IpAddr, Listener>,
    connections: BTreeMap<(NeighborName, ConnectionId), Connection>,
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
        Self { kernel, input, tenants: BTreeMap::new() }
    }

    /// Carries out what the gateway says.
    pub(super) fn carry_out(&mut self, tenant: &TenantName, action: BgpAction, gateway: &Gateway) {
        match action {
            BgpAction::Listen(listening) => {
                self.listen(tenant, listening);
                self.tenants.retain(|_, it| {
                    let waits = !it.endpoints.is_empty() || !it.listeners.is_empty();
                    waits || !it.connections.is_empty()
                });
            }
            BgpAction::Dial(neighbor, id) => self.dial(tenant, neighbor, id),
            BgpAction::Write(neighbor, id) => self.write(tenant, &neighbor, id, gateway),
            BgpAction::Close { neighbor, connection, last } => {
                let sockets = self.tenants.get_mut(tenant);
                let found = sockets.and_then(|it| it.connections.remove(&(neighbor, connection)));
                if let Some(found) = found {
                    // There is room for it, unless the task has ended.
                    let _ = found.orders.try_send(Order::Close(last));
                }
            }
        }
    }

    /// Hands what sockets tell to the gateway.
    pub(super) fn handle(&mut self, input: BgpInput, gateway: &mut Gateway, now: Now) {
        match input {
            BgpInput::Incoming { tenant, local, remote, stream } => {
                let whose = gateway.handle_incoming(&tenant, local, remote, now);
                if let Some((neighbor, id)) = whose {
                    let whose = Whose { tenant, neighbor, id };
                    let (input, connection) = (self.input.clone(), whose.clone());
                    let left = self.kernel.left(&connection.tenant, stream.as_fd());
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
        let Whose { tenant, neighbor, id } = whose;
        let Some(sockets) = self.tenants.get_mut(tenant) else { return };
        let key = (neighbor.clone(), *id);
        // What was told before it was closed is of no use after.
        let Some(connection) = sockets.connections.get_mut(&key) else { return };
        match event {
            SocketEvent::Closed(_) => drop(sockets.connections.remove(&key)),
            SocketEvent::Written(_) => connection.is_writing = false,
            SocketEvent::Connected { .. } | SocketEvent::Bytes(_) => {}
        }
        gateway.handle_socket(tenant, neighbor, *id, event, now);
        match event {
            SocketEvent::Bytes(_) => {
                if let Some(connection) = sockets.connections.get(&key) {
                    let _ = connection.orders.try_send(Order::Read);
                }
            }
            SocketEvent::Written(_) => self.write(tenant, neighbor, *id, gateway),
            SocketEvent::Connected { .. } | SocketEvent::Closed(_) => {}
        }
    }

    /// Gives a connection what is to be written next, once it has written all before.
    fn write(
        &mut self,
        tenant: &TenantName,
        neighbor: &NeighborName,
        id: ConnectionId,
        gateway: &Gateway,
    ) {
        let sockets = self.tenants.get_mut(tenant);
        let connection = sockets.and_then(|it| it.connections.get_mut(&(neighbor.clone(), id)));
        let Some(connection) = connection.filter(|it| !it.is_writing) else { return };
        let chunk = whole_messages(gateway.unsent(tenant, neighbor, id));
        if !chunk.is_empty() {
            connection.is_writing = true;
            let _ = connection.orders.try_send(Order::Write(chunk.to_vec()));
        }
    }

    fn dial(&mut self, tenant: &TenantName, neighbor: NeighborName, id: ConnectionId) {
        let sockets = self.tenants.get(tenant);
        let endpoint = sockets.and_then(|it| it.endpoints.get(&neighbor)).cloned();
        let (kernel, input) = (self.kernel.clone(), self.input.clone());
        let whose = Whose { tenant: tenant.clone(), neighbor, id };
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
        let sockets = self.tenants.entry(whose.tenant).or_default();
        let connection = Connection { orders, is_writing: false };
        sockets.connections.insert((whose.neighbor, whose.id), connection);
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
