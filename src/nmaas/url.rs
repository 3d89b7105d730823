//! Where NMaaS is.

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use std::fmt;

/// The address of NMaaS: `https://nmaas.example.org`, or with a port and a path before the
/// API's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether it is asked with TLS.
    pub is_tls: bool,
    authority: Authority,
    path: String,
}

/// Why a text is not a [`BaseUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It cannot be read.
    #[error("is no URL such as https://nmaas.example.org")]
    Malformed,
    /// It has another scheme, or none.
    #[error("begins with neither https:// nor http://")]
    Scheme,
    /// A name or a password is in it.
    #[error("holds a name or a password; NMaaS takes a token, from a file")]
    UserInfo,
    /// Something stands behind the path.
    #[error("has a query or a fragment; write it up to the path before /domains only")]
    Query,
    /// The token would be sent for all to read.
    #[error(
        "is http:// to another machine, and everyone between could read the token: use https://"
    )]
    PlainText,
    /// A path that is none.
    #[error("is no path such as /api")]
    Path,
}

impl BaseUrl {
    /// Reads `url`, below which the API is at `prefix`, `/api` as NMaaS comes. Without TLS
    /// only this very machine is asked, unless `allow_plain`.
    ///
    /// # Errors
    /// What it is instead.
    pub fn new(url: &str, prefix: &str, allow_plain: bool) -> Result<Self, UrlError> {
        if url.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let uri: Uri = url.trim().parse().map_err(|_| UrlError::Malformed)?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) | None => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::Malformed)?.clone();
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let has_port = authority.as_str() != authority.host();
        if authority.host().is_empty() || (has_port && authority.port_u16().is_none()) {
            return Err(UrlError::Malformed);
        }
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !prefix.bytes().all(inside) {
            return Err(UrlError::Path);
        }
        let (before, own) = (uri.path().trim_matches('/'), prefix.trim_matches('/'));
        let parts = [before, own].into_iter().filter(|part| !part.is_empty());
        let path = parts.map(|part| format!("/{part}")).collect();
        let base = Self { is_tls, authority, path };
        if !is_tls && !allow_plain && !base.is_this_machine() {
            return Err(UrlError::PlainText);
        }
        Ok(base)
    }

    fn is_this_machine(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The path of what is `below` the API's prefix.
    pub fn path(&self, below: &str) -> String {
        format!("{}{below}", self.path)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}
