//! Short words for rules, for what puts them together.

use super::desired::SiteLeg;
use super::{
    Chain, Conntrack, Device, DropReason, Family, List, Match, Membership, Rule, SetName, Verdict,
};
use crate::net::LinkName;

pub(super) fn loopback() -> Device {
    Device::Foreign(LinkName::loopback())
}

pub(super) fn between(from: &Device, to: &Device) -> impl Iterator<Item = Match> {
    [Match::Iif(from.clone()), Match::Oif(to.clone())].into_iter()
}

pub(super) fn regular(rules: Vec<Rule>) -> Chain {
    Chain { base: None, rules }
}

pub(super) fn rule(matches: impl IntoIterator<Item = Match>, verdict: Verdict) -> Rule {
    Rule { matches: matches.into_iter().collect(), verdict }
}

pub(super) fn accept(matches: impl IntoIterator<Item = Match>) -> Rule {
    rule(matches, Verdict::Accept)
}

pub(super) fn drop(matches: impl IntoIterator<Item = Match>, reason: DropReason) -> Rule {
    rule(matches, Verdict::Drop(reason))
}

pub(super) const fn related() -> Match {
    Match::Conntrack(Conntrack::Related)
}

/// A set in both families: what it lists, and of which link.
pub(super) type SetOf = (List, Option<Device>);

pub(super) const fn membership(
    list: List,
    leg: Option<Device>,
    family: Family,
    inside: bool,
) -> Membership {
    Membership { set: SetName { list, family, leg }, inside }
}

pub(super) const fn src(list: List, family: Family) -> Match {
    Match::Source(membership(list, None, family, true))
}

pub(super) const fn not_src(list: List, family: Family) -> Match {
    Match::Source(membership(list, None, family, false))
}

pub(super) const fn dst(list: List, family: Family) -> Match {
    Match::Destination(membership(list, None, family, true))
}

pub(super) const fn not_dst(list: List, family: Family) -> Match {
    Match::Destination(membership(list, None, family, false))
}

pub(super) fn src_of(leg: &SiteLeg<'_>, list: List, family: Family) -> Match {
    Match::Source(membership(list, leg.tag(), family, true))
}

pub(super) fn not_src_of(leg: &SiteLeg<'_>, list: List, family: Family) -> Match {
    Match::Source(membership(list, leg.tag(), family, false))
}

pub(super) fn dst_of(leg: &SiteLeg<'_>, list: List, family: Family) -> Match {
    Match::Destination(membership(list, leg.tag(), family, true))
}

pub(super) fn not_dst_of(leg: &SiteLeg<'_>, list: List, family: Family) -> Match {
    Match::Destination(membership(list, leg.tag(), family, false))
}
