//! A tenant's table as the text of one `nft` transaction.
//!
//! Text rather than libnftables' JSON: `nft` reads it in a quarter less time,
//! and a person can read what was asked. Names and comments come from closed
//! sets and checked names, so nothing needs quoting that could be broken out of.
//!
//! Where a table of ours stands already, its chains and sets stay, and only the
//! elements that differ, and the rules of the chains that differ, are replaced. A
//! table deleted and made anew in one transaction leaves a moment in which the old
//! chains, empty already, still drop: some 25 packets of 25,000 a second for each
//! replacement.

use crate::model::Ports;
use crate::model::limits::NEIGHBORS_MET_SECONDS;
use crate::reconcile::{
    Base, Chain, ChainName, Conntrack, Device, Family, Icmp, Match, Membership, PrefixSet, Rule,
    Ruleset, SetName, Side, TABLE, Transport, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write};

use super::nf_tables::Count;
use super::nft_arp;

/// The transaction that makes `desired` of `present`, the table that stands
/// there; `None` when its chains cannot stay or it has what we do not know.
pub(super) fn refill(desired: &Ruleset, present: &Ruleset) -> Option<String> {
    if !can_keep(desired, present) {
        return None;
    }
    let mut text = String::new();
    keep(&mut text, desired, present);
    Some(text)
}

/// The transaction that puts `desired` in the place of whatever stands there.
/// `counts` are the values the counters begin with; `has_arp` is whether our table of
/// ARP is there.
pub(super) fn anew(desired: &Ruleset, counts: &BTreeMap<String, Count>, has_arp: bool) -> String {
    let mut text = delete(has_arp);
    line(&mut text, format_args!("table inet {TABLE} {{"));
    for reason in &desired.counters {
        let Count { packets, bytes } = counts.get(reason.as_str()).copied().unwrap_or_default();
        line(&mut text, format_args!("counter {reason} {{ packets {packets} bytes {bytes} }}"));
    }
    line(&mut text, format_args!("}}"));
    declare(&mut text, desired, None);
    fill(&mut text, desired, None);
    if !desired.arp.is_empty() {
        text += &nft_arp::render(&desired.arp);
    }
    text
}

/// The transaction that removes our tables, also when there is none of `inet`. Of ARP
/// nothing is said that need not be: a kernel may know nothing of it.
pub(super) fn delete(has_arp: bool) -> String {
    let inet = format!("table inet {TABLE} {{}}\ndelete table inet {TABLE}\n");
    inet + &if has_arp { nft_arp::delete() } else { String::new() }
}

/// Whether the chains and sets of `present` can stay as they are.
fn can_keep(desired: &Ruleset, present: &Ruleset) -> bool {
    let same_base = |(name, chain): (&ChainName, &Chain)| {
        let present = present.chains.get(name);
        present.is_none_or(|present| same_place(present.base, chain.base))
    };
    let same_size = |(name, size): (&SetName, &u32)| {
        present.met.get(name).is_none_or(|present| present == size)
    };
    present.foreign.is_empty()
        && desired.met.iter().all(same_size)
        && desired.chains.iter().all(same_base)
}

fn same_place(one: Option<Base>, other: Option<Base>) -> bool {
    one.map(|base| (base.hook, base.priority)) == other.map(|base| (base.hook, base.priority))
}

fn keep(text: &mut String, desired: &Ruleset, present: &Ruleset) {
    line(text, format_args!("table inet {TABLE} {{"));
    for reason in desired.counters.difference(&present.counters) {
        line(text, format_args!("counter {reason} {{}}"));
    }
    line(text, format_args!("}}"));
    // Rules that stay are not touched: of a hundred sites' chains one change makes
    // a few anew, and what their limits have counted stays.
    for name in present.chains.keys().filter(|name| !is_same_chain(name, desired, present)) {
        line(text, format_args!("flush chain inet {TABLE} {name}"));
    }
    for family in Family::BOTH {
        let (wanted, there) = (elements(desired, family), elements(present, family));
        if wanted != there {
            line(text, format_args!("map inet {TABLE} sites{family} {{ {} }}", map_type(family)));
        }
        delete_elements(text, format!("sites{family}"), there.difference(&wanted));
    }
    for (name, set) in &present.sets {
        match desired.sets.get(name) {
            None => line(text, format_args!("delete set inet {TABLE} {name}")),
            Some(wanted) => {
                let (wanted, there) = (prefixes(wanted), prefixes(set));
                delete_elements(text, name, there.difference(&wanted));
            }
        }
    }
    for name in present.met.keys().filter(|name| !desired.met.contains_key(name)) {
        line(text, format_args!("delete set inet {TABLE} {name}"));
    }
    match (&present.legs, &desired.legs) {
        (Some(_), None) => line(text, format_args!("delete set inet {TABLE} legs")),
        (Some(there), Some(wanted)) => {
            delete_elements(text, "legs", quoted(there).difference(&quoted(wanted)));
        }
        (None, _) => {}
    }
    declare(text, desired, Some(present));
    fill(text, desired, Some(present));
    // Last, for what led to them is gone only now.
    for name in present.chains.keys().filter(|name| !desired.chains.contains_key(name)) {
        line(text, format_args!("delete chain inet {TABLE} {name}"));
    }
    for reason in present.counters.difference(&desired.counters) {
        line(text, format_args!("delete counter inet {TABLE} {reason}"));
    }
    if desired.arp != present.arp {
        *text += &nft_arp::render(&desired.arp);
    }
}

/// Whether a chain is to be as it is.
fn is_same_chain(name: &ChainName, desired: &Ruleset, present: &Ruleset) -> bool {
    desired.chains.get(name) == present.chains.get(name)
}

/// Chains and sets without what is in them, less those that stay.
fn declare(text: &mut String, ruleset: &Ruleset, present: Option<&Ruleset>) {
    line(text, format_args!("table inet {TABLE} {{"));
    let is_there = |name| present.is_some_and(|present| present.sets.contains_key(name));
    for name in ruleset.sets.keys().filter(|name| !is_there(name)) {
        let kind = address_type(name.family);
        line(text, format_args!("set {name} {{ type {kind}; flags interval; }}"));
    }
    let is_there = |name| present.is_some_and(|present| present.met.contains_key(name));
    for (name, size) in ruleset.met.iter().filter(|(name, _)| !is_there(name)) {
        let kind = address_type(name.family);
        line(
            text,
            format_args!(
                "set {name} {{ type {kind}; flags dynamic,timeout; size {size}; \
                 timeout {NEIGHBORS_MET_SECONDS}s; }}"
            ),
        );
    }
    if ruleset.legs.is_some() {
        line(text, format_args!("set legs {{ type ifname; }}"));
    }
    for (name, chain) in changed_chains(ruleset, present) {
        match chain.base {
            Some(Base { hook, priority, policy }) => line(
                text,
                format_args!(
                    "chain {name} {{ type filter hook {hook} priority {priority}; policy {policy}; }}"
                ),
            ),
            None => line(text, format_args!("chain {name} {{}}")),
        }
    }
    for family in Family::BOTH {
        line(text, format_args!("map sites{family} {{ {} }}", map_type(family)));
    }
    line(text, format_args!("}}"));
}

/// The chains that are not there as they are to be.
fn changed_chains<'a>(
    ruleset: &'a Ruleset,
    present: Option<&'a Ruleset>,
) -> impl Iterator<Item = (&'a ChainName, &'a Chain)> {
    let is_same = move |name| present.is_some_and(|there| is_same_chain(name, ruleset, there));
    ruleset.chains.iter().filter(move |(name, _)| !is_same(name))
}

/// What is in sets and chains, less the elements and chains that are there already.
fn fill(text: &mut String, ruleset: &Ruleset, present: Option<&Ruleset>) {
    for (name, set) in &ruleset.sets {
        let there = present.and_then(|present| present.sets.get(name));
        let there = there.map(prefixes).unwrap_or_default();
        add_elements(text, name, prefixes(set).difference(&there));
    }
    if let Some(legs) = &ruleset.legs {
        let there = present.and_then(|present| present.legs.as_ref());
        let there = there.map(quoted).unwrap_or_default();
        add_elements(text, "legs", quoted(legs).difference(&there));
    }
    for family in Family::BOTH {
        let there = present.map(|present| elements(present, family)).unwrap_or_default();
        let wanted = elements(ruleset, family);
        add_elements(text, format!("sites{family}"), wanted.difference(&there));
    }
    for (name, chain) in changed_chains(ruleset, present) {
        for rule in &chain.rules {
            line(
                text,
                format_args!("add rule inet {TABLE} {name} {}comment \"{rule}\"", Nft(rule)),
            );
        }
    }
}

/// Takes single elements out of a set that stands.
///
/// Those that stay are not touched: one that is removed and added again in one
/// transaction may be found neither way by a packet at that instant, which is
/// then dropped (seen on Linux 6.1, some two of a thousand such packets).
fn delete_elements<'a>(
    text: &mut String,
    set: impl Display,
    elements: impl Iterator<Item = &'a String>,
) {
    // Of a map it is the keys that are named.
    let keys = elements.map(|element| element.split(" : ").next().unwrap_or_default());
    change_elements(text, "delete", set, keys);
}

fn add_elements<'a>(
    text: &mut String,
    set: impl Display,
    elements: impl Iterator<Item = &'a String>,
) {
    change_elements(text, "add", set, elements.map(String::as_str));
}

fn change_elements<'a>(
    text: &mut String,
    verb: &str,
    set: impl Display,
    elements: impl Iterator<Item = &'a str>,
) {
    let elements: Vec<&str> = elements.collect();
    if !elements.is_empty() {
        let elements = elements.join(", ");
        line(text, format_args!("{verb} element inet {TABLE} {set} {{ {elements} }}"));
    }
}

/// The elements of a set of addresses.
fn prefixes(set: &PrefixSet) -> BTreeSet<String> {
    set.iter().map(|prefix| prefix.to_string()).collect()
}

/// The elements of a set of links.
fn quoted(links: &BTreeSet<Device>) -> BTreeSet<String> {
    links.iter().map(|device| format!("\"{device}\"")).collect()
}

/// The elements of one map of sites.
fn elements(ruleset: &Ruleset, family: Family) -> BTreeSet<String> {
    let of_family = ruleset.sites.iter().filter(|(prefix, _)| Family::of_prefix(*prefix) == family);
    of_family
        .map(|(prefix, site)| format!("{prefix} : jump {}", ChainName::Site(site.clone())))
        .collect()
}

pub(super) const fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

fn map_type(family: Family) -> String {
    format!("type {} : verdict; flags interval;", address_type(family))
}

fn line(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// A rule in nft's words, with a space after each.
struct Nft<'a>(&'a Rule);

impl Display for Nft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.0.matches {
            write_match(f, condition)?;
        }
        match &self.0.verdict {
            Verdict::Accept => f.write_str("accept "),
            Verdict::Goto(chain) => write!(f, "goto {chain} "),
            Verdict::Site(side, family) => {
                let field = match side {
                    Side::Source => "saddr",
                    Side::Destination => "daddr",
                };
                write!(f, "{} {field} vmap @sites{family} ", protocol(*family))
            }
            Verdict::Drop(reason) => write!(f, "counter name {reason} drop "),
            Verdict::Untrack => f.write_str("notrack accept "),
            Verdict::Meet(set) => {
                write!(f, "update @{set} {{ {} daddr }} ", protocol(set.family))
            }
            Verdict::ClampMss => f.write_str("tcp option maxseg size set rt mtu "),
            // Never desired; a rule that does nothing keeps the transaction whole.
            Verdict::Foreign => f.write_str("continue "),
        }
    }
}

const fn protocol(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn write_match(f: &mut fmt::Formatter<'_>, condition: &Match) -> fmt::Result {
    let member = |f: &mut fmt::Formatter<'_>, field: &str, member: &Membership| {
        let not = if member.inside { "" } else { "!= " };
        write!(f, "{} {field} {not}@{} ", protocol(member.set.family), member.set)
    };
    match condition {
        Match::Iif(device) => write!(f, "iifname \"{device}\" "),
        Match::FromElsewhere => f.write_str("iifname != @legs "),
        Match::Oif(device) => write!(f, "oifname \"{device}\" "),
        Match::ToElsewhere => f.write_str("oifname != @legs "),
        Match::Source(set) => member(f, "saddr", set),
        Match::Destination(set) => member(f, "daddr", set),
        Match::Local => f.write_str("fib daddr type local "),
        Match::Ipip => f.write_str("ip protocol 4 "),
        Match::Transport(transport) => write!(f, "meta l4proto {transport} "),
        Match::SourcePorts(ports) => write_ports(f, "sport", ports),
        Match::DestinationPorts(ports) => write_ports(f, "dport", ports),
        Match::Syn => f.write_str("tcp flags & (syn | rst) == syn "),
        Match::Begun => f.write_str("tcp flags & (syn | ack) != syn "),
        Match::Quotes(family, transport) => {
            // Behind eight bytes of ICMP: byte 9 of IPv4's header, and 6 of IPv6's.
            let offset = match family {
                Family::V4 => (8 + 9) * 8,
                Family::V6 => (8 + 6) * 8,
            };
            let protocol = match transport {
                Transport::Sctp => 132,
                Transport::Tcp => 6,
                Transport::Udp => 17,
            };
            write!(f, "@th,{offset},8 {protocol} ")
        }
        Match::Icmp(family, icmp) => write_icmp(f, *family, *icmp),
        Match::FromLink => f.write_str("ip6 hoplimit 255 "),
        Match::Conntrack(Conntrack::Established) => f.write_str("ct state established "),
        Match::Conntrack(Conntrack::Invalid) => f.write_str("ct state invalid "),
        Match::Conntrack(Conntrack::Related) => f.write_str("ct state related "),
        Match::Conntrack(Conntrack::Reply) => {
            f.write_str("ct state established ct direction reply ")
        }
        Match::Rate(rate) => write!(f, "limit rate {rate}/second burst {rate} packets "),
    }
}

fn write_icmp(f: &mut fmt::Formatter<'_>, family: Family, icmp: Icmp) -> fmt::Result {
    let word = match family {
        Family::V4 => "icmp",
        Family::V6 => "icmpv6",
    };
    let types: Vec<String> = icmp.types(family).iter().map(u8::to_string).collect();
    write!(f, "{word} type {{ {} }} ", types.join(", "))
}

/// Ports as ranges that do not meet: the kernel refuses a set in which they do.
fn write_ports(f: &mut fmt::Formatter<'_>, field: &str, ports: &[Ports]) -> fmt::Result {
    let mut sorted = ports.to_vec();
    sorted.sort();
    let mut ranges: Vec<Ports> = Vec::new();
    for Ports { first, last } in sorted {
        match ranges.last_mut() {
            Some(before) if first <= before.last.saturating_add(1) => {
                before.last = before.last.max(last);
            }
            Some(_) | None => ranges.push(Ports { first, last }),
        }
    }
    let range = |Ports { first, last }: Ports| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let ranges: Vec<String> = ranges.into_iter().map(range).collect();
    write!(f, "th {field} {{ {} }} ", ranges.join(", "))
}
