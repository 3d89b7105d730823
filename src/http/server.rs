//! Accepts connections and serves them, within limits of number and time.

use super::authenticate::{self, ClientNames};
use super::guard::{self, LocalAddress, RemoteAddress};
use super::listener::Kind;
use super::live::Live;
use super::places::{Place, Places, Room};
use super::{
    Credentials, Listener, Tls, Views, api, etag, health, live, metrics, openapi, page, tls,
};
use crate::model::limits;
use axum::extract::FromRef;
use axum::{Extension, Router, middleware, routing::get};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long answers under way may take once we are to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause after `accept` failed, for then descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Places for connections from the network.
const NETWORK: Room = Room {
    all: limits::HTTP_CONNECTIONS,
    address: limits::HTTP_ADDRESS_CONNECTIONS,
    loopback: limits::HTTP_LOOPBACK_CONNECTIONS,
};

/// Places for those by the unix socket, who have no address.
const MACHINE: Room = Room {
    all: limits::SOCKET_CONNECTIONS,
    address: limits::SOCKET_CONNECTIONS,
    loopback: limits::SOCKET_CONNECTIONS,
};

/// Serves `views` on all of `listeners` until `shutdown`; then lets answers
/// under way end, for at most two seconds.
pub async fn serve(
    views: Views,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopping) = watch::channel(false);
    let network = Places::new(NETWORK);
    let machine = Places::new(MACHINE);
    let mut tasks = JoinSet::new();
    tasks.spawn(health::feel(views.clone(), stopping.clone()));
    let (live, recent) = live::begin(&views.whole());
    tasks.spawn(live::follow(views.snapshots.clone(), recent, stopping.clone()));
    let routes = router(views.clone(), live);
    for listener in listeners {
        let places = match listener.0 {
            Kind::Tcp(_) => network.clone(),
            Kind::Unix(_) => machine.clone(),
        };
        tasks.spawn(accept(listener, routes.clone(), views.clone(), places, stopping.clone()));
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
    let authenticate = middleware::from_fn_with_state(views.clone(), authenticate::authenticate);
    // The last is the first that a request comes to.
    let routes = routes.layer(middleware::from_fn(etag::etag)).layer(authenticate).layer(guard);
    routes.with_state(Shown { views, live })
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
    views: Views,
    places: Places,
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
        let (stream, from, local) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without a place the newest goes: those who hold one lose it within
        // seconds, unless they are using it.
        let Some(place) = places.take(from) else {
            tracing::debug!(%from, "too many connections");
            continue;
        };
        let credentials = views.credentials();
        let tls = credentials.tls.clone();
        let conversation = Conversation {
            routes: routes.clone().layer(Extension(local)).layer(Extension(RemoteAddress(from))),
            views: views.clone(),
            credentials,
            stopping: stopping.clone(),
            _place: place,
        };
        match stream {
            Stream::Tcp(stream) => match tls {
                Some(tls) => connections.spawn(conversation.secure(stream, tls)),
                None => connections.spawn(conversation.hold(stream)),
            },
            Stream::Unix(stream) => connections.spawn(conversation.hold(stream)),
        };
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await);
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept_one(listener: &Kind) -> std::io::Result<(Stream, IpAddr, LocalAddress)> {
    match listener {
        Kind::Tcp(listener) => {
            let (stream, from) = listener.accept().await?;
            let local = LocalAddress(Some(stream.local_addr()?.ip().to_canonical()));
            Ok((Stream::Tcp(stream), from.ip(), local))
        }
        Kind::Unix(socket) => {
            let (stream, _) = socket.listener.accept().await?;
            Ok((Stream::Unix(stream), IpAddr::V6(Ipv6Addr::LOCALHOST), LocalAddress(None)))
        }
    }
}

/// One connection, and what it takes to serve it.
struct Conversation {
    routes: Router,
    views: Views,
    /// What was in force as it began.
    credentials: Arc<Credentials>,
    stopping: watch::Receiver<bool>,
    _place: Place,
}

impl Conversation {
    /// Speaks TLS first, with what is in force as the connection begins.
    async fn secure(mut self, stream: tokio::net::TcpStream, tls: Tls) {
        let handshake = TlsAcceptor::from(tls.config).accept(stream);
        let shaken = tokio::select! {
            () = health::stopped(&mut self.stopping) => return,
            shaken = tokio::time::timeout(self.views.times.head, handshake) => shaken,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::trace!(%error, "no TLS with a client"),
            Err(_) => return tracing::trace!("a client takes too long for TLS"),
        };
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let names = shown.map(|certificate| tls::identities(certificate).into());
        self.routes = self.routes.layer(Extension(ClientNames(names)));
        self.hold(stream).await;
    }

    /// Answers until there is nothing to answer, it took too long, or it may be that its
    /// client sees something else: who comes again is looked at anew.
    async fn hold(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.views.times.head)
            .max_buf_size(limits::HTTP_HEAD_BYTES)
            .max_headers(limits::HTTP_HEADERS)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.routes));
        let mut connection = pin!(connection);
        let served = async {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = self.views.judged_anew(&self.credentials) => {}
                () = health::stopped(&mut self.stopping) => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        if let Ok(Err(error)) = tokio::time::timeout(self.views.times.connection, served).await {
            tracing::trace!(%error, "a connection ended early");
        }
    }
}
