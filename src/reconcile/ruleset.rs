//! A tenant's nft table as a value.
//!
//! One table, replaced whole in one transaction and never edited: rules, sets,
//! the map of sites and the counters stand or fall together.

use super::prefix_set::canonical;
use super::{Family, PrefixSet, Rule};
use crate::net::{NameError, Prefix, SiteName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The table `inet lockgate` of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Named sets (`type ipv4_addr` or `ipv6_addr`, `flags interval`). Desired
    /// has every one of [`SetName::all`], if only an empty one.
    pub sets: BTreeMap<SetName, PrefixSet>,
    /// Which site has which prefix: the verdict maps `sites4` and `sites6`
    /// (`flags interval`), whose elements jump to [`ChainName::Site`].
    pub sites: Dispatch,
    /// Chains with their rules in order.
    pub chains: BTreeMap<ChainName, Chain>,
    /// Named counters, one per reason.
    pub counters: BTreeSet<DropReason>,
    /// What else stands in the table, as the observer likes to call it. Desired
    /// has none, so anything here is replaced away.
    pub foreign: BTreeSet<String>,
}

/// Which site has which prefix, as the fewest prefixes that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatch(BTreeMap<Prefix, SiteName>);

impl Dispatch {
    /// Of prefixes where the longest match counts.
    pub fn new(sites: BTreeMap<Prefix, SiteName>) -> Self {
        Self(canonical(sites))
    }

    /// The elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &SiteName)> {
        self.0.iter().map(|(prefix, site)| (*prefix, site))
    }

    /// Whether `site` has all of `prefix`.
    pub fn covers(&self, prefix: Prefix, site: &SiteName) -> bool {
        let outer = self.0.range(..=prefix).next_back();
        outer.is_some_and(|(outer, name)| name == site && outer.covers(prefix))
    }

    /// The site that has `address`.
    pub fn site(&self, address: std::net::IpAddr) -> Option<&SiteName> {
        let (prefix, site) = self.0.range(..=Prefix::host(address)).next_back()?;
        prefix.contains(address).then_some(site)
    }
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Where the kernel calls it from; `None` for one that only rules lead to.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// Where the kernel calls a chain from. Its type is always `filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The place.
    pub hook: Hook,
    /// The order among chains of one place; the lowest first.
    pub priority: i32,
    /// What happens to a packet nothing decided about.
    pub policy: Policy,
}

/// A place on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// As it comes in, before it is routed.
    Prerouting,
    /// Before it is given to us.
    Input,
    /// Routed from link to link.
    Forward,
    /// As we send it.
    Output,
}

/// What happens to a packet nothing decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It passes.
    Accept,
    /// It is dropped.
    Drop,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal,)* }) => {
        impl $type {
            /// Every one, in declared order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let found = Self::ALL.iter().find(|one| one.as_str() == text);
                found.copied().ok_or(NameError::Character)
            }
        }
    };
}

words!(Hook { Prerouting = "prerouting", Input = "input", Forward = "forward", Output = "output", });
words!(Policy { Accept = "accept", Drop = "drop", });

/// Why the rules drop a packet; also the name of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// From or to an address that has no business on a wire here: 127/8,
    /// 169.254/16, multicast, broadcast, `fe80::/10` and their like.
    Martian,
    /// Out of the tunnels, from an address that is no site's.
    NotSiteSource,
    /// From the fabric, from an address that is no application's.
    NotAppSource,
    /// By a link that is neither the tunnels nor the fabric, or for an address
    /// we have on another link than it came by.
    WrongLink,
    /// From a site, for something that is no application.
    NotAppDestination,
    /// From an application, for something that is no site's.
    NotSiteDestination,
    /// Between a site and the applications, and no `allow` of the site names it.
    NotAllowed,
    /// It fits no conversation.
    CtInvalid,
    /// For the gateway itself, and nothing it answers to.
    ToGateway,
    /// By the gateway itself, to where it has nothing to say.
    FromGateway,
    /// From one link of the tenant back to it, or any way that is no way.
    NotForwarded,
}

words!(DropReason {
    Martian = "martian",
    NotSiteSource = "not_site_source",
    NotAppSource = "not_app_source",
    WrongLink = "wrong_link",
    NotAppDestination = "not_app_destination",
    NotSiteDestination = "not_site_destination",
    NotAllowed = "not_allowed",
    CtInvalid = "ct_invalid",
    ToGateway = "to_gateway",
    FromGateway = "from_gateway",
    NotForwarded = "not_forwarded",
});

/// What a set lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// The applications' networks.
    Apps,
    /// All that may come out of the tunnels: the sites' visible networks and
    /// the customers' ends of the tunnels.
    Sources,
    /// The networks of sites without `allow` rules.
    Open,
    /// The customers' ends of the tunnels of sites without `allow` rules.
    Far,
    /// Routers and BGP neighbors on the fabric link.
    Near,
    /// Our addresses on the tunnel link.
    OwnTunnel,
    /// Our addresses on the fabric link.
    OwnFabric,
    /// What has no business on a wire.
    Martians,
}

words!(List {
    Apps = "apps",
    Sources = "sources",
    Open = "open",
    Far = "far",
    Near = "near",
    OwnTunnel = "own-tunnel",
    OwnFabric = "own-fabric",
    Martians = "martians",
});

/// The name of a set: what it lists, and of which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName {
    /// What it lists.
    pub list: List,
    /// The family of its elements.
    pub family: Family,
}

impl SetName {
    /// Every set there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = |list: &List| Family::BOTH.map(|family| Self { list: *list, family });
        List::ALL.iter().flat_map(both)
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.list, self.family)
    }
}

impl FromStr for SetName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let of = |family, list: &str| Ok(Self { list: list.parse()?, family });
        if let Some(list) = text.strip_suffix('4') {
            return of(Family::V4, list);
        }
        of(Family::V6, text.strip_suffix('6').ok_or(NameError::Character)?)
    }
}

/// The name of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainName {
    /// Sources and destinations, before connection tracking.
    Prerouting,
    /// The part of it for packets out of the tunnels.
    FromSite,
    /// The part of it for packets from the fabric.
    FromFabric,
    /// For us.
    Input,
    /// Between links.
    Forward,
    /// The part of it from sites to applications.
    SiteToApp,
    /// The part of it from applications to sites.
    AppToSite,
    /// By us.
    Output,
    /// What one site's `allow` lets pass; `site.` and its name, which holds no dot.
    Site(SiteName),
}

impl ChainName {
    const FIXED: [(Self, &'static str); 8] = [
        (Self::Prerouting, "prerouting"),
        (Self::FromSite, "from-site"),
        (Self::FromFabric, "from-fabric"),
        (Self::Input, "input"),
        (Self::Forward, "forward"),
        (Self::SiteToApp, "site-to-app"),
        (Self::AppToSite, "app-to-site"),
        (Self::Output, "output"),
    ];
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Site(site) = self {
            return write!(f, "site.{site}");
        }
        let found = Self::FIXED.iter().find(|(name, _)| name == self);
        f.write_str(found.map_or("", |(_, word)| word))
    }
}

impl FromStr for ChainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some((name, _)) = Self::FIXED.iter().find(|(_, word)| *word == text) {
            return Ok(name.clone());
        }
        text.strip_prefix("site.").ok_or(NameError::Character)?.parse().map(Self::Site)
    }
}
