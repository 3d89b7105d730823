//! Why NMaaS was not told.

use crate::model::DomainId;
use hyper::StatusCode;
use std::io;

/// Why NMaaS was not told. None of these holds the token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("cannot reach NMaaS at {at}")]
    Connect {
        /// Where.
        at: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Whoever is there cannot prove to be NMaaS.
    #[error("no safe connection to NMaaS at {at}; --ca-file names an authority of one's own")]
    Tls {
        /// Where.
        at: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The certificate is to be of something that has no name.
    #[error("{0} is no name that a certificate could have")]
    ServerName(String),
    /// No answer in time.
    #[error("NMaaS at {at} did not answer within {seconds} s")]
    Timeout {
        /// Where.
        at: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The conversation broke off.
    #[error("NMaaS at {at} broke off")]
    Exchange {
        /// Where.
        at: String,
        /// Why.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The token is not believed.
    #[error(
        "NMaaS answered {status}: the token has expired or has not the role of an operator{said}"
    )]
    Token {
        /// 401 or 403.
        status: StatusCode,
        /// The first line of the body.
        said: Said,
    },
    /// There is no such domain.
    #[error(
        "NMaaS answered {status}: it has no domain {domain}, or its API is not below {at}{said}"
    )]
    NoDomain {
        /// 404.
        status: StatusCode,
        /// The domain.
        domain: DomainId,
        /// Where it was asked.
        at: String,
        /// The first line of the body.
        said: Said,
    },
    /// It wants to be asked elsewhere.
    #[error(
        "NMaaS answered {status}, to ask {to}: nobody is followed with a token, so say the address itself"
    )]
    Redirect {
        /// 3xx.
        status: StatusCode,
        /// Where to.
        to: String,
    },
    /// It refused.
    #[error("NMaaS answered {status}{said}")]
    Refused {
        /// Which.
        status: StatusCode,
        /// The first line of the body.
        said: Said,
    },
}

impl ClientError {
    /// Whether the same may go well a little later without anybody doing something.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Exchange { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Tls { .. }
            | Self::ServerName(_)
            | Self::Token { .. }
            | Self::NoDomain { .. }
            | Self::Redirect { .. } => false,
        }
    }
}

/// The first line of an answer's body, as far as it can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    /// Characters that are shown.
    const SHOWN: usize = 200;

    pub(super) fn new(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        Self(line.chars().filter(|it| !it.is_control()).take(Self::SHOWN).collect())
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", saying: {}", self.0) }
    }
}
