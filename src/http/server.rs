//! Accepts connections and serves them, within limits of number and time.

use super::guard::{self, LocalAddress};
use super::listener::Kind;
use super::live::Live;
use super::{Listener, Views, api, health, live, metrics, openapi, page};
use crate::model::limits;
use axum::extract::FromRef;
use axum::{Extension, Router, middleware, routing::get};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// From a connection's beginning, or the last answer, to the end of a head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest a connection is kept, however slowly its reader reads. A scrape
/// that keeps its connection opens a new one then.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long answers under way may take once we are to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause after `accept` failed, for then descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `views` on all of `listeners` until `shutdown`; then lets answers
/// under way end, for at most two seconds.
pub async fn serve(
    views: Views,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS));
    let mut tasks = JoinSet::new();
    tasks.spawn(health::feel(views.clone(), stopping.clone()));
    let (live, recent) = live::begin(&views.snapshot());
    tasks.spawn(live::follow(views.snapshots.clone(), recent, stopping.clone()));
    let routes = router(views, live);
    for listener in listeners {
        tasks.spawn(accept(listener, routes.clone(), Arc::clone(&slots), stopping.clone()));
    }
    shutdown.await;
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
}

fn router(views: Views, live: Live) -> Router {
    let routes = Router::new()
        .route("/", get(page::all))
        .route("/tenants/{namespace}/{tenant}", get(page::tenant))
        .route("/tenants/{namespace}/{tenant}/sites/{site}", get(page::site))
        .route("/style.css", get(page::style))
        .route("/app.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/events", get(live::events))
        .route("/api/v1/tenants/{namespace}/{tenant}", get(api::tenant))
        .route("/api/v1/tenants/{namespace}/{tenant}/rib", get(api::rib))
        .route("/api/v1/tenants/{namespace}/{tenant}/sites/{site}", get(api::site))
        .fallback(api::nothing_here);
    let guard = middleware::from_fn_with_state(views.clone(), guard::guard);
    routes.layer(guard).with_state(Shown { views, live })
}

/// What the routes show.
#[derive(Clone, Debug)]
struct Shown {
    views: Views,
    live: Live,
}

impl FromRef<Shown> for Views {
    fn from_ref(shown: &Shown) -> Self {
        shown.views.clone()
    }
}

impl FromRef<Shown> for Live {
    fn from_ref(shown: &Shown) -> Self {
        shown.live.clone()
    }
}

/// Accepts until told to stop, then waits a little for its connections.
async fn accept(
    listener: Listener,
    routes: Router,
    slots: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        // Reaps what has ended, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = health::stopped(&mut stopping) => break,
            accepted = accept_one(&listener.0) => accepted,
        };
        let (stream, local) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without a slot the newest goes: those who hold one lose it within
        // seconds, unless they are using it.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::debug!(limit = limits::HTTP_CONNECTIONS, "too many connections");
            continue;
        };
        let routes = routes.clone().layer(Extension(local));
        match stream {
            Stream::Tcp(stream) => {
                connections.spawn(connection(stream, routes, slot, stopping.clone()))
            }
            Stream::Unix(stream) => {
                connections.spawn(connection(stream, routes, slot, stopping.clone()))
            }
        };
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await);
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept_one(listener: &Kind) -> std::io::Result<(Stream, LocalAddress)> {
    match listener {
        Kind::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            let local = LocalAddress(Some(stream.local_addr()?.ip().to_canonical()));
            Ok((Stream::Tcp(stream), local))
        }
        Kind::Unix(socket) => {
            let (stream, _) = socket.listener.accept().await?;
            Ok((Stream::Unix(stream), LocalAddress(None)))
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: Router,
    _slot: OwnedSemaphorePermit,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(limits::HTTP_HEAD_BYTES)
        .max_headers(limits::HTTP_HEADERS)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let deadline = tokio::time::sleep(CONNECTION_TIMEOUT);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = deadline => None,
        () = health::stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            Some(connection.await)
        }
    };
    if let Some(Err(error)) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}
