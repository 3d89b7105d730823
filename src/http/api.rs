//! The snapshot as JSON, whole and in parts.

use super::Views;
use crate::net::{SiteName, TenantName};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What there is not. Written in snake_case.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Missing {
    Page,
    Tenant,
    Site,
}

#[derive(Serialize)]
struct NotFound {
    missing: Missing,
}

fn not_found(missing: Missing) -> Response {
    (StatusCode::NOT_FOUND, Json(NotFound { missing })).into_response()
}

pub(super) async fn nothing_here() -> Response {
    not_found(Missing::Page)
}

pub(super) async fn status(State(views): State<Views>) -> Response {
    Json(&*views.snapshot()).into_response()
}

pub(super) async fn tenant(
    State(views): State<Views>,
    Path((namespace, tenant)): Path<(String, String)>,
) -> Response {
    let snapshot = views.snapshot();
    let name = TenantName::new(&namespace, &tenant).ok();
    match name.and_then(|name| snapshot.tenant(&name)) {
        Some(tenant) => Json(tenant).into_response(),
        None => not_found(Missing::Tenant),
    }
}

pub(super) async fn site(
    State(views): State<Views>,
    Path((namespace, tenant, site)): Path<(String, String, String)>,
) -> Response {
    let snapshot = views.snapshot();
    let name = TenantName::new(&namespace, &tenant).ok();
    let Some(tenant) = name.and_then(|name| snapshot.tenant(&name)) else {
        return not_found(Missing::Tenant);
    };
    let name = site.parse::<SiteName>().ok();
    match name.and_then(|name| tenant.site(&name)) {
        Some(site) => Json(site).into_response(),
        None => not_found(Missing::Site),
    }
}
