//! `/api/v1/events`: what happens, as it happens (server-sent events, WHATWG HTML §9.2).
//!
//! | event | id | data |
//! |---|---|---|
//! | `change` | yes | an event of a tenant's, as in its history |
//! | `snapshot` | no | there is another snapshot: the moment it is of |
//! | `gap` | no | something was missed: read the status again |
//!
//! A reader that comes back with `Last-Event-ID` goes on from there. One that reads
//! slower than things happen is told of a gap, and one that does not read is let go;
//! nothing is kept for either. A stream ends within a minute, as every connection does, and
//! when others may see it than before: who still may comes back and goes on.

use super::authenticate::Seen;
use super::guard::RemoteAddress;
use super::health;
use super::places::{Place, Places, Room};
use super::recent::Recent;
use crate::model::limits;
use crate::net::TenantName;
use crate::status::Snapshot;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::{Channel, Sender};
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The least time between two words that there is another snapshot.
const PAUSE: Duration = Duration::from_secs(1);

/// How soon a reader is to come back (milliseconds).
const RETRY: u32 = 1_000;

/// How many follow at one time.
const STREAMS: Room = Room {
    all: limits::HTTP_STREAMS,
    address: limits::HTTP_ADDRESS_STREAMS,
    loopback: limits::HTTP_LOOPBACK_STREAMS,
};

/// The streams.
#[derive(Clone, Debug)]
pub(super) struct Live {
    recent: watch::Receiver<Arc<Recent>>,
    places: Places,
}

impl Live {
    /// Streams of what `recent` holds.
    fn new(recent: watch::Receiver<Arc<Recent>>) -> Self {
        Self { recent, places: Places::new(STREAMS) }
    }
}

/// The streams, and where to write what they send.
pub(super) fn begin(snapshot: &Snapshot) -> (Live, watch::Sender<Arc<Recent>>) {
    let recent = Recent::after(snapshot, limits::HTTP_EVENTS);
    let (sender, receiver) = watch::channel(Arc::new(recent));
    (Live::new(receiver), sender)
}

/// Keeps what streams send true to the snapshots, until told to stop.
pub(super) async fn follow(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    recent: watch::Sender<Arc<Recent>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let changed = tokio::select! {
            () = health::stopped(&mut stopping) => return,
            changed = snapshots.changed() => changed,
        };
        if changed.is_err() {
            // Nobody makes snapshots any more.
            return;
        }
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        recent.send_modify(|recent| Arc::make_mut(recent).take(&snapshot));
    }
}

/// What of it is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Of one tenant alone: `namespace/name`.
    tenant: Option<String>,
}

pub(super) async fn events(
    seen: Seen,
    State(live): State<Live>,
    Extension(RemoteAddress(from)): Extension<RemoteAddress>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let tenant = wanted.tenant.map(|name| name.parse::<TenantName>()).transpose();
    let Ok(tenant) = tenant else {
        return (StatusCode::BAD_REQUEST, "A tenant is written namespace/name.\n").into_response();
    };
    let Some(place) = live.places.take(from) else {
        let busy = "Too many streams; ask again, or read the status.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], busy)
            .into_response();
    };
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let life = seen.views.times.stream;
    let judged = seen.clone();
    let stream = Stream { recent: live.recent, tenant, seen, sender, _place: place };
    tokio::spawn(async move {
        // A reader that is gone, or does not read, needs no more.
        let run = async {
            tokio::select! {
                () = judged.is_over() => {}
                _ = stream.run(last) => {}
            }
        };
        let _ = tokio::time::timeout(life, run).await;
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(body)).into_response()
}

/// One reader's stream.
struct Stream {
    recent: watch::Receiver<Arc<Recent>>,
    tenant: Option<TenantName>,
    seen: Seen,
    sender: Sender<Bytes, Infallible>,
    _place: Place,
}

/// The reader is gone, or does not read.
struct Gone;

impl Stream {
    async fn run(mut self, last: Option<String>) -> Result<(), Gone> {
        let recent = Arc::clone(&self.recent.borrow_and_update());
        let mut text = format!("retry: {RETRY}\n\n");
        let mut next = match last.as_deref().map(|id| recent.after_id(id)) {
            None => recent.next(),
            Some(Some(next)) => next,
            Some(None) => {
                gap(&mut text);
                recent.next()
            }
        };
        loop {
            let recent = Arc::clone(&self.recent.borrow_and_update());
            next = self.write_from(&mut text, &recent, next);
            if self.seen.is_alive() {
                let _ =
                    write!(text, "event: snapshot\ndata: {{\"taken\":\"{}\"}}\n\n", recent.taken);
            }
            let message = Bytes::from(std::mem::take(&mut text));
            let sent =
                tokio::time::timeout(self.seen.views.times.message, self.sender.send_data(message))
                    .await;
            if !matches!(sent, Ok(Ok(()))) {
                return Err(Gone);
            }
            tokio::time::sleep(PAUSE).await;
            if self.recent.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Whether it is to be told what happens at `tenant`: what it may see, and asked for.
    fn hears_of(&self, tenant: &TenantName) -> bool {
        self.seen.scope.sees(tenant) && self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
    }

    /// Writes what there is from number `next` on; gives the number to go on from.
    fn write_from(&self, text: &mut String, recent: &Recent, next: u64) -> u64 {
        let Some(events) = recent.from(next) else {
            gap(text);
            return recent.next();
        };
        for (number, event) in events {
            if self.hears_of(&event.tenant) {
                let id = recent.id(number);
                let _ = write!(text, "id: {id}\nevent: change\ndata: {}\n\n", event.text);
            }
        }
        recent.next()
    }
}

fn gap(text: &mut String) {
    text.push_str("event: gap\ndata: {}\n\n");
}
