//! A site as text, to be pasted into a ticket or a message to the customer.

use crate::net::Timestamp;
use crate::status::{Ago, ConditionStatus, SiteSnapshot, Snapshot, TenantSnapshot, Visible};
use std::fmt::{self, Display};

/// How a site is, and what somebody who looks into it asks first. One fact in a line;
/// times are absolute, for who reads it reads it later.
#[derive(Clone, Copy, Debug)]
pub struct Ticket<'a> {
    /// When it was so, and by which program.
    pub snapshot: &'a Snapshot,
    /// Whose site it is.
    pub tenant: &'a TenantSnapshot,
    /// The site.
    pub site: &'a SiteSnapshot,
}

/// The events that are told.
const EVENTS: usize = 8;

impl Display for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { snapshot, tenant, site } = self;
        let now = snapshot.taken;
        let moment = |at: Option<Timestamp>| match at {
            Some(at) => format!("{at} ({})", Ago::between(at, now)),
            None => "never".to_owned(),
        };
        writeln!(f, "Site:           {}/{} ({})", tenant.name, site.name, site.kind)?;
        writeln!(f, "State:          {} since {}", site.state, moment(Some(site.since)))?;
        writeln!(f, "Reason:         {}: {}", site.reason, Visible(&site.message))?;
        if let Some(link) = &site.link {
            writeln!(f, "Link:           {}", Visible(link))?;
        } else {
            writeln!(f, "Last handshake: {}", moment(site.last_handshake_time))?;
        }
        writeln!(f, "Last heard:     {}", moment(site.last_received_time))?;
        if let Some(endpoint) = site.endpoint {
            writeln!(f, "Its endpoint:   {endpoint}")?;
        }
        if let Some(key) = site.public_key {
            writeln!(f, "Its public key: {key}")?;
            let host = tenant.endpoint_host.as_deref().unwrap_or("(no name)");
            writeln!(f, "Our endpoint:   {}:{}", Visible(host), tenant.listen_port)?;
        }
        if let Some(key) = tenant.public_key.filter(|_| site.public_key.is_some()) {
            writeln!(f, "Our public key: {key}")?;
        }
        writeln!(f, "Received, sent: {}, {} bytes", site.received_bytes, site.sent_bytes)?;
        for prefix in &site.prefixes {
            let alias = prefix.alias.map(|alias| format!(" as {alias}")).unwrap_or_default();
            let lacks = if prefix.installed { "" } else { " (not routed)" };
            writeln!(f, "Network:        {}{alias}{lacks}", prefix.cidr)?;
        }
        for probe in &site.probes {
            let loss = probe.recent.loss_percent().unwrap_or(0);
            let last = moment(probe.last_answer_time);
            writeln!(
                f,
                "Probe:          {} {}, {loss} % lost, last answer {last}",
                probe.target(),
                probe.state
            )?;
        }
        for condition in tenant.conditions.iter().chain(site.conditions.iter()) {
            if condition.status == ConditionStatus::False {
                writeln!(
                    f,
                    "Does not hold:  {} ({}) {}",
                    condition.kind,
                    condition.reason,
                    Visible(&condition.message)
                )?;
            }
        }
        let ours =
            tenant.events.iter().rev().filter(|event| event.site.as_ref() == Some(&site.name));
        for event in ours.take(EVENTS) {
            writeln!(f, "{}: {}: {}", event.last, event.reason, Visible(&event.message))?;
        }
        writeln!(f, "As of {now}, Lockgate {}", Visible(&snapshot.version))
    }
}
