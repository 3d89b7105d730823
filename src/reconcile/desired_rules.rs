//! A tenant's rules: what may pass, and that nothing else does.
//!
//! Every rule that lets a packet through between links names both links.
//! Sources are checked before connection tracking sees a packet, so that nobody
//! fills its table with addresses that are not theirs.
//! What passes without `allow` rules is not tracked at all; what passes by them
//! is, and answers pass only as answers to what is still allowed: an `allow`
//! taken away also ends the conversations it began.

use super::desired::{Legs, near};
use super::serving::{far, parts, tunnelled};
use super::{
    Base, Chain, ChainName, Conntrack, Device, Dispatch, DropReason, Family, Hook, Icmp, List,
    Match, Membership, Policy, PrefixSet, Rule, Ruleset, SetName, Side, Transport, Verdict,
};
use crate::model::limits::ECHOES_PER_SECOND;
use crate::model::{Allow, Direction, Placement, Ports, Protocol, Site, Tenant};
use crate::net::{InterfaceAddress, LinkName, Prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Before connection tracking (`NF_IP_PRI_RAW`).
const RAW: i32 = -300;

/// Where filters stand (`NF_IP_PRI_FILTER`).
const FILTER: i32 = 0;

/// The rules of `tenant`.
pub(super) fn ruleset(tenant: &Tenant, legs: &Legs, placement: Placement) -> Ruleset {
    let parts = parts(tenant);
    let (open, stateful): (Vec<_>, Vec<_>) =
        parts.iter().partition(|(_, site)| site.allow.is_none());
    let sites = stateful.iter().map(|(prefix, site)| (**prefix, site.name.clone())).collect();

    let shape = Shape { legs, placement, port: tenant.listen_port };
    let mut chains = shape.chains();
    for (_, site) in stateful {
        let name = ChainName::Site(site.name.clone());
        chains.entry(name).or_insert_with(|| shape.site(site));
    }
    Ruleset {
        sets: sets(tenant, &open),
        sites: Dispatch::new(sites),
        chains,
        counters: DropReason::ALL.iter().copied().collect(),
        foreign: BTreeSet::new(),
    }
}

fn sets(tenant: &Tenant, open: &[(&Prefix, &&Site)]) -> BTreeMap<SetName, PrefixSet> {
    let own = |addresses: &mut dyn Iterator<Item = &InterfaceAddress>| -> PrefixSet {
        addresses.map(|address| Prefix::host(address.address())).collect()
    };
    let near: PrefixSet = near(tenant).map(Prefix::host).collect();
    let visible = || tunnelled(tenant).flat_map(|(site, _)| &site.prefixes).map(|p| p.visible());

    let of = |SetName { list, family }| match list {
        List::Apps => tenant.app_prefixes.iter().copied().collect(),
        List::Sources => visible().chain(far(tunnelled(tenant), family).iter()).collect(),
        List::Open => open.iter().map(|(prefix, _)| **prefix).collect(),
        List::Far => far(tunnelled(tenant).filter(|(site, _)| site.allow.is_none()), family),
        List::Near => near.clone(),
        List::OwnTunnel => own(&mut tunnelled(tenant).flat_map(|(_, peer)| &peer.tunnel_addresses)),
        List::OwnFabric => own(&mut tenant.fabric.addresses.iter()),
        List::Martians => martians(),
    };
    SetName::all().map(|name| (name, of(name).of_family(name.family))).collect()
}

/// What has no business on a wire between two organisations (RFC 6890).
fn martians() -> PrefixSet {
    let v4 =
        |a, b, length| Prefix::containing_address(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), length);
    let v6 = |word, length| {
        Prefix::containing_address(IpAddr::V6(Ipv6Addr::new(word, 0, 0, 0, 0, 0, 0, 0)), length)
    };
    let all = [
        v4(0, 0, 8),
        v4(127, 0, 8),
        v4(169, 254, 16),
        v4(224, 0, 4),
        v4(240, 0, 4),
        v6(0, 127),
        v6(0xfe80, 10),
        v6(0xff00, 8),
    ];
    all.into_iter().flatten().collect()
}

/// What the chains depend on beside the sets.
struct Shape<'a> {
    legs: &'a Legs,
    placement: Placement,
    /// The UDP port in the underlay.
    port: u16,
}

impl Shape<'_> {
    fn chains(&self) -> BTreeMap<ChainName, Chain> {
        let mut chains = BTreeMap::new();
        let mut base = |name, hook, priority, rules| {
            let base = Some(Base { hook, priority, policy: Policy::Drop });
            chains.insert(name, Chain { base, rules });
        };
        base(ChainName::Prerouting, Hook::Prerouting, RAW, self.prerouting());
        base(ChainName::Input, Hook::Input, FILTER, self.input());
        base(ChainName::Forward, Hook::Forward, FILTER, self.forward());
        base(ChainName::Output, Hook::Output, FILTER, self.output());
        chains.insert(ChainName::FromSite, regular(self.site_sources()));
        if let Some(fabric) = self.legs.fabric() {
            let tunnel = &self.legs.tunnel;
            chains.insert(ChainName::FromFabric, regular(self.fabric_sources(fabric)));
            chains.insert(ChainName::SiteToApp, regular(site_to_app(tunnel, fabric)));
            chains.insert(ChainName::AppToSite, regular(app_to_site(tunnel, fabric)));
        }
        chains
    }

    fn prerouting(&self) -> Vec<Rule> {
        let mut rules = vec![accept([Match::Iif(loopback())])];
        rules
            .push(rule([Match::Iif(self.legs.tunnel.clone())], Verdict::Goto(ChainName::FromSite)));
        if let Some(fabric) = self.legs.fabric() {
            let verdict = Verdict::Goto(ChainName::FromFabric);
            rules.push(rule([Match::Iif(fabric.clone())], verdict));
        }
        if self.placement == Placement::Current {
            // An inner address is not to be reached by an outer link (CVE-2019-14899).
            rules.extend(Family::BOTH.map(|family| {
                let elsewhere = self.elsewhere(Match::NotIif).chain([dst(List::OwnTunnel, family)]);
                rule(elsewhere, Verdict::Drop(DropReason::WrongLink))
            }));
            rules.push(accept(self.elsewhere(Match::NotIif)));
        }
        rules.push(rule([], Verdict::Drop(DropReason::WrongLink)));
        rules
    }

    fn site_sources(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for family in Family::BOTH {
            rules.extend(martian(family, List::OwnTunnel));
            rules.push(drop([not_src(List::Sources, family)], DropReason::NotSiteSource));
            rules.push(drop([dst(List::OwnFabric, family)], DropReason::WrongLink));
        }
        if self.legs.is_pod() {
            // The pod's own addresses may be among the applications'; what is
            // for them is `input`'s, and tracked.
            rules.push(accept([Match::Iif(self.legs.tunnel.clone()), Match::Local]));
        }
        for family in Family::BOTH {
            let apps = dst(List::Apps, family);
            rules.push(rule([src(List::Open, family), apps.clone()], Verdict::Untrack));
            let errors = Match::Icmp(family, Icmp::Errors);
            rules.push(rule([src(List::Far, family), apps, errors], Verdict::Untrack));
        }
        rules.push(accept([Match::Iif(self.legs.tunnel.clone())]));
        rules
    }

    fn fabric_sources(&self, fabric: &Device) -> Vec<Rule> {
        let iif = || Match::Iif(fabric.clone());
        let mut rules = vec![neighbor([iif()])];
        for family in Family::BOTH {
            rules.push(drop([dst(List::OwnTunnel, family)], DropReason::WrongLink));
        }
        if self.legs.is_pod() {
            rules.push(accept([iif(), Match::Local]));
        }
        for family in Family::BOTH {
            rules.extend(martian(family, List::OwnFabric));
            let (near, errors) = (src(List::Near, family), Match::Icmp(family, Icmp::Errors));
            let open = dst(List::Open, family);
            rules.push(rule([near.clone(), open.clone(), errors.clone()], Verdict::Untrack));
            rules.push(accept([iif(), near.clone(), dst(List::OwnFabric, family)]));
            rules.push(accept([iif(), near, errors]));
            rules.push(drop([not_src(List::Apps, family)], DropReason::NotAppSource));
            rules.push(rule([src(List::Apps, family), open], Verdict::Untrack));
        }
        rules.push(accept([iif()]));
        rules
    }

    fn input(&self) -> Vec<Rule> {
        let mut rules = vec![accept([Match::Iif(loopback())])];
        if self.placement == Placement::Current {
            rules.push(accept(self.elsewhere(Match::NotIif)));
        }
        if let Some(fabric) = self.legs.fabric() {
            let iif = Match::Iif(fabric.clone());
            rules.push(if self.legs.is_pod() { accept([iif]) } else { neighbor([iif]) });
        }
        rules.push(drop([Match::Conntrack(Conntrack::Invalid)], DropReason::CtInvalid));
        let fabric = self.legs.fabric().map(|fabric| (fabric, List::OwnFabric));
        for (device, own) in [(&self.legs.tunnel, List::OwnTunnel)].into_iter().chain(fabric) {
            let iif = || Match::Iif(device.clone());
            rules.push(accept([iif(), Match::Conntrack(Conntrack::Established)]));
            for family in Family::BOTH {
                rules.push(accept([iif(), Match::Icmp(family, Icmp::Errors), related()]));
                let echo = Match::Icmp(family, Icmp::Echo);
                let rate = Match::Rate(ECHOES_PER_SECOND);
                rules.push(accept([iif(), dst(own, family), echo, rate]));
            }
        }
        rules.push(rule([], Verdict::Drop(DropReason::ToGateway)));
        rules
    }

    fn forward(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        if let Some(fabric) = self.legs.fabric() {
            let tunnel = &self.legs.tunnel;
            rules.push(rule(between(tunnel, fabric), Verdict::Goto(ChainName::SiteToApp)));
            rules.push(rule(between(fabric, tunnel), Verdict::Goto(ChainName::AppToSite)));
        }
        rules.push(rule([], Verdict::Drop(DropReason::NotForwarded)));
        rules
    }

    fn output(&self) -> Vec<Rule> {
        let mut rules = vec![accept([Match::Oif(loopback())])];
        if self.placement == Placement::Current {
            rules.push(accept(self.elsewhere(Match::NotOif)));
        }
        let oif = |device: &Device| Match::Oif(device.clone());
        if self.placement == Placement::Current {
            // The underlay's routes are ours here: an endpoint inside a site's
            // prefix would have each sealed packet sealed again, without end.
            let (first, last) = (self.port, self.port);
            let ours = Match::SourcePorts(vec![Ports { first, last }]);
            let sealed = [oif(&self.legs.tunnel), Match::Transport(Transport::Udp), ours];
            rules.push(drop(sealed, DropReason::FromGateway));
        }
        for family in Family::BOTH {
            rules.push(accept([oif(&self.legs.tunnel), dst(List::Sources, family)]));
        }
        match self.legs.fabric() {
            Some(fabric) if self.legs.is_pod() => rules.push(accept([oif(fabric)])),
            Some(fabric) => {
                rules.push(neighbor([oif(fabric)]));
                let listener = Match::Icmp(Family::V6, Icmp::Listener);
                rules.push(accept([oif(fabric), listener]));
                for family in Family::BOTH {
                    rules.push(accept([oif(fabric), dst(List::Apps, family)]));
                    rules.push(accept([oif(fabric), dst(List::Near, family)]));
                }
            }
            None => {}
        }
        rules.push(rule([], Verdict::Drop(DropReason::FromGateway)));
        rules
    }

    /// The chain of a site with `allow` rules.
    fn site(&self, site: &Site) -> Chain {
        let mut rules = Vec::new();
        if let Some(fabric) = self.legs.fabric() {
            for allow in site.allow.iter().flatten() {
                let (from, to) = match allow.direction {
                    Direction::FromSite => (&self.legs.tunnel, fabric),
                    Direction::ToSite => (fabric, &self.legs.tunnel),
                };
                allowed(allow, from, to, &mut rules);
            }
        }
        regular(rules)
    }

    /// Every link but the tenant's two.
    fn elsewhere(&self, not: fn(Device) -> Match) -> impl Iterator<Item = Match> {
        let legs = [Some(&self.legs.tunnel), self.legs.fabric()].into_iter().flatten();
        legs.cloned().map(not)
    }
}

fn site_to_app(tunnel: &Device, fabric: &Device) -> Vec<Rule> {
    let ways = || between(tunnel, fabric);
    let mut rules = vec![rule([Match::Syn], Verdict::ClampMss)];
    for family in Family::BOTH {
        let apps = dst(List::Apps, family);
        rules.push(accept(ways().chain([src(List::Open, family), apps.clone()])));
        let errors = Match::Icmp(family, Icmp::Errors);
        rules.push(accept(ways().chain([src(List::Far, family), apps, errors])));
        rules.push(drop([not_dst(List::Apps, family)], DropReason::NotAppDestination));
    }
    rules.push(drop([Match::Conntrack(Conntrack::Invalid)], DropReason::CtInvalid));
    for family in Family::BOTH {
        rules.push(accept(ways().chain([Match::Icmp(family, Icmp::Errors), related()])));
        rules.push(rule([], Verdict::Site(Side::Source, family)));
    }
    rules.push(rule([], Verdict::Drop(DropReason::NotAllowed)));
    rules
}

fn app_to_site(tunnel: &Device, fabric: &Device) -> Vec<Rule> {
    let ways = || between(fabric, tunnel);
    let mut rules = vec![rule([Match::Syn], Verdict::ClampMss)];
    for family in Family::BOTH {
        let open = dst(List::Open, family);
        rules.push(accept(ways().chain([src(List::Apps, family), open.clone()])));
        let errors = Match::Icmp(family, Icmp::Errors);
        rules.push(accept(ways().chain([src(List::Near, family), open, errors])));
        rules.push(drop([not_dst(List::Sources, family)], DropReason::NotSiteDestination));
    }
    rules.push(drop([Match::Conntrack(Conntrack::Invalid)], DropReason::CtInvalid));
    for family in Family::BOTH {
        rules.push(accept(ways().chain([Match::Icmp(family, Icmp::Errors), related()])));
        rules.push(drop([not_src(List::Apps, family)], DropReason::NotAppSource));
        rules.push(rule([], Verdict::Site(Side::Destination, family)));
    }
    rules.push(rule([], Verdict::Drop(DropReason::NotAllowed)));
    rules
}

/// One `allow`: what may begin `from` one link `to` the other, and its answers.
fn allowed(allow: &Allow, from: &Device, to: &Device, rules: &mut Vec<Rule>) {
    let mut both = |there: &[Match], back: &[Match]| {
        let reply = Match::Conntrack(Conntrack::Reply);
        rules.push(accept(between(from, to).chain(there.iter().cloned())));
        rules.push(accept(between(to, from).chain(back.iter().cloned()).chain([reply])));
    };
    let transport = match allow.protocol {
        Protocol::Any => return both(&[], &[]),
        Protocol::Icmp => {
            for family in Family::BOTH {
                let one = |icmp| [Match::Icmp(family, icmp)];
                both(&one(Icmp::Echo), &one(Icmp::EchoReply));
            }
            return;
        }
        Protocol::Sctp => Transport::Sctp,
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
    };
    let protocol = Match::Transport(transport);
    if allow.ports.is_empty() {
        return both(std::slice::from_ref(&protocol), std::slice::from_ref(&protocol));
    }
    let there = [protocol.clone(), Match::DestinationPorts(allow.ports.clone())];
    both(&there, &[protocol, Match::SourcePorts(allow.ports.clone())]);
}

fn martian(family: Family, own: List) -> [Rule; 3] {
    let martian = |condition| drop([condition], DropReason::Martian);
    let lists = [src(List::Martians, family), dst(List::Martians, family), src(own, family)];
    lists.map(martian)
}

/// Neighbour discovery on a link: never routed (RFC 4861 §7.1), hence the limit.
fn neighbor(link: [Match; 1]) -> Rule {
    let discovery = [Match::Icmp(Family::V6, Icmp::Neighbor), Match::FromLink];
    accept(link.into_iter().chain(discovery))
}

fn loopback() -> Device {
    Device::Foreign(LinkName::loopback())
}

fn between(from: &Device, to: &Device) -> impl Iterator<Item = Match> {
    [Match::Iif(from.clone()), Match::Oif(to.clone())].into_iter()
}

fn regular(rules: Vec<Rule>) -> Chain {
    Chain { base: None, rules }
}

fn rule(matches: impl IntoIterator<Item = Match>, verdict: Verdict) -> Rule {
    Rule { matches: matches.into_iter().collect(), verdict }
}

fn accept(matches: impl IntoIterator<Item = Match>) -> Rule {
    rule(matches, Verdict::Accept)
}

fn drop(matches: impl IntoIterator<Item = Match>, reason: DropReason) -> Rule {
    rule(matches, Verdict::Drop(reason))
}

const fn related() -> Match {
    Match::Conntrack(Conntrack::Related)
}

const fn src(list: List, family: Family) -> Match {
    Match::Source(Membership { set: SetName { list, family }, inside: true })
}

const fn not_src(list: List, family: Family) -> Match {
    Match::Source(Membership { set: SetName { list, family }, inside: false })
}

const fn dst(list: List, family: Family) -> Match {
    Match::Destination(Membership { set: SetName { list, family }, inside: true })
}

const fn not_dst(list: List, family: Family) -> Match {
    Match::Destination(Membership { set: SetName { list, family }, inside: false })
}
