//! Read-only views of the snapshot over HTTP/1.1: health, metrics, JSON and a
//! page, on TCP and on a unix socket.
//!
//! It changes nothing and decides nothing: there is no request with a body and
//! no method but GET and HEAD. It keeps answering, with the last snapshot, when
//! the control loop hangs; `/livez` says so then.
//! It has no secrets to keep, for a snapshot holds none, and no users; whoever
//! can reach it sees every tenant. So it listens where it is told, and answers
//! only to names it knows (`guard`).
//!
//! In reading order: [`Views`] (what is shown, and to whom), [`Listener`]
//! (where), [`serve`]; then `guard`, `health`, `api` (and `openapi`), `live` (what happens, as it happens,
//! out of `recent`), `metrics` (and `open_metrics`),
//! `page`.

mod api;
mod guard;
mod health;
mod listener;
mod live;
mod metrics;
mod open_metrics;
mod openapi;
mod page;
mod recent;
mod server;
mod views;

pub use listener::{ListenError, Listener};
pub use metrics::{METRICS_TYPE, render as render_metrics};
pub use open_metrics::{OPEN_METRICS_TYPE, from_text as to_open_metrics};
pub use openapi::document as openapi_document;
pub use page::Ticket;
pub use server::serve;
pub use views::{RibQuestion, Views};
