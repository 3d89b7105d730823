//! The ages of keys as metrics.

use super::metrics::{Family, gauges, label, unix};
use crate::status::{KeySnapshot, TenantSnapshot};
use prometheus::proto::MetricFamily;

/// One series for each key: two for a site that has one, four at the most for a tenant and
/// a site that both change over.
pub(super) fn keys(tenants: &[TenantSnapshot]) -> MetricFamily {
    let mut created = gauges(
        "lockgate_key_created_timestamp_seconds",
        "When a key was made, or is known since, by role (gateway, gateway_next; of a site customer, customer_next).",
    );
    for tenant in tenants {
        let name = label("tenant", &tenant.name.to_string());
        let mut add = |key: &KeySnapshot, site: Option<&str>| {
            let role = label("role", key.role.name());
            let mut labels = vec![name.clone()];
            labels.extend(site.map(|site| label("site", site)));
            labels.push(role);
            created.add(labels, unix(key.since));
        };
        tenant.keys.iter().for_each(|key| add(key, None));
        for site in &tenant.sites {
            site.keys.iter().for_each(|key| add(key, Some(site.name.as_str())));
        }
    }
    Family::finish(created)
}
