//! Numbers of the wire that have a range.

use std::fmt;

/// Why a number is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not an MTU a gateway can carry.
    #[error("{0} is no usable MTU (576–65535; 1280 or more when IPv6 is used)")]
    Mtu(u32),
    /// Not a VLAN id that can be used.
    #[error("{0} is reserved (1–4094)")]
    VlanId(u32),
    /// Not an AS number a neighbor can have.
    #[error("{0} is a reserved AS number")]
    Asn(u32),
}

/// The largest packet a link carries, in bytes, headers of the link left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(u16);

impl Mtu {
    /// What every IPv4 host takes (RFC 791 §3.2).
    const LEAST: u16 = 576;
    /// What IPv6 asks of every link (RFC 8200 §5).
    pub const IPV6_MIN: Self = Self(1280);
    /// Ethernet's without jumbo frames (RFC 894).
    pub const ETHERNET: Self = Self(1500);

    /// An MTU of `bytes`, 576–65,535.
    ///
    /// # Errors
    /// [`NumberError::Mtu`]: below 576 no IPv4 host need accept a whole
    /// datagram's fragments (RFC 791 §3.2), so no such link is of use.
    pub fn new(bytes: u32) -> Result<Self, NumberError> {
        match u16::try_from(bytes) {
            Ok(bytes) if bytes >= Self::LEAST => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(NumberError::Mtu(bytes)),
        }
    }

    /// In bytes.
    pub const fn bytes(self) -> u16 {
        self.0
    }

    /// What is left of it behind `overhead` bytes of headers, at least 576.
    #[must_use]
    pub fn less(self, overhead: u16) -> Self {
        Self(self.0.saturating_sub(overhead).max(Self::LEAST))
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A VLAN identifier, 1–4094 (IEEE 802.1Q §9.6: 0 and 4095 are reserved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN `id`.
    ///
    /// # Errors
    /// [`NumberError::VlanId`] for 0, 4095 and above.
    pub fn new(id: u32) -> Result<Self, NumberError> {
        match u16::try_from(id) {
            Ok(id) if (1..=4094).contains(&id) => Ok(Self(id)),
            Ok(_) | Err(_) => Err(NumberError::VlanId(id)),
        }
    }

    /// The number.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An autonomous system number, 4 octets (RFC 6793).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(u32);

impl Asn {
    /// The AS `number`.
    ///
    /// # Errors
    /// [`NumberError::Asn`] for 0 (RFC 7607), 23456 (AS_TRANS, RFC 6793),
    /// 65535 and 4294967295 (RFC 7300).
    pub fn new(number: u32) -> Result<Self, NumberError> {
        match number {
            0 | 23_456 | 65_535 | u32::MAX => Err(NumberError::Asn(number)),
            _ => Ok(Self(number)),
        }
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
