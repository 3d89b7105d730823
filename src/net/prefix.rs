//! Networks, and addresses that stand on an interface.

use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network, v4 or v6, with no host bits set.
///
/// v4-mapped v6 networks (`::ffff:0:0/96` and inside) are refused: the same
/// network must not have two spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

/// Why a text is not a [`Prefix`] or an [`InterfaceAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// There is no `/length`.
    #[error("has no prefix length; write `{0}/32` or `{0}/128` for one address")]
    NoLength(String),
    /// The part before the length is not an address, or the length no number.
    #[error("is not a prefix such as 192.0.2.0/24 or 2001:db8::/48")]
    Malformed,
    /// The length is beyond the address.
    #[error("has length {length}; at most {max} is possible")]
    TooLong {
        /// The length written.
        length: u16,
        /// 32 or 128.
        max: u8,
    },
    /// Bits beyond the length are set, so the writer likely meant another one.
    #[error("has host bits set; the network is `{0}`")]
    HostBits(Prefix),
    /// It is a v4 network in v6 clothes.
    #[error("is a v4-mapped IPv6 prefix; write it as IPv4")]
    Mapped,
    /// It carries a zone (`%eth0`).
    #[error("carries a zone id; a prefix has none")]
    Zone,
}

impl Prefix {
    /// The network of `length` bits that holds `address`.
    ///
    /// # Errors
    /// [`PrefixError::TooLong`] and [`PrefixError::Mapped`].
    pub fn containing_address(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        if matches!(address, IpAddr::V6(v6) if is_mapped(v6)) {
            return Err(PrefixError::Mapped);
        }
        let max = if address.is_ipv4() { 32 } else { 128 };
        let net = IpNet::new(address, length)
            .map_err(|_| PrefixError::TooLong { length: u16::from(length), max })?;
        Ok(Self(net.trunc()))
    }

    /// The network of one address, `/32` or `/128`.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// The lowest address.
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// Bits that are fixed, 0–32 or 0–128.
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether it is a v4 network.
    pub fn is_v4(self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Whether `address` lies in it. A v4-mapped v6 address never does.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether every address of `other` lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// The same part of `to` as it is of `from`, a network of the same length; `None`
    /// when they are not of one family.
    pub fn transplanted(self, from: Self, to: Self) -> Option<Self> {
        let address = match (self.address(), from.address(), to.address()) {
            (IpAddr::V4(it), IpAddr::V4(from), IpAddr::V4(to)) => {
                IpAddr::V4(Ipv4Addr::from_bits(it.to_bits() ^ from.to_bits() ^ to.to_bits()))
            }
            (IpAddr::V6(it), IpAddr::V6(from), IpAddr::V6(to)) => {
                IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() ^ from.to_bits() ^ to.to_bits()))
            }
            (..) => return None,
        };
        Self::containing_address(address, self.length()).ok()
    }

    /// Whether some address lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The same network as the `ipnet` crate's type, for prefix tries.
    pub const fn as_ipnet(self) -> IpNet {
        self.0
    }
}

/// Of `prefixes` those that lie in no other of them, each once, in their order.
///
/// `covers` is [`Prefix::covers`]; it is asked once at most for each network, for one
/// that covers others stands before them and next to them.
pub fn outermost(
    prefixes: impl IntoIterator<Item = Prefix>,
    mut covers: impl FnMut(Prefix, Prefix) -> bool,
) -> Vec<Prefix> {
    let sorted: BTreeSet<Prefix> = prefixes.into_iter().collect();
    let mut outer: Vec<Prefix> = Vec::new();
    for prefix in sorted {
        if !outer.last().is_some_and(|wider| covers(*wider, prefix)) {
            outer.push(prefix);
        }
    }
    outer
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

/// Splits `address/length`, checking both.
fn split(text: &str) -> Result<(IpAddr, u8), PrefixError> {
    if text.contains('%') {
        return Err(PrefixError::Zone);
    }
    let Some((address, length)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(_) => PrefixError::NoLength(text.to_owned()),
            Err(_) => PrefixError::Malformed,
        });
    };
    let address: IpAddr = address.parse().map_err(|_| PrefixError::Malformed)?;
    if length.is_empty() || length.len() > 3 || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PrefixError::Malformed);
    }
    let length: u16 = length.parse().map_err(|_| PrefixError::Malformed)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    match u8::try_from(length) {
        Ok(length) if length <= max => Ok((address, length)),
        Ok(_) | Err(_) => Err(PrefixError::TooLong { length, max }),
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = split(text)?;
        let prefix = Self::containing_address(address, length)?;
        if prefix.address() != address {
            return Err(PrefixError::HostBits(prefix));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address on an interface together with the length of its network, as
/// `ip address` writes it: `10.255.30.0/31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceAddress {
    address: IpAddr,
    length: u8,
}

impl InterfaceAddress {
    /// `address` in a network of `length` bits.
    ///
    /// # Errors
    /// [`PrefixError::TooLong`] and [`PrefixError::Mapped`].
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        Prefix::containing_address(address, length)?;
        Ok(Self { address, length })
    }

    /// The address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The length of its network.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The network it stands in.
    pub fn network(self) -> Prefix {
        Prefix(IpNet::new_assert(self.address, self.length).trunc())
    }

    /// The lowest other host address of its network: the far end's, by the
    /// convention that a tunnel's network holds the two ends and no one else.
    ///
    /// `None` for a network of one address. In a network wider than two
    /// addresses the network's own address is no host's, and for v4 neither is
    /// the broadcast address.
    pub fn other_end(self) -> Option<IpAddr> {
        let net = self.network().0;
        net.hosts().take(3).find(|host| {
            let is_anycast = !self.address.is_ipv4() && self.length < 127 && *host == net.addr();
            *host != self.address && !is_anycast
        })
    }
}

impl FromStr for InterfaceAddress {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = split(text)?;
        Self::new(address, length)
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}
