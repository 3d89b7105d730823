//! What of the overview is asked for, in the address of the page.

use crate::status::{SiteSnapshot, SiteState, TenantSnapshot};
use serde::Deserialize;

/// The query: `?q=text&state=Down&wall=1`. What is not understood asks for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http) struct Filter {
    /// Words that must all occur in what is known of a site.
    pub(super) q: String,
    /// A state's name, or nothing for every state.
    pub(super) state: String,
    /// Whether it is for a screen on a wall.
    wall: String,
}

/// Words that are looked for. Each is looked for in what is known of every site, and the
/// thread that does it answers everybody.
const WORDS: usize = 8;

impl Filter {
    /// What is looked for, in small letters; what is more than anybody types is not.
    fn words(&self) -> impl Iterator<Item = String> {
        self.q.split_whitespace().take(WORDS).map(str::to_lowercase)
    }

    pub(super) fn is_wall(&self) -> bool {
        !matches!(self.wall.as_str(), "" | "0")
    }

    /// The state asked for.
    pub(super) fn state(&self) -> Option<SiteState> {
        SiteState::ALL.into_iter().find(|state| state.name() == self.state)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.q.trim().is_empty() && self.state().is_none()
    }

    /// Whether a site is among what is asked for.
    pub(super) fn takes(&self, tenant: &TenantSnapshot, site: &SiteSnapshot) -> bool {
        if self.state().is_some_and(|state| state != site.state) {
            return false;
        }
        if self.words().next().is_none() {
            return true;
        }
        let mut known =
            format!("{} {} {} {} {}", tenant.name, site.name, site.state, site.reason, site.kind);
        for prefix in &site.prefixes {
            known += &format!(" {}", prefix.cidr);
            known.extend(prefix.alias.map(|alias| format!(" {alias}")));
        }
        known.extend(site.endpoint.map(|endpoint| format!(" {endpoint}")));
        known.extend(site.link.as_ref().map(|link| format!(" {link}")));
        known.extend(site.public_key.map(|key| format!(" {key}")));
        let known = known.to_lowercase();
        self.words().all(|word| known.contains(&word))
    }

    /// Whether a tenant is named by what is asked for; its sites are asked apart.
    pub(super) fn names(&self, tenant: &TenantSnapshot) -> bool {
        let name = tenant.name.to_string();
        self.words().all(|word| name.contains(&word))
    }
}
