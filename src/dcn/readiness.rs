//! Whether a tenant is connected, as NMaaS means it.

use crate::net::SiteName;
use crate::status::{
    Condition, ConditionReason, ConditionStatus, ConditionType, SiteSnapshot, TenantSnapshot,
};
use std::fmt;

/// Whether NMaaS may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Every site is connected, and whatever is probed answers.
    Ready {
        /// The sites that have no probes: of these only the attachment is known.
        without_probes: Vec<SiteName>,
    },
    /// Something is in the way.
    NotYet(Vec<Obstacle>),
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is nobody to be connected.
    NoSites,
    /// A site's condition does not hold.
    Condition {
        /// The site.
        site: SiteName,
        /// Which.
        kind: ConditionType,
        /// How it is.
        status: ConditionStatus,
        /// Why.
        reason: ConditionReason,
        /// Why, for a person.
        message: String,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSites => f.write_str("the tenant has no sites"),
            Self::Condition { site, kind, status, reason, message } => {
                write!(f, "site {site}: {kind} is {status} ({reason})")?;
                if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
            }
        }
    }
}

/// Judges `tenant`.
pub fn judge(tenant: &TenantSnapshot) -> Readiness {
    if tenant.sites.is_empty() {
        return Readiness::NotYet(vec![Obstacle::NoSites]);
    }
    let mut obstacles = Vec::new();
    let mut without_probes = Vec::new();
    for site in &tenant.sites {
        obstacles.extend(unmet(site, ConditionType::Connected));
        if is_probed(site) {
            obstacles.extend(unmet(site, ConditionType::Reachable));
        } else {
            without_probes.push(site.name.clone());
        }
    }
    if obstacles.is_empty() {
        Readiness::Ready { without_probes }
    } else {
        Readiness::NotYet(obstacles)
    }
}

/// Whether a site has probes: one that has none does not carry the condition, or it says that
/// it was not asked for.
fn is_probed(site: &SiteSnapshot) -> bool {
    let is_asked_for = |it: &Condition| {
        it.status != ConditionStatus::Unknown || it.reason != ConditionReason::NotConfigured
    };
    site.conditions.find(ConditionType::Reachable).is_some_and(is_asked_for)
}

fn unmet(site: &SiteSnapshot, kind: ConditionType) -> Option<Obstacle> {
    let found = site.conditions.find(kind);
    if found.is_some_and(|condition| condition.status == ConditionStatus::True) {
        return None;
    }
    // One that a gateway has not said anything of was not found out yet.
    let (status, reason, message) = found.map_or_else(
        || (ConditionStatus::Unknown, ConditionReason::Pending, String::new()),
        |it| (it.status, it.reason, it.message.clone()),
    );
    // Why a site is not connected says its state, in more than one word.
    let message = if kind == ConditionType::Connected {
        format!("{}, {}: {}", site.state, site.reason, site.message)
    } else {
        message
    };
    Some(Obstacle::Condition { site: site.name.clone(), kind, status, reason, message })
}
