//! A network interface of a tenant's namespace, and whose it is.
//!
//! Never knows an interface index: indices change when a link moves or is made
//! again, names are what documents and rules speak of.

use crate::model::Vlan;
use crate::net::{InterfaceAddress, LinkName, ManagedName, Mtu, NameError};
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The name of a link, and by it whether the link is ours to make and delete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// Made by us.
    Managed(ManagedName),
    /// Somebody else's: handed in, or simply there.
    Foreign(LinkName),
}

impl Device {
    /// The name as the kernel has it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Managed(name) => name.as_str(),
            Self::Foreign(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Device {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match ManagedName::recognize(text) {
            Some(name) => Ok(Self::Managed(name)),
            None => text.parse().map(Self::Foreign),
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is. Changing it means making the link anew.
    pub kind: LinkKind,
    /// Its MTU. Desired `None` leaves it as it is; observed `None` is one we
    /// could not ask for.
    pub mtu: Option<Mtu>,
    /// Whether it is set up (`IFF_UP`); the carrier is not a matter of plans.
    pub up: bool,
    /// Its addresses, the kernel's own link-local ones (`fe80::/10`) left out.
    pub addresses: BTreeSet<InterfaceAddress>,
}

/// What a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A persistent TUN device, the tenant's side of all its tunnels.
    Tun,
    /// A WireGuard device of the kernel's, in the place of the TUN.
    WireGuard,
    /// A veth pair, of which `peer` is the end in the underlay.
    ///
    /// The peer's name cannot be seen from inside the namespace, so our end
    /// carries it in its alias: see [`LinkKind::alias`].
    Veth {
        /// The name of the other end.
        peer: LinkName,
    },
    /// A tagged VLAN of a trunk in the underlay.
    Vlan(Vlan),
    /// IPIP tunnels from one address of ours to whomever a route names (RFC 2003).
    Ipip {
        /// That address.
        local: Ipv4Addr,
    },
    /// Somebody else's link, moved in from the underlay and to be given back.
    /// It carries our alias while it is here.
    Moved,
    /// Somebody else's link that is simply here: looked at, never changed.
    Foreign,
    /// A link with one of our names that is not as we make it. Only observed.
    Unrecognized,
}

/// What the alias of a veth end begins with; the peer's name follows.
const VETH_ALIAS: &str = "lockgate veth peer ";

/// What the alias of a link that was moved in begins with; the MTU it had
/// follows, for it is to be given back as it was.
const MOVED_ALIAS: &str = "lockgate moved in";
const MOVED_MTU: &str = ", mtu ";

impl LinkKind {
    /// The alias (`IFLA_IFALIAS`) to give such a link in the call that makes it
    /// or moves it in; `mtu` is the MTU it has then.
    pub fn alias(&self, mtu: Option<Mtu>) -> Option<String> {
        match self {
            Self::Veth { peer } => Some(format!("{VETH_ALIAS}{peer}")),
            Self::Moved => Some(match mtu {
                Some(mtu) => format!("{MOVED_ALIAS}{MOVED_MTU}{}", mtu.bytes()),
                None => MOVED_ALIAS.to_owned(),
            }),
            Self::Tun
            | Self::WireGuard
            | Self::Vlan(_)
            | Self::Ipip { .. }
            | Self::Foreign
            | Self::Unrecognized => None,
        }
    }

    /// The MTU a link that was moved in had before, from its alias.
    pub fn mtu_before(alias: &str) -> Option<Mtu> {
        let mtu = alias.strip_prefix(MOVED_ALIAS)?.strip_prefix(MOVED_MTU)?;
        Mtu::new(mtu.parse().ok()?).ok()
    }

    /// The kind of an observed link, from its name, the kernel's word for its
    /// kind (`IFLA_INFO_KIND`: `tun`, `wireguard`, `veth`, `vlan`, `ipip`), its alias, the
    /// tags of a VLAN whose trunk can be seen, and our end of a tunnel that has no other.
    pub fn recognize(
        device: &Device,
        info_kind: Option<&str>,
        alias: Option<&str>,
        vlan: Option<Vlan>,
        local: Option<Ipv4Addr>,
    ) -> Self {
        match device {
            Device::Foreign(_) => match alias {
                Some(alias) if alias.starts_with(MOVED_ALIAS) => Self::Moved,
                Some(_) | None => Self::Foreign,
            },
            Device::Managed(name) if *name == ManagedName::wireguard() => match info_kind {
                Some("tun") => Self::Tun,
                Some("wireguard") => Self::WireGuard,
                Some(_) | None => Self::Unrecognized,
            },
            Device::Managed(name) if *name == ManagedName::ipip() => match local {
                Some(local) if info_kind == Some("ipip") => Self::Ipip { local },
                Some(_) | None => Self::Unrecognized,
            },
            Device::Managed(name) if name.is_vlan() => match vlan {
                Some(vlan) if info_kind == Some("vlan") => Self::Vlan(vlan),
                Some(_) | None => Self::Unrecognized,
            },
            // In the underlay, where tenants have no namespace of their own.
            Device::Managed(name) if name.is_outer_vlan() => Self::Foreign,
            Device::Managed(_) => {
                let peer = alias.and_then(|alias| alias.strip_prefix(VETH_ALIAS)?.parse().ok());
                match (info_kind, peer) {
                    (Some("veth"), Some(peer)) => Self::Veth { peer },
                    (Some(_) | None, _) => Self::Unrecognized,
                }
            }
        }
    }
}
