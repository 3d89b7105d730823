//! What every request must be, and what every answer says to a browser.
//!
//! A page of someone else's, opened in a browser that can reach us, must not
//! read us: neither by name (DNS rebinding, hence the check of `Host`) nor
//! across origins (no CORS header is ever sent).

use super::Views;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// The address a connection came to; `None` on a unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress(pub(super) Option<IpAddr>);

/// Where a connection comes from; who comes by the unix socket has loopback's.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemoteAddress(pub(super) IpAddr);

const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Lets through what may be asked, and marks every answer.
pub(super) async fn guard(State(views): State<Views>, request: Request, next: Next) -> Response {
    let mut response = match refuse(&views, &request) {
        Some((status, why)) => {
            let mut response = (status, format!("{why}\n")).into_response();
            if status == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            // A body we do not read must not be taken for the next request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        // What is the same for everybody may be kept.
        let is_said = name == header::CACHE_CONTROL && response.headers().contains_key(&name);
        if !is_said {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Why a request is not answered, if it is not.
fn refuse(views: &Views, request: &Request) -> Option<(StatusCode, &'static str)> {
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        return Some((
            StatusCode::METHOD_NOT_ALLOWED,
            "Only GET and HEAD: nothing can be changed here.",
        ));
    }
    let headers = request.headers();
    if headers.contains_key(header::TRANSFER_ENCODING) || has_length(headers) {
        return Some((StatusCode::BAD_REQUEST, "A request has no body here."));
    }
    // A proxy's form of the request target (RFC 9112 §3.2.2); we are no proxy.
    if request.uri().authority().is_some() {
        return Some((StatusCode::BAD_REQUEST, "Ask for a path, not for a whole address."));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some((StatusCode::BAD_REQUEST, "Say the host once."));
    };
    let local = request.extensions().get::<LocalAddress>().and_then(|local| local.0);
    if host.to_str().is_ok_and(|host| is_ours(host, local, &views.hosts)) {
        return None;
    }
    Some((
        StatusCode::MISDIRECTED_REQUEST,
        "This is not the host you asked for. Add its name with --status-host to be answered.",
    ))
}

/// Whether a body is announced. A length that is no number is one.
fn has_length(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0")
}

/// Whether `host`, as the client wrote it, names us: a loopback name or
/// address, the address the connection came to, or a name we were given.
fn is_ours(host: &str, local: Option<IpAddr>, hosts: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host().to_ascii_lowercase();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
    if let Ok(address) = literal.parse::<IpAddr>() {
        let address = address.to_canonical();
        return address.is_loopback()
            || local == Some(address)
            || hosts.iter().any(|h| h == literal);
    }
    name == "localhost" || hosts.contains(&name)
}
