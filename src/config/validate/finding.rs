//! What one document's values mean, with every problem noted by its path.

use crate::config::error::Problem;
use crate::config::host::is_host_address;
use crate::net::{Asn, InterfaceAddress, LinkName, Mtu, NameError, Prefix, PublicKey, VlanId};
use std::net::{IpAddr, Ipv4Addr};

/// Problems of one document, each with its path.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<(String, Problem)>);

impl Findings {
    /// Notes a problem.
    pub(super) fn note(&mut self, path: impl Into<String>, problem: impl Into<Problem>) {
        self.0.push((path.into(), problem.into()));
    }

    /// The value, or its problem noted.
    fn keep<T, E: Into<Problem>>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.note(path, problem)).ok()
    }

    /// A network.
    pub(super) fn prefix(&mut self, path: &str, text: &str) -> Option<Prefix> {
        self.keep(path, text.parse::<Prefix>())
    }

    /// An address of a host, without length.
    pub(super) fn address(&mut self, path: &str, text: &str) -> Option<IpAddr> {
        let Ok(address) = text.parse::<IpAddr>() else {
            self.note(path, Problem::NotAnAddress(crate::config::shape::clip(text)));
            return None;
        };
        if !is_host_address(address) {
            self.note(path, Problem::NotAHost(address));
            return None;
        }
        Some(address)
    }

    /// A BGP identifier (RFC 6286), which no router has as zero.
    pub(super) fn router_id(&mut self, path: &str, text: &str) -> Option<Ipv4Addr> {
        match text.parse::<Ipv4Addr>() {
            Ok(id) if id.is_unspecified() => {
                self.note(path, Problem::NotAHost(IpAddr::V4(id)));
                None
            }
            Ok(id) => Some(id),
            Err(_) => {
                self.note(path, Problem::NotAnAddress(crate::config::shape::clip(text)));
                None
            }
        }
    }

    /// Our own addresses on a link.
    pub(super) fn interface_addresses(
        &mut self,
        path: &str,
        texts: &[String],
    ) -> Vec<InterfaceAddress> {
        if crate::model::limits::ADDRESSES_PER_LINK < texts.len() {
            self.note(path, Problem::TooMany { max: crate::model::limits::ADDRESSES_PER_LINK });
            return Vec::new();
        }
        let mut addresses: Vec<InterfaceAddress> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(address) = self.keep(&path, text.parse::<InterfaceAddress>()) else {
                continue;
            };
            if !is_host_address(address.address()) {
                self.note(path, Problem::NotAHost(address.address()));
            } else if is_network_address(address) {
                self.note(path, Problem::NetworkAddress(address.address()));
            } else if addresses.iter().any(|other| other.address() == address.address()) {
                self.note(path, Problem::Twice);
            } else {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Where to send on, at most one of each family, each on the link.
    pub(super) fn next_hops(
        &mut self,
        path: &str,
        texts: &[String],
        addresses: &[InterfaceAddress],
    ) -> Vec<IpAddr> {
        let mut hops: Vec<IpAddr> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(hop) = self.neighbor(&path, text, addresses) else { continue };
            if hops.iter().any(|other| other.is_ipv4() == hop.is_ipv4()) {
                self.note(path, Problem::SecondOfFamily);
            } else {
                hops.push(hop);
            }
        }
        hops
    }

    /// An address that has to be on one of our links and not ours.
    pub(super) fn neighbor(
        &mut self,
        path: &str,
        text: &str,
        addresses: &[InterfaceAddress],
    ) -> Option<IpAddr> {
        let address = self.address(path, text)?;
        if addresses.iter().any(|own| own.address() == address) {
            self.note(path, Problem::OwnAddress(address));
            return None;
        }
        let network = addresses.iter().find(|own| own.network().contains(address));
        // Where nobody said what our addresses are, anything may be on the link.
        let Some(own) = network else {
            if addresses.is_empty() {
                return Some(address);
            }
            self.note(path, Problem::NotOnLink(address));
            return None;
        };
        if InterfaceAddress::new(address, own.length()).is_ok_and(is_network_address) {
            self.note(path, Problem::NetworkAddress(address));
            return None;
        }
        Some(address)
    }

    /// An MTU, large enough for IPv6 where that is used.
    pub(super) fn mtu(&mut self, path: &str, bytes: u32, ipv6: bool) -> Option<Mtu> {
        let mtu = self.keep(path, Mtu::new(bytes))?;
        if ipv6 && mtu < Mtu::IPV6_MIN {
            self.note(path, Problem::MtuForIpv6 { mtu: mtu.bytes() });
            return None;
        }
        Some(mtu)
    }

    /// An interface of somebody else's.
    pub(super) fn link(&mut self, path: &str, text: &str) -> Option<LinkName> {
        let name = self.keep(path, text.parse::<LinkName>())?;
        if name.is_kernels() {
            self.note(path, NameError::Kernel);
            return None;
        }
        Some(name)
    }

    /// A VLAN id.
    pub(super) fn vlan_id(&mut self, path: &str, id: u32) -> Option<VlanId> {
        self.keep(path, VlanId::new(id))
    }

    /// An AS number.
    pub(super) fn asn(&mut self, path: &str, number: u32) -> Option<Asn> {
        self.keep(path, Asn::new(number))
    }

    /// A number in a range, as the narrower type it has there.
    pub(super) fn ranged<T: TryFrom<u32>>(
        &mut self,
        path: &str,
        value: u32,
        min: u32,
        max: u32,
    ) -> Option<T> {
        let problem =
            Problem::Range { value: u64::from(value), min: u64::from(min), max: u64::from(max) };
        if !(min..=max).contains(&value) {
            self.note(path, problem);
            return None;
        }
        self.keep(path, T::try_from(value).map_err(|_| problem))
    }

    /// A public key.
    pub(super) fn public_key(&mut self, path: &str, text: &str) -> Option<PublicKey> {
        if text.trim() != text {
            self.note(path, Problem::Blanks);
            return None;
        }
        self.keep(path, text.parse::<PublicKey>())
    }
}

/// Whether an address is that of its network (also the anycast address of
/// RFC 4291 §2.6.1) or its broadcast address. Networks of two have neither
/// (RFC 3021, RFC 6164).
fn is_network_address(own: InterfaceAddress) -> bool {
    let longest = if own.address().is_ipv4() { 32 } else { 128 };
    if own.length() + 1 >= longest {
        return false;
    }
    let net = own.network().as_ipnet();
    own.address() == net.addr() || (own.address().is_ipv4() && own.address() == net.broadcast())
}
