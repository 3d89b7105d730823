//! Asks NMaaS, over HTTP.
//!
//! One request, `PATCH …/domains/{id}/dcn?configured=…` of its `DomainController`, which says
//! that a domain's network is connected. Whoever sends it has the role of an operator: the
//! token is in no argument, log or error. TLS is verified, redirects are not followed, and no
//! proxy is used. When to send it is no matter of this room: see [`crate::dcn`].
//!
//! In reading order: [`BaseUrl`], [`Token`], [`Tls`], [`Client`], [`ClientError`].

mod client;
mod error;
mod tls;
mod token;
mod url;

pub use client::Client;
pub use error::ClientError;
pub use tls::{Tls, TlsError};
pub use token::{Token, TokenError};
pub use url::{BaseUrl, UrlError};
