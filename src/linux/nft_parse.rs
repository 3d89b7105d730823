//! What `nft -j list table` prints, as a [`Ruleset`].
//!
//! A rule is known by its comment, which is its text. The comment alone would
//! be believed too easily, so what matters for isolation (links, sets, the
//! chain it leads to, the verdict) must stand in the rule itself in the same
//! words and order; how `nft` spells the rest differs from version to version.
//! What is not known is listed as foreign, never passed over.

use super::nft_render::address_type;
use crate::model::limits::NEIGHBORS_MET_SECONDS;
use crate::net::{Prefix, SiteName};
use crate::reconcile::{
    Base, Chain, ChainName, Device, Dispatch, Family, Match, Membership, PrefixSet, Rule, Ruleset,
    SetName, Side, Verdict,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads a listing; `None` when it is not one.
pub(super) fn parse(listing: &[u8]) -> Option<Ruleset> {
    let listing: Value = serde_json::from_slice(listing).ok()?;
    let mut ruleset = Ruleset::default();
    let mut sites = BTreeMap::new();
    for object in listing.get("nftables")?.as_array()? {
        for (kind, object) in object.as_object()? {
            match kind.as_str() {
                "metainfo" | "table" => {}
                "chain" => read_chain(object, &mut ruleset),
                "rule" => read_rule(object, &mut ruleset),
                "set" => read_set(object, &mut ruleset),
                "map" => read_map(object, &mut ruleset, &mut sites),
                "counter" => match text(object, "name").parse() {
                    Ok(reason) => drop(ruleset.counters.insert(reason)),
                    Err(_) => foreign(&mut ruleset, kind, object),
                },
                _ => foreign(&mut ruleset, kind, object),
            }
        }
    }
    ruleset.sites = Dispatch::new(sites);
    Some(ruleset)
}

pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn foreign(ruleset: &mut Ruleset, kind: &str, object: &Value) {
    ruleset.foreign.insert(format!("{kind} {}", text(object, "name")));
}

fn read_chain(object: &Value, ruleset: &mut Ruleset) {
    let Ok(name) = text(object, "name").parse::<ChainName>() else {
        return foreign(ruleset, "chain", object);
    };
    let base = if object.get("hook").is_some() {
        let Some(base) = read_base(object) else { return foreign(ruleset, "chain", object) };
        Some(base)
    } else {
        None
    };
    ruleset.chains.entry(name).or_default().base = base;
}

pub(super) fn read_base(object: &Value) -> Option<Base> {
    let priority = i32::try_from(object.get("prio")?.as_i64()?).ok()?;
    (text(object, "type") == "filter").then_some(())?;
    let hook = text(object, "hook").parse().ok()?;
    Some(Base { hook, priority, policy: text(object, "policy").parse().ok()? })
}

fn read_rule(object: &Value, ruleset: &mut Ruleset) {
    let Ok(chain) = text(object, "chain").parse::<ChainName>() else { return };
    let rule = text(object, "comment").parse::<Rule>().ok();
    let listed = object.get("expr").and_then(Value::as_array).map(Vec::as_slice);
    let known = rule.filter(|rule| landmarks(rule) == listed_landmarks(listed.unwrap_or_default()));
    let unknown = Rule { matches: Vec::new(), verdict: Verdict::Foreign };
    let chain: &mut Chain = ruleset.chains.entry(chain).or_default();
    chain.rules.push(known.unwrap_or(unknown));
}

/// What of a rule matters for isolation, in order.
fn landmarks(rule: &Rule) -> Vec<String> {
    let member = |field, set: &Membership| {
        let sign = if set.inside { "==" } else { "!=" };
        format!("{field} {sign} @{}", set.set)
    };
    let of_match = |condition: &Match| match condition {
        Match::Iif(device) => Some(format!("iifname == {device}")),
        Match::FromElsewhere => Some("iifname != @legs".to_owned()),
        Match::Oif(device) => Some(format!("oifname == {device}")),
        Match::ToElsewhere => Some("oifname != @legs".to_owned()),
        Match::Source(set) => Some(member("saddr", set)),
        Match::Destination(set) => Some(member("daddr", set)),
        Match::Local
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
        | Match::Rate(_) => None,
    };
    let mut found: Vec<String> = rule.matches.iter().filter_map(of_match).collect();
    match &rule.verdict {
        Verdict::Accept => found.push("accept".to_owned()),
        Verdict::Goto(chain) => found.push(format!("goto {chain}")),
        Verdict::Site(Side::Source, family) => found.push(format!("saddr vmap @sites{family}")),
        Verdict::Site(Side::Destination, family) => {
            found.push(format!("daddr vmap @sites{family}"));
        }
        Verdict::Drop(reason) => found.extend([format!("counter {reason}"), "drop".to_owned()]),
        Verdict::Untrack => found.extend(["notrack", "accept"].map(str::to_owned)),
        Verdict::Meet(set) => found.push(format!("update daddr @{set}")),
        Verdict::ClampMss => found.push("mangle".to_owned()),
        Verdict::Foreign => found.push("foreign".to_owned()),
    }
    found
}

/// The same of a rule as listed.
pub(super) fn listed_landmarks(statements: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, statement) in statements.iter().filter_map(Value::as_object).flatten() {
        match kind.as_str() {
            "match" => found.extend(listed_match(statement)),
            "vmap" => {
                let field = statement.pointer("/key/payload/field").and_then(Value::as_str);
                let map = text(statement, "data");
                found.push(format!("{} vmap {map}", field.unwrap_or_default()));
            }
            "goto" | "jump" => found.push(format!("{kind} {}", text(statement, "target"))),
            "counter" => {
                found.push(format!("counter {}", statement.as_str().unwrap_or_default()));
            }
            "limit" => {}
            "set" => {
                let field = statement.pointer("/elem/payload/field").and_then(Value::as_str);
                let (op, set) = (text(statement, "op"), text(statement, "set"));
                found.push(format!("{op} {} {set}", field.unwrap_or_default()));
            }
            _ => found.push(kind.clone()),
        }
    }
    found
}

fn listed_match(statement: &Value) -> Option<String> {
    let left = statement.get("left")?;
    let key = left.pointer("/meta/key").or_else(|| left.pointer("/payload/field"))?.as_str()?;
    if !["iifname", "oifname", "saddr", "daddr"].contains(&key) {
        return None;
    }
    let right = statement.get("right");
    // Something other than one name or one set is a text that matches nothing.
    let right = right.and_then(Value::as_str).unwrap_or("?");
    Some(format!("{key} {} {right}", text(statement, "op")))
}

/// Whether a set or map has the type we give it.
fn has_type(object: &Value, family: Family) -> bool {
    let flags = object.get("flags").and_then(Value::as_array);
    text(object, "type") == address_type(family)
        && flags.is_some_and(|flags| flags.iter().eq(["interval"].iter()))
}

/// The set of the tenant's links; `None` when it is not as we make it.
fn read_legs(object: &Value) -> Option<BTreeSet<Device>> {
    if text(object, "type") != "ifname" || object.get("flags").is_some() {
        return None;
    }
    let elements = object.get("elem").and_then(Value::as_array);
    elements.into_iter().flatten().map(|name| name.as_str()?.parse().ok()).collect()
}

/// How many a set that the kernel fills may hold; `None` when it is not as we make it.
fn read_met(object: &Value, family: Family) -> Option<u32> {
    // `nft` 1.0 keeps `dynamic` to itself in JSON.
    let is_flag = |flag: &Value| matches!(flag.as_str(), Some("dynamic" | "timeout"));
    let is_ours = text(object, "type") == address_type(family)
        && object.get("flags")?.as_array()?.iter().all(is_flag)
        && object.get("timeout")?.as_u64()? == u64::from(NEIGHBORS_MET_SECONDS);
    is_ours.then_some(())?;
    u32::try_from(object.get("size")?.as_u64()?).ok()
}

fn read_set(object: &Value, ruleset: &mut Ruleset) {
    if text(object, "name") == "legs" {
        match read_legs(object) {
            Some(legs) => ruleset.legs = Some(legs),
            None => foreign(ruleset, "set", object),
        }
        return;
    }
    let name = text(object, "name").parse::<SetName>().ok();
    if let Some(name) = name.as_ref().filter(|name| name.list.is_met()) {
        // What is in it is the kernel's.
        match read_met(object, name.family) {
            Some(size) => drop(ruleset.met.insert(name.clone(), size)),
            None => foreign(ruleset, "set", object),
        }
        return;
    }
    let Some(name) = name.filter(|name| has_type(object, name.family)) else {
        return foreign(ruleset, "set", object);
    };
    let elements = object.get("elem").and_then(Value::as_array);
    let mut prefixes = Vec::new();
    for element in elements.into_iter().flatten() {
        let Some(found) = read_prefixes(element) else { return foreign(ruleset, "set", object) };
        prefixes.extend(found);
    }
    ruleset.sets.insert(name, prefixes.into_iter().collect::<PrefixSet>());
}

fn read_map(object: &Value, ruleset: &mut Ruleset, sites: &mut BTreeMap<Prefix, SiteName>) {
    let family = match text(object, "name") {
        "sites4" => Family::V4,
        "sites6" => Family::V6,
        _ => return foreign(ruleset, "map", object),
    };
    if !has_type(object, family) || text(object, "map") != "verdict" {
        return foreign(ruleset, "map", object);
    }
    let elements = object.get("elem").and_then(Value::as_array);
    for element in elements.into_iter().flatten() {
        let Some((prefixes, site)) = read_site(element) else {
            return foreign(ruleset, "map", object);
        };
        sites.extend(prefixes.into_iter().map(|prefix| (prefix, site.clone())));
    }
}

fn read_site(element: &Value) -> Option<(Vec<Prefix>, SiteName)> {
    let target = element.get(1)?.pointer("/jump/target")?.as_str()?;
    let ChainName::Site(site) = target.parse().ok()? else { return None };
    Some((read_prefixes(element.get(0)?)?, site))
}

/// An element: an address, a prefix, or a range that `nft` made of neighbours.
fn read_prefixes(element: &Value) -> Option<Vec<Prefix>> {
    if let Some(address) = element.as_str() {
        return Some(vec![Prefix::host(address.parse().ok()?)]);
    }
    if let Some(prefix) = element.get("prefix") {
        let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let address = text(prefix, "addr").parse().ok()?;
        return Some(vec![Prefix::containing_address(address, length).ok()?]);
    }
    let range = element.get("range")?.as_array()?;
    let [first, last] = range.as_slice() else { return None };
    let (first, last) = (first.as_str()?.parse().ok()?, last.as_str()?.parse().ok()?);
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            prefixes(first.to_bits().into(), last.to_bits().into(), 32)
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => prefixes(first.to_bits(), last.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// The fewest prefixes that make `first..=last`, of addresses of `width` bits.
fn prefixes(mut first: u128, last: u128, width: u32) -> Option<Vec<Prefix>> {
    let mut found = Vec::new();
    while first <= last {
        let left = last - first;
        // As large as it begins at a multiple of its size, and fits.
        let fits = if left == u128::MAX { 128 } else { (left + 1).ilog2() };
        let bits = first.trailing_zeros().min(fits).min(width);
        let address = match width {
            32 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(first).ok()?)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(first)),
        };
        let length = u8::try_from(width - bits).ok()?;
        found.push(Prefix::containing_address(address, length).ok()?);
        let Some(next) = 1_u128.checked_shl(bits).and_then(|size| first.checked_add(size)) else {
            break;
        };
        first = next;
    }
    Some(found)
}
