//! A tenant's rules: what may pass, and that nothing else does.
//!
//! Every rule that lets a packet through between links names both links, or is in a
//! chain to which only rules lead that do.
//! Sources are checked before connection tracking sees a packet, so that nobody
//! fills its table with addresses that are not theirs.
//! What passes without `allow` rules is looked for first, for most packets are of
//! that kind, and is not tracked at all; what passes by them is, and answers pass
//! only as answers to what is still allowed: an `allow` taken away also ends the
//! conversations it began.
//! What we say ourselves passes its chain before tracking too, for some of it is not to
//! be tracked.

use super::desired::{Legs, SiteLeg};
use super::desired_sets::{direct_apps, direct_sites, fabric_neighbors, met, sets, site_neighbors};
use super::desired_speaking::{Speaking, watched_ports};
use super::desired_test_page;
use super::desired_words::{
    SetOf, accept, between, drop, dst, dst_of, loopback, membership, not_dst, not_dst_of, not_src,
    not_src_of, regular, related, rule, src, src_of,
};
use super::serving::parts;
use super::{
    Base, Chain, ChainName, Conntrack, Device, Dispatch, DropReason, Family, Hook, Icmp, List,
    Match, Policy, PrefixSet, Rule, Ruleset, SetName, Side, Transport, Verdict,
};
use crate::model::limits::{
    ECHOES_PER_SECOND, FABRIC_SOLICITATIONS_PER_SECOND, SITE_SOLICITATIONS_PER_SECOND,
};
use crate::model::{Allow, Direction, Placement, Ports, Protocol, Site, Tenant};
use crate::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};

/// Before connection tracking (`NF_IP_PRI_RAW`).
const RAW: i32 = -300;

/// Where filters stand (`NF_IP_PRI_FILTER`).
const FILTER: i32 = 0;

/// The rules of `tenant`.
pub(super) fn ruleset(tenant: &Tenant, legs: &Legs<'_>, placement: Placement) -> Ruleset {
    let parts = parts(tenant);
    let stateful: BTreeMap<Prefix, &Site> = parts
        .iter()
        .filter(|(_, site)| site.allow.is_some())
        .map(|(p, site)| (*p, *site))
        .collect();
    let sites = stateful.iter().map(|(prefix, site)| (*prefix, site.name.clone())).collect();

    let port = tenant.listen_port;
    let shape = Shape { tenant, legs, parts: &parts, placement, port };
    let mut chains = shape.chains();
    for site in stateful.values() {
        let name = ChainName::Site(site.name.clone());
        chains.entry(name).or_insert_with(|| shape.site(site));
    }
    Ruleset {
        met: met(tenant, legs, &parts),
        sets: sets(tenant, legs, &parts),
        arp: if tenant.bounds_arp { arp(legs) } else { BTreeMap::new() },
        legs: (placement == Placement::Current).then(|| legs.devices().cloned().collect()),
        sites: Dispatch::new(sites),
        chains,
        counters: DropReason::ALL.iter().copied().collect(),
        foreign: BTreeSet::new(),
    }
}

/// The links with neighbours that ask by ARP; a pod's own is not ours to bound.
fn arp(legs: &Legs<'_>) -> BTreeMap<Device, u32> {
    let vlans = legs.sites.iter().filter(|leg| leg.vlan.is_some());
    let fabric = legs.fabric().filter(|_| !legs.is_pod());
    vlans
        .map(|leg| (leg.device.clone(), SITE_SOLICITATIONS_PER_SECOND))
        .chain(fabric.map(|fabric| (fabric.clone(), FABRIC_SOLICITATIONS_PER_SECOND)))
        .collect()
}

/// What the chains depend on beside the sets.
struct Shape<'a> {
    tenant: &'a Tenant,
    legs: &'a Legs<'a>,
    /// Which site has which network.
    parts: &'a BTreeMap<Prefix, &'a Site>,
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
        base(ChainName::Output, Hook::Output, RAW, self.output());
        for leg in &self.legs.sites {
            chains.insert(ChainName::FromSite(leg.tag()), regular(self.site_sources(leg)));
            if self.legs.fabric().is_some() {
                let [there, back] = [self.site_to_app(leg), self.app_to_site(leg)];
                chains.insert(ChainName::SiteToApp(leg.tag()), regular(there));
                chains.insert(ChainName::AppToSite(leg.tag()), regular(back));
            }
        }
        if self.legs.fabric().is_some() {
            chains.insert(ChainName::FromFabric, regular(self.fabric_sources()));
        }
        chains
    }

    fn prerouting(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for fabric in self.legs.fabrics() {
            let verdict = Verdict::Goto(ChainName::FromFabric);
            rules.push(rule([Match::Iif(fabric.clone())], verdict));
        }
        for leg in &self.legs.sites {
            let verdict = Verdict::Goto(ChainName::FromSite(leg.tag()));
            rules.push(rule([Match::Iif(leg.device.clone())], verdict));
        }
        rules.push(accept([Match::Iif(loopback())]));
        if self.placement == Placement::Current {
            // An inner address is not to be reached by an outer link (CVE-2019-14899).
            let inner = Family::BOTH.into_iter().filter_map(|family| self.own_of_sites(family));
            rules.extend(inner.map(|inner| drop([inner], DropReason::WrongLink)));
            rules.push(accept([Match::FromElsewhere]));
        }
        rules.push(rule([], Verdict::Drop(DropReason::WrongLink)));
        rules
    }

    fn site_sources(&self, leg: &SiteLeg<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        let open = Family::BOTH.map(|family| {
            let open = [src_of(leg, List::Open, family), dst(List::Apps, family)];
            rule(open, Verdict::Untrack)
        });
        if !self.legs.is_pod() {
            rules.extend(open.clone());
        }
        if leg.vlan.is_some() {
            rules.push(accept(discovery()));
        }
        for family in Family::BOTH {
            rules.extend(martian(family, self.own_sites_of(leg)));
            rules.push(drop([not_src_of(leg, List::Sources, family)], DropReason::NotSiteSource));
            rules.push(drop([dst(List::OwnFabric, family)], DropReason::WrongLink));
            if self.legs.are_several() {
                let others = [dst(List::OwnSites, family), not_dst_of(leg, List::Own, family)];
                rules.push(drop(others, DropReason::WrongLink));
            }
        }
        if let Some(speaking) = self.site_speaking(leg) {
            rules.extend(Family::BOTH.into_iter().flat_map(|family| speaking.heard(family)));
        }
        if self.legs.is_pod() {
            // The pod's own addresses may be among the applications'; what is
            // for them is `input`'s, and tracked.
            rules.push(accept([Match::Local]));
            rules.extend(open);
        }
        for family in Family::BOTH {
            // Here, for what has no route never comes to `forward`.
            let nowhere = [not_dst(List::Apps, family), not_dst_of(leg, List::Own, family)];
            rules.push(drop(nowhere, DropReason::NotAppDestination));
        }
        for family in Family::BOTH {
            let errors = Match::Icmp(family, Icmp::Errors);
            let ends = [src_of(leg, List::Far, family), dst(List::Apps, family)];
            rules.push(rule(ends.into_iter().chain([errors]), Verdict::Untrack));
        }
        rules.push(accept([]));
        rules
    }

    /// The set of addresses that are ours, so nobody else's to send from.
    fn own_sites_of(&self, leg: &SiteLeg<'_>) -> SetOf {
        if self.legs.are_several() { (List::OwnSites, None) } else { (List::Own, leg.tag()) }
    }

    fn fabric_sources(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for family in Family::BOTH {
            for leg in &self.legs.sites {
                let open = [src(List::Apps, family), dst_of(leg, List::Open, family)];
                rules.push(rule(open, Verdict::Untrack));
            }
        }
        rules.push(accept(discovery()));
        for family in Family::BOTH {
            rules.extend(self.own_of_sites(family).map(|own| drop([own], DropReason::WrongLink)));
        }
        let speaking = self.fabric_speaking();
        let heard = |family| speaking.iter().flat_map(move |it| it.heard(family));
        if self.legs.is_pod() {
            rules.extend(Family::BOTH.into_iter().flat_map(heard));
            rules.push(accept([Match::Local]));
        }
        for family in Family::BOTH {
            rules.extend(martian(family, (List::OwnFabric, None)));
            if !self.legs.is_pod() {
                rules.extend(heard(family));
            }
            let (near, errors) = (src(List::Near, family), Match::Icmp(family, Icmp::Errors));
            for leg in &self.legs.sites {
                let open = dst_of(leg, List::Open, family);
                let refused = [near.clone(), open, errors.clone()];
                rules.push(rule(refused, Verdict::Untrack));
            }
            rules.push(accept([near.clone(), dst(List::OwnFabric, family)]));
            if family == Family::V4 && self.legs.ipip.is_some() {
                // What is inside comes here once more, by the tunnels' own link.
                rules.push(accept([src(List::Nodes, family), dst(List::OwnFabric, family)]));
            }
            rules.push(accept([near, errors, self.to_sites(family, true)]));
            rules.push(drop([not_src(List::Apps, family)], DropReason::NotAppSource));
            let nowhere = [not_dst(List::OwnFabric, family), self.to_sites(family, false)];
            rules.push(drop(nowhere, DropReason::NotSiteDestination));
        }
        rules.push(accept([]));
        rules
    }

    /// A packet to one of our addresses on a link to sites.
    fn own_of_sites(&self, family: Family) -> Option<Match> {
        let (list, leg) = self.own_sites_of(self.legs.sites.first()?);
        Some(Match::Destination(membership(list, leg, family, true)))
    }

    /// A packet to a customer, or to none.
    fn to_sites(&self, family: Family, inside: bool) -> Match {
        let (list, leg) = match self.legs.sites.as_slice() {
            [leg] => (List::Sources, leg.tag()),
            _ => (List::AllSources, None),
        };
        Match::Destination(membership(list, leg, family, inside))
    }

    fn input(&self) -> Vec<Rule> {
        let mut rules = vec![accept([Match::Iif(loopback())])];
        if self.placement == Placement::Current {
            rules.push(accept([Match::FromElsewhere]));
        }
        if let Some(fabric) = self.legs.fabric() {
            let iif = Match::Iif(fabric.clone());
            if self.legs.is_pod() {
                rules.push(accept([iif]));
            } else {
                rules.extend(neighbor_input(&iif, FABRIC_SOLICITATIONS_PER_SECOND));
            }
        }
        for leg in self.legs.sites.iter().filter(|leg| leg.vlan.is_some()) {
            let iif = Match::Iif(leg.device.clone());
            rules.extend(neighbor_input(&iif, SITE_SOLICITATIONS_PER_SECOND));
        }
        let speaking = self.speaking();
        for (speaking, family) in both(&speaking) {
            rules.extend(speaking.taken(family));
            rules.extend(speaking.errors(family));
        }
        rules.extend(self.tunnelled(Match::Iif, src));
        rules.push(drop([Match::Conntrack(Conntrack::Invalid)], DropReason::CtInvalid));
        let sites = self.legs.sites.iter().map(|leg| (&leg.device, (List::Own, leg.tag())));
        let fabric = self.legs.fabric().map(|fabric| (fabric, (List::OwnFabric, None)));
        for (device, (list, leg)) in sites.chain(fabric) {
            let iif = || Match::Iif(device.clone());
            rules.push(accept([iif(), Match::Conntrack(Conntrack::Established)]));
            for family in Family::BOTH {
                rules.push(accept([iif(), Match::Icmp(family, Icmp::Errors), related()]));
                let own = Match::Destination(membership(list, leg.clone(), family, true));
                let echo = Match::Icmp(family, Icmp::Echo);
                let rate = Match::Rate(ECHOES_PER_SECOND);
                rules.push(accept([iif(), own, echo, rate]));
            }
            if list == List::Own {
                rules.extend(desired_test_page::asked(self.tenant, device, leg.as_ref()));
            }
        }
        rules.push(rule([], Verdict::Drop(DropReason::ToGateway)));
        rules
    }

    /// What is in IPIP to or from a node, on the link that leads to the nodes.
    fn tunnelled(
        &self,
        by: impl Fn(Device) -> Match,
        node: impl Fn(List, Family) -> Match,
    ) -> Option<Rule> {
        let (fabric, _) = self.legs.fabric().zip(self.legs.ipip.as_ref())?;
        Some(accept([by(fabric.clone()), node(List::Nodes, Family::V4), Match::Ipip]))
    }

    /// All with whom we speak.
    fn speaking(&self) -> Vec<Speaking<'_>> {
        let sites = self.legs.sites.iter().filter_map(|leg| self.site_speaking(leg));
        sites.chain(self.fabric_speaking()).collect()
    }

    /// The customers' BGP routers on a link to sites, where there are any.
    fn site_speaking<'b>(&self, leg: &'b SiteLeg<'_>) -> Option<Speaking<'b>> {
        site_neighbors(self.tenant, self.legs, leg).next()?;
        Some(Speaking {
            link: &leg.device,
            neighbors: (List::SiteNeighbors, leg.tag()),
            own: Some((List::Own, leg.tag())),
            routers: (List::SiteNeighbors, leg.tag()),
            watched: Vec::new(),
        })
    }

    /// The neighbors of the fabric, where there are any.
    fn fabric_speaking(&self) -> Option<Speaking<'_>> {
        fabric_neighbors(self.tenant).next()?;
        Some(Speaking {
            link: self.legs.fabric()?,
            neighbors: (List::Neighbors, None),
            own: (!self.legs.is_pod()).then_some((List::OwnFabric, None)),
            routers: (List::Near, None),
            watched: watched_ports(self.tenant),
        })
    }

    fn forward(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for fabric in self.legs.fabrics() {
            for leg in &self.legs.sites {
                let there = Verdict::Goto(ChainName::SiteToApp(leg.tag()));
                rules.push(rule(between(&leg.device, fabric), there));
                let back = Verdict::Goto(ChainName::AppToSite(leg.tag()));
                rules.push(rule(between(fabric, &leg.device), back));
            }
        }
        rules.push(rule([], Verdict::Drop(DropReason::NotForwarded)));
        rules
    }

    fn output(&self) -> Vec<Rule> {
        let mut rules = vec![accept([Match::Oif(loopback())])];
        let oif = |device: &Device| Match::Oif(device.clone());
        let listener = || Match::Icmp(Family::V6, Icmp::Listener);
        if self.placement == Placement::Current {
            rules.push(accept([Match::ToElsewhere]));
            // The underlay's routes are ours here: an endpoint inside a site's
            // prefix would have each sealed packet sealed again, without end.
            let (first, last) = (self.port, self.port);
            let ours = Match::SourcePorts(vec![Ports { first, last }]);
            for leg in self.legs.sites.iter().filter(|leg| leg.vlan.is_none()) {
                let sealed = [oif(&leg.device), Match::Transport(Transport::Udp), ours.clone()];
                rules.push(drop(sealed, DropReason::FromGateway));
            }
        }
        let speaking = self.speaking();
        rules.extend(both(&speaking).flat_map(|(speaking, family)| speaking.said(family)));
        for leg in &self.legs.sites {
            if leg.vlan.is_some() {
                rules.push(accept([oif(&leg.device)].into_iter().chain(discovery())));
                rules.push(accept([oif(&leg.device), listener()]));
                rules.extend(self.to_hosts(leg));
            }
            for family in Family::BOTH {
                rules.push(accept([oif(&leg.device), dst_of(leg, List::Sources, family)]));
            }
        }
        match self.legs.fabric() {
            Some(fabric) if self.legs.is_pod() => rules.push(accept([oif(fabric)])),
            Some(fabric) => {
                rules.push(accept([oif(fabric)].into_iter().chain(discovery())));
                rules.push(accept([oif(fabric), listener()]));
                for family in Family::BOTH {
                    rules.push(accept([oif(fabric), dst(List::Apps, family)]));
                    rules.push(accept([oif(fabric), dst(List::Near, family)]));
                }
                rules.extend(self.tunnelled(Match::Oif, dst));
                // Errors about what came by them, and probes.
                let ipip = self.legs.ipip.as_ref().map(|(device, _)| oif(device));
                rules.extend(ipip.map(|ipip| accept([ipip, dst(List::Apps, Family::V4)])));
            }
            None => {}
        }
        rules.push(rule([], Verdict::Drop(DropReason::FromGateway)));
        rules
    }

    /// What we ourselves say to hosts of a VLAN's own network. Its routers and BGP
    /// neighbors are known anyway, and never to be without an answer for the others.
    fn to_hosts(&self, leg: &SiteLeg<'_>) -> Vec<Rule> {
        let oif = || Match::Oif(leg.device.clone());
        let networks: PrefixSet = leg.vlan.iter().flat_map(|(_, vlan)| vlan.networks()).collect();
        let mut rules = Vec::new();
        if site_neighbors(self.tenant, self.legs, leg).next().is_some() {
            let known = Family::BOTH.map(|family| dst_of(leg, List::SiteNeighbors, family));
            rules.extend(known.map(|known| accept([oif(), known])));
        }
        let (there, met) = ((List::OnLink, leg.tag()), (List::MetOnLink, leg.tag()));
        for mut rule in meet(&networks, there, met) {
            rule.matches.insert(0, oif());
            rules.push(rule);
        }
        rules
    }

    fn site_to_app(&self, leg: &SiteLeg<'_>) -> Vec<Rule> {
        let mut rules = vec![rule([Match::Syn], Verdict::ClampMss)];
        rules.extend(meet(
            &direct_apps(self.tenant, self.legs),
            (List::DirectApps, None),
            (List::MetApps, leg.tag()),
        ));
        for family in Family::BOTH {
            let apps = dst(List::Apps, family);
            rules.push(accept([src_of(leg, List::Open, family), apps.clone()]));
            let errors = Match::Icmp(family, Icmp::Errors);
            rules.push(accept([src_of(leg, List::Far, family), apps, errors]));
            rules.push(drop([not_dst(List::Apps, family)], DropReason::NotAppDestination));
        }
        rules.push(drop([Match::Conntrack(Conntrack::Invalid)], DropReason::CtInvalid));
        for family in Family::BOTH {
            rules.push(accept([Match::Icmp(family, Icmp::Errors), related()]));
            rules.push(rule([], Verdict::Site(Side::Source, family)));
        }
        rules.push(rule([], Verdict::Drop(DropReason::NotAllowed)));
        rules
    }

    fn app_to_site(&self, leg: &SiteLeg<'_>) -> Vec<Rule> {
        let mut rules = vec![rule([Match::Syn], Verdict::ClampMss)];
        rules.extend(meet(
            &direct_sites(self.legs, leg, self.parts),
            (List::DirectSites, leg.tag()),
            (List::MetSites, leg.tag()),
        ));
        for family in Family::BOTH {
            let open = dst_of(leg, List::Open, family);
            rules.push(accept([src(List::Apps, family), open.clone()]));
            let errors = Match::Icmp(family, Icmp::Errors);
            rules.push(accept([src(List::Near, family), open, errors]));
            let outside = not_dst_of(leg, List::Sources, family);
            rules.push(drop([outside], DropReason::NotSiteDestination));
        }
        rules.push(drop([Match::Conntrack(Conntrack::Invalid)], DropReason::CtInvalid));
        for family in Family::BOTH {
            rules.push(accept([Match::Icmp(family, Icmp::Errors), related()]));
            rules.push(drop([not_src(List::Apps, family)], DropReason::NotAppSource));
            rules.push(rule([], Verdict::Site(Side::Destination, family)));
        }
        rules.push(rule([], Verdict::Drop(DropReason::NotAllowed)));
        rules
    }

    /// The chain of a site with `allow` rules.
    fn site(&self, site: &Site) -> Chain {
        let mut rules = Vec::new();
        let allows = site.allow.iter().flatten();
        let links = self
            .legs
            .to_site(site)
            .into_iter()
            .flat_map(|leg| self.legs.fabrics().map(|fabric| (&leg.device, fabric)));
        for (allow, (leg, fabric)) in allows.flat_map(|it| links.clone().map(move |by| (it, by))) {
            let (from, to) = match allow.direction {
                Direction::FromSite => (leg, fabric),
                Direction::ToSite => (fabric, leg),
            };
            allowed(allow, from, to, &mut rules);
        }
        regular(rules)
    }
}

/// Each in both families.
fn both<T>(all: &[T]) -> impl Iterator<Item = (&T, Family)> {
    all.iter().flat_map(|one| Family::BOTH.map(|family| (one, family)))
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

/// Who is sent to without a router is looked for by the kernel, and remembered in a
/// table that all namespaces of the machine share: so many at a time, and no more.
fn meet(direct: &PrefixSet, (list, leg): SetOf, met: SetOf) -> Vec<Rule> {
    let families = Family::BOTH.into_iter().filter(|family| !direct.of_family(*family).is_empty());
    let of_family = |family| {
        let there = Match::Destination(membership(list, leg.clone(), family, true));
        let stranger = Match::Destination(membership(met.0, met.1.clone(), family, false));
        let set = SetName { list: met.0, family, leg: met.1.clone() };
        [
            rule([there.clone()], Verdict::Meet(set)),
            drop([there, stranger], DropReason::NeighborLimit),
        ]
    };
    families.flat_map(of_family).collect()
}

fn martian(family: Family, (own, leg): SetOf) -> [Rule; 3] {
    let martian = |condition| drop([condition], DropReason::Martian);
    let ours = Match::Source(membership(own, leg, family, true));
    [src(List::Martians, family), dst(List::Martians, family), ours].map(martian)
}

/// Neighbour discovery on a link: never routed (RFC 4861 §7.1), hence the limit.
const fn discovery() -> [Match; 2] {
    [Match::Icmp(Family::V6, Icmp::Neighbor), Match::FromLink]
}

/// Neighbour discovery that is for us. Whoever asks is remembered, by a table that
/// all namespaces of the machine share and that is soon full; answers are taken
/// only from whom we asked.
fn neighbor_input(link: &Match, rate: u32) -> [Rule; 2] {
    let message = |icmp| [link.clone(), Match::Icmp(Family::V6, icmp), Match::FromLink];
    let asked = message(Icmp::Solicitation).into_iter().chain([Match::Rate(rate)]);
    [accept(message(Icmp::Advertisement)), accept(asked)]
}
