//! Public keys as everyone may see them: whose, since when, and whether in use.

use super::text;
use crate::net::{PublicKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose a key is, and whether it is the one to come.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// The gateway's.
    Gateway,
    /// The gateway's next.
    GatewayNext,
    /// The customer's.
    Customer,
    /// The customer's next.
    CustomerNext,
}

impl KeyRole {
    /// Its name, in metrics too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::GatewayNext => "gateway_next",
            Self::Customer => "customer",
            Self::CustomerNext => "customer_next",
        }
    }

    /// Whether it is a key that others change over to.
    pub const fn is_next(self) -> bool {
        matches!(self, Self::GatewayNext | Self::CustomerNext)
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySnapshot {
    /// Whose it is.
    pub role: KeyRole,
    /// The key.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub public_key: PublicKey,
    /// When it was made, of a key that the gateway made; else since when the gateway
    /// knows it.
    #[serde(with = "text::time")]
    #[schemars(with = "text::Moment")]
    pub since: Timestamp,
    /// Whether a site's last handshake was made with it, as far as this process knows.
    pub is_used: bool,
}
