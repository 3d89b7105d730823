//! The text form of what the kernel holds, both ways.
//!
//! One object a line, told by its first word, indentation for the eye only.
//! Reading it back gives an equal value; reading anything else gives the line
//! at fault.

use super::{
    Base, Chain, ChainName, Device, Dispatch, DropReason, Hop, KernelState, Link, LinkKind,
    Namespace, PrefixSet, Route, RouteKey, RouteTarget, Ruleset, SetName, Sysctl,
};
use crate::model::{Vlan, VlanProtocol};
use crate::net::{Prefix, SiteName, TenantName, VlanId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

impl fmt::Display for KernelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (tenant, namespace) in &self.tenants {
            write!(f, "netns {tenant}\n{namespace}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.loopback_up {
            writeln!(f, "  loopback up")?;
        }
        for (device, link) in &self.links {
            writeln!(f, "  link {device} {link}")?;
        }
        for (key, route) in &self.routes {
            writeln!(f, "  route {key} {route}")?;
        }
        for (sysctl, value) in &self.sysctls {
            writeln!(f, "  sysctl {sysctl} = {value}")?;
        }
        if let Some(ruleset) = &self.ruleset {
            write!(f, "  ruleset\n{ruleset}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        f.write_str(if self.up { " up" } else { " down" })?;
        for address in &self.addresses {
            write!(f, " {address}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tun => f.write_str("tun"),
            Self::WireGuard => f.write_str("wireguard"),
            Self::Veth { peer } => write!(f, "veth {peer}"),
            Self::Vlan(vlan) => write!(f, "vlan {vlan}"),
            Self::Ipip { local } => write!(f, "ipip {local}"),
            Self::Moved => f.write_str("moved"),
            Self::Foreign => f.write_str("foreign"),
            Self::Unrecognized => f.write_str("unrecognized"),
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} metric {}", self.prefix, self.metric)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            RouteTarget::Link { device, via, source } => {
                write!(f, "dev {device}")?;
                if let Some(via) = via {
                    write!(f, " via {via}")?;
                }
                if let Some(source) = source {
                    write!(f, " src {source}")?;
                }
                Ok(())
            }
            RouteTarget::Multipath(hops) => {
                f.write_str("multipath")?;
                for Hop { device, via } in hops {
                    write!(f, " dev {device}")?;
                    if let Some(via) = via {
                        write!(f, " via {via}")?;
                    }
                }
                Ok(())
            }
            RouteTarget::Blackhole => f.write_str("blackhole"),
            RouteTarget::Unreachable => f.write_str("unreachable"),
            RouteTarget::Unrecognized => f.write_str("unrecognized"),
        }
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for reason in &self.counters {
            writeln!(f, "    counter {reason}")?;
        }
        if let Some(legs) = &self.legs {
            f.write_str("    legs")?;
            for device in legs {
                write!(f, " {device}")?;
            }
            writeln!(f)?;
        }
        for (name, prefixes) in &self.sets {
            let space = if prefixes.is_empty() { "" } else { " " };
            writeln!(f, "    set {name}{space}{prefixes}")?;
        }
        for (device, rate) in &self.arp {
            writeln!(f, "    arp {device} {rate}")?;
        }
        for (name, size) in &self.met {
            writeln!(f, "    met {name} {size}")?;
        }
        for (prefix, site) in self.sites.iter() {
            writeln!(f, "    site {prefix} {site}")?;
        }
        for (name, chain) in &self.chains {
            write!(f, "    chain {name}")?;
            if let Some(Base { hook, priority, policy }) = chain.base {
                write!(f, " hook {hook} priority {priority} policy {policy}")?;
            }
            writeln!(f)?;
            for rule in &chain.rules {
                writeln!(f, "      rule {rule}")?;
            }
        }
        for object in &self.foreign {
            writeln!(f, "    foreign {object}")?;
        }
        Ok(())
    }
}

/// Why a text is not a [`KernelState`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is {kind}")]
pub struct StateError {
    /// The line at fault, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub kind: LineError,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is none of the forms there are.
    #[error("not a line of a kernel state")]
    Malformed,
    /// It belongs in something that has not begun.
    #[error("outside of what it belongs to")]
    Misplaced,
    /// What it names has been named before.
    #[error("there twice")]
    Twice,
}

impl FromStr for KernelState {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let mut reader = Reader::default();
        for (index, line) in text.lines().enumerate() {
            let at = |kind| StateError { line: index + 1, text: line.trim().to_owned(), kind };
            reader.line(line).map_err(at)?;
        }
        reader.close();
        Ok(reader.state)
    }
}

/// What has been read, and what the next line belongs to.
#[derive(Default)]
struct Reader {
    state: KernelState,
    open: Option<(TenantName, Namespace)>,
    sites: BTreeMap<Prefix, SiteName>,
    chain: Option<ChainName>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), LineError> {
        let (word, rest) = match line.trim().split_once(' ') {
            Some((word, rest)) => (word, rest.trim()),
            None => (line.trim(), ""),
        };
        if word.is_empty() || word.starts_with('#') {
            return Ok(());
        }
        if word == "netns" {
            self.close();
            let tenant: TenantName = rest.parse().map_err(|_| LineError::Malformed)?;
            if self.state.tenants.contains_key(&tenant) {
                return Err(LineError::Twice);
            }
            self.open = Some((tenant, Namespace::default()));
            return Ok(());
        }
        let (_, namespace) = self.open.as_mut().ok_or(LineError::Misplaced)?;
        let new = match word {
            "loopback" if rest == "up" => !std::mem::replace(&mut namespace.loopback_up, true),
            "link" => {
                let (device, link) = link(rest).ok_or(LineError::Malformed)?;
                namespace.links.insert(device, link).is_none()
            }
            "route" => {
                let (key, route) = route(rest).ok_or(LineError::Malformed)?;
                namespace.routes.insert(key, route).is_none()
            }
            "sysctl" => {
                let (sysctl, value) = sysctl(rest).ok_or(LineError::Malformed)?;
                namespace.sysctls.insert(sysctl, value).is_none()
            }
            "ruleset" if rest.is_empty() => namespace.ruleset.replace(Ruleset::default()).is_none(),
            _ => return self.ruleset_line(word, rest),
        };
        if new { Ok(()) } else { Err(LineError::Twice) }
    }

    fn ruleset_line(&mut self, word: &str, rest: &str) -> Result<(), LineError> {
        let ruleset = self.open.as_mut().and_then(|(_, namespace)| namespace.ruleset.as_mut());
        let ruleset = ruleset.ok_or(LineError::Misplaced)?;
        let new = match word {
            "counter" => {
                let reason: DropReason = rest.parse().map_err(|_| LineError::Malformed)?;
                ruleset.counters.insert(reason)
            }
            "set" => {
                let (name, prefixes) = set(rest).ok_or(LineError::Malformed)?;
                ruleset.sets.insert(name, prefixes).is_none()
            }
            "arp" => {
                let (device, rate) = rest.split_once(' ').ok_or(LineError::Malformed)?;
                let device = device.parse().map_err(|_| LineError::Malformed)?;
                let rate = rate.parse().map_err(|_| LineError::Malformed)?;
                ruleset.arp.insert(device, rate).is_none()
            }
            "met" => {
                let (name, size) = rest.split_once(' ').ok_or(LineError::Malformed)?;
                let name = name.parse().map_err(|_| LineError::Malformed)?;
                let size = size.parse().map_err(|_| LineError::Malformed)?;
                ruleset.met.insert(name, size).is_none()
            }
            "legs" => {
                let legs: Option<_> =
                    rest.split_whitespace().map(|word| word.parse().ok()).collect();
                ruleset.legs.replace(legs.ok_or(LineError::Malformed)?).is_none()
            }
            "site" => {
                let (prefix, site) = rest.split_once(' ').ok_or(LineError::Malformed)?;
                let prefix = prefix.parse().map_err(|_| LineError::Malformed)?;
                let site = site.parse().map_err(|_| LineError::Malformed)?;
                self.sites.insert(prefix, site).is_none()
            }
            "chain" => {
                let (name, base) = chain(rest).ok_or(LineError::Malformed)?;
                self.chain = Some(name.clone());
                ruleset.chains.insert(name, Chain { base, rules: Vec::new() }).is_none()
            }
            "rule" => {
                let name = self.chain.as_ref().ok_or(LineError::Misplaced)?;
                let chain = ruleset.chains.get_mut(name).ok_or(LineError::Misplaced)?;
                chain.rules.push(rest.parse().map_err(|_| LineError::Malformed)?);
                true
            }
            "foreign" => ruleset.foreign.insert(rest.to_owned()),
            _ => return Err(LineError::Malformed),
        };
        if new { Ok(()) } else { Err(LineError::Twice) }
    }

    /// Ends the namespace that is being read.
    fn close(&mut self) {
        self.chain = None;
        let sites = std::mem::take(&mut self.sites);
        if let Some((tenant, mut namespace)) = self.open.take() {
            if let Some(ruleset) = &mut namespace.ruleset {
                ruleset.sites = Dispatch::new(sites);
            }
            self.state.tenants.insert(tenant, namespace);
        }
    }
}

fn link(text: &str) -> Option<(Device, Link)> {
    let mut words = text.split_whitespace().peekable();
    let device = words.next()?.parse().ok()?;
    let kind = match words.next()? {
        "tun" => LinkKind::Tun,
        "wireguard" => LinkKind::WireGuard,
        "veth" => LinkKind::Veth { peer: words.next()?.parse().ok()? },
        "vlan" => {
            let (parent, protocol) = (words.next()?.parse().ok()?, words.next()?);
            let tag = |word: &str| VlanId::new(word.parse().ok()?).ok();
            let id = tag(words.next()?)?;
            let protocol = VlanProtocol::ALL.into_iter().find(|it| it.as_str() == protocol)?;
            let inner_id = words.next_if(|word| tag(word).is_some()).and_then(tag);
            LinkKind::Vlan(Vlan { parent, id, protocol, inner_id })
        }
        "ipip" => LinkKind::Ipip { local: words.next()?.parse().ok()? },
        "moved" => LinkKind::Moved,
        "foreign" => LinkKind::Foreign,
        "unrecognized" => LinkKind::Unrecognized,
        _ => return None,
    };
    let mut mtu = None;
    if words.next_if_eq(&"mtu").is_some() {
        mtu = Some(crate::net::Mtu::new(words.next()?.parse().ok()?).ok()?);
    }
    let up = match words.next()? {
        "up" => true,
        "down" => false,
        _ => return None,
    };
    let addresses: Option<BTreeSet<_>> = words.map(|word| word.parse().ok()).collect();
    Some((device, Link { kind, mtu, up, addresses: addresses? }))
}

fn route(text: &str) -> Option<(RouteKey, Route)> {
    let mut words = text.split_whitespace().peekable();
    let prefix = words.next()?.parse().ok()?;
    words.next_if_eq(&"metric")?;
    let metric = words.next()?.parse().ok()?;
    let target = match words.next()? {
        "blackhole" => RouteTarget::Blackhole,
        "multipath" => {
            let mut hops = BTreeSet::new();
            while words.next_if_eq(&"dev").is_some() {
                let device = words.next()?.parse().ok()?;
                let mut via = None;
                if words.next_if_eq(&"via").is_some() {
                    via = Some(words.next()?.parse().ok()?);
                }
                if !hops.insert(Hop { device, via }) {
                    return None;
                }
            }
            if hops.len() < 2 {
                return None;
            }
            RouteTarget::Multipath(hops)
        }
        "unreachable" => RouteTarget::Unreachable,
        "unrecognized" => RouteTarget::Unrecognized,
        "dev" => {
            let device = words.next()?.parse().ok()?;
            let (mut via, mut source) = (None, None);
            if words.next_if_eq(&"via").is_some() {
                via = Some(words.next()?.parse().ok()?);
            }
            if words.next_if_eq(&"src").is_some() {
                source = Some(words.next()?.parse().ok()?);
            }
            RouteTarget::Link { device, via, source }
        }
        _ => return None,
    };
    words.next().is_none().then_some((RouteKey { prefix, metric }, Route { target }))
}

fn sysctl(text: &str) -> Option<(Sysctl, i32)> {
    let (sysctl, value) = text.split_once(" = ")?;
    Some((sysctl.parse().ok()?, value.parse().ok()?))
}

fn set(text: &str) -> Option<(SetName, PrefixSet)> {
    let mut words = text.split_whitespace();
    let name = words.next()?.parse().ok()?;
    let prefixes: Option<PrefixSet> = words.map(|word| word.parse::<Prefix>().ok()).collect();
    Some((name, prefixes?))
}

fn chain(text: &str) -> Option<(ChainName, Option<Base>)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [name] => Some((name.parse().ok()?, None)),
        [name, "hook", hook, "priority", priority, "policy", policy] => {
            let (hook, priority) = (hook.parse().ok()?, priority.parse().ok()?);
            let base = Base { hook, priority, policy: policy.parse().ok()? };
            Some((name.parse().ok()?, Some(base)))
        }
        _ => None,
    }
}
