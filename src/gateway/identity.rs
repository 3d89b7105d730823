//! Who the gateway is to one tenant's customers: one key, or two while they change
//! over to the next one.

use crate::net::{PrivateKey, PublicKey, Timestamp};

/// One of the gateway's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayKey {
    /// Its secret half.
    pub private: PrivateKey,
    /// The half the customers' routers hold.
    pub public: PublicKey,
    /// When it was made, where that is known.
    pub made: Option<Timestamp>,
    /// The number of the file it is kept in (its inode), where it is: two that were made
    /// within one tick of the file system's clock have the same time.
    pub file: Option<u64>,
}

impl GatewayKey {
    /// Both halves of a private key.
    pub fn new(private: PrivateKey, made: Option<Timestamp>) -> Self {
        let public = private.public();
        Self { private, public, made, file: None }
    }

    /// The same, kept in the file of this number.
    #[must_use]
    pub fn in_file(self, file: Option<u64>) -> Self {
        Self { file, ..self }
    }
}

/// Who the gateway is to one tenant's customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The key they all had.
    pub current: GatewayKey,
    /// The key they change over to.
    pub next: Option<GatewayKey>,
}

impl Identity {
    /// The identity of a private key.
    pub fn new(private: PrivateKey) -> Self {
        Self { current: GatewayKey::new(private, None), next: None }
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &GatewayKey> {
        [&self.current].into_iter().chain(&self.next)
    }
}
