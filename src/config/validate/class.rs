//! One `ConnectivityClass`, checked.

use super::Inputs;
use super::finding::Findings;
use super::reflectors::check_reflectors;
use crate::config::error::{Forbidden, Problem};
use crate::config::host::parse_host;
use crate::config::overlap::{ForbiddenSet, always_forbidden};
use crate::config::schema::{BackendMode, ConnectivityClassSpec};
use crate::model::{Class, limits};
use crate::net::{LinkName, Prefix, SiteName};
use std::sync::Arc;

/// A class and what only the checks need of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CheckedClass {
    pub(super) class: Arc<Class>,
    pub(super) first_port: u16,
    pub(super) last_port: u16,
    pub(super) alias_pool: Vec<Prefix>,
    /// Not for sites' networks as the applications see them.
    pub(super) forbidden: ForbiddenSet,
    /// Not for anyone's networks.
    pub(super) nobodys: ForbiddenSet,
    /// What carries the tunnels of tenants that do not say.
    pub(super) backend: BackendMode,
    parents: Option<Vec<Parent>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Parent {
    name: LinkName,
    ids: Vec<(u16, u16)>,
    namespaces: Option<Vec<String>>,
}

impl CheckedClass {
    /// Whether `namespace` may use VLAN `id` of `parent`.
    pub(super) fn allows_vlan(&self, namespace: &str, parent: &LinkName, id: u16) -> bool {
        let Some(parents) = &self.parents else { return true };
        parents.iter().any(|entry| {
            entry.name == *parent
                && entry.ids.iter().any(|(first, last)| (*first..=*last).contains(&id))
                && entry
                    .namespaces
                    .as_ref()
                    .is_none_or(|list| list.iter().any(|name| name == namespace))
        })
    }
}

pub(super) fn check(
    name: &str,
    spec: &ConnectivityClassSpec,
    inputs: &Inputs<'_>,
    found: &mut Findings,
) -> Option<CheckedClass> {
    if let Some(host) = &spec.advertised_host
        && let Err(problem) = parse_host(host)
    {
        found.note("spec.advertisedHost", Problem::Host(problem));
    }
    let first_port = found.ranged::<u16>("spec.udpPorts.first", spec.udp_ports.first, 1, 65_535);
    let last_port = found.ranged::<u16>("spec.udpPorts.last", spec.udp_ports.last, 1, 65_535);
    check_order("spec.udpPorts.last", spec.udp_ports.first, spec.udp_ports.last, found);
    let maximum_prefixes = found.ranged::<u32>(
        "spec.maximumPrefixes",
        spec.maximum_prefixes,
        1,
        u32::try_from(limits::PREFIXES_PER_SITE).unwrap_or(u32::MAX),
    );
    let forbidden = prefixes("spec.forbiddenPrefixes", &spec.forbidden_prefixes, found);
    let alias_pool = prefixes("spec.aliasPool", &spec.alias_pool, found);
    let parents = spec.vlan_parents.as_ref().map(|parents| {
        let parent = |(index, parent)| check_parent(index, parent, found);
        parents.iter().enumerate().filter_map(parent).collect()
    });
    let vpn_reflectors = check_reflectors(&spec.vpn_reflectors, inputs, found);
    let mut all = always_forbidden();
    let nobodys = ForbiddenSet::new(all.clone());
    all.extend(forbidden.iter().map(|prefix| (*prefix, Forbidden::Class)));
    let class = Arc::new(Class {
        name: name.to_owned(),
        advertised_host: spec.advertised_host.clone(),
        forbidden_prefixes: all.iter().map(|(prefix, _)| *prefix).collect(),
        allow_default_route: spec.allow_default_route,
        maximum_prefixes: maximum_prefixes?,
        vpn_reflectors,
    });
    let forbidden = ForbiddenSet::new(all);
    let (first_port, last_port) = (first_port?, last_port?);
    let backend = spec.backend;
    Some(CheckedClass {
        class,
        first_port,
        last_port,
        alias_pool,
        forbidden,
        nobodys,
        backend,
        parents,
    })
}

fn prefixes(path: &str, texts: &[String], found: &mut Findings) -> Vec<Prefix> {
    if limits::FORBIDDEN_PREFIXES < texts.len() {
        found.note(path, Problem::TooMany { max: limits::FORBIDDEN_PREFIXES });
        return Vec::new();
    }
    let one = |(index, text): (usize, &String)| {
        let path = format!("{path}[{index}]");
        let prefix = found.prefix(&path, text)?;
        // 0/0 is refused by `allowDefaultRoute`; here it would forbid everything.
        if prefix.length() == 0 {
            found.note(path, Problem::DefaultRoute(prefix));
            return None;
        }
        Some(prefix)
    };
    texts.iter().enumerate().filter_map(one).collect()
}

fn check_order(path: &str, first: u32, last: u32, found: &mut Findings) {
    if last < first {
        found
            .note(path, Problem::RangeBackwards { first: u64::from(first), last: u64::from(last) });
    }
}

fn check_parent(
    index: usize,
    spec: &crate::config::schema::VlanParentSpec,
    found: &mut Findings,
) -> Option<Parent> {
    let path = format!("spec.vlanParents[{index}]");
    let name = found.link(&format!("{path}.name"), &spec.name);
    let mut ids = Vec::with_capacity(spec.ids.len());
    for (at, range) in spec.ids.iter().enumerate() {
        let first = found.vlan_id(&format!("{path}.ids[{at}].first"), range.first);
        let last = found.vlan_id(&format!("{path}.ids[{at}].last"), range.last);
        check_order(&format!("{path}.ids[{at}].last"), range.first, range.last, found);
        ids.extend(first.zip(last).map(|(first, last)| (first.value(), last.value())));
    }
    for (at, namespace) in spec.namespaces.iter().flatten().enumerate() {
        if let Err(error) = namespace.parse::<SiteName>() {
            found.note(format!("{path}.namespaces[{at}]"), error);
        }
    }
    Some(Parent { name: name?, ids, namespaces: spec.namespaces.clone() })
}
