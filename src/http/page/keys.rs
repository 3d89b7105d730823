//! Keys and their ages on the pages of a tenant and of a site.

use super::html::{Text, age, fact};
use crate::net::Timestamp;
use crate::status::{KeyRole, KeySnapshot, SiteSnapshot, TenantSnapshot};
use std::fmt;

/// What a key is called where the page is about its tenant or site.
const fn title(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Gateway => "Our key since",
        KeyRole::GatewayNext => "Our next key",
        KeyRole::Customer => "Its key since",
        KeyRole::CustomerNext => "Its next key",
    }
}

fn write_key(
    out: &mut String,
    key: &KeySnapshot,
    use_: impl fmt::Display,
    now: Timestamp,
) -> fmt::Result {
    let since = age(key.since, now);
    if key.role.is_next() {
        let shown = Text(key.public_key);
        return fact(out, title(key.role), format_args!("<code>{shown}</code>, {since}{use_}"));
    }
    fact(out, title(key.role), format_args!("{since}{use_}"))
}

/// The gateway's keys for a tenant. While there are two, how many sites use each.
pub(super) fn write_tenant(
    out: &mut String,
    tenant: &TenantSnapshot,
    now: Timestamp,
) -> fmt::Result {
    let is_changing = tenant.next_public_key.is_some();
    for key in &tenant.keys {
        let users = tenant.sites.iter();
        let users = users.filter(|site| site.gateway_public_key == Some(key.public_key)).count();
        let use_ = match (is_changing, users) {
            (false, _) => String::new(),
            (true, 1) => ", used by 1 site".to_owned(),
            (true, users) => format!(", used by {users} sites"),
        };
        write_key(out, key, use_, now)?;
    }
    Ok(())
}

/// A site's keys, and ours as far as they change.
pub(super) fn write_site(
    out: &mut String,
    tenant: &TenantSnapshot,
    site: &SiteSnapshot,
    now: Timestamp,
) -> fmt::Result {
    let is_changing = 1 < site.keys.len();
    for key in &site.keys {
        let use_ = match (is_changing, key.is_used) {
            (false, _) => "",
            (true, true) => ", in use",
            (true, false) => ", not in use",
        };
        write_key(out, key, use_, now)?;
    }
    if let Some(is_next) = site.uses_next_preshared_key {
        fact(out, "Preshared key it uses", if is_next { "the next one" } else { "the old one" })?;
    }
    if tenant.next_public_key.is_some() {
        let used = match site.gateway_public_key {
            Some(key) if Some(key) == tenant.next_public_key => "the next one",
            Some(_) => "the old one",
            None => "not known before its next handshake",
        };
        fact(out, "Our key it uses", used)?;
    }
    Ok(())
}
