//! Who asks, and so what is shown: a token in `Authorization` (RFC 6750 §2.1), the same
//! token as the password of a browser's own dialog (RFC 7617), or a client's certificate.
//!
//! `/livez` and `/readyz` are for whoever keeps the process, and tell nothing of a tenant
//! to those who showed nothing. The unix socket is its owner's alone and asks nothing.

use super::guard::LocalAddress;
use super::{Credentials, Identity, Scope, Views};
use crate::status::Snapshot;
use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The names of the certificate a client showed; `None` when it showed none.
#[derive(Clone, Debug)]
pub(super) struct ClientNames(pub(super) Option<Arc<[Identity]>>);

/// What may be asked by who shows nothing.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// A browser asks for what it knows of these, a program for the first.
const CHALLENGES: [HeaderValue; 2] = [
    HeaderValue::from_static("Bearer realm=\"lockgate\""),
    HeaderValue::from_static("Basic realm=\"lockgate\", charset=\"UTF-8\""),
];

const REFUSAL: &str = "Show a token: `Authorization: Bearer TOKEN`. In a browser give it as the \
    password; the name does not matter.\n";

/// Finds out what is shown to who asks, and lets nobody through of whom that is not known.
pub(super) async fn authenticate(
    State(views): State<Views>,
    mut request: Request,
    next: Next,
) -> Response {
    let credentials = views.credentials();
    let (scope, is_asked_for) = scope_of(&credentials, &request);
    if scope.is_none() && !is_open(request.uri()) {
        let mut response = (StatusCode::UNAUTHORIZED, REFUSAL).into_response();
        for challenge in CHALLENGES {
            response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
        }
        return response;
    }
    request.extensions_mut().insert(Sight { scope, credentials });
    let mut response = next.run(request).await;
    if is_asked_for {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Authorization"));
    }
    response
}

fn is_open(uri: &Uri) -> bool {
    OPEN.contains(&uri.path())
}

/// What is shown, and whether it hangs on who asks.
fn scope_of(credentials: &Credentials, request: &Request) -> (Option<Scope>, bool) {
    let extensions = request.extensions();
    // Not said is as good as the worst.
    if matches!(extensions.get(), Some(LocalAddress(None))) {
        return (Some(Scope::All), false);
    }
    let names = extensions.get::<ClientNames>().and_then(|names| names.0.clone());
    let token = match token(request.headers()) {
        Ok(token) => token,
        Err(Unreadable) => return (None, true),
    };
    let token = token.as_ref().map(|token| token.as_str());
    (credentials.scope(token, names.as_deref()), credentials.are_asked_for())
}

/// What is in `Authorization` is nothing we can read, or it is there twice.
struct Unreadable;

/// The token that was shown.
fn token(headers: &HeaderMap) -> Result<Option<Zeroizing<String>>, Unreadable> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().map_err(|_| Unreadable)?,
        (Some(_), Some(_)) => return Err(Unreadable),
    };
    let (scheme, rest) = value.trim().split_once(' ').ok_or(Unreadable)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Zeroizing::new(rest.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Unreadable);
    }
    let pair = Zeroizing::new(STANDARD.decode(rest).map_err(|_| Unreadable)?);
    let pair = std::str::from_utf8(&pair).map_err(|_| Unreadable)?;
    let (_, password) = pair.split_once(':').ok_or(Unreadable)?;
    Ok(Some(Zeroizing::new(password.to_owned())))
}

/// What is shown to who asks.
#[derive(Clone, Debug)]
struct Sight {
    /// `None` when that is nothing.
    scope: Option<Scope>,
    /// What says so.
    credentials: Arc<Credentials>,
}

/// The views as who asks may see them: the only way from a route to a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) views: Views,
    pub(super) scope: Scope,
    credentials: Arc<Credentials>,
}

impl Seen {
    /// The latest snapshot, as far as it is seen.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.scope.of(&self.views.whole())
    }

    /// Ends when it may be that something else is seen.
    pub(super) async fn is_over(&self) {
        self.views.judged_anew(&self.credentials).await;
    }

    /// Whether the control loop was seen to go round of late.
    pub(super) fn is_alive(&self) -> bool {
        self.views.pulse.is_felt()
    }
}

impl<S> FromRequestParts<S> for Seen
where
    Views: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, StatusCode> {
        match parts.extensions.get() {
            Some(Sight { scope: Some(scope), credentials }) => Ok(Self {
                views: Views::from_ref(state),
                scope: scope.clone(),
                credentials: Arc::clone(credentials),
            }),
            // A route that nobody is to reach without showing something.
            Some(Sight { scope: None, .. }) | None => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

/// Whether who asks sees the whole gateway.
pub(super) fn sees_all(request: &Request) -> bool {
    matches!(request.extensions().get(), Some(Sight { scope: Some(Scope::All), .. }))
}

/// The scope of a request that was let through, in words.
pub(super) fn mark(request: &Request) -> String {
    match request.extensions().get() {
        Some(Sight { scope: Some(scope), .. }) => scope.mark(),
        Some(Sight { scope: None, .. }) | None => String::new(),
    }
}
