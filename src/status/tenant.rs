//! One tenant as everyone may see it.

use super::text::{self, Count};
use super::{Backend, BgpSnapshot, Conditions, Event, KeySnapshot, SiteSnapshot, SiteState};
use crate::net::{Prefix, PublicKey, SiteName, TenantName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Where packets were dropped.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DropPlace {
    /// In the WireGuard device.
    Datapath,
    /// By the tenant's nft table.
    Firewall,
    /// By connection tracking, which could not note down the conversation they began.
    Conntrack,
}

impl fmt::Display for DropPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Datapath => "datapath",
            Self::Firewall => "firewall",
            Self::Conntrack => "conntrack",
        })
    }
}

/// Packets dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DropSnapshot {
    /// Where.
    pub place: DropPlace,
    /// Why: the name of a reason in snake_case.
    pub reason: String,
    /// How many, since the gateway started.
    pub packets: Count,
}

/// How full a tenant's connection tracking table is. Only conversations that `allow`
/// rules or the gateway itself have to know are tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConntrackSnapshot {
    /// Conversations that are tracked, of this tenant alone.
    pub entries: u32,
    /// The most there may be, of each tenant; 0 for no end
    /// (`net.netfilter.nf_conntrack_max`).
    pub maximum: u32,
    /// Conversations nobody had answered yet that were forgotten to make room, since
    /// the tenant's namespace was made.
    pub evicted: Count,
}

impl ConntrackSnapshot {
    /// From how many percent of the maximum on the table is nearly full.
    pub const NEARLY_FULL_PERCENT: u64 = 90;

    /// Whether somebody should look before no new conversation can begin.
    pub fn is_nearly_full(&self) -> bool {
        self.has_reached(Self::NEARLY_FULL_PERCENT)
    }

    /// Whether so many percent of the maximum are used.
    pub fn has_reached(&self, percent: u64) -> bool {
        let used = u64::from(self.entries) * 100;
        self.maximum != 0 && percent * u64::from(self.maximum) <= used
    }
}

/// Where a route comes from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum RouteSource {
    /// A site's document.
    Static,
    /// The tenant's application prefixes.
    App,
    /// An address of ours.
    Connected,
    /// BGP.
    #[serde(rename = "BGP")]
    Bgp,
}

impl RouteSource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Static, Self::App, Self::Connected, Self::Bgp];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "Static",
            Self::App => "App",
            Self::Connected => "Connected",
            Self::Bgp => "BGP",
        }
    }
}

impl fmt::Display for RouteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A route of the tenant's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteSnapshot {
    /// To where.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub prefix: Prefix,
    /// By which router, when not directly.
    #[serde(default)]
    pub via: Option<IpAddr>,
    /// Over which link; `blackhole`, as `ip route` has it, when what is for it is dropped.
    pub link: String,
    /// Whose network it is, when it is a site's.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub site: Option<SiteName>,
    /// Where it comes from.
    pub source: RouteSource,
    /// Whether it is in the kernel.
    pub installed: bool,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantSnapshot {
    /// Its name: `namespace/name`.
    #[serde(with = "text::display")]
    #[schemars(with = "String")]
    pub name: TenantName,
    /// The network namespace that is its alone.
    pub netns: String,
    /// The link its tunnels come out of, in that namespace.
    #[serde(default)]
    pub device: Option<String>,
    /// What carries its tunnels.
    #[serde(default)]
    pub backend: Backend,
    /// Why it is that, for a person.
    #[serde(default)]
    pub backend_reason: String,
    /// The UDP port its customers send to.
    pub listen_port: u16,
    /// The host its customers dial, when the class names one.
    #[serde(default)]
    pub endpoint_host: Option<String>,
    /// Who we are to its customers.
    #[serde(with = "text::display_option", default)]
    #[schemars(with = "Option<String>")]
    pub public_key: Option<PublicKey>,
    /// The gateway's key that customers change over to, while they do.
    #[serde(with = "text::display_option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next_public_key: Option<PublicKey>,
    /// The gateway's keys for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySnapshot>,
    /// The applications' networks.
    #[serde(with = "prefixes", default)]
    #[schemars(with = "Vec<String>")]
    pub app_prefixes: Vec<Prefix>,
    /// Whose it is in NMaaS: the number of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nmaas_domain: Option<Count>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Conditions,
    /// Its sites, by name.
    #[serde(default)]
    pub sites: Vec<SiteSnapshot>,
    /// Packets dropped, by place and reason.
    #[serde(default)]
    pub drops: Vec<DropSnapshot>,
    /// How full its connection tracking is, once it was looked at.
    #[serde(default)]
    pub conntrack: Option<ConntrackSnapshot>,
    /// Its routes; of the learned ones no more than the first two hundred.
    #[serde(default)]
    pub routes: Vec<RouteSnapshot>,
    /// Its BGP, when it has any.
    #[serde(default)]
    pub bgp: Option<BgpSnapshot>,
    /// What happened lately, oldest first.
    #[serde(default)]
    pub events: Vec<Event>,
}

impl TenantSnapshot {
    /// The site called `name`.
    pub fn site(&self, name: &SiteName) -> Option<&SiteSnapshot> {
        self.sites.iter().find(|site| site.name == *name)
    }

    /// How many of its sites are up.
    pub fn sites_up(&self) -> usize {
        self.sites.iter().filter(|site| site.state == SiteState::Up).count()
    }

    /// The state of the site most in need of a look.
    pub fn worst(&self) -> Option<SiteState> {
        self.sites.iter().map(|site| site.state).max_by_key(|state| state.urgency())
    }
}

/// A list of prefixes as texts.
mod prefixes {
    use crate::net::Prefix;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        prefixes: &[Prefix],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(prefixes.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Prefix>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }
}
