//! What a tenant's BGP and BFD ask of sockets, and what they tell.

use super::Gateway;
use super::tenant::TenantMachine;
use crate::bfd::{Arrival, Hops, PACKET_LENGTH};
use crate::bgp::NeighborName;
use crate::bgp::session::ConnectionId;
use crate::bgp::speaker::Endpoint;
use crate::net::{Now, Prefix, TenantName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Something for the sockets of one tenant's BGP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BgpAction {
    /// Listen like this from now on; before any dial to a neighbor that is new.
    Listen(Listening),
    /// Connect to the neighbor; then [`SocketEvent::Connected`] or
    /// [`SocketEvent::Closed`].
    Dial(NeighborName, ConnectionId),
    /// Write what [`Gateway::unsent`] gives, until it is empty; said once until then.
    Write(NeighborName, ConnectionId),
    /// Stop dialing, or write as much of `last` as goes at once and close. Nothing is
    /// to be told of the connection after this.
    Close {
        /// Whose connection.
        neighbor: NeighborName,
        /// Which.
        connection: ConnectionId,
        /// The last words.
        last: Vec<u8>,
    },
}

/// Where to listen, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// The neighbors that are dialed.
    pub endpoints: BTreeMap<NeighborName, Endpoint>,
    /// Our addresses, and who connects to each: out of which network, the smallest of
    /// several counting, and what its packets must be like.
    pub at: BTreeMap<IpAddr, BTreeMap<Prefix, Endpoint>>,
}

impl Listening {
    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && self.at.is_empty()
    }
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// The dial reached its neighbor.
    Connected {
        /// Our end.
        local: IpAddr,
        /// The neighbor's.
        remote: IpAddr,
    },
    /// It could not be made, or is over; why, in a few words.
    Closed(String),
    /// Bytes came.
    Bytes(Vec<u8>),
    /// So many bytes of what was unsent were written.
    Written(usize),
}

/// Something for the sockets of one tenant's BFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BfdAction {
    /// Hold sockets for these neighbors, by their addresses, and for nobody else.
    Open(BTreeMap<IpAddr, BfdEndpoint>),
    /// Send this to a neighbor now, or not at all.
    Send(IpAddr, [u8; PACKET_LENGTH]),
}

/// One neighbor, as the sockets of its BFD need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdEndpoint {
    /// How far away it is.
    pub hops: Hops,
    /// Our addresses that it may send to; the unspecified one is whatever we have.
    pub at: Vec<IpAddr>,
    /// Ours that it is sent to from; `None` leaves that to the routes.
    pub local: Option<IpAddr>,
    /// The UDP port that it is sent to from, of 49152 to 65535 (RFC 5881 §4). Where
    /// that is taken another one of these will do.
    pub source_port: u16,
}

impl Gateway {
    /// Takes a datagram that came to a tenant's BFD. Gives whether a session is not as
    /// it was.
    pub fn handle_bfd(
        &mut self,
        tenant: &TenantName,
        arrival: &Arrival,
        bytes: &[u8],
        now: Now,
    ) -> bool {
        let Some(machine) = self.tenants.get_mut(tenant) else { return false };
        let arrival = Arrival { remote: arrival.remote.to_canonical(), ..*arrival };
        let is_changed = machine.handle_bfd(&arrival, bytes, now);
        self.gather(tenant, now);
        is_changed
    }

    /// Takes notice that someone connected to a tenant's BGP, from `remote` to `local`:
    /// whose connection it is, or `None` when it is nobody's and is to be closed
    /// without a word.
    pub fn handle_incoming(
        &mut self,
        tenant: &TenantName,
        local: IpAddr,
        remote: IpAddr,
        now: Now,
    ) -> Option<(NeighborName, ConnectionId)> {
        let (local, remote) = (local.to_canonical(), remote.to_canonical());
        let whose = self.tenants.get_mut(tenant)?.handle_incoming(local, remote, now);
        self.gather(tenant, now);
        whose
    }

    /// Takes what happened on a connection of a tenant's BGP.
    pub fn handle_socket(
        &mut self,
        tenant: &TenantName,
        neighbor: &NeighborName,
        connection: ConnectionId,
        event: &SocketEvent,
        now: Now,
    ) {
        if let Some(machine) = self.tenants.get_mut(tenant) {
            machine.handle_socket(neighbor, connection, event, now);
            self.gather(tenant, now);
        }
    }

    /// What is to be written on a connection of a tenant's BGP.
    pub fn unsent(
        &self,
        tenant: &TenantName,
        neighbor: &NeighborName,
        connection: ConnectionId,
    ) -> &[u8] {
        let machine = self.tenants.get(tenant);
        machine.map_or(&[], |machine: &TenantMachine| machine.unsent(neighbor, connection))
    }

    /// Tells the tenant's speaker which sites packets can be expected to arrive at, as
    /// everyone sees it. A site that has fallen silent is among them: it is there
    /// after a handshake, for which someone has to send.
    pub(super) fn tell_up(&mut self, name: &TenantName, now: Now) {
        let Some(machine) = self.tenants.get(name) else { return };
        let wanted = machine.wanted().map(|wanted| &wanted.tenant);
        let Some(tenant) = wanted.filter(|tenant| tenant.fabric.bgp.is_some()) else { return };
        let sites = tenant.sites.values().filter(|site| self.is_usable(name, site, machine));
        let up: BTreeSet<_> = sites.map(|site| site.name.clone()).collect();
        if let Some(machine) = self.tenants.get_mut(name) {
            machine.set_up(&up, now);
        }
    }
}
