//! `ETag`, `If-None-Match` and `If-Match` (RFC 9110 §8.8.3, §13.1): who has an answer
//! already is told so instead of being sent it again.
//!
//! The validator is strong, a checksum of the very bytes and of whom they are for. So it
//! changes with whatever changes, and two who see different things never share one.
//! Streams and metrics have none: the former have no end, the latter nobody keeps.

use super::authenticate;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use sha2::{Digest, Sha256};

/// Bytes of the checksum that are told: 128 bits.
const BYTES: usize = 16;

/// Header fields an answer without its body keeps (RFC 9110 §15.4.5), beside what is set
/// of every answer afterwards.
const KEPT: [HeaderName; 2] = [header::ETAG, header::CACHE_CONTROL];

/// Gives what can be kept a validator, and sends it only to who does not have it.
pub(super) async fn etag(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_kept = path.starts_with("/api/v1/")
        || ["/openapi.json", "/style.css", "/app.js", "/icon.svg"].contains(&path);
    let is_read = *request.method() == Method::GET || *request.method() == Method::HEAD;
    if !is_kept || !is_read {
        return next.run(request).await;
    }
    let asked = Asked::of(request.headers());
    let mark = authenticate::mark(&request);
    let response = next.run(request).await;
    // A precondition is for what would be sent (RFC 9110 §13.2.1).
    if response.status() != StatusCode::OK || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory already: that is what an exact size says here.
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = tag(&mark, &body);
    let Ok(value) = HeaderValue::from_str(&tag) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.insert(header::ETAG, value);
    if asked.matching.as_ref().is_some_and(|tags| !matches(tags, &tag, true)) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    if asked.none_matching.as_ref().is_some_and(|tags| matches(tags, &tag, false)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        for name in KEPT {
            let values = parts.headers.get_all(&name).iter().cloned();
            values.for_each(|value| {
                response.headers_mut().append(name.clone(), value);
            });
        }
        return response;
    }
    Response::from_parts(parts, Body::from(body))
}

fn tag(mark: &str, body: &Bytes) -> String {
    let sum = Sha256::new().chain_update(mark).chain_update([0]).chain_update(body).finalize();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(sum.get(..BYTES).unwrap_or(&sum)))
}

/// What was asked for, as it is written; several fields are one list (RFC 9110 §5.3).
struct Asked {
    matching: Option<String>,
    none_matching: Option<String>,
}

impl Asked {
    fn of(headers: &HeaderMap) -> Self {
        let list = |name: HeaderName| {
            let values: Vec<&str> =
                headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        Self { matching: list(header::IF_MATCH), none_matching: list(header::IF_NONE_MATCH) }
    }
}

/// Whether `tag` is in a list of them, or any is asked for. A weak one is never the same
/// strongly (RFC 9110 §8.8.3.2); ours are all strong. What cannot be read ends the list.
fn matches(list: &str, tag: &str, strongly: bool) -> bool {
    let mut rest = list.trim();
    if rest == "*" {
        return true;
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        // A comma between the quotes is part of it.
        let Some((text, after)) = quoted.strip_prefix('"').and_then(|inner| inner.split_once('"'))
        else {
            return false;
        };
        let is_it = tag.get(1..tag.len() - 1) == Some(text);
        if is_it && !(strongly && is_weak) {
            return true;
        }
        rest = after;
    }
}
