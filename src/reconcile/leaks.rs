//! Every way in which two tenants could meet, looked for in what the kernel
//! holds or is to hold.
//!
//! Twice, in two manners: each object by itself against the documents (whose
//! link, whose network, is a rule bounded on both sides), and packets through
//! the whole against [`expected`].

use super::lookup::Lookup;
use super::serving::vlans;
use super::trace::trace_with;
use super::{
    Chain, ChainName, Conversation, Device, Fate, Hook, KernelState, Learnable, Leg, LinkKind,
    List, Match, Namespace, Packet, Payload, Policy, PrefixSet, RouteKey, RouteTarget, Rule,
    Ruleset, SetName, Transport, Verdict, desired_tenant, expected,
};
use crate::model::limits::LEAK_PROBES;
use crate::model::{Config, Placement, Site, Tenant};
use crate::net::{InterfaceAddress, LinkName, Prefix, SiteName, TenantName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A way in which a tenant's packets could go where they must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Whose namespace it is in.
    pub tenant: TenantName,
    /// What it is.
    pub kind: LeakKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeakKind {
    /// No document asks for the namespace.
    UnknownTenant,
    /// There is no table, or one of the four hooks has no chain of ours.
    NoRules,
    /// A chain lets pass what no rule decides about.
    OpenPolicy(ChainName),
    /// A rule lets packets pass and is not bounded to the tenant's two links.
    Unbounded(ChainName, Rule),
    /// A rule or another object in the table is not ours.
    ForeignInTable(String),
    /// A set has addresses the documents do not give it.
    WideSet(SetName),
    /// The set of the tenant's links is another than the documents give it.
    Legs,
    /// A site has a network in the table that the documents do not give it.
    WideSite(Prefix, SiteName),
    /// A route leads out of a link, or to a network, that the documents do not
    /// put together.
    Route(RouteKey),
    /// A link is in the namespace that the documents do not put there.
    StrangeLink(Device),
    /// A link has an address the documents do not give it.
    StrangeAddress(Device, InterfaceAddress),
    /// Another tenant has the same link, or the same other end of one.
    SharedLink(LinkName, TenantName),
    /// A packet passes that must not.
    Passes(Packet),
}

impl LeakKind {
    /// The name as logs and metrics have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownTenant => "unknown_tenant",
            Self::NoRules => "no_rules",
            Self::OpenPolicy(_) => "open_policy",
            Self::Unbounded(..) => "unbounded_rule",
            Self::ForeignInTable(_) => "foreign_in_table",
            Self::WideSet(_) => "wide_set",
            Self::Legs => "legs",
            Self::WideSite(..) => "wide_site",
            Self::Route(_) => "strange_route",
            Self::StrangeLink(_) => "strange_link",
            Self::StrangeAddress(..) => "strange_address",
            Self::SharedLink(..) => "shared_link",
            Self::Passes(_) => "passes",
        }
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tenant, self.kind.name())?;
        match &self.kind {
            LeakKind::UnknownTenant | LeakKind::NoRules | LeakKind::Legs => Ok(()),
            LeakKind::OpenPolicy(chain) => write!(f, ": {chain}"),
            LeakKind::Unbounded(chain, rule) => write!(f, ": {chain}: {rule}"),
            LeakKind::ForeignInTable(what) => write!(f, ": {what}"),
            LeakKind::WideSet(set) => write!(f, ": {set}"),
            LeakKind::WideSite(prefix, site) => write!(f, ": {prefix} of {site}"),
            LeakKind::Route(key) => write!(f, ": {key}"),
            LeakKind::StrangeLink(device) => write!(f, ": {device}"),
            LeakKind::StrangeAddress(device, address) => write!(f, ": {address} on {device}"),
            LeakKind::SharedLink(link, other) => write!(f, ": {link} is also {other}'s"),
            LeakKind::Passes(packet) => write!(f, ": {packet}"),
        }
    }
}

/// Looks for every leak in `state`, against what `config` asks for.
pub fn leaks(config: &Config, state: &KernelState, placement: Placement) -> Vec<Leak> {
    let mut found = Vec::new();
    let mut owners: BTreeMap<LinkName, &TenantName> = BTreeMap::new();
    let foreign = samples(config.tenants.values().map(Arc::as_ref));
    for (name, namespace) in &state.tenants {
        let mut kinds = Vec::new();
        for link in handed(namespace) {
            match owners.get(&link) {
                // Both ends of its pair, in a namespace that is not its alone.
                Some(other) if *other == name => {}
                Some(other) => kinds.push(LeakKind::SharedLink(link, (*other).clone())),
                None => {
                    owners.insert(link, name);
                }
            }
        }
        match config.tenants.get(name) {
            None => kinds.push(LeakKind::UnknownTenant),
            Some(tenant) => inside(tenant, namespace, placement, &foreign, &mut kinds),
        }
        found.extend(kinds.into_iter().map(|kind| Leak { tenant: name.clone(), kind }));
    }
    found
}

/// As [`leaks`], in one tenant's namespace alone.
pub fn leaks_of(tenant: &Tenant, namespace: &Namespace, placement: Placement) -> Vec<Leak> {
    let mut kinds = Vec::new();
    inside(tenant, namespace, placement, &samples([tenant]), &mut kinds);
    kinds.into_iter().map(|kind| Leak { tenant: tenant.name.clone(), kind }).collect()
}

fn inside(
    tenant: &Tenant,
    namespace: &Namespace,
    placement: Placement,
    foreign: &BTreeSet<IpAddr>,
    kinds: &mut Vec<LeakKind>,
) {
    let given = desired_tenant(tenant, placement);
    links(&given, namespace, placement, kinds);
    routes(tenant, &given, namespace, kinds);
    match (&namespace.ruleset, &given.ruleset) {
        (Some(ruleset), Some(given_rules)) => {
            rules(&given, ruleset, kinds);
            sets(given_rules, ruleset, kinds);
        }
        (None, _) | (_, None) => kinds.push(LeakKind::NoRules),
    }
    if !given.links.values().any(|link| link.kind == LinkKind::Foreign) {
        kinds.extend(passing(tenant, namespace, foreign).map(LeakKind::Passes));
    }
}

/// The links of the underlay that a namespace holds, or holds one end of.
fn handed(namespace: &Namespace) -> impl Iterator<Item = LinkName> {
    namespace.links.iter().filter_map(|(device, link)| match (device, &link.kind) {
        (_, LinkKind::Veth { peer }) => Some(peer.clone()),
        (Device::Foreign(name), _) => Some(name.clone()),
        (Device::Managed(_), _) => None,
    })
}

fn links(given: &Namespace, held: &Namespace, placement: Placement, kinds: &mut Vec<LeakKind>) {
    for (device, link) in &held.links {
        match given.links.get(device) {
            // In a namespace that is not ours alone others' links are no news,
            // and the rules keep them out.
            None if placement == Placement::Current && link.kind == LinkKind::Foreign => {}
            None => kinds.push(LeakKind::StrangeLink(device.clone())),
            Some(wanted) if wanted.kind == LinkKind::Foreign => {}
            Some(wanted) => {
                let strange = link.addresses.difference(&wanted.addresses);
                let strange = strange.map(|a| LeakKind::StrangeAddress(device.clone(), *a));
                kinds.extend(strange);
            }
        }
    }
}

fn routes(tenant: &Tenant, given: &Namespace, held: &Namespace, kinds: &mut Vec<LeakKind>) {
    let learnable = Learnable::of(tenant, given);
    for (key, route) in &held.routes {
        if key.metric == RouteKey::LEARNED_METRIC {
            if !learnable.has(*key, route) {
                kinds.push(LeakKind::Route(*key));
            }
            continue;
        }
        let fits = |wanted: (&RouteKey, &super::Route)| {
            let mut ways = route.hops();
            wanted.0.prefix.covers(key.prefix)
                && ways.all(|(out, _)| wanted.1.hops().any(|(device, _)| device == out))
        };
        let is_known = match route.target {
            RouteTarget::Blackhole | RouteTarget::Unreachable => true,
            RouteTarget::Link { .. } | RouteTarget::Multipath(_) => {
                // As asked for, which is the rule and quickly seen.
                let same = given.routes.get(key).is_some_and(|wanted| fits((key, wanted)));
                same || given.routes.iter().any(fits)
            }
            RouteTarget::Unrecognized => false,
        };
        if !is_known {
            kinds.push(LeakKind::Route(*key));
        }
    }
}

fn rules(given: &Namespace, ruleset: &Ruleset, kinds: &mut Vec<LeakKind>) {
    let hooked = |hook| {
        let at_hook = move |chain: &&Chain| chain.base.is_some_and(|base| base.hook == hook);
        ruleset.chains.values().any(|chain| at_hook(&chain))
    };
    if !Hook::ALL.iter().all(|hook| hooked(*hook)) {
        kinds.push(LeakKind::NoRules);
    }
    kinds.extend(ruleset.foreign.iter().cloned().map(LeakKind::ForeignInTable));
    for (name, chain) in &ruleset.chains {
        if chain.base.is_some_and(|base| base.policy == Policy::Accept) {
            kinds.push(LeakKind::OpenPolicy(name.clone()));
        }
        for rule in &chain.rules {
            match rule.verdict {
                Verdict::Accept | Verdict::Untrack | Verdict::Goto(_)
                    if !is_bounded(given, name, rule) =>
                {
                    kinds.push(LeakKind::Unbounded(name.clone(), rule.clone()));
                }
                Verdict::Foreign => kinds.push(LeakKind::ForeignInTable(name.to_string())),
                Verdict::Accept
                | Verdict::Goto(_)
                | Verdict::Site(..)
                | Verdict::Drop(_)
                | Verdict::Untrack
                | Verdict::Meet(_)
                | Verdict::ClampMss => {}
            }
        }
    }
}

/// Whether a rule that lets packets pass, or go on in another chain, names the links
/// it does so between, or is where only rules that do have led.
fn is_bounded(given: &Namespace, chain: &ChainName, rule: &Rule) -> bool {
    let (mut iif, mut oif, mut any) = (None, None, false);
    for one in &rule.matches {
        match one {
            Match::Iif(device) => iif = Some(device),
            Match::Oif(device) => oif = Some(device),
            Match::FromElsewhere | Match::ToElsewhere => any = true,
            Match::Source(_)
            | Match::Destination(_)
            | Match::Local
            | Match::Ipip
            | Match::Transport(_)
            | Match::SourcePorts(_)
            | Match::DestinationPorts(_)
            | Match::Syn
            | Match::Begun
            | Match::Quotes(..)
            | Match::Icmp(..)
            | Match::FromLink
            | Match::Conntrack(_)
            | Match::Rate(_) => {}
        }
    }
    let names_both = match (iif, oif) {
        (Some(iif), Some(oif)) => {
            iif != oif && given.links.contains_key(iif) && given.links.contains_key(oif)
        }
        (Some(_) | None, _) => false,
    };
    match (&rule.verdict, chain) {
        (Verdict::Goto(ChainName::FromSite(_) | ChainName::FromFabric), ChainName::Prerouting) => {
            iif.is_some_and(|iif| given.links.contains_key(iif))
        }
        (Verdict::Goto(ChainName::SiteToApp(_) | ChainName::AppToSite(_)), ChainName::Forward) => {
            names_both
        }
        (Verdict::Goto(_), _) => false,
        (_, ChainName::Prerouting | ChainName::Input | ChainName::Output) => {
            iif.is_some() || oif.is_some() || any
        }
        (_, ChainName::Forward | ChainName::Site(_)) => names_both,
        (
            _,
            ChainName::FromSite(_)
            | ChainName::FromFabric
            | ChainName::SiteToApp(_)
            | ChainName::AppToSite(_),
        ) => true,
    }
}

fn sets(given: &Ruleset, held: &Ruleset, kinds: &mut Vec<LeakKind>) {
    let empty = PrefixSet::default();
    for (name, prefixes) in &held.sets {
        let wanted = given.sets.get(name).unwrap_or(&empty);
        // The one set that only ever drops may be wider, never narrower.
        let fits = if name.list == List::Martians {
            prefixes.covers(wanted)
        } else {
            wanted.covers(prefixes)
        };
        if !fits {
            kinds.push(LeakKind::WideSet(name.clone()));
        }
    }
    if held.legs.as_ref().is_some_and(|legs| given.legs.as_ref() != Some(legs)) {
        kinds.push(LeakKind::Legs);
    }
    for (prefix, site) in held.sites.iter() {
        if !given.sites.covers(prefix, site) {
            kinds.push(LeakKind::WideSite(prefix, site.clone()));
        }
    }
}

/// An address of each network that any tenant has, and a few that none should.
fn samples<'a>(tenants: impl IntoIterator<Item = &'a Tenant>) -> BTreeSet<IpAddr> {
    let networks = tenants.into_iter().flat_map(|tenant| {
        let sites = tenant.sites.values().flat_map(|site| &site.prefixes);
        sites.map(|prefix| prefix.visible()).chain(tenant.app_prefixes.iter().copied())
    });
    let others = ["127.0.0.1", "169.254.169.254", "192.0.2.1", "224.0.0.1", "2001:db8:ffff::1"];
    let others = others.iter().filter_map(|text| text.parse().ok());
    networks.map(|prefix| prefix.address()).chain(others).take(LEAK_PROBES).collect()
}

/// Packets that pass and must not.
fn passing(
    tenant: &Tenant,
    namespace: &Namespace,
    foreign: &BTreeSet<IpAddr>,
) -> impl Iterator<Item = Packet> {
    let own = tenant.sites.values().flat_map(Site::declared);
    let own = own.map(|prefix| prefix.visible()).chain(tenant.app_prefixes.iter().copied());
    let mut all: BTreeSet<IpAddr> = own.map(Prefix::address).take(LEAK_PROBES).collect();
    all.extend(foreign);
    let payloads = [
        Payload::Ports { transport: Transport::Tcp, source: 40_000, destination: 22 },
        Payload::Ports { transport: Transport::Udp, source: 40_000, destination: 514 },
        Payload::Echo,
        Payload::Other(47),
    ];
    let lookup = Lookup::new(namespace, tenant);
    let vlans = vlans(tenant).map(|(site, _)| Leg::to(site)).take(LEAK_PROBES);
    let legs: Vec<Leg> = [Leg::Tunnel, Leg::Fabric].into_iter().chain(vlans).collect();
    let mut found = Vec::new();
    for (source, destination) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
        if source.is_ipv4() != destination.is_ipv4() {
            continue;
        }
        for (leg, payload) in legs.iter().flat_map(|leg| payloads.map(|p| (leg.clone(), p))) {
            let conversation = Conversation::New;
            let packet = Packet { source, destination, payload, conversation, leg };
            let traced = trace_with(&lookup, namespace, tenant, &packet);
            // A trace translates what only the customer's side has; the oracle
            // is asked about what then arrives.
            let must = || expected(tenant, &traced.packet);
            if traced.fate == Fate::Forwarded && must() != Fate::Forwarded {
                found.push(traced.packet);
            }
        }
    }
    found.into_iter()
}
