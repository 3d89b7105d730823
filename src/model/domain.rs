//! Whose tenant it is in NMaaS.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// The number of a domain in NMaaS: 1 to 2⁶³ − 1, for it is a `Long` there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(NonZeroU64);

/// Not the number of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no number of a domain in NMaaS (1–9223372036854775807)")]
pub struct DomainIdError;

impl DomainId {
    /// The annotation of a `TenantGateway` that names its domain.
    pub const ANNOTATION: &'static str = "lockgate.dev/nmaas-domain-id";

    /// The domain `id`.
    ///
    /// # Errors
    /// For 0, and for what does not fit a signed number of 64 bits.
    pub fn new(id: u64) -> Result<Self, DomainIdError> {
        NonZeroU64::new(id).filter(|_| i64::try_from(id).is_ok()).map(Self).ok_or(DomainIdError)
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for DomainId {
    type Err = DomainIdError;

    fn from_str(text: &str) -> Result<Self, DomainIdError> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let id = text.parse().ok().filter(|_| is_number);
        Self::new(id.ok_or(DomainIdError)?)
    }
}

impl fmt::Display for DomainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
