//! A place of the tenant's, and how it reaches the gateway.

use super::{SiteBgp, Vlan};
use crate::net::{InterfaceAddress, LinkName, Mtu, Prefix, PresharedKey, PublicKey, SiteName};
use std::net::IpAddr;
use std::time::Duration;

/// One customer site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name within the tenant's namespace.
    pub name: SiteName,
    /// Of two sites with the same prefix the one with the higher value serves;
    /// the other is its backup.
    pub priority: u32,
    /// How it reaches the gateway.
    pub attachment: Attachment,
    /// Its management networks: allowed IPs, routes and BGP allow-list in one.
    pub prefixes: Vec<SitePrefix>,
    /// Where its router says over BGP which networks it has: all that it may say, of
    /// which `prefixes` is what it does say. Documents never have that.
    pub bounds: Option<Vec<SitePrefix>>,
    /// What may pass between it and the apps; `None` is every protocol.
    pub allow: Option<Vec<Allow>>,
    /// What is asked of its devices to see that they are there.
    pub probes: Vec<Probe>,
    /// BGP with the customer's router, when there is any.
    pub bgp: Option<SiteBgp>,
}

impl Site {
    /// All networks that documents let it have, whether or not its router says so.
    pub fn declared(&self) -> &[SitePrefix] {
        self.bounds.as_deref().unwrap_or(&self.prefixes)
    }

    /// Our addresses on the link to it.
    pub fn addresses(&self) -> &[InterfaceAddress] {
        match &self.attachment {
            Attachment::WireGuard(peer) => &peer.tunnel_addresses,
            Attachment::Vlan(vlan) => &vlan.addresses,
        }
    }
}

/// A network of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SitePrefix {
    /// As the customer has it.
    pub real: Prefix,
    /// As the apps see it instead, of the same length; for two sites of one
    /// tenant that have the same network.
    pub alias: Option<Prefix>,
}

impl SitePrefix {
    /// The network as the apps, the tenant's routes and its rules know it.
    pub fn visible(self) -> Prefix {
        self.alias.unwrap_or(self.real)
    }
}

/// How a site reaches the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// A WireGuard tunnel that ends here.
    WireGuard(WireGuardPeer),
    /// A tagged VLAN handed over on a trunk.
    Vlan(VlanAttachment),
}

/// A VLAN on which a site is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlanAttachment {
    /// The VLAN, or an interface somebody else made of it.
    pub link: VlanLink,
    /// Our addresses on it.
    pub addresses: Vec<InterfaceAddress>,
    /// The customer's routers: at most one of each family, at least one.
    pub next_hops: Vec<IpAddr>,
    /// The link's MTU. Of a tagged VLAN it is always said; `None` leaves a
    /// handed-in interface as it is.
    pub mtu: Option<Mtu>,
}

impl VlanAttachment {
    /// The customer's router for addresses of the family of `address`.
    pub fn next_hop_for(&self, address: IpAddr) -> Option<IpAddr> {
        self.next_hops.iter().copied().find(|hop| hop.is_ipv4() == address.is_ipv4())
    }

    /// The networks our addresses on it are in.
    pub fn networks(&self) -> impl Iterator<Item = Prefix> {
        self.addresses.iter().map(|own| own.network())
    }
}

/// Where a VLAN attachment's link comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanLink {
    /// Made by us on a trunk of the underlay.
    Tagged(Vlan),
    /// Handed in under this name and never made or deleted by us.
    Interface(LinkName),
}

/// The customer's end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireGuardPeer {
    /// Who it is.
    pub public_key: PublicKey,
    /// Who it will be; accepted beside `public_key` while the customer rotates.
    pub next_public_key: Option<PublicKey>,
    /// Mixed into the handshake when both ends have it.
    pub preshared_key: Option<PresharedKey>,
    /// What it will be: that of `next_public_key` where there is one, and else as good
    /// as `preshared_key` while the customer rotates.
    pub next_preshared_key: Option<PresharedKey>,
    /// Where to dial; `None` waits for the customer to dial in.
    pub endpoint: Option<Endpoint>,
    /// How often to send something so that NATs on the way stay open.
    pub keepalive: Option<Duration>,
    /// Our addresses inside the tunnel.
    pub tunnel_addresses: Vec<InterfaceAddress>,
}

impl WireGuardPeer {
    /// The keys it may come with.
    pub fn public_keys(&self) -> impl Iterator<Item = PublicKey> + use<> {
        [Some(self.public_key), self.next_public_key].into_iter().flatten()
    }

    /// The key it is to come with: the next one, while it rotates.
    pub fn newest_key(&self) -> PublicKey {
        self.next_public_key.unwrap_or(self.public_key)
    }

    /// The preshared key that belongs to one of its keys, the newest where two do.
    pub fn preshared_key_of(&self, key: PublicKey) -> Option<&PresharedKey> {
        let next = self.next_preshared_key.as_ref().filter(|_| key == self.newest_key());
        next.or(self.preshared_key.as_ref())
    }

    /// The customer's addresses inside the tunnel.
    pub fn far_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.tunnel_addresses.iter().filter_map(|address| address.other_end())
    }
}

/// A UDP address as a document writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The UDP port, not zero.
    pub port: u16,
}

/// A host by address or by DNS name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, resolved again every minute.
    Name(String),
}

/// Lets some traffic between the apps and a site pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allow {
    /// Who may begin.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// Destination ports; for TCP, UDP and SCTP only. Empty is every port.
    pub ports: Vec<Ports>,
}

/// Who begins a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The site, towards the apps.
    FromSite,
    /// The apps, towards the site.
    ToSite,
}

/// A protocol that can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Every protocol.
    Any,
    /// Echo requests: ICMP or ICMPv6, by family.
    Icmp,
    /// SCTP (RFC 9260).
    Sctp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// The lowest, not zero.
    pub first: u16,
    /// The highest, not below `first`.
    pub last: u16,
}

/// What is asked of a device of the customer's to see that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The device, in one of the site's visible prefixes.
    pub address: IpAddr,
    /// The TCP port to connect to; `None` sends an ICMP echo request.
    pub tcp_port: Option<u16>,
    /// How often.
    pub interval: Duration,
}
