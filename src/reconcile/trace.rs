//! One packet's way through what a namespace holds, step by step.
//!
//! It walks the state it is given, desired or observed, as the kernel would. It
//! knows of others' routes only the connected ones it can tell from addresses.

use super::lookup::{Lookup, Way};
use super::packet::{Cause, Conversation, Fate, Leg, Packet, Payload};
use super::{
    Chain, ChainName, Conntrack, Device, Dispatch, Family, Hook, Icmp, LinkSetting, Match,
    Membership, Namespace, Policy, PrefixSet, Route, RouteKey, Rule, Ruleset, Scope, Side, Sysctl,
    Transport, Verdict, vlan_link,
};
use crate::model::{Attachment, FabricLink, Ports, Tenant};
use crate::net::{ManagedName, Prefix, PublicKey, SiteName};
use std::fmt;
use std::net::IpAddr;

/// A packet's way and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The packet as it came, addresses translated to the tenant's own.
    pub packet: Packet,
    /// What it met, in order.
    pub steps: Vec<TraceStep>,
    /// What becomes of it.
    pub fate: Fate,
}

/// Something a packet meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceStep {
    /// It comes from, or goes to, a site.
    Site(SiteName),
    /// The customer's router at the other end of the tunnel, by its key.
    Peer(PublicKey),
    /// An address is another one on the customer's side.
    Alias {
        /// As the customer has it.
        real: IpAddr,
        /// As the tenant has it.
        visible: IpAddr,
    },
    /// A link lets it in.
    In(Device),
    /// A rule applies.
    Rule(ChainName, Rule),
    /// It is routed by a route of ours.
    Route(RouteKey, Route),
    /// It is routed to a network that a link has an address in.
    Connected(Device, Prefix),
    /// Its destination is an address of ours.
    Local(Device),
}

/// Traces `packet` through `namespace`, which is `tenant`'s.
///
/// A source or destination that only the customer's side has is first translated
/// to its alias, as the tunnel does.
pub fn trace(namespace: &Namespace, tenant: &Tenant, packet: &Packet) -> Trace {
    trace_with(&Lookup::new(namespace, tenant), namespace, tenant, packet)
}

/// The same, for many packets through one namespace.
pub(super) fn trace_with(
    lookup: &Lookup<'_>,
    namespace: &Namespace,
    tenant: &Tenant,
    packet: &Packet,
) -> Trace {
    let (from_site, steps) = (packet.leg != Leg::Fabric, Vec::new());
    let packet = packet.clone();
    let mut walk = Walk { lookup, namespace, packet, steps, untracked: false };
    let site = |address| {
        let name = lookup.site(address);
        let peer = name.and_then(|name| match &tenant.sites.get(name)?.attachment {
            Attachment::WireGuard(peer) => Some(TraceStep::Peer(peer.public_key)),
            Attachment::Vlan(_) => None,
        });
        name.cloned().map(TraceStep::Site).into_iter().chain(peer)
    };
    if from_site {
        let real = walk.packet.source;
        if let Some(visible) = lookup.to_visible(real) {
            walk.steps.push(TraceStep::Alias { real, visible });
            walk.packet.source = visible;
        }
        walk.steps.extend(site(walk.packet.source));
    }
    let fate = walk.fate(tenant);
    if fate == Fate::Forwarded && !from_site {
        let visible = walk.packet.destination;
        walk.steps.extend(site(visible));
        if let Some(real) = lookup.to_real(visible) {
            walk.steps.push(TraceStep::Alias { real, visible });
        }
    }
    Trace { packet: walk.packet, steps: walk.steps, fate }
}

struct Walk<'a, 'b> {
    lookup: &'a Lookup<'b>,
    namespace: &'a Namespace,
    packet: Packet,
    steps: Vec<TraceStep>,
    untracked: bool,
}

impl Walk<'_, '_> {
    fn fate(&mut self, tenant: &Tenant) -> Fate {
        let Some(ruleset) = &self.namespace.ruleset else {
            return Fate::Dropped(Cause::NoRules);
        };
        let Some(iif) = self.iif(tenant) else { return Fate::Dropped(Cause::NoRoute) };
        self.steps.push(TraceStep::In(iif.clone()));
        if let Err(cause) = self.hook(ruleset, Hook::Prerouting, &iif, None) {
            return Fate::Dropped(cause);
        }
        let (way, step) = self.lookup.way(self.packet.destination);
        self.steps.extend(step);
        let oif = match way {
            Way::Local => None,
            Way::Out(device) => Some(device),
            Way::Nowhere => return Fate::Dropped(Cause::NoRoute),
        };
        if !self.path_back(&iif) {
            return Fate::Dropped(Cause::ReversePath);
        }
        if oif.is_some() && !self.forwards(&iif) {
            return Fate::Dropped(Cause::NotForwarding);
        }
        let hook = if oif.is_some() { Hook::Forward } else { Hook::Input };
        match (self.hook(ruleset, hook, &iif, oif.as_ref()), oif) {
            (Err(cause), _) => Fate::Dropped(cause),
            (Ok(()), Some(_)) => Fate::Forwarded,
            (Ok(()), None) => Fate::Delivered,
        }
    }

    /// The link the packet comes by.
    fn iif(&self, tenant: &Tenant) -> Option<Device> {
        match &self.packet.leg {
            Leg::Tunnel => {
                let tunnel = Device::Managed(ManagedName::wireguard());
                self.namespace.links.contains_key(&tunnel).then_some(tunnel)
            }
            Leg::Vlan(site) => vlan_link(tenant.sites.get(site)?),
            Leg::Fabric => Some(match &tenant.fabric.link {
                FabricLink::Interface(name) | FabricLink::Pod(name) => {
                    Device::Foreign(name.clone())
                }
                FabricLink::Veth { .. } => Device::Managed(ManagedName::fabric()),
                FabricLink::Vlan(vlan) => Device::Managed(vlan.link_name()),
            }),
        }
    }

    /// Whether the packet's source is where it should be (`rp_filter`, v4 only).
    fn path_back(&self, iif: &Device) -> bool {
        let wanted = self.setting(Family::V4, iif, LinkSetting::RpFilter);
        if self.packet.family() == Family::V6 || wanted == 0 {
            return true;
        }
        match self.lookup.way(self.packet.source).0 {
            Way::Out(device) => wanted != 1 || device == *iif,
            Way::Local | Way::Nowhere => false,
        }
    }

    fn forwards(&self, iif: &Device) -> bool {
        let family = self.packet.family();
        match family {
            Family::V4 => self.setting(family, iif, LinkSetting::Forwarding) == 1,
            Family::V6 => {
                let scope = Scope::All;
                let all = Sysctl { family, scope, setting: LinkSetting::Forwarding };
                self.namespace.sysctls.get(&all) == Some(&1)
            }
        }
    }

    fn setting(&self, family: Family, device: &Device, setting: LinkSetting) -> i32 {
        let sysctl = Sysctl { family, scope: Scope::Link(device.clone()), setting };
        self.namespace.sysctls.get(&sysctl).copied().unwrap_or_default()
    }

    fn hook(
        &mut self,
        ruleset: &Ruleset,
        hook: Hook,
        iif: &Device,
        oif: Option<&Device>,
    ) -> Result<(), Cause> {
        let at_hook = |chain: &Chain| chain.base.is_some_and(|base| base.hook == hook);
        let mut chains: Vec<_> =
            ruleset.chains.iter().filter(|(_, chain)| at_hook(chain)).collect();
        chains.sort_by_key(|(_, chain)| chain.base.map(|base| base.priority));
        if chains.is_empty() {
            return Err(Cause::NoRules);
        }
        for (name, chain) in chains {
            match self.chain(ruleset, name, iif, oif, 0) {
                Some(end) => end?,
                None if chain.base.is_some_and(|base| base.policy == Policy::Accept) => {}
                None => return Err(Cause::Policy),
            }
        }
        Ok(())
    }

    /// Walks a chain; `None` when it says nothing. `depth` ends chains that an
    /// observed table may have bent into a circle, which the kernel would refuse.
    fn chain(
        &mut self,
        ruleset: &Ruleset,
        name: &ChainName,
        iif: &Device,
        oif: Option<&Device>,
        depth: usize,
    ) -> Option<Result<(), Cause>> {
        const DEPTH: usize = 16;
        let chain = ruleset.chains.get(name).filter(|_| depth < DEPTH)?;
        for rule in &chain.rules {
            if !rule.matches.iter().all(|one| self.holds(ruleset, one, iif, oif)) {
                continue;
            }
            let met = TraceStep::Rule(name.clone(), rule.clone());
            match &rule.verdict {
                Verdict::Accept => {
                    self.steps.push(met);
                    return Some(Ok(()));
                }
                Verdict::Drop(reason) => {
                    self.steps.push(met);
                    return Some(Err(Cause::Rule(*reason)));
                }
                Verdict::Goto(next) => {
                    self.steps.push(met);
                    return self.chain(ruleset, next, iif, oif, depth + 1);
                }
                Verdict::Site(side, family) => {
                    let address = match side {
                        Side::Source => self.packet.source,
                        Side::Destination => self.packet.destination,
                    };
                    let site = site_in(&ruleset.sites, address, *family);
                    let Some(site) = site else { continue };
                    self.steps.push(met);
                    let next = ChainName::Site(site);
                    let end = self.chain(ruleset, &next, iif, oif, depth + 1);
                    if end.is_some() {
                        return end;
                    }
                }
                Verdict::Untrack => {
                    self.steps.push(met);
                    self.untracked = true;
                    return Some(Ok(()));
                }
                Verdict::ClampMss => self.steps.push(met),
                Verdict::Meet(_) => {}
                // Whatever it is, it is not known to hold anything back.
                Verdict::Foreign => {}
            }
        }
        None
    }

    fn holds(&self, ruleset: &Ruleset, one: &Match, iif: &Device, oif: Option<&Device>) -> bool {
        let Packet { source, destination, payload, conversation, .. } = self.packet;
        let member = |address: IpAddr, membership: &Membership| {
            // Whoever is looked for has been noted down, as long as there is room.
            if membership.set.list.is_met() {
                return Family::of(address) == membership.set.family && membership.inside;
            }
            let set = ruleset.sets.get(&membership.set);
            Family::of(address) == membership.set.family
                && set.is_some_and(|set: &PrefixSet| set.contains(address) == membership.inside)
        };
        match one {
            Match::Iif(device) => device == iif,
            Match::FromElsewhere => !ruleset.legs.iter().flatten().any(|leg| leg == iif),
            Match::Oif(device) => Some(device) == oif,
            Match::ToElsewhere => !ruleset.legs.iter().flatten().any(|leg| Some(leg) == oif),
            Match::Source(membership) => member(source, membership),
            Match::Destination(membership) => member(destination, membership),
            Match::Local => matches!(self.lookup.way(destination).0, Way::Local),
            Match::Ipip => payload == Payload::IPIP,
            Match::Transport(wanted) => {
                matches!(payload, Payload::Ports { transport, .. } if transport == *wanted)
            }
            Match::SourcePorts(ports) => {
                matches!(payload, Payload::Ports { source, .. } if within(ports, source))
            }
            Match::DestinationPorts(ports) => {
                matches!(payload, Payload::Ports { destination, .. } if within(ports, destination))
            }
            Match::Syn => {
                let tcp = Transport::Tcp;
                let begins = conversation == Conversation::New;
                begins && matches!(payload, Payload::Ports { transport, .. } if transport == tcp)
            }
            Match::Begun => {
                let tcp = Transport::Tcp;
                let begins = conversation == Conversation::New;
                !begins && matches!(payload, Payload::Ports { transport, .. } if transport == tcp)
            }
            // Which of ours it is about is TCP's to find.
            Match::Quotes(family, _) => {
                let is_error = payload == Payload::IcmpError;
                *family == Family::of(destination)
                    && is_error
                    && conversation == Conversation::Related
            }
            Match::Icmp(family, icmp) => {
                *family == Family::of(destination)
                    && match icmp {
                        Icmp::Echo => payload == Payload::Echo,
                        Icmp::EchoReply => payload == Payload::EchoReply,
                        Icmp::Errors => payload == Payload::IcmpError,
                        Icmp::Neighbor
                        | Icmp::Solicitation
                        | Icmp::Advertisement
                        | Icmp::Listener => false,
                    }
            }
            // It has passed a router, as all do that are asked about.
            Match::FromLink => false,
            Match::Conntrack(_) if self.untracked => false,
            Match::Conntrack(wanted) => match wanted {
                Conntrack::Established | Conntrack::Reply => conversation == Conversation::Reply,
                Conntrack::Related => conversation == Conversation::Related,
                Conntrack::Invalid => {
                    payload == Payload::IcmpError && conversation != Conversation::Related
                }
            },
            Match::Rate(_) => true,
        }
    }
}

fn within(ranges: &[Ports], port: u16) -> bool {
    ranges.iter().any(|range| range.first <= port && port <= range.last)
}

fn site_in(sites: &Dispatch, address: IpAddr, family: Family) -> Option<SiteName> {
    sites.site(address).filter(|_| Family::of(address) == family).cloned()
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.packet)?;
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        writeln!(f, "{}", self.fate)
    }
}

impl fmt::Display for TraceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(site) => write!(f, "site        {site}"),
            Self::Peer(key) => write!(f, "peer        {key}"),
            Self::Alias { real, visible } => {
                write!(f, "alias       {visible} here, {real} at the customer's")
            }
            Self::In(device) => write!(f, "in          {device}"),
            Self::Rule(chain, rule) => write!(f, "{:<11} {rule}", chain.to_string()),
            Self::Route(key, route) => write!(f, "route       {key} {route}"),
            Self::Connected(device, network) => {
                write!(f, "route       {network} connected dev {device}")
            }
            Self::Local(device) => write!(f, "route       local, an address of {device}"),
        }
    }
}
