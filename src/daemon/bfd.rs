//! The sockets of tenants' BFD, each in its tenant's namespace: one for each of our
//! addresses that neighbors send to, and one for each neighbor to send from.
//!
//! Nothing here decides anything. Packets leave at once or not at all; what comes is
//! read by a task for each address, which tells one packet at a time and waits where
//! there is no room: what is too much is lost in the kernel.

use super::task::text;
use crate::bfd::{Arrival, Hops, PACKET_LENGTH};
use crate::gateway::{BfdAction, BfdEndpoint, Gateway};
use crate::linux::{Kernel, udp};
use crate::model::limits::BFD_PACKET_BYTES;
use crate::net::{Now, TenantName};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How soon a socket that could not be had is tried again: at first, and once that has
/// failed.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Packets that are taken in a row at one address: one of each neighbor that a tenant
/// can name, and of a thousand out of ranges in a quarter of their interval. Then come
/// [`PAUSE`] and others.
const IN_A_ROW: usize = 64;

/// No neighbor has reason to send so fast that this delays it.
const PAUSE: Duration = Duration::from_millis(5);

/// What a tenant's sockets have to tell.
pub(super) enum BfdInput {
    /// A socket to send to this neighbor from is there.
    Opened { tenant: TenantName, neighbor: IpAddr, endpoint: BfdEndpoint, socket: UdpSocket },
    /// That socket is of no use any more.
    Lost { tenant: TenantName, neighbor: IpAddr, endpoint: BfdEndpoint },
    /// A packet came.
    Packet { tenant: TenantName, arrival: Arrival, bytes: Vec<u8> },
}

/// The sockets of all tenants.
pub(super) struct BfdSockets {
    kernel: Kernel,
    input: mpsc::Sender<BfdInput>,
    tenants: BTreeMap<TenantName, TenantSockets>,
}

/// The sockets of one tenant.
#[derive(Default)]
struct TenantSockets {
    listeners: BTreeMap<(IpAddr, Hops), Task>,
    senders: BTreeMap<IpAddr, Sender>,
}

/// A task that ends when this is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The way to one neighbor.
struct Sender {
    endpoint: BfdEndpoint,
    socket: Option<UdpSocket>,
    /// What opens the socket, and another when that is in a namespace that is gone.
    _opening: Task,
}

impl BfdSockets {
    pub(super) fn new(kernel: Kernel, input: mpsc::Sender<BfdInput>) -> Self {
        Self { kernel, input, tenants: BTreeMap::new() }
    }

    /// Carries out what the gateway says.
    pub(super) fn carry_out(&mut self, tenant: &TenantName, action: BfdAction) {
        match action {
            BfdAction::Open(endpoints) if endpoints.is_empty() => {
                self.tenants.remove(tenant);
            }
            BfdAction::Open(endpoints) => self.open(tenant, endpoints),
            BfdAction::Send(neighbor, packet) => self.send(tenant, neighbor, packet),
        }
    }

    /// Hands what sockets tell to the gateway. Gives whether there is something new to
    /// be seen.
    pub(super) fn handle(&mut self, input: BfdInput, gateway: &mut Gateway, now: Now) -> bool {
        match input {
            BfdInput::Opened { tenant, neighbor, endpoint, socket } => {
                let sockets = self.tenants.get_mut(&tenant);
                let sender = sockets.and_then(|it| it.senders.get_mut(&neighbor));
                if let Some(sender) = sender.filter(|it| it.endpoint == endpoint) {
                    sender.socket = Some(socket);
                }
                false
            }
            BfdInput::Lost { tenant, neighbor, endpoint } => {
                let sockets = self.tenants.get_mut(&tenant);
                let sender = sockets.and_then(|it| it.senders.get_mut(&neighbor));
                if let Some(sender) = sender.filter(|it| it.endpoint == endpoint) {
                    sender.socket = None;
                }
                false
            }
            BfdInput::Packet { tenant, arrival, bytes } => {
                gateway.handle_bfd(&tenant, &arrival, &bytes, now)
            }
        }
    }

    /// Opens what is new, and closes what nobody asks for any more.
    fn open(&mut self, tenant: &TenantName, endpoints: BTreeMap<IpAddr, BfdEndpoint>) {
        let sockets = self.tenants.entry(tenant.clone()).or_default();
        let at = endpoints.values().flat_map(|it| it.at.iter().map(|local| (*local, it.hops)));
        let at: BTreeSet<(IpAddr, Hops)> = at.collect();
        sockets.listeners.retain(|key, _| at.contains(key));
        for (local, hops) in at {
            sockets.listeners.entry((local, hops)).or_insert_with(|| {
                let (kernel, input) = (self.kernel.clone(), self.input.clone());
                let task = listen(kernel, tenant.clone(), local, hops, input);
                Task(tokio::spawn(task).abort_handle())
            });
        }
        sockets.senders.retain(|neighbor, it| endpoints.get(neighbor) == Some(&it.endpoint));
        for (neighbor, endpoint) in endpoints {
            sockets.senders.entry(neighbor).or_insert_with(|| {
                let (kernel, input) = (self.kernel.clone(), self.input.clone());
                let task = open_sender(kernel, tenant.clone(), neighbor, endpoint.clone(), input);
                let opening = Task(tokio::spawn(task).abort_handle());
                Sender { endpoint, socket: None, _opening: opening }
            });
        }
    }

    /// Sends at once, or not at all: the next packet says the same or something newer.
    fn send(&self, tenant: &TenantName, neighbor: IpAddr, packet: [u8; PACKET_LENGTH]) {
        let sender = self.tenants.get(tenant).and_then(|it| it.senders.get(&neighbor));
        if let Some(sender) = sender
            && let Some(socket) = &sender.socket
        {
            let to = SocketAddr::new(neighbor, sender.endpoint.hops.port());
            if let Err(error) = socket.try_send_to(&packet, to) {
                tracing::debug!(%tenant, %neighbor, %error, "a BFD packet could not be sent");
            }
        }
    }
}

/// Opens a socket in the tenant's namespace, however often that takes.
async fn open(
    kernel: &Kernel,
    tenant: &TenantName,
    make: impl Fn() -> io::Result<std::net::UdpSocket> + Clone + Send + 'static,
) -> UdpSocket {
    let mut waits = RETRY.into_iter();
    loop {
        kernel.back(tenant).await;
        let socket = match kernel.in_tenant(tenant, make.clone()).await {
            Ok(socket) => socket.and_then(UdpSocket::from_std).map_err(text),
            Err(error) => Err(text(error)),
        };
        match socket {
            Ok(socket) => return socket,
            Err(error) => {
                let wait = waits.next().unwrap_or_else(|| {
                    tracing::warn!(%tenant, error, "cannot open a socket for BFD");
                    RETRY[1]
                });
                tokio::time::sleep(wait).await;
            }
        }
    }
}

async fn open_sender(
    kernel: Kernel,
    tenant: TenantName,
    neighbor: IpAddr,
    endpoint: BfdEndpoint,
    input: mpsc::Sender<BfdInput>,
) {
    let (local, port) = (endpoint.local, endpoint.source_port);
    let make = move || udp::sender(local, neighbor.is_ipv4(), port);
    loop {
        let socket = open(&kernel, &tenant, make).await;
        let left = kernel.left(&tenant, socket.as_fd());
        let (tenant, endpoint) = (tenant.clone(), endpoint.clone());
        let lost = BfdInput::Lost { tenant: tenant.clone(), neighbor, endpoint: endpoint.clone() };
        // Fails only when the loop has ended.
        let _ = input.send(BfdInput::Opened { tenant, neighbor, endpoint, socket }).await;
        left.await;
        let _ = input.send(lost).await;
        tokio::time::sleep(RETRY[0]).await;
    }
}

/// Hears what is sent to `local`, for as long as it is wanted.
async fn listen(
    kernel: Kernel,
    tenant: TenantName,
    local: IpAddr,
    hops: Hops,
    input: mpsc::Sender<BfdInput>,
) {
    let make = move || udp::listen(SocketAddr::new(local, hops.port()));
    loop {
        let socket = open(&kernel, &tenant, make).await;
        tokio::select! {
            () = hear(&socket, &tenant, hops, &input) => {}
            () = kernel.left(&tenant, socket.as_fd()) => {}
        }
        drop(socket);
        tokio::time::sleep(RETRY[0]).await;
    }
}

async fn hear(socket: &UdpSocket, tenant: &TenantName, hops: Hops, input: &mpsc::Sender<BfdInput>) {
    loop {
        for _ in 0..IN_A_ROW {
            let mut bytes = vec![0; BFD_PACKET_BYTES];
            let read = || udp::receive(socket, &mut bytes);
            let Ok(received) = socket.async_io(Interest::READABLE, read).await else {
                break;
            };
            bytes.truncate(received.length);
            let arrival = Arrival { remote: received.remote.ip(), hops, ttl: received.ttl };
            let packet = BfdInput::Packet { tenant: tenant.clone(), arrival, bytes };
            // Fails only when the loop has ended.
            let _ = input.send(packet).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
