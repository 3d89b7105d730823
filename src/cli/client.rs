//! Asks a running gateway over its unix socket.

use crate::model::limits;
use crate::net::{Prefix, TenantName};
use crate::status::{RibPage, Snapshot};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// How long a gateway on the same machine may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens there.
    #[error(
        "cannot reach the gateway at {}; is `lockgate run` running, and is --runtime-dir the same as its?",
        path.display()
    )]
    Connect {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// We may not ask.
    #[error("may not ask the gateway at {}; the socket is its owner's alone: try as root", path.display())]
    Permission {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// It did not answer in time.
    #[error("the gateway at {} does not answer", .0.display())]
    Timeout(PathBuf),
    /// The conversation broke off.
    #[error("the gateway at {} broke off", path.display())]
    Exchange {
        path: PathBuf,
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused.
    #[error("the gateway answered {0}")]
    Refused(StatusCode),
    /// It is of a version whose status we cannot read.
    #[error("cannot read the gateway's status; it may be of another version than this program")]
    Json(#[source] serde_json::Error),
    /// No runtime could be made to ask in.
    #[error("cannot begin to ask")]
    Runtime(#[source] io::Error),
}

impl ClientError {
    /// Whether the gateway could not be reached, rather than not understood.
    pub(super) const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Permission { .. }
                | Self::Timeout(_)
                | Self::Exchange { .. }
        )
    }
}

/// A gateway's state and whether its control loop goes round.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) snapshot: Snapshot,
    pub(super) is_alive: bool,
}

/// The runtime in which a verb asks.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, ClientError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ClientError::Runtime)
}

/// Asks once, and waits for it.
pub(super) fn ask(socket: &Path) -> Result<Answer, ClientError> {
    runtime()?.block_on(ask_now(socket))
}

/// Asks once.
pub(super) async fn ask_now(socket: &Path) -> Result<Answer, ClientError> {
    let late = |_| ClientError::Timeout(socket.to_owned());
    let both = async {
        let (alive, _) = fetch(socket, "/livez").await?;
        let (status, body) = fetch(socket, "/api/v1/status").await?;
        if status != StatusCode::OK {
            return Err(ClientError::Refused(status));
        }
        let snapshot = serde_json::from_slice(&body).map_err(ClientError::Json)?;
        Ok(Answer { snapshot, is_alive: alive == StatusCode::OK })
    };
    tokio::time::timeout(TIMEOUT, both).await.map_err(late)?
}

/// Asks for what the neighbors of a tenant said: all, or of one network. `None` when
/// there is no such tenant or it has no BGP.
pub(super) fn ask_rib(
    socket: &Path,
    tenant: &TenantName,
    prefix: Option<Prefix>,
) -> Result<Option<RibPage>, ClientError> {
    let mut networks = Vec::new();
    let path = format!("/api/v1/tenants/{}/{}/rib", tenant.namespace(), tenant.name());
    let mut query = prefix.map_or_else(String::new, |prefix| format!("?prefix={prefix}"));
    let runtime = runtime()?;
    loop {
        let path = format!("{path}{query}");
        let page = async {
            let late = |_| ClientError::Timeout(socket.to_owned());
            tokio::time::timeout(TIMEOUT, fetch(socket, &path)).await.map_err(late)?
        };
        let (status, body) = runtime.block_on(page)?;
        let page: RibPage = match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(ClientError::Json)?,
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(ClientError::Refused(status)),
        };
        networks.extend(page.networks);
        match page.next.filter(|_| networks.len() < limits::RIB_SHOWN) {
            Some(next) => query = format!("?after={next}"),
            None => return Ok(Some(RibPage { networks, ..page })),
        }
    }
}

async fn fetch(socket: &Path, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
    let path_of = || socket.to_owned();
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            return ClientError::Permission { path: path_of(), error };
        }
        ClientError::Connect { path: path_of(), error }
    })?;
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Exchange {
        path: path_of(),
        error,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(error.into()))?;
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(error.into()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limits::STATUS_BYTES);
        let body = body.collect().await.map_err(broken)?;
        Ok((status, body.to_bytes()))
    };
    // The connection does the reading and writing; it ends after the answer.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}
