//! The words of the wire and of Linux, as types that cannot hold a wrong value.
//!
//! Every other room speaks in these. Nothing here does input or output, and
//! nothing here knows what a tenant wants.
//!
//! In reading order: [`Instant`] and [`Timestamp`] (time), [`Jitter`] (chance), [`PublicKey`] and
//! its secret siblings (keys), [`TcpPassword`], [`Prefix`] (networks) and [`PrefixMap`] (what
//! belongs to them), [`TenantName`], [`SiteName`] and [`ManagedName`] (names),
//! [`Mtu`], [`VlanId`], [`Asn`] (numbers with a range), [`Community`] and its
//! like (what routes are marked with).

mod community;
mod jitter;
mod key;
mod martians;
mod name;
mod number;
mod password;
mod prefix;
mod prefix_map;
mod role;
mod time;

pub use community::{Community, CommunityError, ExtendedCommunity, LargeCommunity, RouteTarget};
pub use jitter::Jitter;
pub use key::{KeyError, PresharedKey, PrivateKey, PublicKey};
pub use martians::ALWAYS_FORBIDDEN;
pub use name::{LinkName, ManagedName, NameError, SiteId, SiteName, TenantName};
pub use number::{Asn, Mtu, NumberError, VlanId};
pub use password::{PasswordError, TcpPassword};
pub use prefix::{InterfaceAddress, Prefix, PrefixError, outermost};
pub use prefix_map::PrefixMap;
pub use role::Role;
pub use time::{Instant, Now, Timestamp};
