//! The dialects, and which of them a site can have.

use super::page::ConfigFile;
use super::{
    Connection, InterfaceProblem, Link, bird, eos, frr, interface, iosxe, junos, network_manager,
    networkd, openwrt, opnsense, pfsense, qr, routeros, vyos, wg_quick,
};
use std::fmt;

/// A dialect of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// A file for wg-quick(8), which WireGuard's apps read too.
    WgQuick,
    /// The same as a QR code.
    Qr,
    /// systemd-networkd(8).
    Networkd,
    /// A keyfile of NetworkManager's.
    NetworkManager,
    /// MikroTik RouterOS 7.
    RouterOs,
    /// VyOS 1.4 and newer.
    VyOs,
    /// OpenWrt's UCI.
    OpenWrt,
    /// OPNsense, which is configured in its web pages or by its API.
    OpnSense,
    /// pfSense, which is configured in its web pages.
    PfSense,
    /// FRR: the BGP part.
    Frr,
    /// BIRD 2: the BGP part.
    Bird,
    /// Cisco IOS XE.
    IosXe,
    /// Juniper Junos.
    Junos,
    /// Arista EOS.
    Eos,
}

/// Why a site has no such configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The dialect is for another kind of site.
    #[error("{dialect} is for {wanted}; the formats for this one are {}", Names(fitting))]
    DoesNotFit {
        /// The dialect that was asked for.
        dialect: Dialect,
        /// What it is for.
        wanted: &'static str,
        /// Those that fit the site.
        fitting: Vec<Dialect>,
    },
    /// The interface cannot be called so there.
    #[error("an interface of {dialect} cannot be called {name:?}: it is {problem}")]
    Interface {
        /// The dialect.
        dialect: Dialect,
        /// The name.
        name: String,
        /// What a name has to be.
        problem: InterfaceProblem,
    },
    /// It does not fit a QR code.
    #[error(
        "{bytes} bytes are too many for a QR code, which has at most {max}; use wg-quick instead"
    )]
    TooLongForQr {
        /// Bytes there are.
        bytes: usize,
        /// Bytes that fit.
        max: usize,
    },
}

/// Names of dialects with commas between.
struct Names<'a>(&'a [Dialect]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::page::joined(self.0, ", "))
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a dialect can describe.
enum Scope {
    /// The customer's end of a tunnel.
    Tunnel,
    /// The customer's end of a VLAN.
    Vlan,
    /// The customer's end of a BGP session.
    Bgp,
}

impl Dialect {
    /// Every one, those of tunnels first.
    pub const ALL: [Self; 14] = [
        Self::WgQuick,
        Self::Qr,
        Self::Networkd,
        Self::NetworkManager,
        Self::RouterOs,
        Self::VyOs,
        Self::OpenWrt,
        Self::OpnSense,
        Self::PfSense,
        Self::Frr,
        Self::Bird,
        Self::IosXe,
        Self::Junos,
        Self::Eos,
    ];

    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WgQuick => "wg-quick",
            Self::Qr => "qr",
            Self::Networkd => "networkd",
            Self::NetworkManager => "networkmanager",
            Self::RouterOs => "routeros",
            Self::VyOs => "vyos",
            Self::OpenWrt => "openwrt",
            Self::OpnSense => "opnsense",
            Self::PfSense => "pfsense",
            Self::Frr => "frr",
            Self::Bird => "bird",
            Self::IosXe => "iosxe",
            Self::Junos => "junos",
            Self::Eos => "eos",
        }
    }

    /// What it is, in a line.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::WgQuick => "A file for wg-quick(8), and for WireGuard's apps",
            Self::Qr => "The same as a QR code, in the terminal or as a picture",
            Self::Networkd => "Two files for systemd-networkd",
            Self::NetworkManager => "A keyfile for NetworkManager",
            Self::RouterOs => "Commands for MikroTik RouterOS 7, BGP included",
            Self::VyOs => "Commands for VyOS 1.4 and newer, BGP included",
            Self::OpenWrt => "Commands for OpenWrt (UCI)",
            Self::OpnSense => "What to enter in OPNsense's pages, or to send to its API",
            Self::PfSense => "What to enter in pfSense's pages",
            Self::Frr => "The BGP part for FRR, of a site that has BGP",
            Self::Bird => "The BGP part for BIRD 2, of a site that has BGP",
            Self::IosXe => "A VLAN's subinterface for Cisco IOS XE, static routes or BGP",
            Self::Junos => "A VLAN's unit for Juniper Junos, static routes or BGP",
            Self::Eos => "A VLAN's subinterface for Arista EOS, static routes or BGP",
        }
    }

    const fn scope(self) -> Scope {
        match self {
            Self::WgQuick
            | Self::Qr
            | Self::Networkd
            | Self::NetworkManager
            | Self::RouterOs
            | Self::VyOs
            | Self::OpenWrt
            | Self::OpnSense
            | Self::PfSense => Scope::Tunnel,
            Self::Frr | Self::Bird => Scope::Bgp,
            Self::IosXe | Self::Junos | Self::Eos => Scope::Vlan,
        }
    }

    /// Whether it can describe `connection`.
    pub fn fits(self, connection: &Connection<'_>) -> bool {
        match (self.scope(), &connection.link) {
            (Scope::Tunnel, Link::Tunnel(_)) | (Scope::Vlan, Link::Vlan(_)) => true,
            (Scope::Tunnel, Link::Vlan(_)) | (Scope::Vlan, Link::Tunnel(_)) => false,
            (Scope::Bgp, _) => connection.bgp.is_some(),
        }
    }

    /// Writes the customer's end of a site: one file or more, in the order in which
    /// they are to be put in place. Of [`Dialect::Qr`] that is what a terminal shows.
    ///
    /// # Errors
    /// [`RenderError`], when the site is not of the kind, when the interface cannot be
    /// called so, or when it is too long for a QR code.
    pub fn render(self, connection: &Connection<'_>) -> Result<Vec<ConfigFile>, RenderError> {
        let does_not_fit = || RenderError::DoesNotFit {
            dialect: self,
            wanted: match self.scope() {
                Scope::Tunnel => "a WireGuard site",
                Scope::Vlan => "a site on a VLAN",
                Scope::Bgp => "a site that has BGP",
            },
            fitting: Self::ALL.into_iter().filter(|it| it.fits(connection)).collect(),
        };
        if !self.fits(connection) {
            return Err(does_not_fit());
        }
        if let Some(name) = connection.interface {
            let refused =
                |problem| RenderError::Interface { dialect: self, name: name.to_owned(), problem };
            interface::check(self, name).map_err(refused)?;
        }
        let files = match (self, &connection.link, &connection.bgp) {
            (Self::WgQuick, Link::Tunnel(tunnel), _) => vec![wg_quick::render(connection, tunnel)],
            (Self::Qr, Link::Tunnel(tunnel), _) => {
                vec![qr::QrCode::new(connection, tunnel)?.text()]
            }
            (Self::Networkd, Link::Tunnel(tunnel), _) => networkd::render(connection, tunnel),
            (Self::NetworkManager, Link::Tunnel(tunnel), _) => {
                vec![network_manager::render(connection, tunnel)]
            }
            (Self::RouterOs, Link::Tunnel(tunnel), _) => vec![routeros::render(connection, tunnel)],
            (Self::VyOs, Link::Tunnel(tunnel), _) => vec![vyos::render(connection, tunnel)],
            (Self::OpenWrt, Link::Tunnel(tunnel), _) => vec![openwrt::render(connection, tunnel)],
            (Self::OpnSense, Link::Tunnel(tunnel), _) => vec![opnsense::render(connection, tunnel)],
            (Self::PfSense, Link::Tunnel(tunnel), _) => vec![pfsense::render(connection, tunnel)],
            (Self::Frr, _, Some(session)) => vec![frr::render(connection, session)],
            (Self::Bird, _, Some(session)) => vec![bird::render(connection, session)],
            (Self::IosXe, Link::Vlan(vlan), _) => vec![iosxe::render(connection, vlan)],
            (Self::Junos, Link::Vlan(vlan), _) => vec![junos::render(connection, vlan)],
            (Self::Eos, Link::Vlan(vlan), _) => vec![eos::render(connection, vlan)],
            _ => return Err(does_not_fit()),
        };
        Ok(files)
    }
}
