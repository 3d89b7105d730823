//! The pages for people, written here in full: what they show, they show without
//! JavaScript. With it they follow what happens, and lists can be searched while
//! typing.
//!
//! Nothing comes from elsewhere: one style sheet, one script, one icon. No text is
//! written but through [`html::Text`], and no `style` attribute, which the policy of
//! every answer forbids.
//!
//! In reading order: `overview` (all tenants), `tenant`, `site`, `keys`, `probes`,
//! `neighbors`, `ticket` (a site as text for others), `filter` (what of it is asked
//! for), `html`.

mod filter;
mod html;
mod keys;
mod neighbors;
mod overview;
mod probes;
mod site;
mod tenant;
mod ticket;

pub use ticket::Ticket;

use super::authenticate::Seen;
use crate::net::{SiteName, TenantName};
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use filter::Filter;
use html::Frame;

pub(super) async fn style() -> Response {
    resource("text/css; charset=utf-8", include_str!("style.css"))
}

pub(super) async fn script() -> Response {
    resource("text/javascript; charset=utf-8", include_str!("app.js"))
}

pub(super) async fn icon() -> Response {
    resource("image/svg+xml", include_str!("icon.svg"))
}

/// What is the same for everybody may be kept, and is asked about each time: another
/// version of the program has another.
fn resource(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

pub(super) async fn all(seen: Seen, Query(filter): Query<Filter>) -> Html<String> {
    let snapshot = seen.snapshot();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = overview::write(&mut out, &snapshot, &filter, seen.is_alive());
    Html(out)
}

pub(super) async fn tenant(
    seen: Seen,
    Path((namespace, tenant)): Path<(String, String)>,
) -> Response {
    let snapshot = seen.snapshot();
    let name = TenantName::new(&namespace, &tenant).ok();
    let Some(tenant) = name.and_then(|name| snapshot.tenant(&name)) else {
        return not_found("There is no such tenant here.");
    };
    let mut out = String::new();
    let _ = tenant::write(&mut out, &snapshot, tenant, seen.is_alive());
    Html(out).into_response()
}

pub(super) async fn site(
    seen: Seen,
    Path((namespace, tenant, site)): Path<(String, String, String)>,
) -> Response {
    let snapshot = seen.snapshot();
    let name = TenantName::new(&namespace, &tenant).ok();
    let Some(tenant) = name.and_then(|name| snapshot.tenant(&name)) else {
        return not_found("There is no such tenant here.");
    };
    let name = site.parse::<SiteName>().ok();
    let Some(site) = name.and_then(|name| tenant.site(&name)) else {
        return not_found("The tenant has no such site.");
    };
    let mut out = String::new();
    let _ = site::write(&mut out, &snapshot, tenant, site, seen.is_alive());
    Html(out).into_response()
}

fn not_found(why: &str) -> Response {
    let mut out = String::new();
    let frame = Frame { title: "Not found", is_wall: false };
    let _ = frame.write(&mut out, |out| {
        use std::fmt::Write;
        write!(out, "<h1>Not found</h1><p>{why} <a href=\"/\">All tenants</a></p>")
    });
    (StatusCode::NOT_FOUND, Html(out)).into_response()
}
