//! Read-only views of the snapshot over HTTP/1.1: health, metrics, JSON and a
//! page, on TCP and on a unix socket.
//!
//! It changes nothing and decides nothing: there is no request with a body and
//! no method but GET and HEAD. It keeps answering, with the last snapshot, when
//! the control loop hangs; `/livez` says so then.
//! A snapshot holds no secret. Whoever can reach it sees every tenant, unless it is told
//! who may see what ([`Credentials`]); then each sees a snapshot of its own tenants
//! ([`Scope`]). It listens where it is told, and answers only to names it knows (`guard`).
//!
//! In reading order: [`Views`] (what is shown), [`Listener`] (where), [`serve`],
//! `places` (to how many), [`Times`]; [`Credentials`] ([`Tls`], [`Access`], [`Scope`]); then
//! what a request goes through: `guard`, `authenticate`, `etag`; then `health`, `api` (and
//! `openapi`), `live` (what happens, as it happens, out of `recent`), `metrics` (and
//! `key_metrics`, `open_metrics`, `probe_metrics`), `page`.

mod access;
mod api;
mod authenticate;
mod credentials;
mod etag;
mod guard;
mod health;
mod key_metrics;
mod listener;
mod live;
mod metrics;
mod open_metrics;
mod openapi;
mod page;
mod places;
mod probe_metrics;
mod recent;
mod reflector_metrics;
mod scope;
mod server;
mod times;
mod tls;
mod views;

pub use access::{Access, AccessError, AccessFlaw, Identity, token_line};
pub use credentials::Credentials;
pub use listener::{ListenError, Listener};
pub use metrics::{METRICS_TYPE, render as render_metrics};
pub use open_metrics::{OPEN_METRICS_TYPE, from_text as to_open_metrics};
pub use openapi::document as openapi_document;
pub use page::Ticket;
pub use scope::Scope;
pub use server::serve;
pub use times::Times;
pub use tls::{Authorities, Tls, TlsError};
pub use views::{RibQuestion, Views};
