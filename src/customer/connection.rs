//! The facts of a site's other end, whatever dialect they are written in.

use super::BgpSession;
use crate::model::{
    Endpoint, Host, Site, SitePrefix, Tenant, Vlan, VlanAttachment, VlanLink, WireGuardPeer,
};
use crate::net::{
    InterfaceAddress, Mtu, Prefix, PresharedKey, PrivateKey, PublicKey, SiteName, TenantName,
};
use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// What NATs and firewalls on the way are kept open with, when the site's
/// document says nothing: a UDP mapping lives 30 s in most of them, and
/// RFC 4787 asks for two minutes.
const KEEPALIVE_SECONDS: u64 = 25;

/// Whether a preshared key is written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presharing {
    /// A placeholder stands for it, and it goes another way.
    #[default]
    Hidden,
    /// It is written out: the text is a secret then.
    Shown,
}

/// What the customer needs of the gateway to build a tunnel, beside the documents.
#[derive(Clone, Copy, Debug)]
pub struct Dial<'a> {
    /// The tenant's public key.
    pub gateway_key: PublicKey,
    /// Where the customer dials.
    pub endpoint: &'a Endpoint,
    /// Whether a preshared key is written out.
    pub presharing: Presharing,
    /// The customer's own private key, where whoever renders this has it, as the
    /// customer does; it is written in the placeholder's stead then.
    pub private_key: Option<&'a PrivateKey>,
}

/// The customer's end of a site.
#[derive(Clone, Debug)]
pub struct Connection<'a> {
    /// Whose site it is.
    pub tenant: &'a TenantName,
    /// The site.
    pub site: &'a SiteName,
    /// By what the two ends are joined.
    pub link: Link<'a>,
    /// The customer's addresses on it: at most one of each family.
    pub customer: Vec<InterfaceAddress>,
    /// The gateway's addresses on it.
    pub gateway: Vec<IpAddr>,
    /// The applications' networks, which the customer is to send to the gateway.
    pub apps: &'a [Prefix],
    /// The customer's networks.
    pub networks: &'a [SitePrefix],
    /// BGP over the link, when there is any.
    pub bgp: Option<BgpSession>,
    /// Whether the gateway has a page to test the link with.
    pub test_page: bool,
    /// What the customer's interface is called; `None`: the dialect's usual name.
    pub interface: Option<&'a str>,
}

/// By what the two ends are joined.
#[derive(Clone, Debug)]
pub enum Link<'a> {
    /// A WireGuard tunnel.
    Tunnel(Tunnel<'a>),
    /// A VLAN.
    Vlan(Handover<'a>),
}

/// The customer's end of a WireGuard tunnel.
#[derive(Clone, Debug)]
pub struct Tunnel<'a> {
    /// The customer's public key.
    pub customer_key: PublicKey,
    /// The gateway's.
    pub gateway_key: PublicKey,
    /// Where the customer dials.
    pub endpoint: &'a Endpoint,
    /// The UDP port on which the customer is dialled; `None`: it is not.
    pub listen_port: Option<u16>,
    /// The largest packet in the tunnel, as the gateway has it.
    pub mtu: Mtu,
    /// Seconds of silence after which the customer sends something.
    pub keepalive: u64,
    /// The key mixed into the handshake.
    pub preshared: Preshared<'a>,
    /// The customer's private key, when it was given to be written out.
    pub private_key: Option<&'a PrivateKey>,
}

/// The key mixed into the handshake.
#[derive(Clone, Debug)]
pub enum Preshared<'a> {
    /// There is none.
    None,
    /// There is one, and it goes another way.
    Hidden,
    /// It is to be written out.
    Shown(&'a PresharedKey),
}

/// A VLAN handed over between the two ends.
#[derive(Clone, Debug)]
pub struct Handover<'a> {
    /// Its tags; `None` where the gateway is handed an interface without them, so
    /// that only whoever made that knows them.
    pub tags: Option<&'a Vlan>,
    /// The largest packet on it; `None`: not said.
    pub mtu: Option<Mtu>,
}

impl<'a> Connection<'a> {
    /// The customer's end of the tunnel to `peer`, which is `site`'s.
    pub fn tunnel(
        tenant: &'a Tenant,
        site: &'a Site,
        peer: &'a WireGuardPeer,
        dial: &Dial<'a>,
    ) -> Self {
        let customer = peer.tunnel_addresses.iter().filter_map(|own| {
            // The other end of a sound network is as sound as this one.
            InterfaceAddress::new(own.other_end()?, own.length()).ok()
        });
        // Of two keys the one whose private half is given, or the one to come.
        let customer_key = dial.private_key.map_or_else(|| peer.newest_key(), PrivateKey::public);
        let preshared = match (peer.preshared_key_of(customer_key), dial.presharing) {
            (None, _) => Preshared::None,
            (Some(_), Presharing::Hidden) => Preshared::Hidden,
            (Some(key), Presharing::Shown) => Preshared::Shown(key),
        };
        let link = Link::Tunnel(Tunnel {
            customer_key,
            gateway_key: dial.gateway_key,
            endpoint: dial.endpoint,
            listen_port: peer.endpoint.as_ref().map(|dialled| dialled.port),
            mtu: tenant.tunnel_mtu,
            keepalive: peer.keepalive.map_or(KEEPALIVE_SECONDS, |keepalive| keepalive.as_secs()),
            preshared,
            private_key: dial.private_key,
        });
        Self::new(tenant, site, link, customer.collect(), &peer.tunnel_addresses)
    }

    /// The customer's end of `vlan`, which is `site`'s.
    pub fn vlan(tenant: &'a Tenant, site: &'a Site, vlan: &'a VlanAttachment) -> Self {
        let tags = match &vlan.link {
            VlanLink::Tagged(tags) => Some(tags),
            VlanLink::Interface(_) => None,
        };
        let customer = vlan.next_hops.iter().filter_map(|hop| {
            let own = vlan.addresses.iter().find(|own| own.network().contains(*hop))?;
            InterfaceAddress::new(*hop, own.length()).ok()
        });
        let link = Link::Vlan(Handover { tags, mtu: vlan.mtu });
        Self::new(tenant, site, link, customer.collect(), &vlan.addresses)
    }

    fn new(
        tenant: &'a Tenant,
        site: &'a Site,
        link: Link<'a>,
        customer: Vec<InterfaceAddress>,
        gateway: &[InterfaceAddress],
    ) -> Self {
        Connection {
            tenant: &tenant.name,
            site: &site.name,
            link,
            customer,
            gateway: gateway.iter().map(|own| own.address()).collect(),
            apps: &tenant.app_prefixes,
            networks: &site.prefixes,
            bgp: BgpSession::of(tenant, site, gateway),
            test_page: tenant.test_page,
            interface: None,
        }
    }

    /// The site with the namespace it is named in, as one reads it.
    pub(super) fn title(&self) -> impl fmt::Display + use<'_> {
        fmt::from_fn(|f| write!(f, "site {} of {}", self.site, self.tenant))
    }

    /// What the customer's interface is called, by default `usual`.
    pub(super) fn interface_or<'b>(&'b self, usual: &'b str) -> &'b str {
        self.interface.unwrap_or(usual)
    }

    /// The gateway's addresses as networks of one: they are reached by the link as the
    /// applications are.
    pub(super) fn gateway_hosts(&self) -> impl Iterator<Item = Prefix> {
        self.gateway.iter().map(|address| Prefix::host(*address))
    }

    /// What lies behind a tunnel: the applications, and the gateway itself.
    pub(super) fn allowed_ips(&self) -> impl Iterator<Item = Prefix> {
        self.apps.iter().copied().chain(self.gateway_hosts())
    }

    /// What needs a route into the tunnel: all behind it that is in no network of
    /// which the customer has an address on it.
    pub(super) fn routes(&self) -> impl Iterator<Item = Prefix> {
        self.allowed_ips()
            .filter(|prefix| !self.customer.iter().any(|own| own.network().covers(*prefix)))
    }

    /// The customer's address of a family, and the length of its network.
    pub(super) fn customer_of(&self, is_v4: bool) -> Option<InterfaceAddress> {
        self.customer.iter().copied().find(|own| own.address().is_ipv4() == is_v4)
    }

    /// The gateway's address of a family, on the customer's network where there are several.
    pub(super) fn gateway_of(&self, is_v4: bool) -> Option<IpAddr> {
        let of_family = || self.gateway.iter().copied().filter(|it| it.is_ipv4() == is_v4);
        let network = self.customer_of(is_v4).map(InterfaceAddress::network);
        let near = of_family().find(|it| network.is_some_and(|network| network.contains(*it)));
        near.or_else(|| of_family().next())
    }

    /// The applications' networks of a family.
    pub(super) fn apps_of(&self, is_v4: bool) -> impl Iterator<Item = Prefix> {
        self.apps.iter().copied().filter(move |prefix| prefix.is_v4() == is_v4)
    }

    /// The customer's networks of a family, as the customer has them.
    pub(super) fn networks_of(&self, is_v4: bool) -> impl Iterator<Item = Prefix> {
        self.networks.iter().map(|it| it.real).filter(move |prefix| prefix.is_v4() == is_v4)
    }

    /// Whether a text made of it is a secret.
    pub(super) fn is_secret(&self) -> bool {
        match &self.link {
            Link::Tunnel(tunnel) => {
                tunnel.private_key.is_some() || matches!(tunnel.preshared, Preshared::Shown(_))
            }
            Link::Vlan(_) => false,
        }
    }
}

impl Tunnel<'_> {
    /// The private key's place: the key when it was given, else what stands for it.
    pub(super) fn private_key_text(&self) -> Zeroizing<String> {
        let placeholder = || Zeroizing::new("<your private key>".to_owned());
        self.private_key.map_or_else(placeholder, PrivateKey::to_base64)
    }

    /// The preshared key's place; `None` when there is none.
    pub(super) fn preshared_text(&self) -> Option<Zeroizing<String>> {
        match self.preshared {
            Preshared::None => None,
            Preshared::Hidden => Some(Zeroizing::new("<the preshared key>".to_owned())),
            Preshared::Shown(key) => Some(key.to_base64()),
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(super) struct EndpointText<'a>(pub(super) &'a Endpoint);

impl fmt::Display for EndpointText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.0.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.0.port),
            Host::Name(name) => write!(f, "{name}:{}", self.0.port),
        }
    }
}

/// A host without brackets or port.
pub(super) struct HostText<'a>(pub(super) &'a Host);

impl fmt::Display for HostText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}
