//! The table `arp lockgate`: how many ARP requests are heard on each link.
//!
//! The kernel remembers whoever asks for our address, in a table that all namespaces
//! of the machine share; no setting of a link bounds that. ARP passes no chain of an
//! `inet` table, so this one stands beside it, in the same transactions.

use super::nft_parse::{foreign, listed_landmarks, read_base, text};
use crate::reconcile::{Base, Device, DropReason, Hook, Policy, Ruleset, TABLE};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The one chain, and what it is.
const CHAIN: &str = "input";
const BASE: Base = Base { hook: Hook::Input, priority: 0, policy: Policy::Accept };

/// What is dropped is counted as what the other table drops of the kind.
const REASON: DropReason = DropReason::NeighborLimit;

/// The part of a transaction that makes the table as it is to be, whatever stands
/// there of ours. What was counted stays.
pub(super) fn render(rates: &BTreeMap<Device, u32>) -> String {
    if rates.is_empty() {
        return delete();
    }
    let Base { hook, priority, policy } = BASE;
    let mut text = format!(
        "table arp {TABLE} {{\ncounter {REASON} {{}}\n\
         chain {CHAIN} {{ type filter hook {hook} priority {priority}; policy {policy}; }}\n}}\n\
         flush chain arp {TABLE} {CHAIN}\n"
    );
    for (device, rate) in rates {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "add rule arp {TABLE} {CHAIN} iifname \"{device}\" arp operation request \
             limit rate over {rate}/second burst {rate} packets counter name {REASON} drop \
             comment \"{device} {rate}\""
        );
    }
    text
}

/// The part of a transaction that removes the table, also when there is none.
pub(super) fn delete() -> String {
    format!("table arp {TABLE} {{}}\ndelete table arp {TABLE}\n")
}

/// Reads a listing of the table into `ruleset`; `None` when it is not one. What is not
/// as we make it is listed as foreign.
pub(super) fn parse(listing: &[u8], ruleset: &mut Ruleset) -> Option<()> {
    let listing: Value = serde_json::from_slice(listing).ok()?;
    for object in listing.get("nftables")?.as_array()? {
        for (kind, object) in object.as_object()? {
            let is_ours = match kind.as_str() {
                "metainfo" | "table" => true,
                "counter" => text(object, "name") == REASON.as_str(),
                "chain" => text(object, "name") == CHAIN && read_base(object) == Some(BASE),
                "rule" => read_rule(object)
                    .is_some_and(|(device, rate)| ruleset.arp.insert(device, rate).is_none()),
                _ => false,
            };
            if !is_ours {
                foreign(ruleset, &format!("arp {kind}"), object);
            }
        }
    }
    Some(())
}

/// A rule by its comment, as long as the rule itself says the same.
fn read_rule(rule: &Value) -> Option<(Device, u32)> {
    let (device, rate) = text(rule, "comment").split_once(' ')?;
    let statements = rule.get("expr")?.as_array()?;
    let limit = statements.iter().find_map(|statement| statement.get("limit"))?;
    let is_ours = text(rule, "chain") == CHAIN
        && listed_landmarks(statements)
            == [format!("iifname == {device}"), format!("counter {REASON}"), "drop".to_owned()]
        && limit.get("rate")?.as_u64()?.to_string() == rate
        && text(limit, "per") == "second"
        && limit.get("inv")?.as_bool()?;
    is_ours.then_some((device.parse().ok()?, rate.parse().ok()?))
}
