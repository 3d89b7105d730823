//! A tenant's nft table as a value.
//!
//! One table, replaced whole in one transaction and never edited: rules, sets,
//! the map of sites and the counters stand or fall together. What is said of ARP
//! stands beside it, for ARP passes no chain of an `inet` table.

use super::prefix_set::canonical;
use super::{Device, Family, PrefixSet, Rule};
use crate::net::{NameError, Prefix, SiteName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The tables `inet lockgate` and `arp lockgate` of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Named sets (`type ipv4_addr` or `ipv6_addr`, `flags interval`). Desired
    /// has every one of [`SetName::all`], if only an empty one.
    pub sets: BTreeMap<SetName, PrefixSet>,
    /// Sets that the kernel fills by [`Verdict::Meet`], and how many each may hold
    /// (`flags dynamic,timeout; size N; timeout 30s`).
    ///
    /// [`Verdict::Meet`]: super::Verdict::Meet
    pub met: BTreeMap<SetName, u32>,
    /// The links on which ARP is heard, and how many requests are heard on each every
    /// second, and as many at once: the table `arp lockgate`, which is not there where
    /// there are none. Whoever asks for our address is remembered, as with
    /// [`Icmp::Solicitation`](super::Icmp::Solicitation).
    pub arp: BTreeMap<Device, u32>,
    /// The tenant's own links: the set `legs` (`type ifname`), where others have
    /// links in the namespace too; `None` where it is the tenant's alone.
    pub legs: Option<BTreeSet<Device>>,
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
    /// To one address more on the link's own network than may be looked for.
    NeighborLimit,
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
    NeighborLimit = "neighbor_limit",
});

/// What a set lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// The applications' networks, less our addresses and what has no business on a
    /// wire.
    Apps,
    /// All that may come from the sites of a link: their visible networks, and
    /// the customers' ends.
    Sources,
    /// The same of all links to sites together, where there are several.
    AllSources,
    /// The networks of sites without `allow` rules, less the same.
    Open,
    /// The customers' ends where the site has no `allow` rules: of a tunnel the
    /// other address, of a VLAN its network.
    Far,
    /// Routers and BGP neighbors on the fabric link.
    Near,
    /// The nodes with which there are IPIP tunnels, where there are such.
    Nodes,
    /// BGP neighbors of the fabric, where the tenant speaks BGP.
    Neighbors,
    /// Those of them that BFD watches, where there are any.
    BfdNeighbors,
    /// BGP neighbors on a link to sites, where there are any: customers' routers.
    SiteNeighbors,
    /// Our addresses on a link to sites.
    Own,
    /// Our addresses on all links to sites, where there are several.
    OwnSites,
    /// Our addresses on the fabric link.
    OwnFabric,
    /// The applications' networks that are reached without a router, where there are
    /// any.
    DirectApps,
    /// A link's networks of sites that are reached without a router, where there are
    /// any.
    DirectSites,
    /// The addresses of the first that were sent to lately from a link to sites.
    MetApps,
    /// The addresses of the second that were sent to lately.
    MetSites,
    /// A VLAN's own networks, where we have an address.
    OnLink,
    /// The addresses in them that we ourselves had something to say to lately.
    MetOnLink,
    /// What has no business on a wire.
    Martians,
}

words!(List {
    Apps = "apps",
    Sources = "sources",
    AllSources = "all-sources",
    Open = "open",
    Far = "far",
    Near = "near",
    Nodes = "nodes",
    Neighbors = "neighbors",
    BfdNeighbors = "bfd-neighbors",
    SiteNeighbors = "site-neighbors",
    Own = "own",
    OwnSites = "own-sites",
    OwnFabric = "own-fabric",
    DirectApps = "direct-apps",
    DirectSites = "direct-sites",
    MetApps = "met-apps",
    MetSites = "met-sites",
    OnLink = "on-link",
    MetOnLink = "met-on-link",
    Martians = "martians",
});

impl List {
    /// Those that each link to sites has one of.
    pub const OF_LEG: [Self; 4] = [Self::Sources, Self::Open, Self::Far, Self::Own];

    /// Whether the kernel fills it.
    pub const fn is_met(self) -> bool {
        matches!(self, Self::MetApps | Self::MetSites | Self::MetOnLink)
    }
}

/// The name of a set: what it lists, of which family, and of which link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName {
    /// What it lists.
    pub list: List,
    /// The family of its elements.
    pub family: Family,
    /// The VLAN whose site it is about; `None` for the tunnels, and for what is
    /// about the whole tenant.
    pub leg: Option<Device>,
}

impl fmt::Display for SetName {
    /// `open4`, `open4.lg-v30.0a1b2c`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.list, self.family)?;
        dotted(f, self.leg.as_ref())
    }
}

impl FromStr for SetName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (text, leg) = undotted(text)?;
        let of = |family, list: &str| Ok(Self { list: list.parse()?, family, leg });
        if let Some(list) = text.strip_suffix('4') {
            return of(Family::V4, list);
        }
        of(Family::V6, text.strip_suffix('6').ok_or(NameError::Character)?)
    }
}

fn dotted(f: &mut fmt::Formatter<'_>, leg: Option<&Device>) -> fmt::Result {
    match leg {
        Some(device) => write!(f, ".{device}"),
        None => Ok(()),
    }
}

fn undotted(text: &str) -> Result<(&str, Option<Device>), NameError> {
    match text.split_once('.') {
        Some((text, leg)) => Ok((text, Some(leg.parse()?))),
        None => Ok((text, None)),
    }
}

/// The name of a chain.
///
/// Where a link to sites has a chain of its own, `None` stands for the tunnels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainName {
    /// Sources and destinations, before connection tracking.
    Prerouting,
    /// The part of it for packets from sites.
    FromSite(Option<Device>),
    /// The part of it for packets from the fabric.
    FromFabric,
    /// For us.
    Input,
    /// Between links.
    Forward,
    /// The part of it from sites to applications.
    SiteToApp(Option<Device>),
    /// The part of it from applications to sites.
    AppToSite(Option<Device>),
    /// By us.
    Output,
    /// What one site's `allow` lets pass; `site.` and its name, which holds no dot.
    Site(SiteName),
}

impl ChainName {
    const fn word(&self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::FromSite(_) => "from-site",
            Self::FromFabric => "from-fabric",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::SiteToApp(_) => "site-to-app",
            Self::AppToSite(_) => "app-to-site",
            Self::Output => "output",
            Self::Site(_) => "site",
        }
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::FromSite(leg) | Self::SiteToApp(leg) | Self::AppToSite(leg) => {
                dotted(f, leg.as_ref())
            }
            Self::Site(site) => write!(f, ".{site}"),
            Self::Prerouting | Self::FromFabric | Self::Input | Self::Forward | Self::Output => {
                Ok(())
            }
        }
    }
}

impl FromStr for ChainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(site) = text.strip_prefix("site.") {
            return site.parse().map(Self::Site);
        }
        let whole = [Self::Prerouting, Self::FromFabric, Self::Input, Self::Forward, Self::Output];
        if let Some(found) = whole.into_iter().find(|name| name.word() == text) {
            return Ok(found);
        }
        let (word, leg) = undotted(text)?;
        let of_leg: [fn(Option<Device>) -> Self; 3] =
            [Self::FromSite, Self::SiteToApp, Self::AppToSite];
        let found = of_leg.into_iter().map(|make| make(leg.clone()));
        found.into_iter().find(|name| name.word() == word).ok_or(NameError::Character)
    }
}
