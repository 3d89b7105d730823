//! Communities: numbers that routes carry and policies ask for.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A community of RFC 1997: two numbers of sixteen bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

/// A community of RFC 8092: three numbers of thirty-two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub [u32; 3]);

/// A community of RFC 4360: its eight bytes. A route target is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

/// An extended community that names VPNs a route is for (RFC 4360 §4).
///
/// The same two numbers in another of the three forms are another target, so
/// all eight bytes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteTarget(ExtendedCommunity);

/// Why a text is not a community or not a route target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// It is not numbers with colons between.
    #[error("is not a community such as 64512:40 or, a large one, 64512:1:40")]
    Malformed,
    /// A number does not fit; and what would.
    #[error(
        "has {0}, which does not fit in 16 bits; a large community, such as 64512:1:40, has three numbers of 32"
    )]
    Wide(u32),
    /// It is not a route target.
    #[error(
        "is not a route target such as 64512:40, 4200000000:40, 0.64512:40 (an AS of four bytes, RFC 5396) or 192.0.2.1:40"
    )]
    MalformedTarget,
    /// The number after a four-byte AS or an address does not fit.
    #[error(
        "has {0} after an AS of four bytes or an address, where 16 bits are left for it (RFC 4360, RFC 5668)"
    )]
    WideTarget(u32),
}

impl Community {
    /// Do not pass on to another AS (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// The neighbor is about to go: use another way first (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Kept past its session for long (RFC 9494 §3.3): least preferred.
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// Not to be kept past its session for long (RFC 9494 §3.4).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// Traffic for it is to be thrown away (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
}

/// A decimal number of 32 bits, without sign or blanks.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let (first, second) = text.split_once(':').ok_or(CommunityError::Malformed)?;
        let half = |text| {
            let number = number(text).ok_or(CommunityError::Malformed)?;
            u16::try_from(number).map_err(|_| CommunityError::Wide(number))
        };
        let (first, second) = (half(first)?, half(second)?);
        Ok(Self(u32::from(first) << 16 | u32::from(second)))
    }
}

impl FromStr for LargeCommunity {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let mut parts = text.split(':').map(number);
        let mut next = || parts.next().flatten().ok_or(CommunityError::Malformed);
        let numbers = [next()?, next()?, next()?];
        if parts.next().is_some() { Err(CommunityError::Malformed) } else { Ok(Self(numbers)) }
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [global, first, second] = self.0;
        write!(f, "{global}:{first}:{second}")
    }
}

/// The subtype of route targets (RFC 4360 §4).
const ROUTE_TARGET: u8 = 2;

impl RouteTarget {
    /// Of an AS of two bytes (RFC 4360 §3.1).
    pub const fn of_two_byte_asn(asn: u16, value: u32) -> Self {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
        Self(ExtendedCommunity([0, ROUTE_TARGET, a, b, c, d, e, f]))
    }

    /// Of an AS of four bytes (RFC 5668 §2).
    pub const fn of_four_byte_asn(asn: u32, value: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
        Self(ExtendedCommunity([2, ROUTE_TARGET, a, b, c, d, e, f]))
    }

    /// Of an IPv4 address (RFC 4360 §3.2).
    pub const fn of_address(address: Ipv4Addr, value: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (address.octets(), value.to_be_bytes());
        Self(ExtendedCommunity([1, ROUTE_TARGET, a, b, c, d, e, f]))
    }

    /// The target that an extended community is, if it is one.
    pub const fn recognize(community: ExtendedCommunity) -> Option<Self> {
        match community.0 {
            [0..=2, ROUTE_TARGET, ..] => Some(Self(community)),
            _ => None,
        }
    }

    /// It as the community a route carries.
    pub const fn community(self) -> ExtendedCommunity {
        self.0
    }
}

impl FromStr for RouteTarget {
    type Err = CommunityError;

    /// An AS that fits in two bytes is one of two, as everywhere; one of four
    /// bytes is written with a dot (RFC 5396) when it would fit in two.
    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let (first, value) = text.split_once(':').ok_or(CommunityError::MalformedTarget)?;
        let value = number(value).ok_or(CommunityError::MalformedTarget)?;
        let short = || u16::try_from(value).map_err(|_| CommunityError::WideTarget(value));
        if let Some(asn) = number(first) {
            return match u16::try_from(asn) {
                Ok(asn) => Ok(Self::of_two_byte_asn(asn, value)),
                Err(_) => Ok(Self::of_four_byte_asn(asn, short()?)),
            };
        }
        if let Ok(address) = first.parse::<Ipv4Addr>() {
            return Ok(Self::of_address(address, short()?));
        }
        let half = |text| number(text).and_then(|half| u16::try_from(half).ok());
        let halves = first.split_once('.').and_then(|(high, low)| half(high).zip(half(low)));
        let (high, low) = halves.ok_or(CommunityError::MalformedTarget)?;
        Ok(Self::of_four_byte_asn(u32::from(high) << 16 | u32::from(low), short()?))
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [form, _, a, b, c, d, e, g] = self.0.0;
        let value = u16::from_be_bytes([e, g]);
        match form {
            1 => write!(f, "{}:{value}", Ipv4Addr::new(a, b, c, d)),
            2 => match u32::from_be_bytes([a, b, c, d]) {
                asn @ 0..=0xffff => write!(f, "0.{asn}:{value}"),
                asn => write!(f, "{asn}:{value}"),
            },
            _ => {
                let (asn, value) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]));
                write!(f, "{asn}:{value}")
            }
        }
    }
}

impl fmt::Display for ExtendedCommunity {
    /// A route target as a document writes it, anything else as its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RouteTarget::recognize(*self) {
            Some(target) => write!(f, "rt {target}"),
            None => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}
