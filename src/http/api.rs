//! The snapshot as JSON, whole and in parts.

use super::RibQuestion;
use super::authenticate::Seen;
use crate::net::{Prefix, SiteName, TenantName};
use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::oneshot;

/// What there is not. Written in snake_case.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Missing {
    /// There is nothing at this path.
    Page,
    /// There is no such tenant.
    Tenant,
    /// The tenant has no such site.
    Site,
    /// The tenant has no BGP.
    Bgp,
}

/// What is said of something that is not there.
#[derive(Serialize, JsonSchema)]
pub(super) struct NotFound {
    /// What is missing.
    missing: Missing,
}

fn not_found(missing: Missing) -> Response {
    (StatusCode::NOT_FOUND, Json(NotFound { missing })).into_response()
}

pub(super) async fn nothing_here() -> Response {
    not_found(Missing::Page)
}

pub(super) async fn status(seen: Seen) -> Response {
    Json(&*seen.snapshot()).into_response()
}

pub(super) async fn tenant(
    seen: Seen,
    Path((namespace, tenant)): Path<(String, String)>,
) -> Response {
    let snapshot = seen.snapshot();
    let name = TenantName::new(&namespace, &tenant).ok();
    match name.and_then(|name| snapshot.tenant(&name)) {
        Some(tenant) => Json(tenant).into_response(),
        None => not_found(Missing::Tenant),
    }
}

pub(super) async fn site(
    seen: Seen,
    Path((namespace, tenant, site)): Path<(String, String, String)>,
) -> Response {
    let snapshot = seen.snapshot();
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

/// What the loop may take to answer before it is called busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which part of what was said is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct RibQuery {
    prefix: Option<String>,
    after: Option<String>,
}

pub(super) async fn rib(
    seen: Seen,
    Path((namespace, tenant)): Path<(String, String)>,
    Query(query): Query<RibQuery>,
) -> Response {
    let parse = |text: Option<String>| text.map(|text| text.parse::<Prefix>()).transpose();
    let (Ok(prefix), Ok(after)) = (parse(query.prefix), parse(query.after)) else {
        return (StatusCode::BAD_REQUEST, "A network is written 192.0.2.0/24.\n").into_response();
    };
    let tenant = TenantName::new(&namespace, &tenant).ok();
    let tenant = tenant.filter(|tenant| seen.scope.sees(tenant));
    let (Some(tenant), Some(rib)) = (tenant, &seen.views.rib) else {
        return not_found(Missing::Tenant);
    };
    let (answer, answered) = oneshot::channel();
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "Busy; ask again.\n").into_response();
    if rib.try_send(RibQuestion { tenant, prefix, after, answer }).is_err() {
        return busy();
    }
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(Some(page))) => Json(page).into_response(),
        Ok(Ok(None)) => not_found(Missing::Bgp),
        Ok(Err(_)) | Err(_) => busy(),
    }
}
